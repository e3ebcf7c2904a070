//! The bindings: the declarations that they load are those of the header, each function is bound or
//! has a reason not to be, and both packages pass their suites as installed.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#![cfg(target_os = "linux")]

mod bound;
mod declarations;
mod header;
mod node;
mod node_declarations;
mod python;
mod python_declarations;
