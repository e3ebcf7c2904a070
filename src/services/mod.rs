//! The built-in services: one file or directory for each.
//!
//! Services never import each other. To add a service:
//!
//! 1. Implement [`Service`] in a new file here, and add a line to [`open`].
//! 2. Add its settings to `config/settings.rs`.
//! 3. Add its credentials to `CREDENTIAL_GROUPS` in `config/profile.rs`. Otherwise one profile may
//!    combine credentials of two accounts.
//! 4. Add its name to `RESERVED_NAMES` in `plugin/descriptor.rs`.
//! 5. For the programs, extend `credentials.rs`, `commands/login.rs` and `commands/logout.rs` in
//!    `crates/keyferry-cli/src`.

mod fileverbs;
pub mod jwt;
mod masv;
mod masv_agent;
pub mod response;

#[cfg(test)]
mod test_context;

use crate::config::Profile;
use crate::error::Result;
use crate::ports::service::Service;

pub use fileverbs::FileVerbs;
pub use masv::Masv;
pub use masv_agent::MasvAgent;

/// Returns the services of one account. A path without a service name belongs to the first.
///
/// # Errors
/// [`ErrorKind::Config`](crate::error::ErrorKind::Config) if a base URL is invalid.
pub fn open(profile: &Profile) -> Result<Vec<Box<dyn Service>>> {
    Ok(vec![
        Box::new(Masv::open(profile)?),
        Box::new(MasvAgent::open(profile)?),
        Box::new(FileVerbs::open(profile)?),
    ])
}
