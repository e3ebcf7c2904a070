//! The data of the MASV Agent: its session and the accounts that signed up.

use crate::credentials as c;

#[derive(Default)]
pub(crate) struct AgentData {
    pub(crate) session: Option<Person>,
    pub(crate) signed_up: Vec<(Person, String)>,
}

#[derive(Clone)]
pub(crate) struct Person {
    pub(crate) id: String,
    pub(crate) email: String,
    pub(crate) name: String,
}

impl AgentData {
    pub(crate) fn set_signed_in(&mut self, signed_in: bool) {
        self.session = signed_in.then(owner);
    }
}

/// The account that owns the sandbox's data.
pub(crate) fn owner() -> Person {
    Person { id: c::USER_ID.to_owned(), email: c::EMAIL.to_owned(), name: "Fer Ry".to_owned() }
}
