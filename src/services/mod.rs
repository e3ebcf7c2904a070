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
