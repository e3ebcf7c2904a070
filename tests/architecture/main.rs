//! The law of the house: where code may stand, what it may import, how an export is written, what
//! the documents promise.
//!
//! Each rule is a function from files to complaints; a complaint names file, line and remedy. Each
//! module's `tests` shows that its rules can fail, by feeding them a file that breaks them.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod code;
mod documents;
mod exports;
mod imports;
mod paths;
mod retired_names;
mod shape;
