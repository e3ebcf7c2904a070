//! Plugins: the template reached through every door, hostile ones, unsafe places, and the ABI's promise to last.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![cfg(target_os = "linux")]

mod support {
    pub(crate) mod child;
    pub(crate) mod compiler;
}

mod plugins {
    mod author;
    mod doors;
    mod header;
    mod hostile;
    mod lasting;
    mod places;
    mod server;
    mod settings;
    mod stage;
    mod studio;
    mod template;
    mod vault;
}
