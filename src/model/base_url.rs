//! The base URL of a service. Its scheme, host, port and path limit where the service's credentials
//! are sent.
//!
//! The `url` crate parses all URLs, both here and for connections, so that both agree.

use std::fmt;

use url::{Host, Url};

use crate::error::{Error, ErrorKind, Result};

/// The base URL of a service: its exact origin and the path before the version prefix, without a
/// slash at the end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    url: Url,
    text: String,
    path_start: usize,
}

impl BaseUrl {
    /// Parses a base URL. `suffixes` lists the paths of the API's versions, such as `/api/v1`,
    /// longest first. If the URL ends in one of these paths, this path is removed, because users
    /// often include it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`], naming `setting`, if `text` is not an http or https URL; if it has a
    /// user name, password, query or fragment; or if it uses http and its host is not loopback.
    pub fn parse(setting: &str, text: &str, suffixes: &[&str]) -> Result<Self> {
        let reject =
            |reason: &str| Err(Error::new(ErrorKind::Config, format!("{setting} {reason}")));
        let Ok(mut url) = Url::parse(text) else {
            return reject("is not a URL; write it like https://api.example.com");
        };
        if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
            return reject("is not an https URL; write it like https://api.example.com");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return reject("contains a user name or password; put secrets in their own settings");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return reject("has a query or a fragment; write only the base URL");
        }
        if url.scheme() == "http" && !is_loopback(&url) {
            return reject(
                "uses http, which is allowed only for this machine (localhost); use https",
            );
        }
        let mut path = url.path().trim_end_matches('/').to_owned();
        if let Some(without_version) = suffixes.iter().find_map(|suffix| path.strip_suffix(suffix))
        {
            path = without_version.trim_end_matches('/').to_owned();
        }
        url.set_path(&path);
        let origin = url.origin().ascii_serialization();
        let path_start = origin.len();
        Ok(Self {
            text: origin + &path,
            url,
            path_start,
        })
    }

    /// Returns scheme, host and port as `https://host` or `https://host:port`. The scheme's default
    /// port is omitted.
    pub fn origin(&self) -> &str {
        &self.text[..self.path_start]
    }

    /// Returns origin and path, the common beginning of all URLs of the service.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the path of `url` below this base URL, or `None` if `url` has another origin or is
    /// not below this base URL.
    pub fn below<'a>(&self, url: &'a Url) -> Option<&'a str> {
        if url.origin() != self.url.origin() {
            return None;
        }
        let rest = url.path().strip_prefix(&self.text[self.path_start..])?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    /// Returns the URL of `path_and_query` below this base URL. `path_and_query` must start with a
    /// slash.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidResource`] if the result is not below this base URL, for example because
    /// of `/../` or `//host`.
    pub fn join(&self, path_and_query: &str) -> Result<Url> {
        let text = format!("{}{path_and_query}", self.text);
        Url::parse(&text)
            .ok()
            .filter(|url| self.below(url).is_some())
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::InvalidResource,
                    "the path is outside the service's base URL; check the ID in it",
                )
            })
    }

    /// Returns whether the service runs on this machine.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.url)
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Returns whether a URL's host is this machine: `localhost`, a name below `localhost`, or a
/// loopback address.
pub fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => is_localhost(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => {
            address.is_loopback()
                || address
                    .to_ipv4_mapped()
                    .is_some_and(|address| address.is_loopback())
        }
        None => false,
    }
}

/// Returns whether a name is `localhost` or below it. RFC 6761, section 6.3, reserves these names
/// for this machine, so keyferry never looks them up in DNS.
pub fn is_localhost(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const VERSIONS: &[&str] = &["/v1.1", "/v1"];

    #[test]
    fn version_prefix_and_slash_at_the_end_are_left_off() {
        for text in [
            "https://API.massive.app:443",
            "https://api.massive.app/",
            "https://api.massive.app/v1/",
        ] {
            assert_eq!(
                BaseUrl::parse("masv.url", text, VERSIONS).unwrap().as_str(),
                "https://api.massive.app"
            );
        }
        let base = BaseUrl::parse("masv.url", "https://gate.example/masv/v1.1", VERSIONS).unwrap();
        assert_eq!(
            (base.origin(), base.as_str()),
            ("https://gate.example", "https://gate.example/masv")
        );
    }

    #[test]
    fn clear_text_goes_to_loopback_only() {
        let other = [
            "http://localhost.:1",
            "http://a.localhost:1",
            "http://[::ffff:127.0.0.1]:1",
        ];
        for good in [
            "http://localhost:8080",
            "http://127.0.0.1:1",
            "http://[::1]:1",
        ]
        .into_iter()
        .chain(other)
        {
            assert!(BaseUrl::parse("agent.url", good, &[]).is_ok(), "{good}");
        }
        for bad in [
            "http://api.massive.app",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://evillocalhost",
            "http://[::ffff:10.0.0.1]",
        ] {
            assert_eq!(
                BaseUrl::parse("agent.url", bad, &[]).unwrap_err().kind,
                ErrorKind::Config,
                "{bad}"
            );
        }
    }

    #[test]
    fn user_info_queries_and_other_schemes_are_refused() {
        for bad in [
            "https://a@b.example",
            "https://a:b@c.example",
            "https://a.example?x",
            "ftp://a.example",
            "a",
        ] {
            assert!(BaseUrl::parse("masv.url", bad, &[]).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_below_is_found_at_whole_segments_of_the_exact_origin() {
        let base = BaseUrl::parse("masv.url", "https://a.example/x", &[]).unwrap();
        let below = |text: &str| base.below(&Url::parse(text).unwrap()).map(str::to_owned);
        assert_eq!(
            below("https://a.example/x/v1/user").as_deref(),
            Some("/v1/user")
        );
        for other in [
            "https://a.example/xy",
            "https://a.example:444/x/",
            "http://a.example/x/",
            "https://b.a.example/x/",
        ] {
            assert_eq!(below(other), None, "{other}");
        }
    }

    #[test]
    fn join_stays_below_the_base() {
        let base = BaseUrl::parse("masv.url", "https://a.example/x", &[]).unwrap();
        assert_eq!(
            base.join("/v1/user?a=b").unwrap().as_str(),
            "https://a.example/x/v1/user?a=b"
        );
        assert!(base.join("/../../y").is_err());
    }
}
