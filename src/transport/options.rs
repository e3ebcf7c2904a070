//! What a transport is configured with. It reads nothing else of the configuration.

use std::path::PathBuf;

/// The route to cloud hosts. This machine is always reached directly.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// As the system says: `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY` and their kin.
    #[default]
    System,
    /// Directly.
    None,
    /// This proxy.
    Url(String),
}

impl Proxy {
    /// Reads the setting `http.proxy`.
    pub fn from_setting(text: Option<&str>) -> Self {
        match text {
            None => Self::System,
            Some("none") => Self::None,
            Some(url) => Self::Url(url.to_owned()),
        }
    }
}

/// The options of a transport.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificates to trust beside the system's, as PEM.
    pub ca_file: Option<PathBuf>,
    /// The route to cloud hosts.
    pub proxy: Proxy,
}
