//! The proxy to cloud hosts: one that the environment or `http.proxy` names is used, or is an
//! error; it is never passed by.
//!
//! Rationale: what reqwest can't read in a variable it leaves out, and then goes directly what was
//! to be kept from the network; a port that is none becomes the usual one. So variables are read
//! here, and what is handed on was read as reqwest will read it.

use hyper::Uri;
use reqwest::{NoProxy, Proxy};
use url::Url;

use crate::error::{Error, ErrorKind, Result};

const SCHEMES: [&str; 6] = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
/// The first one that is not empty counts.
const PROXY_VARIABLES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
/// As above.
const NO_PROXY_VARIABLES: [&str; 2] = ["NO_PROXY", "no_proxy"];

/// The proxy that the environment names, if it names one.
///
/// Rationale: for a CGI program too, though `HTTP_PROXY` may come from the request that it answers,
/// as its header `Proxy`: of that variable nothing is read here.
///
/// # Errors
/// [`ErrorKind::Config`] if it can't be used.
pub(super) fn from_environment() -> Result<Option<Proxy>> {
    let Some((name, value)) = first_set(&PROXY_VARIABLES) else {
        return Ok(None);
    };
    let exceptions =
        first_set(&NO_PROXY_VARIABLES).and_then(|(_, hosts)| NoProxy::from_string(&hosts));
    Ok(Some(parse(name, &value)?.no_proxy(exceptions)))
}

/// Name and value of the first of these variables that is not empty. Bytes that are not UTF-8 occur
/// in no URL and no host.
fn first_set(names: &[&'static str]) -> Option<(&'static str, String)> {
    let value = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    names
        .iter()
        .find_map(|name| Some((*name, value(name)?.to_string_lossy().into_owned())))
}

/// Parses a proxy. `setting` names the setting or variable that holds it; no more of it gets into a
/// message.
///
/// # Errors
/// [`ErrorKind::Config`].
pub(super) fn parse(setting: &str, text: &str) -> Result<Proxy> {
    let refuse = || {
        Error::new(
            ErrorKind::Config,
            format!("{setting} is no URL of a proxy: write it like http://proxy.example:3128"),
        )
    };
    parse_url(text)
        .and_then(|url| Proxy::all(url).ok())
        .ok_or_else(refuse)
}

fn parse_url(text: &str) -> Option<Url> {
    let text = text.trim();
    let (scheme, rest) = text.split_once("://").unwrap_or(("http", text));
    let scheme = SCHEMES
        .iter()
        .find(|known| scheme.eq_ignore_ascii_case(known))?;
    // One parser drops characters that the other refuses.
    let has_plain_text = !rest.is_empty()
        && !rest.contains(['\\', '\u{fffd}'])
        && !rest.contains(|c: char| c.is_whitespace() || c.is_control());
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
