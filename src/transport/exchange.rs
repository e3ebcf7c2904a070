//! Converts a [`Request`] to a reqwest request, sends it, and reads the response.

use super::body;
use super::client::{Route, RouteClient};
use super::failure;
use super::peer::Peer;
use super::progress::{PROGRESS, Progress};
use crate::error::{Error, ErrorKind, Result};
use crate::model::timestamp;
use crate::ports::http::{Failure, Method, Request, Response};
use crate::secret::Secret;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER, SET_COOKIE,
};

/// Headers that the HTTP client sets itself.
const RESERVED_HEADERS: &[&str] = &[
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
];

/// The maximum length of a `Date` or `Retry-After` header. Longer ones are ignored.
const MAX_TIME_HEADER_BYTES: usize = 64;

/// A request that is ready to send.
pub(super) struct Exchange {
    pub(super) route: Route,
    pub(super) peer: Peer,
    pub(super) progress: Progress,
    request: reqwest::Request,
}

impl Exchange {
    /// Checks and builds the request. Runs on the caller's thread.
    pub(super) fn prepare(request: &Request) -> Result<Self> {
        let Request {
            method,
            url,
            headers,
            body,
        } = request;
        let peer = Peer::new(url);
        if !url.username().is_empty() || url.password().is_some() {
            return Err(Error::new(
                ErrorKind::InvalidResource,
                format!("the URL of {peer} contains a user name or password; remove it"),
            ));
        }
        let Some(route) = Route::for_url(url) else {
            let message = format!(
                "cannot send credentials to {peer}: its URL is not https; use https (http only for localhost)"
            );
            return Err(Error::new(ErrorKind::InvalidResource, message));
        };
        let (method, is_json) = match method {
            Method::Get => (reqwest::Method::GET, false),
            Method::Post => (reqwest::Method::POST, true),
            Method::Put => (reqwest::Method::PUT, true),
            Method::Delete => (reqwest::Method::DELETE, false),
        };
        let mut built = reqwest::Request::new(method, url.clone());
        if is_json {
            built
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Some(body) = body {
            #[expect(clippy::disallowed_methods, reason = "the body is sent to the service")]
            let body = body.expose().as_bytes().to_vec();
            *built.body_mut() = Some(body.into());
        } else if is_json {
            // reqwest doesn't set this header, and some servers respond with 411 without it.
            built
                .headers_mut()
                .insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        }
        for (name, value) in headers {
            let (name, value) = sensitive_header(name, value)?;
            if name == CONTENT_TYPE {
                built.headers_mut().insert(name, value);
            } else {
                built.headers_mut().append(name, value);
            }
        }
        Ok(Self {
            route,
            peer,
            progress: Progress::default(),
            request: built,
        })
    }

    /// Sends the request and reads the response.
    pub(super) async fn run(self, route: RouteClient) -> Result<Response, Failure> {
        let Self {
            peer,
            progress,
            request,
            ..
        } = self;
        if let Some(proxy) = route.proxy.filter(|proxy| proxy.serves(request.url())) {
            peer.set_proxy(proxy);
        }
        let task_progress = progress.clone();
        let exchange = async {
            let response = route
                .client
                .execute(request)
                .await
                .map_err(|error| failure::from_reqwest(&peer, &error))?;
            read_response(response, &peer).await
        };
        PROGRESS
            .scope(task_progress, exchange)
            .await
            .map_err(|error| Failure {
                error,
                sent: progress.is_connected(),
            })
    }
}

/// Builds a header that is marked as sensitive, so that no library logs it.
fn sensitive_header(name: &str, value: &Secret) -> Result<(HeaderName, HeaderValue)> {
    let allowed = HeaderName::from_bytes(name.as_bytes())
        .ok()
        .filter(|name| !RESERVED_HEADERS.contains(&name.as_str()));
    let name = allowed.ok_or_else(|| {
        Error::new(
            ErrorKind::InvalidValue,
            "cannot send a request: a header name is invalid or reserved; use another name",
        )
    })?;
    value.check(name.as_str())?;
    #[expect(
        clippy::disallowed_methods,
        reason = "the header's value is sent to the service"
    )]
    let built = HeaderValue::from_bytes(value.expose().as_bytes());
    let mut built = built.map_err(|_| {
        Error::new(
            ErrorKind::InvalidValue,
            format!("cannot send the header {name}: its value has invalid characters; remove them"),
        )
    })?;
    built.set_sensitive(true);
    Ok((name, built))
}

async fn read_response(mut response: reqwest::Response, peer: &Peer) -> Result<Response> {
    let body = body::read(&mut response, peer).await?;
    let headers = response.headers();
    Ok(Response {
        status: response.status().as_u16(),
        date_unix_s: time_header(headers, DATE).and_then(timestamp::parse),
        retry_after: time_header(headers, RETRY_AFTER).map(str::to_owned),
        cookies: headers
            .get_all(SET_COOKIE)
            .iter()
            .filter_map(|value| Secret::from_bytes(value.as_bytes().to_vec()))
            .collect(),
        body,
    })
}

/// Returns the value of a header that contains a time. `None` if it is missing, not visible ASCII
/// or longer than [`MAX_TIME_HEADER_BYTES`].
fn time_header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    let text = headers.get(name)?.to_str().ok()?.trim();
    (text.len() <= MAX_TIME_HEADER_BYTES).then_some(text)
}
