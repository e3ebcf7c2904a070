//! The proxy to cloud hosts: one that the environment or `http.proxy` names is used, or is an error; it is never passed by.
//!
//! Rationale: what reqwest can't read in a variable it leaves out, and then goes directly what was to be kept from the network; a
//! port that is none becomes the usual one. So variables are read here, and what is handed on was read as reqwest will read it.

use hyper::Uri;
use reqwest::{NoProxy, Proxy};
use url::Url;

use crate::error::{Error, ErrorKind, Result};

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
/// The first one that holds something counts.
const VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// As above.
const EXCEPTIONS: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy that the environment names. None where it names none.
///
/// Rationale: for a CGI program too, though `HTTP_PROXY` may come from the request that it answers, as its header `Proxy`: of that
/// variable nothing is read here.
///
/// # Errors
/// [`ErrorKind::Config`] if it can't be used.
pub(super) fn of_environment() -> Result<Option<Proxy>> {
    let Some((name, value)) = filled(&VARIABLES) else { return Ok(None) };
    let exceptions = filled(&EXCEPTIONS).and_then(|(_, hosts)| NoProxy::from_string(&hosts));
    Ok(Some(named(name, &value)?.no_proxy(exceptions)))
}

/// The first of these variables that holds something, and what. Bytes that are no UTF-8 are in no URL and no host.
fn filled(names: &[&'static str]) -> Option<(&'static str, String)> {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    names.iter().find_map(|name| Some((*name, value(name)?.to_string_lossy().into_owned())))
}

/// The proxy of a text; `whence` is who gave it, and all of it that gets into a message.
///
/// # Errors
/// [`ErrorKind::Config`].
pub(super) fn named(whence: &str, text: &str) -> Result<Proxy> {
    let refuse = || Error::new(ErrorKind::Config, format!("{whence} is no URL of a proxy: write it like http://proxy.example:3128"));
    read(text).and_then(|url| Proxy::all(url).ok()).ok_or_else(refuse)
}

fn read(text: &str) -> Option<Url> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = SCHEMES.iter().find(|known| scheme.eq_ignore_ascii_case(known))?;
    // Of what a URL may hold one parser drops what the other refuses.
    let plain = !rest.is_empty() && !rest.contains(['\\', '\u{fffd}']) && !rest.contains(|c: char| c.is_whitespace() || c.is_control());
    let url = Url::parse(&format!("{scheme}://{rest}")).ok().filter(|url| plain && url.has_host())?;
    let uri: Uri = url.as_str().parse().ok()?;
    let same = uri.host() == url.host_str() && uri.port_u16() == url.port() && !rest.starts_with('/') && !url.path().starts_with("//");
    same.then_some(url)
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
            assert!(read(good).is_some_and(|url| Proxy::all(url).is_ok()), "{good}");
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
            assert!(read(bad).is_none(), "{bad}");
        }
    }
}
