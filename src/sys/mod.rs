//! The few things that only the operating system can do. `unsafe` is allowed here.
//!
//! Imports floor 0 alone.

pub mod clock;
pub mod files;
pub mod folder;
pub mod fork;
pub mod keyutils;
pub mod library;
pub mod locks;
pub mod memory;
pub mod process;
pub mod signals;
pub mod stdio;
pub mod sync;
pub mod terminal;
pub mod words;
