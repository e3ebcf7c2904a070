//! Reads the body of a response and decodes it to text.

use reqwest::Response;
use reqwest::header::CONTENT_ENCODING;
use zeroize::Zeroizing;

use super::failure;
use super::peer::Peer;
use crate::error::{Error, ErrorKind, Result};
use crate::ports::http::MAX_BODY_BYTES;
use crate::secret::Secret;
use crate::text::{self, TextFault};

/// The maximum length of the body of a response that is not a success. Such a body only explains the
/// status, so a longer one is left out.
const MAX_ERROR_BODY_BYTES: usize = 64 * 1024;

/// The first bytes of gzip data.
const GZIP: &[u8] = &[0x1f, 0x8b];

/// Reads the body of a response as text, without a byte order mark.
///
/// A body that is too long, compressed or not UTF-8 is an error only if the status is a success.
/// With another status the caller can do without the body: it is then empty, or its invalid bytes
/// are replaced.
///
/// Rationale: a 401 or 503 with a page in Latin-1 is still a 401 or 503, and is handled as such.
pub(super) async fn read(response: &mut Response, peer: &Peer) -> Result<Secret> {
    let status = response.status();
    match read_text(response, peer).await {
        Err(Fault::Unusable(_)) if !status.is_success() => Ok(Secret::default()),
        Err(Fault::Unusable(what)) => Err(Error::new(
            ErrorKind::BadResponse,
            format!("{peer} sent {what}"),
        )
        .with_http_status(status.as_u16())),
        Err(Fault::Broken(error)) => Err(error),
        Ok(body) => Ok(body),
    }
}

/// The reason why there is no body.
enum Fault {
    /// The body did not arrive.
    Broken(Error),
    /// The body cannot be used. The rest of the error message.
    Unusable(String),
}

async fn read_text(response: &mut Response, peer: &Peer) -> Result<Secret, Fault> {
    let compression = compression(response);
    let bytes = read_bytes(response, peer).await?;
    let is_gzip = bytes.starts_with(GZIP).then(|| "gzip".to_owned());
    if let Some(name) = compression.or(is_gzip).filter(|_| !bytes.is_empty()) {
        return Err(Fault::Unusable(format!(
            "a compressed response ({name}), although keyferry asked for none; check its URL and the proxy"
        )));
    }
    match text::decode(&bytes) {
        Ok(text) => Ok(Secret::from(text)),
        Err(TextFault::NotUtf8) if !response.status().is_success() => {
            Ok(Secret::new(String::from_utf8_lossy(&bytes).into_owned()))
        }
        Err(fault) => Err(Fault::Unusable(format!(
            "a response that {}; check its URL",
            fault.reason()
        ))),
    }
}

/// Returns the compression that a response names in its `Content-Encoding`. `None` if it names none.
/// Error messages quote the name, so a name that is not a short word is left out.
fn compression(response: &Response) -> Option<String> {
    let value = response.headers().get(CONTENT_ENCODING)?;
    let name = value.to_str().unwrap_or_default().trim();
    let is_word =
        matches!(name.len(), 1..=16) && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
    match name {
        "" => None,
        _ if name.eq_ignore_ascii_case("identity") => None,
        _ if is_word => Some(name.to_owned()),
        _ => Some("unknown method".to_owned()),
    }
}

async fn read_bytes(response: &mut Response, peer: &Peer) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let too_long = || Fault::Unusable("a response of more than 1 MiB; check its URL".into());
    let max_bytes = if response.status().is_success() {
        MAX_BODY_BYTES
    } else {
        MAX_ERROR_BODY_BYTES
    };
    let expected = response.content_length().unwrap_or(0);
    if expected > max_bytes as u64 {
        return Err(too_long());
    }
    let mut body = Zeroizing::new(Vec::with_capacity(usize::try_from(expected).unwrap_or(0)));
    let status = response.status().as_u16();
    while let Some(chunk) = response.chunk().await.map_err(|error| {
        Fault::Broken(failure::from_reqwest(peer, &error).with_http_status(status))
    })? {
        if body.len() + chunk.len() > max_bytes {
            return Err(too_long());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
