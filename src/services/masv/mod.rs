//! MASV cloud: users, packages, transfers and links.
//!
//! Each kind of resource has its own file. `api.rs` contains their shared parts, and this file
//! implements [`Service`]. Requests and responses follow MASV's documentation. If the documentation
//! leaves something open, the code accepts several forms.

mod api;
mod links;
mod packages;
mod routes;
mod team;
mod transfers;
mod user;

#[cfg(test)]
mod tests;

use serde_json::Value;
use url::Url;

pub use api::Masv;

use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, RequiredAccess, ResourceKind};
use crate::model::token::{NewToken, Token, TokenKind};
use crate::ports::http::Request;
use crate::ports::service::{Acquired, Context, FoundToken, Service, Target, TokenSpec};
use crate::secret::Secret;
use crate::services::response;
use api::{PACKAGE_HEADER, TEAMS_PATH, TRANSFER_HEADER, USER_HEADER, check_id};
use user::API_KEY_HEADER;

impl Service for Masv {
    fn name(&self) -> &str {
        "masv"
    }

    fn title(&self) -> &str {
        "MASV"
    }

    fn base(&self) -> &BaseUrl {
        &self.base
    }

    fn prefixes(&self) -> &[&str] {
        &["/v1/", "/v1.1/"]
    }

    fn header_name(&self, resource_kind: ResourceKind) -> Option<&'static str> {
        match resource_kind {
            ResourceKind::Key => Some(API_KEY_HEADER),
            ResourceKind::User => Some(USER_HEADER),
            ResourceKind::Package | ResourceKind::Link => Some(PACKAGE_HEADER),
            ResourceKind::Transfer => Some(TRANSFER_HEADER),
            ResourceKind::Bearer | ResourceKind::Session => None,
        }
    }

    fn owner_settings(&self, resource_kind: ResourceKind, access: Access) -> Vec<&str> {
        match resource_kind {
            ResourceKind::User => vec!["masv.email"],
            ResourceKind::Package if access == Access::Manage => vec!["masv.api_key", "masv.email"],
            ResourceKind::Transfer => vec!["masv.api_key", "masv.email"],
            _ => Vec::new(),
        }
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        routes::classify(path, self.has_api_key)
    }

    fn short_forms(&self) -> &[&str] {
        routes::SHORT_FORMS
    }

    fn classify_short_form<'a>(&self, path: &'a str, query: Option<&str>) -> Option<Target<'a>> {
        routes::classify_short_form(path, query, self.has_api_key)
    }

    fn classify_page<'a>(&self, url: &'a Url) -> Option<Target<'a>> {
        routes::classify_page(url)
    }

    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        check_id(spec.id)?;
        check_id(spec.parent.unwrap_or_default())?;
        match spec.resource_kind {
            ResourceKind::Key => Ok(Acquired::only(spec, user::api_key_token(context)?)),
            ResourceKind::User => Ok(Acquired::only(spec, self.acquire_user(context)?)),
            ResourceKind::Package => packages::check_manage_access(spec)
                .and_then(|()| self.acquire_package(spec, context)),
            ResourceKind::Transfer => self.acquire_transfer(spec, context),
            ResourceKind::Link => self.acquire_link(spec, context),
            ResourceKind::Bearer | ResourceKind::Session => Err(Error::new(
                ErrorKind::UnknownService,
                "MASV has no token of this kind; request user or packages/ID",
            )),
        }
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "refuses a value that stands for a missing token"
    )]
    fn adopt(&self, target: &Target<'_>, value: Secret) -> Result<FoundToken> {
        let (kind, header, access) = match target.resource_kind {
            ResourceKind::Package if target.required == RequiredAccess::Only(Access::Read) => {
                (TokenKind::Package, PACKAGE_HEADER, Access::Read)
            }
            ResourceKind::Package => (TokenKind::Package, PACKAGE_HEADER, Access::Write),
            ResourceKind::Transfer => (TokenKind::Transfer, TRANSFER_HEADER, Access::Full),
            ResourceKind::Key => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "cannot adopt an API key; set `masv.api_key`",
                ));
            }
            // An adopted user token would be treated like a login's token: the teams and the
            // recorded failures of the configured user would be applied to it.
            ResourceKind::User => {
                let message =
                    "cannot adopt a user token; log in with `keyferry login masv` or masv_login";
                return Err(Error::new(ErrorKind::Unsupported, message));
            }
            ResourceKind::Link | ResourceKind::Bearer | ResourceKind::Session => {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    "cannot adopt a token for a link; adopt it for its package (packages/ID)",
                ));
            }
        };
        if response::is_placeholder(value.expose()) {
            let message = "cannot adopt the token: the value stands for a missing token; copy `access_token` from the response";
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
        value.check("the token")?;
        if !response::is_visible_ascii(&value) {
            let message = "cannot adopt the token: it contains a space or a non-ASCII character; copy it again";
            return Err(Error::new(ErrorKind::InvalidValue, message));
        }
        let expiry = response::expiry(&value, &Value::Null, &[]);
        Ok(FoundToken {
            resource_kind: target.resource_kind,
            id: target.id.into(),
            access,
            new_token: NewToken::new(kind, header, value, expiry),
        })
    }

    fn probe(&self, token: &Token) -> Option<Result<Request>> {
        // For tokens of packages and transfers, MASV documents no such route.
        matches!(token.meta().kind, TokenKind::User | TokenKind::Key)
            .then(|| self.get_request(TEAMS_PATH, token))
    }

    fn login(&self, email: &Secret, password: &Secret, context: &dyn Context) -> Result<Acquired> {
        let new_token = self.authenticate(email, password, context)?;
        self.record_login();
        let found = FoundToken {
            resource_kind: ResourceKind::User,
            id: String::new(),
            access: Access::Full,
            new_token,
        };
        Ok(Acquired {
            found,
            renewal: None,
            others: Vec::new(),
        })
    }
}
