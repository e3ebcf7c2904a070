//! Read tokens, which links give.

use serde_json::json;

use super::user::unexpected;
use super::{Masv, NAME, PACKAGE_HEADER};
use crate::error::{Error, Kind, Result};
use crate::model::key::{Access, Class};
use crate::model::token::{Draft, Kind as TokenKind};
use crate::ports::http::{Answer, Request};
use crate::ports::service::{Acquired, Context, Found, Want};
use crate::secret::Secret;
use crate::services::response;

const ROUTE: &str = "GET /v1/links/ID";
const PASSWORD_HEADER: &str = "X-Link-Password";

impl Masv {
    /// The read token of the package that a link opens, under the package's name.
    pub(super) fn link(&self, want: &Want<'_>, context: &dyn Context) -> Result<Acquired> {
        let Some(secret) = want.link_secret.filter(|secret| !secret.is_empty()) else {
            let what = "the link has no secret: ask for links/ID?secret=SECRET, or paste the whole link from the e-mail";
            return Err(Error::new(Kind::InvalidResource, what));
        };
        let answer = self.open_link(want, secret, context)?;
        let document = response::parse(NAME, &answer)?;
        let token = response::token(ROUTE, &document, "package_token")?;
        let missing = || Error::new(Kind::BadAnswer, format!("the answer to {ROUTE} has no usable `package_id`: check `masv.url`"));
        let id = response::id(&document, "package_id").ok_or_else(missing)?;
        let expiry = response::expiry(&token, &document, &["package_token_expires_at", "token_expires_at"]);
        let mut draft = Draft::new(TokenKind::Package, PACKAGE_HEADER, token, expiry);
        let part = |name| response::detail(&document, name);
        let size = response::field(&document, "package_size").and_then(|size| size.as_u64());
        draft.details = json!({ "package_id": id, "name": part("name"), "expiry": part("expiry"), "package_size": size });
        let found = Found { class: Class::Package, id, access: Access::Read, draft };
        Ok(Acquired { found, renewal: None, others: Vec::new() })
    }

    fn open_link(&self, want: &Want<'_>, secret: &Secret, context: &dyn Context) -> Result<Answer> {
        let path = Secret::new(format!("/v1/links/{}?secret={}", want.id, encode(secret.expose())));
        let mut request = Request::get(self.url(path.expose())?);
        let mut sent = vec![secret];
        if let Some(password) = want.link_password {
            password.check("the link's password")?;
            request = request.header(PASSWORD_HEADER, password.clone());
            sent.push(password);
        }
        let refused = |answer: &Answer| {
            let what = if want.link_password.is_some() {
                "MASV refuses the link: check its secret and its password"
            } else {
                "MASV refuses the link: check its secret, or give its password if it has one"
            };
            matches!(answer.status, 400 | 401 | 403).then(|| response::error(Kind::Refused, what, answer, &sent))
        };
        let answer = context.login(&sent, &request, &refused)?;
        let id = response::shown(want.id);
        match answer.status {
            404 => {
                let what = format!("MASV knows no link {id} with this secret: check both, or ask the sender whether it was deleted");
                Err(response::error(Kind::NotFound, what, &answer, &sent))
            }
            410 => {
                let what = format!("link {id} has expired, or its downloads are used up: ask the sender for a new one");
                Err(response::error(Kind::NotFound, what, &answer, &sent))
            }
            _ if response::is_success(&answer) => Ok(answer),
            _ => Err(unexpected(ROUTE, &answer, &sent)),
        }
    }
}

/// Percent-encodes everything but letters, digits and `-._~`.
fn encode(text: &str) -> String {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len() * 3);
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(byte as char);
        } else {
            encoded.extend(['%', HEX[usize::from(byte >> 4)] as char, HEX[usize::from(byte & 15)] as char]);
        }
    }
    encoded
}
