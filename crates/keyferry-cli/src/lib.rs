//! The programs `keyferry` and `git-credential-keyferry`: their command line, their commands, and the demo.

pub mod args;
pub mod commands;
pub mod context;
pub mod demo;
pub mod git_protocol;
pub mod prompt;
pub mod save_secret;
pub mod secret_input;
pub mod secrets;
pub mod shell;
pub mod startup;
pub mod sys;
pub mod table;
pub mod temp_dir;
pub mod terminal;
