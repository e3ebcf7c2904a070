//! The parts of MASV's API that the other files in this directory share: the service's state,
//! headers, URLs and responses.

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
    /// Whether an API key is configured. It takes precedence over the user's login.
    pub(super) has_api_key: bool,
    /// The ID of the team that was fetched from the service.
    pub(super) fetched_team: Mutex<Option<String>>,
    /// Whether the service has shown that it does not support the lookup of a single package.
    pub(super) single_lookup_unsupported: AtomicBool,
    /// Whether [`Service::login`](crate::ports::service::Service::login) has succeeded.
    pub(super) logged_in: AtomicBool,
}

impl Masv {
    /// Creates the service from the configuration of an account.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `masv.url` is invalid.
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

    /// Returns the URL of a path. Fails if an ID in the path would lead to another path.
    pub(super) fn url(&self, path: &str) -> Result<Url> {
        let url = self.base.join(path)?;
        if url.as_str().strip_prefix(self.base.as_str()) == Some(path) {
            Ok(url)
        } else {
            Err(invalid_id())
        }
    }

    /// Records a successful login. It may be another user's, so the team must be fetched again.
    pub(super) fn record_login(&self) {
        self.logged_in.store(true, Ordering::Relaxed);
        *self.fetched_team.lock() = None;
    }
}

/// Rejects an ID that is not a single path segment, or would not stay one in a URL.
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
        "invalid ID in the path; copy it again",
    )
}

/// A response, and the credential of its request. Errors must not quote the credential.
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

    /// Returns whether the status is a success (2xx).
    pub(super) fn is_success(&self) -> bool {
        response::is_success(&self.response)
    }

    /// Parses the document of a successful response.
    pub(super) fn document(&self) -> Result<Value> {
        response::parse(NAME, &self.response)
    }

    /// Returns a string of this response for use in an error message. `None` if it contains the
    /// credential or a URL.
    pub(super) fn sanitize(&self, text: &str) -> Option<String> {
        response::sanitize(text, &[&self.credential])
    }

    /// Creates an error from this response.
    pub(super) fn error(&self, kind: ErrorKind, message: impl Into<String>) -> Error {
        response::error(kind, message, &self.response, &[&self.credential])
    }

    /// Creates the error for a response that the caller does not handle itself.
    pub(super) fn unexpected(&self, route: &str) -> Error {
        unexpected(route, &self.response, &[&self.credential])
    }
}

/// Creates the error for a response to `route` that the caller does not handle itself.
pub(super) fn unexpected(route: &str, response: &Response, secrets: &[&Secret]) -> Error {
    let status = response.status;
    let (kind, message) = match status {
        401 | 403 => (
            ErrorKind::BadCredentials,
            format!(
                "MASV rejected {route} with status {status}; check that the credential may do this"
            ),
        ),
        404 | 410 if route == LOGIN_ROUTE => (
            ErrorKind::NotFound,
            format!("MASV has no {route} (status {status}); check `masv.url`"),
        ),
        404 | 410 => (
            ErrorKind::NotFound,
            format!(
                "MASV has nothing at {route} (status {status}); check the ID, and whether it was deleted"
            ),
        ),
        405 | 501 => (
            ErrorKind::Unsupported,
            format!("MASV does not support {route}; check `masv.url`"),
        ),
        _ => (
            ErrorKind::BadResponse,
            format!(
                "MASV responded to {route} with status {status}; check `masv.url`, or retry later"
            ),
        ),
    };
    response::error(kind, message, response, secrets)
}
