//! Checks the arguments of `keyferry curl -- ARGS`.
//!
//! Only the options in `ACCEPTED` are passed on. None of them lets curl send the header to a
//! server other than the host of the URL, or print it. Every option is passed on in its long form,
//! so that curl and this module cannot disagree about which argument is a value.
//!
//! Rationale: curl knows 250 options, and new versions add more. A list of forbidden options would
//! miss the new ones, and abbreviations such as `--loc`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use url::Url;

use keyferry::model::base_url::is_loopback;
use keyferry::model::resource::{Resource, is_url};

/// The arguments for curl, after the check.
#[derive(Debug, PartialEq, Eq)]
pub struct CurlArguments {
    /// The only URL, in its normal form. Every URL parser finds the same host in it.
    pub url: Url,
    /// The options, each in its long form, and their values.
    pub options: Vec<OsString>,
    /// The names of the headers that the options set.
    pub header_names: Vec<String>,
}

/// Whether an option has a value, and what the value may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The option has no value.
    Flag,
    /// The value is one line.
    Line,
    /// The value is any string, because it becomes part of the body.
    Body,
    /// The value is a request header.
    Header,
    /// The value is the name of a method.
    Method,
    /// The value is the URL.
    Url,
    /// The option has no value. It is accepted for https only.
    ProxyFlag,
    /// The value is one line. The option is accepted for https only.
    Proxy,
}

/// The options that are passed on: the long name, the short name, and the kind of the value.
const ACCEPTED: [(&str, Option<u8>, Kind); 81] = [
    ("capath", None, Kind::Line),
    ("cacert", None, Kind::Line),
    ("compressed", None, Kind::Flag),
    ("connect-timeout", None, Kind::Line),
    ("continue-at", Some(b'C'), Kind::Line),
    ("cookie", Some(b'b'), Kind::Line),
    ("cookie-jar", Some(b'c'), Kind::Line),
    ("create-dirs", None, Kind::Flag),
    ("data", Some(b'd'), Kind::Body),
    ("data-ascii", None, Kind::Body),
    ("data-binary", None, Kind::Body),
    ("data-raw", None, Kind::Body),
    ("data-urlencode", None, Kind::Body),
    ("disable", Some(b'q'), Kind::Flag),
    ("dump-header", Some(b'D'), Kind::Line),
    ("expect100-timeout", None, Kind::Line),
    ("fail", Some(b'f'), Kind::Flag),
    ("fail-with-body", None, Kind::Flag),
    ("form", Some(b'F'), Kind::Body),
    ("form-string", None, Kind::Body),
    ("get", Some(b'G'), Kind::Flag),
    ("globoff", Some(b'g'), Kind::Flag),
    ("head", Some(b'I'), Kind::Flag),
    ("header", Some(b'H'), Kind::Header),
    ("http1.0", Some(b'0'), Kind::Flag),
    ("http1.1", None, Kind::Flag),
    ("http2", None, Kind::Flag),
    ("http2-prior-knowledge", None, Kind::Flag),
    ("include", Some(b'i'), Kind::Flag),
    ("ipv4", Some(b'4'), Kind::Flag),
    ("ipv6", Some(b'6'), Kind::Flag),
    ("json", None, Kind::Body),
    ("keepalive-time", None, Kind::Line),
    ("limit-rate", None, Kind::Line),
    ("max-filesize", None, Kind::Line),
    ("max-time", Some(b'm'), Kind::Line),
    ("no-buffer", Some(b'N'), Kind::Flag),
    ("no-clobber", None, Kind::Flag),
    ("no-keepalive", None, Kind::Flag),
    ("no-progress-meter", None, Kind::Flag),
    ("noproxy", None, Kind::Proxy),
    ("output", Some(b'o'), Kind::Line),
    ("output-dir", None, Kind::Line),
    ("pinnedpubkey", None, Kind::Line),
    ("progress-bar", Some(b'#'), Kind::Flag),
    ("proxy", Some(b'x'), Kind::Proxy),
    ("proxy-cacert", None, Kind::Proxy),
    ("proxy-header", None, Kind::Proxy),
    ("proxy-user", Some(b'U'), Kind::Proxy),
    ("proxytunnel", Some(b'p'), Kind::ProxyFlag),
    ("range", Some(b'r'), Kind::Line),
    ("raw", None, Kind::Flag),
    ("referer", Some(b'e'), Kind::Line),
    ("remote-header-name", Some(b'J'), Kind::Flag),
    ("remote-name", Some(b'O'), Kind::Flag),
    ("remote-time", Some(b'R'), Kind::Flag),
    ("remove-on-error", None, Kind::Flag),
    ("request", Some(b'X'), Kind::Method),
    ("retry", None, Kind::Line),
    ("retry-all-errors", None, Kind::Flag),
    ("retry-connrefused", None, Kind::Flag),
    ("retry-delay", None, Kind::Line),
    ("retry-max-time", None, Kind::Line),
    ("show-error", Some(b'S'), Kind::Flag),
    ("silent", Some(b's'), Kind::Flag),
    ("socks5", None, Kind::Proxy),
    ("socks5-hostname", None, Kind::Proxy),
    ("speed-limit", Some(b'Y'), Kind::Line),
    ("speed-time", Some(b'y'), Kind::Line),
    ("stderr", None, Kind::Line),
    ("styled-output", None, Kind::Flag),
    ("tcp-nodelay", None, Kind::Flag),
    ("time-cond", Some(b'z'), Kind::Line),
    ("tlsv1.2", None, Kind::Flag),
    ("tlsv1.3", None, Kind::Flag),
    ("tr-encoding", None, Kind::Flag),
    ("upload-file", Some(b'T'), Kind::Line),
    ("url", None, Kind::Url),
    ("url-query", None, Kind::Line),
    ("user-agent", Some(b'A'), Kind::Line),
    ("write-out", Some(b'w'), Kind::Line),
];

const FOLLOWS: &str = "curl would also send the token to the host that a redirect names";
const OTHER_HOST: &str = "curl could then send the token to another host";
const PRINTS: &str =
    "curl would print the token; use --include or --dump-header to see the headers of the response";
const MORE_URLS: &str = "keyferry gives curl the header for one URL; run one command for each URL";
const READS_FILE: &str =
    "the file could contain any option; pass its options as arguments of `keyferry curl`";
const CREDENTIAL: &str = "keyferry gives curl the credential for the URL";

/// Options that are refused with a reason of their own: the long name, the short name, and the
/// reason. An abbreviation of a long name gets the same reason.
const REFUSED: [(&str, Option<u8>, &str); 27] = [
    ("abstract-unix-socket", None, OTHER_HOST),
    ("alt-svc", None, OTHER_HOST),
    ("aws-sigv4", None, CREDENTIAL),
    ("config", Some(b'K'), READS_FILE),
    ("connect-to", None, OTHER_HOST),
    ("doh-url", None, OTHER_HOST),
    ("follow", None, FOLLOWS),
    (
        "insecure",
        Some(b'k'),
        "curl would not check which server gets the token; use --cacert for a certificate of your own",
    ),
    ("libcurl", None, PRINTS),
    ("location", Some(b'L'), FOLLOWS),
    ("location-trusted", None, FOLLOWS),
    ("max-redirs", None, FOLLOWS),
    ("netrc", Some(b'n'), CREDENTIAL),
    ("netrc-file", None, CREDENTIAL),
    ("netrc-optional", None, CREDENTIAL),
    ("next", Some(b':'), MORE_URLS),
    ("oauth2-bearer", None, CREDENTIAL),
    ("parallel", Some(b'Z'), MORE_URLS),
    ("preproxy", None, OTHER_HOST),
    ("proto-redir", None, FOLLOWS),
    ("resolve", None, OTHER_HOST),
    ("trace", None, PRINTS),
    ("trace-ascii", None, PRINTS),
    ("trace-config", None, PRINTS),
    ("unix-socket", None, OTHER_HOST),
    ("user", Some(b'u'), CREDENTIAL),
    ("verbose", Some(b'v'), PRINTS),
];

/// Returns the accepted options for the help: `-s/--silent` and so on.
pub fn accepted_options() -> String {
    let names = ACCEPTED
        .iter()
        .map(|(long, short, _)| match short {
            Some(short) => format!("-{}/--{long}", char::from(*short)),
            None => format!("--{long}"),
        })
        .collect::<Vec<_>>();
    names.join(", ")
}

/// Checks the arguments for curl.
///
/// # Errors
/// Returns the reason why an argument is refused. It never quotes a value.
pub fn check(arguments: &[OsString]) -> Result<CurlArguments, String> {
    let mut checker = Checker {
        urls: Vec::new(),
        options: Vec::new(),
        header_names: Vec::new(),
        proxy_option: None,
        is_globoff: false,
    };
    let mut rest = arguments.iter();
    let mut has_options = true;
    while let Some(argument) = rest.next() {
        let bytes = argument.as_bytes();
        match bytes {
            b"--" if has_options => has_options = false,
            [b'-', b'-', name @ ..] if has_options => checker.long(name, &mut rest)?,
            [b'-', letters @ ..] if has_options && !letters.is_empty() => {
                checker.short(letters, &mut rest)?;
            }
            _ => checker.urls.push(argument.clone()),
        }
    }
    checker.finish()
}

struct Checker {
    urls: Vec<OsString>,
    options: Vec<OsString>,
    header_names: Vec<String>,
    /// The first option for a proxy.
    proxy_option: Option<&'static str>,
    is_globoff: bool,
}

impl Checker {
    /// Checks an option with a long name, and takes its value from the rest of the arguments.
    fn long<'a>(
        &mut self,
        name: &[u8],
        rest: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), String> {
        let accepted = ACCEPTED.iter().find(|(long, ..)| long.as_bytes() == name);
        let Some((long, _, kind)) = accepted else {
            return Err(refusal_of_long(name));
        };
        if kind.has_value() {
            let value = rest.next().ok_or_else(|| missing_value(long))?;
            return self.add(long, *kind, Some(value.clone()));
        }
        self.add(long, *kind, None)
    }

    /// Checks options with short names in one argument, such as `-sSo`. The value of the last one
    /// is the rest of the argument, or the next argument.
    fn short<'a>(
        &mut self,
        letters: &[u8],
        rest: &mut impl Iterator<Item = &'a OsString>,
    ) -> Result<(), String> {
        for (index, letter) in letters.iter().enumerate() {
            let accepted = ACCEPTED
                .iter()
                .find(|(_, short, _)| short.as_ref() == Some(letter));
            let Some((long, _, kind)) = accepted else {
                return Err(refusal_of_short(*letter));
            };
            if !kind.has_value() {
                self.add(long, *kind, None)?;
                continue;
            }
            let value = match &letters[index + 1..] {
                [] => rest.next().ok_or_else(|| missing_value(long))?.clone(),
                attached => OsStr::from_bytes(attached).to_owned(),
            };
            return self.add(long, *kind, Some(value));
        }
        Ok(())
    }

    fn add(
        &mut self,
        long: &'static str,
        kind: Kind,
        value: Option<OsString>,
    ) -> Result<(), String> {
        let value_bytes = value.as_deref().unwrap_or_default().as_bytes();
        if kind != Kind::Body && value_bytes.iter().any(u8::is_ascii_control) {
            return Err(format!(
                "the value of --{long} contains a control character; remove it"
            ));
        }
        match kind {
            Kind::Url => {
                self.urls.extend(value);
                return Ok(());
            }
            Kind::Header => self.header_names.push(header_name(value_bytes)?),
            Kind::Method if !value_bytes.iter().all(u8::is_ascii_alphabetic) => {
                return Err(
                    "the value of --request is not a method; write a word such as PUT".into(),
                );
            }
            Kind::Proxy | Kind::ProxyFlag => {
                self.proxy_option.get_or_insert(long);
            }
            _ => {}
        }
        self.is_globoff |= long == "globoff";
        self.options.push(format!("--{long}").into());
        self.options.extend(value);
        Ok(())
    }

    fn finish(self) -> Result<CurlArguments, String> {
        let url = match self.urls.as_slice() {
            [url] => check_url(url, self.is_globoff)?,
            [] => return Err("there is no URL for curl; add it after `--`".into()),
            _ => {
                return Err(
                    "there is more than one URL for curl; run one command for each URL".into(),
                );
            }
        };
        if let Some(long) = self.proxy_option.filter(|_| url.scheme() != "https") {
            return Err(format!(
                "curl cannot use --{long} with this URL: the proxy would get the token; leave the option out"
            ));
        }
        Ok(CurlArguments {
            url,
            options: self.options,
            header_names: self.header_names,
        })
    }
}

impl Kind {
    fn has_value(self) -> bool {
        !matches!(self, Self::Flag | Self::ProxyFlag)
    }
}

/// Parses the URL.
fn check_url(url: &OsStr, is_globoff: bool) -> Result<Url, String> {
    let invalid = || "the URL for curl is malformed; write it like https://HOST/PATH".to_owned();
    let text = url.to_str().ok_or_else(invalid)?;
    if !is_url(text) {
        return Err(
            "the argument for curl is not a URL; write the whole URL, as in https://HOST/PATH"
                .into(),
        );
    }
    let Ok(Resource::Url(mut url)) = Resource::parse(text) else {
        return Err(invalid());
    };
    // The host of an IPv6 address has square brackets too.
    let after_host = text
        .split_once("://")
        .and_then(|(_, rest)| rest.find(['/', '?', '#']).map(|start| &rest[start..]));
    let has_list =
        text.contains(['{', '}']) || after_host.is_some_and(|rest| rest.contains(['[', ']']));
    if !is_globoff && has_list {
        return Err(
            "curl would read the brackets in the URL as a list of URLs; add --globoff, or percent-encode the brackets"
                .into(),
        );
    }
    url.set_fragment(None);
    if url.scheme() == "http" && !is_loopback(&url) {
        return Err(
            "the URL for curl uses http, which would show the token to the network; use https"
                .into(),
        );
    }
    Ok(url)
}

/// Returns the name of a header.
fn header_name(header: &[u8]) -> Result<String, String> {
    let end = header
        .iter()
        .position(|byte| b":;".contains(byte))
        .unwrap_or(header.len());
    let name = &header[..end];
    if name.first() == Some(&b'@') {
        return Err(
            "curl would read headers from a file, which could contain a Host header; pass each header with --header"
                .into(),
        );
    }
    let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(byte);
    if name.is_empty() || !name.iter().all(is_token) {
        return Err("the value of --header is not a header; write it like 'Name: value'".into());
    }
    let name = String::from_utf8_lossy(name).into_owned();
    if name.eq_ignore_ascii_case("host") {
        return Err(
            "curl cannot send another Host header: the server could pass the token on to that host"
                .into(),
        );
    }
    Ok(name)
}

fn missing_value(long: &str) -> String {
    format!("the curl option --{long} needs a value")
}

fn refusal_of_long(name: &[u8]) -> String {
    let refused = REFUSED
        .iter()
        .find(|(long, ..)| long.as_bytes() == name)
        .or_else(|| {
            REFUSED
                .iter()
                .find(|(long, ..)| !name.is_empty() && long.as_bytes().starts_with(name))
        });
    match refused {
        Some((long, _, reason)) => format!("`keyferry curl` refuses --{long}: {reason}"),
        None => unknown(&format!("--{}", printable_name(name))),
    }
}

fn refusal_of_short(letter: u8) -> String {
    let refused = REFUSED.iter().find(|(_, short, _)| *short == Some(letter));
    match refused {
        Some((long, _, reason)) => {
            format!(
                "`keyferry curl` refuses -{} (--{long}): {reason}",
                char::from(letter)
            )
        }
        None => unknown(&format!("-{}", printable_name(&[letter]))),
    }
}

/// Returns the name of an option for an error message. The part after `=` may be a secret.
fn printable_name(name: &[u8]) -> String {
    let end = name.iter().position(|byte| *byte == b'=');
    let name = OsString::from_vec(name[..end.unwrap_or(name.len())].to_vec());
    name.to_string_lossy().into_owned()
}

fn unknown(option: &str) -> String {
    format!(
        "`keyferry curl` does not pass {option} on to curl; `keyferry curl --help` lists the options, in their full names"
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
mod tests {
    use super::*;

    const URL: &str = "https://api.massive.app/v1/teams";

    fn check_words(words: &[&str]) -> Result<CurlArguments, String> {
        let arguments: Vec<_> = words.iter().map(OsString::from).collect();
        check(&arguments)
    }

    /// Returns the options that curl gets.
    fn passed_on(words: &[&str]) -> Vec<String> {
        let checked = check_words(&[words, &[URL]].concat()).unwrap();
        let options = checked.options.into_iter();
        options.map(|word| word.into_string().unwrap()).collect()
    }

    #[test]
    fn options_are_passed_on_in_their_long_form() {
        for (words, expected) in [
            (&["-sSf"][..], &["--silent", "--show-error", "--fail"][..]),
            (&["-sofile"], &["--silent", "--output", "file"]),
            (&["-so", "-L"], &["--silent", "--output", "-L"]),
            (&["-d", "-L\n@x"], &["--data", "-L\n@x"]),
            (&["-XPUT"], &["--request", "PUT"]),
            (&["-H", "X-A: b"], &["--header", "X-A: b"]),
            (&["-H", "Accept:"], &["--header", "Accept:"]),
            (&["--json", "{}"], &["--json", "{}"]),
        ] {
            assert_eq!(passed_on(words), expected, "{words:?}");
        }
        for words in [&["--url", URL][..], &["-s", "--", URL], &[URL]] {
            assert_eq!(check_words(words).unwrap().url.as_str(), URL);
        }
    }

    #[test]
    fn every_spelling_of_a_refused_option_is_refused() {
        for words in [
            &["-L"][..],
            &["-sSL"],
            &["-Ls"],
            &["-LofILE"],
            &["--location"],
            &["--loc"],
            &["--locat"],
            &["--location-trusted"],
            &["--location-t"],
            &["--no-location"],
            &["--location=1"],
            &["--LOCATION"],
            &["--follow"],
            &["--max-redirs", "5"],
            &["-K", "file"],
            &["-Kfile"],
            &["-sK-"],
            &["--conf", "file"],
            &["-:"],
            &["-s:"],
            &["--next"],
            &["-k"],
            &["--insecure"],
            &["-v"],
            &["-sv"],
            &["--trace", "-"],
            &["--trace-ascii", "-"],
            &["--libcurl", "-"],
            &["--resolve", "api.massive.app:443:127.0.0.1"],
            &["--connect-to", "::127.0.0.1:1"],
            &["--unix-socket", "x"],
            &["--proto-redir", "http"],
            &["-u", "a:b"],
            &["-n"],
            &["-Z"],
            &["--variable", "a=b"],
            &["--expand-url", "x"],
            &["--url=https://other.example/"],
            &["--sile"],
            &["-H", "Host: other.example"],
            &["-H", "host;"],
            &["-H", "HOST : other.example"],
            &["-H", " Host: other.example"],
            &["-H", ": x"],
            &["-H", "@file"],
            &["-H", "@-"],
            &["-H", "X: a\r\nHost: other.example"],
            &["-A", "a\nHost: other.example"],
            &["-X", "GET / HTTP/1.1\r\nHost: other.example\r\n\r\nGET"],
            &["-X", "GET https://other.example/"],
            &["-o"],
        ] {
            // An option that needs a value has none, because it is the last argument.
            let all = [&[URL], words].concat();
            let refused = check_words(&all).unwrap_err();
            assert!(!refused.contains("other.example"), "{words:?}: {refused}");
        }
    }

    #[test]
    fn there_is_one_url_and_its_host_is_clear() {
        for words in [
            &[][..],
            &[URL, URL],
            &[URL, "--url", URL],
            &[URL, "--", "-s"],
            &["https://api.massive.app/{a,b}"],
            &["https://api.massive.app/[1-3]"],
            &["https://{api.massive.app,other.example}/"],
            &["http://api.massive.app/v1/teams"],
            &["https://user@api.massive.app/"],
            &["https://api.massive.app@other.example/"],
            &["https://api.massive.app\\@other.example/"],
            &["https://api.massive.app/\n"],
            &["api.massive.app/v1/teams"],
            &["user"],
            &["-"],
            &["file:///etc/passwd"],
            &["ftp://api.massive.app/"],
        ] {
            assert!(check_words(words).is_err(), "{words:?}");
        }
        for (typed, host) in [
            ("HTTPS://API.massive.APP/", "api.massive.app"),
            (
                "https://api.massive.app/?a=@other.example",
                "api.massive.app",
            ),
            ("https://api.massive.app#@other.example/", "api.massive.app"),
            ("http://[::1]:8080/v1/teams", "[::1]"),
        ] {
            let url = check_words(&[typed]).unwrap().url;
            assert_eq!(url.host_str(), Some(host), "{typed}");
            assert!(!url.as_str().contains('\\'), "{url}");
        }
        assert!(check_words(&["-g", "https://api.massive.app/v1/[1-3]"]).is_ok());
    }

    #[test]
    fn a_proxy_is_for_https_only() {
        for option in ["--proxy", "--socks5", "--noproxy", "-x"] {
            assert!(check_words(&[option, "proxy.example:1", URL]).is_ok());
            let refused = check_words(&["http://127.0.0.1:1/", option, "proxy.example:1"]);
            assert!(refused.unwrap_err().contains("the proxy would get"));
        }
    }
}
