//! System calls for the terminal and the standard streams. `unsafe` is allowed here.

pub mod exec;
mod prompt_signals;
pub mod stdio;
pub mod terminal;
