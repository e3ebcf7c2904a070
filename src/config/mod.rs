//! Configuration: `config.toml`, then the environment, then what the program sets. The later one
//! wins.
//!
//! It reads no secret but those that stand in the file or in a variable; references are kept, and
//! [`crate::secret_sources`] follows them when they are needed. It never looks into the working
//! directory.
//!
//! Values from the environment and from the program are always literal: a password may begin with
//! `env:`. How the settings of one account are put together is told in `profile.rs`.

mod account;
mod configuration;
mod declared;
pub mod edit;
mod entry;
mod environment;
mod file;
mod layer;
mod profile;
mod settings;
mod value;

pub use account::{ACCOUNT_RULE, DEFAULT_ACCOUNT, is_account};
pub use configuration::{Config, user_file};
pub use declared::{DeclaredKind, DeclaredSetting};
pub use entry::Setting;
pub use environment::{Environment, process_environment, variable, without_secrets};
pub use layer::Layer;
pub use profile::Profile;
pub use settings::{PROFILE_KEY, SETTINGS, SettingDefinition, markdown_table};
pub use value::{ValueFormat, check_text};
