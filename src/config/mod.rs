//! The configuration. Settings come from `config.toml`, from environment variables, and from the
//! program. The program overrides the environment, and the environment overrides the file.
//!
//! This module only reads secrets that are literal values in the file or in a variable. A setting
//! may also refer to a secret elsewhere. [`crate::secret_sources`] reads such a secret when it is
//! needed. Files in the working directory are never read.
//!
//! Values from the environment and from the program are always literal, because a password may
//! begin with a string such as `env:`. `profile.rs` describes how the settings of one account are
//! combined.

mod account;
mod configuration;
mod declared;
mod entry;
mod environment;
mod file;
mod layer;
mod privilege;
mod profile;
mod settings;
mod value;

pub use account::{ACCOUNT_RULE, DEFAULT_ACCOUNT, is_account};
pub use configuration::{Config, user_file};
pub use declared::{DeclaredKind, DeclaredSetting};
pub use entry::Setting;
pub use environment::{Environment, process_environment, variable, without_secrets};
pub use file::toml_error;
pub use layer::Layer;
pub use privilege::trusts_environment;
pub use profile::Profile;
pub use settings::{PROFILE_KEY, SETTINGS, SettingDefinition, full_key, markdown_table};
pub use value::{ValueFormat, check_text};
