//! System calls for the terminal and the standard streams. `unsafe` is allowed here.

pub mod stdio;
pub mod terminal;
