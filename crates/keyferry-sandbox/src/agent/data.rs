//! The data of the MASV Agent: its session and the accounts that signed up.

use crate::credentials as c;

/// All data of the agent.
#[derive(Default)]
pub(crate) struct AgentData {
    /// The user that is signed in.
    pub(crate) session: Option<AgentUser>,
    /// The users that signed up, with their passwords.
    pub(crate) signed_up: Vec<(AgentUser, String)>,
}

/// A user of the agent.
#[derive(Clone)]
pub(crate) struct AgentUser {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
}

impl AgentData {
    /// Signs the sandbox's user in, or ends the session.
    pub(crate) fn set_signed_in(&mut self, signed_in: bool) {
        self.session = signed_in.then(sandbox_user);
    }
}

/// The user that owns the sandbox's data.
pub(crate) fn sandbox_user() -> AgentUser {
    AgentUser {
        id: c::USER_ID.to_owned(),
        email: c::EMAIL.to_owned(),
        name: "Fer Ry".to_owned(),
    }
}
