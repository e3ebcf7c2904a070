//! The Python and the Node package as their users have them: built with the library and the programs, installed where no
//! repository is in sight, and tested there with their own suites.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod examples;
mod node;
mod programs;
mod python;
