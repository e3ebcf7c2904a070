//! The services: one file or folder each, one line each in [`open`].
//!
//! They never import each other.
//!
//! To add one: a file here with its `Service`, its line in [`open`], its settings in
//! `config/settings.rs`, its credentials in `CREDENTIAL_GROUPS` of `config/profile.rs` (without
//! that, credentials of two accounts mix), and its name in `RESERVED_NAMES` of
//! `plugin/descriptor.rs`. For the programs: `credentials.rs`, `commands/login.rs` and
//! `commands/logout.rs` in `crates/keyferry-cli/src`.

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

/// The services of one account. A bare path belongs to the first one.
///
/// # Errors
/// [`ErrorKind::Config`](crate::error::ErrorKind::Config) if a base URL can't be used.
pub fn open(profile: &Profile) -> Result<Vec<Box<dyn Service>>> {
    Ok(vec![
        Box::new(Masv::open(profile)?),
        Box::new(MasvAgent::open(profile)?),
        Box::new(FileVerbs::open(profile)?),
    ])
}
