//! Fetches the read token of a package with a link.

use serde_json::json;

use super::api::{Masv, NAME, PACKAGE_HEADER, unexpected};
use crate::error::{Error, ErrorKind, Result};
use crate::model::json::integer;
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::http::{Request, Response};
use crate::ports::service::{Acquired, Context, FoundToken, TokenSpec};
use crate::secret::Secret;
use crate::services::response;

const ROUTE: &str = "GET /v1/links/ID";
const PASSWORD_HEADER: &str = "X-Link-Password";

impl Masv {
    /// Acquires the read token of the package that a link opens. The token is cached under the
    /// package's ID.
    pub(super) fn acquire_link(
        &self,
        spec: &TokenSpec<'_>,
        context: &dyn Context,
    ) -> Result<Acquired> {
        let Some(secret) = spec.link_secret.filter(|secret| !secret.is_empty()) else {
            let message = "the link has no secret; use links/ID?secret=SECRET, or paste the whole link from the e-mail";
            return Err(Error::new(ErrorKind::InvalidResource, message));
        };
        let response = self.fetch_link(spec, secret, context)?;
        let document = response::parse(NAME, &response)?;
        let token = response::token(ROUTE, &document, "package_token")?;
        let missing = || {
            Error::new(
                ErrorKind::BadResponse,
                format!("the response to {ROUTE} has no valid `package_id`; check `masv.url`"),
            )
        };
        let id = response::id(&document, "package_id").ok_or_else(missing)?;
        let expiry = response::expiry(
            &token,
            &document,
            &["package_token_expires_at", "token_expires_at"],
        );
        let mut new_token = NewToken::new(TokenKind::Package, PACKAGE_HEADER, token, expiry);
        let detail = |name| response::detail(&document, name);
        let size = response::field(&document, "package_size").and_then(integer);
        new_token.details = json!({ "package_id": id, "name": detail("name"), "expiry": detail("expiry"), "package_size": size });
        let found = FoundToken {
            resource_kind: ResourceKind::Package,
            id,
            access: Access::Read,
            new_token,
        };
        Ok(Acquired {
            found,
            renewal: None,
            others: Vec::new(),
        })
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "the URL of a link holds its secret"
    )]
    fn fetch_link(
        &self,
        spec: &TokenSpec<'_>,
        secret: &Secret,
        context: &dyn Context,
    ) -> Result<Response> {
        let path = Secret::new(format!(
            "/v1/links/{}?secret={}",
            spec.id,
            percent_encode(secret.expose())
        ));
        let mut request = Request::get(self.url(path.expose())?);
        let mut secrets = vec![secret];
        if let Some(password) = spec.link_password {
            password.check("the link's password")?;
            request = request.header(PASSWORD_HEADER, password.clone());
            secrets.push(password);
        }
        let refused = |response: &Response| {
            let message = if spec.link_password.is_some() {
                "MASV rejected the link; check its secret and its password"
            } else {
                "MASV rejected the link; check its secret, and pass its password if it has one, as with --link-password-file"
            };
            matches!(response.status, 400 | 401 | 403)
                .then(|| response::error(ErrorKind::BadCredentials, message, response, &secrets))
        };
        let response = context.login(&secrets, &request, &refused)?;
        let id = response::printable(spec.id);
        match response.status {
            404 => {
                let message = format!(
                    "MASV has no link {id} with this secret; check both, or ask the sender whether it was deleted"
                );
                Err(response::error(
                    ErrorKind::NotFound,
                    message,
                    &response,
                    &secrets,
                ))
            }
            410 => {
                let message = format!(
                    "the link {id} has expired or has no downloads left; ask the sender for a new link"
                );
                Err(response::error(
                    ErrorKind::NotFound,
                    message,
                    &response,
                    &secrets,
                ))
            }
            _ if response::is_success(&response) => Ok(response),
            _ => Err(unexpected(ROUTE, &response, &secrets)),
        }
    }
}

/// Percent-encodes all characters except letters, digits and `-._~`.
fn percent_encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.extend([
                '%',
                HEX[usize::from(byte >> 4)] as char,
                HEX[usize::from(byte & 15)] as char,
            ]);
        }
    }
    encoded
}
