//! Reads `NO_PROXY`: the hosts that are reached without a proxy.
//!
//! Rationale: curl, Go, Python and Node read this variable in different ways, and reqwest knows only
//! some of them. A user writes the variable once for all programs, so this module accepts each of
//! these spellings.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

/// The entries of a `NO_PROXY` variable.
#[derive(Default)]
pub(super) struct NoProxy(Vec<Entry>);

struct Entry {
    hosts: Hosts,
    /// The only port that the entry applies to. `None` for all ports.
    port: Option<u16>,
}

enum Hosts {
    /// Every host: `*`.
    All,
    /// An address or a range of addresses: `10.0.0.0/8`.
    Network(IpNet),
    /// A domain and its subdomains: `example.com`, `.example.com` or `*.example.com`.
    Domain(String),
}

impl NoProxy {
    /// Parses a list whose entries are separated by commas or blanks. Ignores entries that are
    /// neither a host nor a range of addresses.
    pub(super) fn parse(text: &str) -> Self {
        let is_separator = |character: char| character == ',' || character.is_whitespace();
        Self(text.split(is_separator).filter_map(Entry::parse).collect())
    }

    /// Returns whether a URL is reached without a proxy.
    pub(super) fn contains(&self, url: &Url) -> bool {
        let port = url.port_or_known_default();
        url.host().is_some_and(|host| {
            self.0.iter().any(|entry| {
                entry.hosts.contain(&host) && entry.port.is_none_or(|own| Some(own) == port)
            })
        })
    }
}

impl Entry {
    fn parse(text: &str) -> Option<Self> {
        if let Some(hosts) = Hosts::parse(text) {
            return Some(Self { hosts, port: None });
        }
        let (host, port) = text.rsplit_once(':')?;
        Some(Self {
            hosts: Hosts::parse(host)?,
            port: Some(port.parse().ok()?),
        })
    }
}

impl Hosts {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        let address = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
            .unwrap_or(text);
        if let Ok(address) = address.parse::<IpAddr>() {
            return Some(Self::Network(address.into()));
        }
        if let Ok(network) = text.parse() {
            return Some(Self::Network(network));
        }
        let domain = text.strip_prefix('*').unwrap_or(text);
        let domain = domain.strip_prefix('.').unwrap_or(domain);
        match Host::parse(without_last_dot(domain)) {
            Ok(Host::Domain(domain)) if !domain.contains('*') => Some(Self::Domain(domain)),
            _ => None,
        }
    }

    fn contain(&self, host: &Host<&str>) -> bool {
        match (self, host) {
            (Self::All, _) => true,
            (Self::Network(network), Host::Ipv4(address)) => {
                network.contains(&IpAddr::V4(*address))
            }
            (Self::Network(network), Host::Ipv6(address)) => {
                network.contains(&IpAddr::V6(*address))
            }
            (Self::Domain(domain), Host::Domain(host)) => without_last_dot(host)
                .strip_suffix(domain.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')),
            _ => false,
        }
    }
}

fn without_last_dot(domain: &str) -> &str {
    domain.strip_suffix('.').unwrap_or(domain)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    fn contains(no_proxy: &str, url: &str) -> bool {
        NoProxy::parse(no_proxy).contains(&Url::parse(url).unwrap())
    }

    #[test]
    fn every_spelling_of_a_host_is_an_exception() {
        for (no_proxy, url) in [
            ("*", "https://api.massive.app/"),
            ("api.massive.app", "https://api.massive.app/v1"),
            ("API.Massive.App", "https://api.massive.app/"),
            ("massive.app", "https://api.massive.app/"),
            (".massive.app", "https://api.massive.app/"),
            ("*.massive.app", "https://api.massive.app/"),
            (".massive.app", "https://massive.app/"),
            ("massive.app.", "https://api.massive.app/"),
            ("massive.app", "https://api.massive.app./"),
            ("api.massive.app:443", "https://api.massive.app/"),
            ("api.massive.app:8443", "https://api.massive.app:8443/"),
            ("*.massive.app:443", "https://api.massive.app/"),
            ("a.example, massive.app", "https://api.massive.app/"),
            ("a.example massive.app", "https://api.massive.app/"),
            ("a.example,,;,massive.app", "https://api.massive.app/"),
            ("bücher.example", "https://xn--bcher-kva.example/"),
            ("192.0.2.7", "https://192.0.2.7/"),
            ("192.0.2.0/24", "https://192.0.2.7:8443/"),
            ("192.0.2.7:8443", "https://192.0.2.7:8443/"),
            ("2001:db8::1", "https://[2001:db8::1]/"),
            ("[2001:db8::1]", "https://[2001:db8::1]/"),
            ("[2001:db8::1]:443", "https://[2001:db8::1]/"),
            ("2001:db8::/32", "https://[2001:db8::1]/"),
        ] {
            assert!(contains(no_proxy, url), "{no_proxy} {url}");
        }
    }

    #[test]
    fn other_hosts_and_ports_use_the_proxy() {
        for (no_proxy, url) in [
            ("", "https://api.massive.app/"),
            (",", "https://api.massive.app/"),
            ("ssive.app", "https://api.massive.app/"),
            ("api.massive.app.example", "https://api.massive.app/"),
            ("www.massive.app", "https://api.massive.app/"),
            ("api.*.app", "https://api.massive.app/"),
            ("api.massive.app:80", "https://api.massive.app/"),
            ("api.massive.app:443", "https://api.massive.app:8443/"),
            ("api.massive.app:", "https://api.massive.app/"),
            ("api.massive.app:x", "https://api.massive.app/"),
            ("192.0.2.0/24", "https://192.0.3.7/"),
            ("192.0.2.0/99", "https://192.0.2.0/"),
            ("192.0.2", "https://192.0.2.7/"),
            ("2001:db8::/32", "https://[2001:db9::1]/"),
        ] {
            assert!(!contains(no_proxy, url), "{no_proxy} {url}");
        }
    }
}
