//! The commands of `keyferry`, one file each.

pub mod agent;
pub mod config;
pub mod doctor;
pub mod exec;
pub mod explain;
pub mod get;
pub mod git;
pub mod login;
pub mod logout;
pub mod plugin;
pub mod print;
pub mod sandbox;
pub mod status;
