//! MASV cloud: users, packages, transfers and links.
//!
//! One file a sort of thing; this one holds the value they share and says which file answers which question. Knows no other
//! service. What is sent and read here is in the service's documentation; where that is silent, the code is tolerant.

mod links;
mod packages;
mod routes;
mod team;
mod transfers;
mod user;

#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicBool, Ordering};

use crate::sys::sync::Mutex;
use serde_json::Value;
use url::Url;

use crate::config::Profile;
use crate::error::{Error, ErrorKind, Result};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind};
use crate::model::token::{NewToken, TokenKind};
use crate::ports::service::{Acquired, Context, FoundToken, RequiredAccess, Service, Target, TokenSpec};
use crate::secret::Secret;
use crate::services::response;

const NAME: &str = "MASV";
const PACKAGE_HEADER: &str = "X-Package-Token";
const TRANSFER_HEADER: &str = "X-Transfer-Token";
const USER_HEADER: &str = "X-User-Token";

/// MASV cloud, for one account.
pub struct Masv {
    base: BaseUrl,
    /// Whether an API key is configured: it goes before the user's login.
    has_key: bool,
    /// The team that the service was asked for.
    team: Mutex<Option<String>>,
    /// The service has proved to have no look-up of a single package.
    no_single_lookup: AtomicBool,
    /// Somebody has logged in by hand.
    logged_in: AtomicBool,
}

impl Masv {
    /// MASV as an account has it configured.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] if `masv.url` can't be used.
    pub fn open(profile: &Profile) -> Result<Self> {
        let base = super::base(profile, "masv.url", &["/v1.1", "/v1"])?;
        Ok(Self::new(base, profile.is_set("masv.api_key")))
    }

    fn new(base: BaseUrl, has_key: bool) -> Self {
        Self { base, has_key, team: Mutex::new(None), no_single_lookup: AtomicBool::new(false), logged_in: AtomicBool::new(false) }
    }

    /// The URL of a route; an id in it can't lead to another one.
    fn url(&self, path: &str) -> Result<Url> {
        let url = self.base.join(path)?;
        if url.as_str().strip_prefix(self.base.as_str()) == Some(path) { Ok(url) } else { Err(no_id()) }
    }

    /// A login changes whose teams count.
    fn note_login(&self) {
        self.logged_in.store(true, Ordering::Relaxed);
        *self.team.lock() = None;
    }
}

/// An id is one segment of a path, and stays one when it is sent.
fn check_id(id: &str) -> Result<()> {
    let dots = id.replace("%2e", ".").replace("%2E", ".");
    if id.contains(['/', '\\', '?', '#']) || dots == "." || dots == ".." { Err(no_id()) } else { Ok(()) }
}

fn no_id() -> Error {
    Error::new(ErrorKind::InvalidResource, "the id in the path is no id: copy it again")
}

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

    fn owner(&self, resource_kind: ResourceKind, access: Access) -> Vec<&str> {
        match resource_kind {
            ResourceKind::User => vec!["masv.email"],
            ResourceKind::Package if access == Access::Manage => vec!["masv.api_key", "masv.email"],
            ResourceKind::Transfer => vec!["masv.api_key", "masv.email"],
            _ => Vec::new(),
        }
    }

    fn classify<'a>(&self, path: &'a str) -> Result<Target<'a>> {
        routes::classify(path, self.has_key)
    }

    fn classify_page<'a>(&self, url: &'a Url) -> Option<Target<'a>> {
        routes::classify_page(url)
    }

    fn acquire(&self, spec: &TokenSpec<'_>, context: &dyn Context) -> Result<Acquired> {
        check_id(spec.id)?;
        check_id(spec.parent.unwrap_or_default())?;
        match spec.resource_kind {
            ResourceKind::Key => Ok(Acquired::only(spec, user::key(context)?)),
            ResourceKind::User => Ok(Acquired::only(spec, self.user(context)?)),
            ResourceKind::Package => packages::only_managed(spec).and_then(|()| self.package(spec, context)),
            ResourceKind::Transfer => self.transfer(spec, context),
            ResourceKind::Link => self.link(spec, context),
            ResourceKind::Bearer | ResourceKind::Session => {
                Err(Error::new(ErrorKind::UnknownService, "MASV has no such token: ask for user or packages/ID"))
            }
        }
    }

    fn adopt(&self, target: &Target<'_>, value: Secret) -> Result<FoundToken> {
        let (kind, header, access) = match target.resource_kind {
            ResourceKind::Package if target.required == RequiredAccess::Only(Access::Read) => {
                (TokenKind::Package, PACKAGE_HEADER, Access::Read)
            }
            ResourceKind::Package => (TokenKind::Package, PACKAGE_HEADER, Access::Write),
            ResourceKind::Transfer => (TokenKind::Transfer, TRANSFER_HEADER, Access::Full),
            ResourceKind::Key => return Err(Error::new(ErrorKind::Unsupported, "an API key is no token to adopt: set `masv.api_key`")),
            // Beside a login's it would act as one: with its renewal, its teams, its refusals.
            ResourceKind::User => {
                let what = "a user's token is not adopted: log in with `keyferry login masv` or masv_login";
                return Err(Error::new(ErrorKind::Unsupported, what));
            }
            ResourceKind::Link | ResourceKind::Bearer | ResourceKind::Session => {
                return Err(Error::new(ErrorKind::Unsupported, "a link's token is adopted for its package: name packages/ID"));
            }
        };
        if response::is_placeholder(value.expose()) {
            let what = "the value is no token but what a program prints for a missing one: take it from `access_token` of the answer";
            return Err(Error::new(ErrorKind::InvalidValue, what));
        }
        value.check("the token")?;
        if !response::is_in_ascii(&value) {
            let what = "the token holds a space or a character beyond ASCII, which no token has: copy it again";
            return Err(Error::new(ErrorKind::InvalidValue, what));
        }
        let expiry = response::expiry(&value, &Value::Null, &[]);
        Ok(FoundToken {
            resource_kind: target.resource_kind,
            id: target.id.into(),
            access,
            new_token: NewToken::new(kind, header, value, expiry),
        })
    }

    fn login(&self, email: &Secret, password: &Secret, context: &dyn Context) -> Result<Acquired> {
        let new_token = self.authenticate(email, password, context)?;
        self.note_login();
        let found = FoundToken { resource_kind: ResourceKind::User, id: String::new(), access: Access::Full, new_token };
        Ok(Acquired { found, renewal: None, others: Vec::new() })
    }
}
