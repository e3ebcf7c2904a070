//! The state of the MASV Agent: its session, and the accounts created through it.

use crate::credentials as c;

/// The state of the agent.
#[derive(Default)]
pub(crate) struct AgentData {
    /// The signed-in user, if any.
    pub(crate) session: Option<AgentUser>,
    /// The users that signed up, each with a password.
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
    /// Signs in the user that owns the sandbox's data, or signs out.
    pub(crate) fn set_signed_in(&mut self, signed_in: bool) {
        self.session = signed_in.then(sandbox_user);
    }
}

/// Returns the user that owns the sandbox's data.
pub(crate) fn sandbox_user() -> AgentUser {
    AgentUser {
        id: c::USER_ID.to_owned(),
        email: c::EMAIL.to_owned(),
        name: "Fer Ry".to_owned(),
    }
}
