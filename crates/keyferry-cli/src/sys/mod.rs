//! What only the operating system can do for a program: its terminal and its standard streams.
//! `unsafe` is allowed here.

pub mod stdio;
pub mod terminal;
