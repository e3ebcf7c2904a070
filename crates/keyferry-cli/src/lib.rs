//! The code of the programs `keyferry` and `git-credential-keyferry`: command line, commands and
//! demo.

pub mod args;
pub mod commands;
pub mod config_edit;
pub mod context;
pub mod credentials;
pub mod demo;
pub mod exit_code;
pub mod fast_path;
pub mod file_edit;
pub mod git_protocol;
pub mod installation;
pub mod json;
pub mod list_document;
pub mod log_output;
pub mod progress;
pub mod prompt;
pub mod quick_args;
pub mod recorded_failure;
pub mod resource_input;
pub mod save_secret;
pub mod secret_input;
pub mod secrets;
pub mod shell;
pub mod startup;
pub mod streams;
pub mod sys;
pub mod table;
pub mod temp_dir;
pub mod terminal;
pub mod time_format;
pub mod token_options;
pub mod variables;
