//! The storage's routes: start an upload, keep a part, serve an object.
//!
//! MASV's routes sign the URLs and complete the uploads.

use hyper::body::Bytes;

use super::data::{BUCKET, Object, Part};
use super::range::{self, ByteRange};
use super::urls::UrlError;
use crate::checks;
use crate::request::{CREDENTIAL_HEADERS, SandboxRequest};
use crate::response::Response;
use crate::state::SandboxState;

/// Headers that carry a secret, in addition to [`CREDENTIAL_HEADERS`].
const OTHER_SECRET_HEADERS: [&str; 2] = ["X-Link-Password", "Cookie"];

/// The XML namespace of S3's documents.
const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// Returns the name of the counter that a request increases when it arrives.
pub(crate) fn counter(request: &SandboxRequest) -> Option<&'static str> {
    match request.method.as_str() {
        "POST" => Some("upload_start"),
        "PUT" => Some("part_upload"),
        "GET" => Some("object_download"),
        _ => None,
    }
}

/// Handles a request. Returns the response, which has an error status if the request is refused.
pub(crate) fn handle(state: &mut SandboxState, request: &SandboxRequest) -> Response {
    route(state, request).unwrap_or_else(|refusal| refusal)
}

fn route(state: &mut SandboxState, request: &SandboxRequest) -> Result<Response, Response> {
    require_no_credential(state, request)?;
    let prefix = format!("/{BUCKET}/");
    let Some(key) = request.path.strip_prefix(&prefix) else {
        return Err(checks::unknown_route(state, request));
    };
    if !matches!(request.method.as_str(), "GET" | "POST" | "PUT") {
        return Err(checks::wrong_method(state, request));
    }
    require_signed_url(state, request)?;
    match request.method.as_str() {
        "POST" => start_upload(state, key),
        "PUT" => keep_part(state, request, key),
        _ => serve_object(state, request, key),
    }
}

/// Refuses a request with a credential: the storage is another origin than the services, so
/// clients must not send it any.
fn require_no_credential(
    state: &mut SandboxState,
    request: &SandboxRequest,
) -> Result<(), Response> {
    let mut secret_headers = CREDENTIAL_HEADERS.iter().chain(&OTHER_SECRET_HEADERS);
    let Some(name) = secret_headers.find(|name| request.headers.contains_key(**name)) else {
        return Ok(());
    };
    state.count("storage_credential");
    Err(Response::storage_error(
        400,
        "InvalidRequest",
        &format!(
            "the storage accepts no credentials; send the URL as it is, without the header {name}"
        ),
    ))
}

fn require_signed_url(state: &mut SandboxState, request: &SandboxRequest) -> Result<(), Response> {
    let Err(error) = state.storage.signer.verify(request) else {
        return Ok(());
    };
    state.count("bad_storage_url");
    Err(match error {
        UrlError::NotSigned => Response::storage_error(
            403,
            "SignatureDoesNotMatch",
            "this URL was not signed by this sandbox for this method; use the URL and the method exactly as MASV returned them",
        ),
        UrlError::Expired => Response::storage_error(
            403,
            "AccessDenied",
            "this URL has expired; request a new one from MASV",
        ),
    })
}

fn start_upload(state: &mut SandboxState, key: &str) -> Result<Response, Response> {
    let id = state.storage.start_upload(key).ok_or_else(|| {
        Response::storage_error(
            500,
            "InternalError",
            "cannot get random numbers from the system",
        )
    })?;
    // Rationale: a published client looks for `UploadId` with and without the namespace, and then
    // takes the first element that has children. The one in the namespace has none. The second
    // element has its own line, for clients that read up to the last `</UploadId>` of a line.
    let plain_id = if state.settings.plain_upload_id {
        format!("<UploadId xmlns=\"\">{id}</UploadId>\n")
    } else {
        String::new()
    };
    let document = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<InitiateMultipartUploadResult xmlns=\"{NAMESPACE}\"><Bucket>{BUCKET}</Bucket><Key>{key}</Key><UploadId>{id}</UploadId>\n{plain_id}</InitiateMultipartUploadResult>"
    );
    Ok(Response::text(200, "application/xml", document))
}

fn keep_part(
    state: &mut SandboxState,
    request: &SandboxRequest,
    key: &str,
) -> Result<Response, Response> {
    let id = request.query_value("uploadId").unwrap_or_default();
    let number = request
        .query_value("partNumber")
        .and_then(|value| value.parse().ok());
    let (Some(number), Some(_)) = (number, state.storage.upload(&id, key)) else {
        state.count("unknown_upload");
        return Err(Response::storage_error(
            404,
            "NoSuchUpload",
            "the storage has no such upload; it was finalized, its package was deleted, or the sandbox was reset",
        ));
    };
    if !request.headers.contains_key("content-length") {
        state.count("missing_length");
        return Err(Response::storage_error(
            411,
            "MissingContentLength",
            "a part needs the header Content-Length; the storage does not accept chunked bodies",
        ));
    }
    if request.is_too_large {
        state.count("storage_full");
        return Err(Response::storage_error(
            400,
            "EntityTooLarge",
            &state.storage.full_message(),
        ));
    }
    let part = Part::new(request.body.clone(), request.reservation.clone());
    let etag = format!("\"{}\"", part.etag);
    state.storage.keep_part(&id, number, part);
    Ok(Response::empty(200).with_header("etag", etag))
}

fn serve_object(
    state: &mut SandboxState,
    request: &SandboxRequest,
    key: &str,
) -> Result<Response, Response> {
    let Some(object) = state.storage.object(key) else {
        return Err(Response::storage_error(
            404,
            "NoSuchKey",
            "the storage has no such file; its package was deleted, or the sandbox was reset",
        ));
    };
    let size = object.size();
    let etag = format!("\"{}\"", object.etag);
    let is_current = request.header("if-range").is_none_or(|value| value == etag);
    let header = request.header("range").filter(|_| is_current);
    let whole = (0, size.saturating_sub(1));
    let (status, (first, last), content_range) = match range::parse(header.as_deref(), size) {
        ByteRange::Whole => (200, whole, None),
        ByteRange::Part { first, last } => (
            206,
            (first, last),
            Some(format!("bytes {first}-{last}/{size}")),
        ),
        ByteRange::Unsatisfiable => {
            let message = format!("the file has {size} bytes");
            return Err(Response::storage_error(416, "InvalidRange", &message)
                .with_header("content-range", format!("bytes */{size}")));
        }
    };
    let mut response = Response::object(status, slices(object, first, last))
        .with_header("etag", etag)
        .with_header("accept-ranges", "bytes".to_owned());
    response
        .headers
        .extend(content_range.map(|value| ("content-range", value)));
    Ok(response)
}

/// Returns the bytes of an object from `first` to `last`, without copying them.
fn slices(object: &Object, first: u64, last: u64) -> Vec<Bytes> {
    let mut offset = 0;
    let mut found = Vec::new();
    for part in &object.parts {
        let (start, end) = (offset, offset + part.size());
        offset = end;
        let from = first.max(start);
        let until = last.saturating_add(1).min(end);
        if from < until {
            // Both are at most the length of the part, which is a `usize`.
            let index = |position: u64| usize::try_from(position - start).unwrap_or(usize::MAX);
            found.push(part.bytes.slice(index(from)..index(until)));
        }
    }
    found
}
