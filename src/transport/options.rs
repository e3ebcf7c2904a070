//! The options of a transport.

use std::path::PathBuf;

/// The proxy for requests to other machines. Requests to this machine never use a proxy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Proxy {
    /// The proxy that the environment variables name: `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY`, or
    /// their lower-case forms.
    #[default]
    System,
    /// No proxy.
    None,
    /// The proxy at this URL.
    Url(String),
}

impl Proxy {
    /// Parses the setting `http.proxy`.
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
    /// A PEM file of CA certificates to trust in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The proxy for requests to other machines.
    pub proxy: Proxy,
    /// Whether the transport ignores the environment variables that name proxies, hosts without a
    /// proxy, and certificates.
    pub ignores_environment: bool,
}
