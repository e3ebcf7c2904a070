//! The services: one file or folder each, one line each in [`open`].
//!
//! They never import each other.

mod fileverbs;
pub mod jwt;
mod masv;
mod masv_agent;
pub mod response;

#[cfg(test)]
mod test_context;

use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::ports::service::Service;

pub use fileverbs::FileVerbs;
pub use masv::Masv;
pub use masv_agent::MasvAgent;

/// The services of one account. The first one is asked where a bare path doesn't say whose it is.
///
/// # Errors
/// [`ErrorKind::Config`] if a base URL can't be used.
pub fn open(profile: &Profile) -> Result<Vec<Box<dyn Service>>> {
    Ok(vec![Box::new(Masv::open(profile)?), Box::new(MasvAgent::open(profile)?), Box::new(FileVerbs::open(profile)?)])
}

/// The base URL that a setting names.
fn base(profile: &Profile, setting: &str, suffixes: &[&str]) -> Result<BaseUrl> {
    let plain = || Error::new(ErrorKind::Config, format!("`{setting}` has no plain text: write the URL itself, not a reference to it"));
    BaseUrl::parse(&format!("`{setting}`"), profile.text(setting).ok_or_else(plain)?, suffixes)
}
