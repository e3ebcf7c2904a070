//! Reads the proxy for requests to other machines from `http.proxy` or the environment.
//!
//! A configured proxy is either used or reported as an error. A request bypasses it only if
//! `NO_PROXY` names the host.
//!
//! Rationale: reqwest ignores an environment variable that it can't parse. It would then connect
//! directly, although the user configured a proxy. It also replaces an invalid port by the default
//! port. So this module reads the variables itself. It accepts a URL only if the parsers [`Url`]
//! and [`Uri`] agree on its host and port, because reqwest reads the URL with `Uri`.

use std::fmt;
use std::sync::Arc;

use hyper::Uri;
use reqwest::Proxy;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::text::has_control;
use crate::transport::no_proxy::NoProxy;
use crate::transport::options::Options;

/// The port of a SOCKS proxy whose URL has none.
const SOCKS_PORT: u16 = 1080;
const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
/// The setting of the proxy.
pub(super) const SETTING: &str = "http.proxy";
/// The first variable that is not empty is used.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// The first variable that is not empty is used.
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// A proxy. Its `Display` names its host and port, and the setting or environment variable that it
/// comes from, without the user name and password.
pub(super) struct NamedProxy {
    url: Url,
    /// The setting or environment variable.
    pub(super) source: &'static str,
    exceptions: NoProxy,
}

impl NamedProxy {
    /// Returns whether requests to a URL use the proxy.
    pub(super) fn serves(&self, target: &Url) -> bool {
        !self.exceptions.contains(target)
    }

    /// Returns whether this is the proxy's own host name.
    pub(super) fn has_host(&self, name: &str) -> bool {
        self.url.host_str() == Some(name)
    }

    /// Returns whether the URL has a user name or a password.
    pub(super) fn has_credentials(&self) -> bool {
        !self.url.username().is_empty() || self.url.password().is_some()
    }

    /// Returns the proxy as reqwest takes it.
    pub(super) fn to_reqwest(self: &Arc<Self>) -> Proxy {
        let proxy = Arc::clone(self);
        Proxy::custom(move |target| proxy.serves(target).then(|| proxy.url.clone()))
    }
}

impl fmt::Display for NamedProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or_default();
        let port = self.url.port_or_known_default().unwrap_or(SOCKS_PORT);
        write!(f, "{host}:{port} of {}", self.source)
    }
}

/// Returns the proxy that the environment variables name. `None` if none of them is set.
///
/// Rationale: `HTTP_PROXY` is never read. In a CGI program, that variable may contain the `Proxy`
/// header of an attacker's request. The variables read here are safe in a CGI program too.
///
/// # Errors
/// [`ErrorKind::Config`] if the proxy can't be used.
pub(super) fn from_environment() -> Result<Option<NamedProxy>> {
    let Some((name, value)) = first_set(&PROXY_VARIABLES) else {
        return Ok(None);
    };
    parse(name, &value, environment_exceptions()).map(Some)
}

/// Returns the name and value of the first of these variables that is not empty. Bytes that are not
/// UTF-8 become U+FFFD, which is never valid in a URL or a host.
fn first_set(names: &[&'static str]) -> Option<(&'static str, String)> {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    names
        .iter()
        .find_map(|name| Some((*name, value(name)?.to_string_lossy().into_owned())))
}

/// Returns the proxy that the setting `http.proxy` names.
///
/// # Errors
/// [`ErrorKind::Config`] if the proxy can't be used.
pub(super) fn from_setting(text: &str, options: &Options) -> Result<NamedProxy> {
    let exceptions = if options.ignores_environment {
        NoProxy::default()
    } else {
        environment_exceptions()
    };
    parse(SETTING, text, exceptions)
}

fn environment_exceptions() -> NoProxy {
    first_set(&NO_PROXY_VARIABLES)
        .map(|(_, hosts)| NoProxy::parse(&hosts))
        .unwrap_or_default()
}

/// Parses a proxy URL. The proxy is used for each host that is not in `exceptions`. `source` is the
/// name of the setting or environment variable. Error messages never quote the value, which may
/// contain a password.
///
/// # Errors
/// [`ErrorKind::Config`] if the URL is invalid.
pub(super) fn parse(source: &'static str, text: &str, exceptions: NoProxy) -> Result<NamedProxy> {
    let invalid = || {
        Error::new(
            ErrorKind::Config,
            format!("{source} is not a proxy URL; write it like http://proxy.example:3128"),
        )
    };
    let url = parse_url(text)
        .filter(|url| Proxy::all(url.clone()).is_ok())
        .ok_or_else(invalid)?;
    Ok(NamedProxy {
        url,
        source,
        exceptions,
    })
}

fn parse_url(text: &str) -> Option<Url> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = SCHEMES
        .iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))?;
    // `Url` silently drops some of these characters. `Uri` rejects them.
    let has_plain_text = !rest.is_empty()
        && !rest.contains(['\\', '\u{fffd}'])
        && !rest.contains(char::is_whitespace)
        && !has_control(rest);
    let url = Url::parse(&format!("{scheme}://{rest}"))
        .ok()
        .filter(|url| has_plain_text && url.has_host())?;
    let uri: Uri = url.as_str().parse().ok()?;
    let parsers_agree = uri.host() == url.host_str()
        && uri.port_u16() == url.port()
        && !rest.starts_with('/')
        && !url.path().starts_with("//");
    parsers_agree.then_some(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_read_whole_or_not_at_all() {
        for good in [
            "http://proxy.example:3128",
            "proxy.example:3128",
            "proxy.example",
            "HTTPS://proxy.example/",
            "SOCKS5://127.0.0.1:1080",
            "socks4a://proxy.example",
            "http://user:p%40ss@[::1]:8080",
            "user:pass@proxy.example:1",
            " http://proxy.example ",
        ] {
            assert!(
                parse_url(good).is_some_and(|url| Proxy::all(url).is_ok()),
                "{good}"
            );
        }
        for bad in [
            "",
            "http://",
            "http:///a",
            "http://[::1",
            "http://u:p@[bad",
            "::::",
            "http://127.0.0.1:99999",
            "127.0.0.1:99999",
            "ftp://a:1",
            "http://a b:1",
            "http://a\\b:1",
            "http://a:b",
            "http://a\tb",
            "socks5://",
            "://a",
            "http://u@",
            "http://a\u{fffd}",
            "http//a:1:2",
        ] {
            assert!(parse_url(bad).is_none(), "{bad}");
        }
    }
}
