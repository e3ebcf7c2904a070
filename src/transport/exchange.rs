//! One exchange: a request of ours made into one of reqwest's, and its answer read within bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Client;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;
use url::Url;
use zeroize::Zeroizing;

use super::client::Route;
use super::failure;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::http::{Failure, MAX_BODY_BYTES, Method, Request, Response};
use crate::secret::Secret;

/// Headers that the connection has the say about.
const RESERVED: &[&str] = &["host", "content-length", "transfer-encoding", "connection", "te", "trailer", "upgrade", "expect"];

/// `Date` and `Retry-After` are short.
const LONGEST_DATE_BYTES: usize = 64;

tokio::task_local! {
    /// How far the exchange of this task is.
    pub(super) static PROGRESS: Progress;
}

/// Whether the peer may have seen any of a request. Copies are the same.
#[derive(Clone, Default)]
pub(super) struct Progress(Arc<AtomicBool>);

impl Progress {
    /// The connection stands, TLS included: from here on the request may be under way.
    pub(super) fn connected(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether it stood.
    pub(super) fn is_connected(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// A request that is ready to go.
pub(super) struct Exchange {
    pub(super) route: Route,
    /// Host and port, for messages.
    pub(super) peer: String,
    pub(super) progress: Progress,
    request: reqwest::Request,
}

impl Exchange {
    /// Makes the request, on the caller's thread.
    pub(super) fn prepare(request: &Request) -> Result<Self> {
        let Request { method, url, headers, body } = request;
        let peer = peer(url);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::new(ErrorKind::InvalidResource, format!("the URL at {peer} holds a user name or password: leave it out")));
        }
        let Some(route) = Route::to(url) else {
            let what = format!("{peer} would be asked in clear: credentials go over https, or http to this machine (localhost) only");
            return Err(Error::new(ErrorKind::InvalidResource, what));
        };
        let (method, is_document) = match method {
            Method::Get => (reqwest::Method::GET, false),
            Method::Post => (reqwest::Method::POST, true),
            Method::Put => (reqwest::Method::PUT, true),
            Method::Delete => (reqwest::Method::DELETE, false),
        };
        let mut made = reqwest::Request::new(method, url.clone());
        if is_document {
            made.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(body) = body {
            *made.body_mut() = Some(body.expose().as_bytes().to_vec().into());
        } else if is_document {
            // Nobody else says it, and some servers answer 411 without.
            made.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        for (name, value) in headers {
            let (name, value) = header(name, value)?;
            if name == CONTENT_TYPE {
                made.headers_mut().insert(name, value);
            } else {
                made.headers_mut().append(name, value);
            }
        }
        Ok(Self { route, peer, progress: Progress::default(), request: made })
    }

    /// Sends the request and reads the answer.
    pub(super) async fn run(self, client: Client) -> Result<Response, Failure> {
        let Self { peer, progress, request, .. } = self;
        let seen = progress.clone();
        let talk = async {
            let response = client.execute(request).await.map_err(|error| failure::explain(&peer, &error))?;
            read(response, &peer).await
        };
        PROGRESS.scope(progress, talk).await.map_err(|error| Failure { error, sent: seen.is_connected() })
    }
}

/// Host, and port where it is not the usual one.
fn peer(url: &Url) -> String {
    let host = url.host_str().unwrap_or("the service");
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// A header that no log of any library shows.
fn header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue)> {
    let known = HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| !RESERVED.contains(&name.as_str()));
    let name = known.ok_or_else(|| Error::new(ErrorKind::InvalidValue, "a header's name is none that can be sent"))?;
    value.check(name.as_str())?;
    let made = HeaderValue::from_bytes(value.expose().as_bytes());
    let mut made = made.map_err(|_| Error::new(ErrorKind::InvalidValue, format!("{name} holds what no header can")))?;
    made.set_sensitive(true);
    Ok((name, made))
}

async fn read(mut response: reqwest::Response, peer: &str) -> Result<Response> {
    let status = response.status().as_u16();
    let bad = |what: &str| Error::new(ErrorKind::BadResponse, format!("{peer} sent {what}: check its URL")).with_http_status(status);
    let expected = response.content_length().unwrap_or(0);
    if expected > MAX_BODY_BYTES as u64 {
        return Err(bad("an answer of more than 1 MiB"));
    }
    let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(0)));
    while let Some(chunk) = response.chunk().await.map_err(|error| failure::explain(peer, &error).with_http_status(status))? {
        if body.len() + chunk.len() > MAX_BODY_BYTES {
            return Err(bad("an answer of more than 1 MiB"));
        }
        body.extend_from_slice(&chunk);
    }
    let body = Secret::from_bytes(std::mem::take(&mut *body)).ok_or_else(|| bad("an answer that is not UTF-8"))?;
    let headers = response.headers();
    Ok(Response {
        status,
        date_unix_s: short(headers, DATE).and_then(|text| OffsetDateTime::parse(text, &Rfc2822).ok()).map(OffsetDateTime::unix_timestamp),
        retry_after: short(headers, RETRY_AFTER).map(str::to_owned),
        cookies: headers.get_all(SET_COOKIE).iter().filter_map(|value| Secret::from_bytes(value.as_bytes().to_vec())).collect(),
        body,
    })
}

fn short(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (text.len() <= LONGEST_DATE_BYTES).then_some(text)
}
