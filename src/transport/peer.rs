//! The other end of an exchange, as error messages name it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use url::Url;

use super::proxy::NamedProxy;

/// The host and port of a service, and the proxy that leads to it. Clones share the proxy.
#[derive(Clone)]
pub(super) struct Peer {
    name: String,
    proxy: Arc<OnceLock<Arc<NamedProxy>>>,
}

impl Peer {
    /// Creates the peer of a URL: its host, and the port if it is not the scheme's default.
    pub(super) fn new(url: &Url) -> Self {
        let host = url.host_str().unwrap_or("the service");
        let name = url
            .port()
            .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Self {
            name,
            proxy: Arc::default(),
        }
    }

    /// Records that the exchange uses a proxy.
    pub(super) fn set_proxy(&self, proxy: Arc<NamedProxy>) {
        // An exchange has one route, so the proxy is set once.
        let _ = self.proxy.set(proxy);
    }

    /// Returns the proxy that the exchange uses.
    pub(super) fn proxy(&self) -> Option<&NamedProxy> {
        self.proxy.get().map(|proxy| &**proxy)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        match self.proxy() {
            Some(proxy) => write!(f, " (through the proxy {proxy})"),
            None => Ok(()),
        }
    }
}
