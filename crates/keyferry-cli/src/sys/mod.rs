//! System calls for the terminal and the standard streams. `unsafe` is allowed here.

pub mod process;
mod prompt_signals;
pub mod stdio;
pub mod terminal;
