//! A user's own program, as far as HTTP goes: it sends the headers that it was handed, and looks at the status.
//!
//! Imports its siblings, [`crate::error`] and [`crate::http`]. The demo plays its user with it. It is no part of the engine and
//! shares no client with it: headers that are right here are right for any HTTP library. It reaches this machine alone, over http.

use std::io::Read;
use std::net::Ipv4Addr;
use std::time::Duration;

use reqwest::blocking::Client;
use reqwest::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use reqwest::{Method, redirect};
use url::Url;
use zeroize::Zeroizing;

use super::client::Route;
use super::{failure, tls};
use crate::error::{Error, Kind, Result};
use crate::http::MAX_BODY_BYTES;

/// Services on this machine answer in a moment.
const LONGEST_CALL: Duration = Duration::from_secs(10);

/// A plain client: no redirect is followed, no proxy is used, every call ends.
pub struct Caller(Client);

/// What came back.
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The body; it may hold a token, so it is wiped.
    pub body: Zeroizing<Vec<u8>>,
}

impl Caller {
    /// Makes the client.
    ///
    /// # Errors
    /// [`Kind::Config`] if HTTP can't be set up.
    pub fn new() -> Result<Self> {
        Client::builder()
            .tls_backend_preconfigured(tls::trusting_nobody()?)
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .resolve("localhost", (Ipv4Addr::LOCALHOST, 0).into())
            .referer(false)
            .http1_only()
            .connection_verbose(false)
            .timeout(LONGEST_CALL)
            .user_agent("keyferry-caller")
            .build()
            .map(Self)
            .map_err(|_| Error::new(Kind::Config, "HTTP can't be set up: the system may be out of threads or descriptors"))
    }

    /// One call. A body is sent as JSON; `headers` are sent as they are.
    ///
    /// # Errors
    /// [`Kind::InvalidResource`] for a URL that is not http to this machine, [`Kind::InvalidValue`] for what can't be sent, and
    /// those of the connection. A refusal is no error but a status.
    pub fn call(&self, method: &str, url: &str, headers: &[(&str, &str)], body: Option<&str>) -> Result<Reply> {
        let here = Url::parse(url).ok().filter(|url| Route::to(url) == Some(Route::Plain));
        let url = here.ok_or_else(|| Error::new(Kind::InvalidResource, "the caller reaches http on this machine alone: check the URL"))?;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Error::new(Kind::InvalidValue, "the method is none of HTTP's"))?;
        let peer = url.authority().to_owned();
        let mut request = self.0.request(method, url);
        for (name, value) in headers {
            let (name, value) = header(name, value)?;
            request = request.header(name, value);
        }
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_owned());
        }
        let response = request.send().map_err(|error| failure::explain(&peer, &error))?;
        let status = response.status().as_u16();
        let mut body = Zeroizing::new(Vec::new());
        let read = response.take(MAX_BODY_BYTES as u64).read_to_end(&mut body);
        read.map_err(|_| Error::new(Kind::Silent, format!("{peer} broke off its answer")).with_http_status(status))?;
        Ok(Reply { status, body })
    }
}

/// A header that no log of any library shows.
fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue)> {
    let made = HeaderName::from_bytes(name.as_bytes()).ok().zip(HeaderValue::from_bytes(value.as_bytes()).ok());
    let (name, mut value) = made.ok_or_else(|| Error::new(Kind::InvalidValue, "a header holds what can't be sent"))?;
    value.set_sensitive(true);
    Ok((name, value))
}
