//! The bindings: the declarations that they load are those of the header, and each function is bound or
//! has a reason not to be. `crates/keyferry-cli/tests/packages` tests the packages as installed.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod bound;
mod declarations;
mod header;
mod node_declarations;
mod python_declarations;
