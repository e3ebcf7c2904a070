//! The parts of MASV's API that the other files of this folder share: the service's state, headers,
//! URLs and responses.

use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;
use url::Url;

use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::ports::http::Response;
use crate::secret::Secret;
use crate::services::response;
use crate::sys::sync::Mutex;

pub(super) const NAME: &str = "MASV";
pub(super) const LOGIN_ROUTE: &str = "POST /v1/auth";
/// The path that lists the user's teams.
pub(super) const TEAMS_PATH: &str = "/v1/teams";
pub(super) const PACKAGE_HEADER: &str = "X-Package-Token";
pub(super) const TRANSFER_HEADER: &str = "X-Transfer-Token";
pub(super) const USER_HEADER: &str = "X-User-Token";

/// MASV cloud, for one account.
pub struct Masv {
    pub(super) base: BaseUrl,
    /// Whether an API key is configured: it is used before the user's login.
    pub(super) has_api_key: bool,
    /// The team that was fetched from the service.
    pub(super) fetched_team: Mutex<Option<String>>,
    /// Whether the service has shown that it can't look up a single package.
    pub(super) single_lookup_unsupported: AtomicBool,
    /// Whether a user has logged in by hand.
    pub(super) logged_in: AtomicBool,
}

impl Masv {
    /// MASV as an account has it configured.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `masv.url` can't be used.
    pub fn open(profile: &Profile) -> Result<Self> {
        let base = profile.base_url("masv.url", &["/v1.1", "/v1"])?;
        Ok(Self::new(base, profile.is_set("masv.api_key")))
    }

    pub(super) fn new(base: BaseUrl, has_api_key: bool) -> Self {
        Self {
            base,
            has_api_key,
            fetched_team: Mutex::new(None),
            single_lookup_unsupported: AtomicBool::new(false),
            logged_in: AtomicBool::new(false),
        }
    }

    /// The URL of a path. An id in it can't lead to another path.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let url = self.base.join(path)?;
        if url.as_str().strip_prefix(self.base.as_str()) == Some(path) {
            Ok(url)
        } else {
            Err(invalid_id())
        }
    }

    /// Records a login by hand. It may be another user's, so the team is fetched anew.
    pub(super) fn record_login(&self) {
        self.logged_in.store(true, Ordering::Relaxed);
        *self.fetched_team.lock() = None;
    }
}

/// Rejects an id that is not one segment of a path, or would not be one when it is sent.
pub(super) fn check_id(id: &str) -> Result<()> {
    let dots = id.replace("%2e", ".").replace("%2E", ".");
    if id.contains(['/', '\\', '?', '#']) || dots == "." || dots == ".." {
        Err(invalid_id())
    } else {
        Ok(())
    }
}

fn invalid_id() -> Error {
    Error::new(
        ErrorKind::InvalidResource,
        "the id in the path is no id: copy it again",
    )
}

/// A response, and the credential of its request, which errors have to leave out.
pub(super) struct ApiResponse {
    response: Response,
    credential: Secret,
}

impl ApiResponse {
    pub(super) fn new(response: Response, credential: Secret) -> Self {
        Self {
            response,
            credential,
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.response.status
    }

    /// Whether the status says that the request worked.
    pub(super) fn is_success(&self) -> bool {
        response::is_success(&self.response)
    }

    /// The document of a successful response.
    pub(super) fn document(&self) -> Result<Value> {
        response::parse(NAME, &self.response)
    }

    /// A text of this response for an error message, unless it echoes the credential.
    pub(super) fn sanitize(&self, text: &str) -> Option<String> {
        response::sanitize(text, &[&self.credential])
    }

    /// The error that this response means.
    pub(super) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        response::error(kind, message, &self.response, &[&self.credential])
    }

    /// The error for a response that has no special meaning.
    pub(super) fn unexpected(&self, route: &str) -> Error {
        unexpected(route, &self.response, &[&self.credential])
    }
}

/// The error for a response to `route` that has no special meaning.
pub(super) fn unexpected(route: &str, response: &Response, secrets: &[&Secret]) -> Error {
    let status = response.status;
    let (kind, message) = match status {
        401 | 403 => (
            ErrorKind::BadCredentials,
            format!("MASV refuses {route} with status {status}: the credential may not do this"),
        ),
        404 | 410 if route == LOGIN_ROUTE => (
            ErrorKind::NotFound,
            format!("there is no {route}, status {status}: check that MASV is at `masv.url`"),
        ),
        404 | 410 => (
            ErrorKind::NotFound,
            format!(
                "MASV has nothing at {route}, status {status}: check the id, or whether it was deleted"
            ),
        ),
        405 | 501 => (
            ErrorKind::Unsupported,
            format!("MASV has no {route}: check `masv.url`"),
        ),
        _ => (
            ErrorKind::BadResponse,
            format!(
                "MASV answers {route} with status {status}: check `masv.url`, or try again later"
            ),
        ),
    };
    response::error(kind, message, response, secrets)
}
