//! What is wanted, and the keys that it can be under.

use std::time::Duration;

use crate::engine::accounts::{Bound, Spot};
use crate::engine::cache::entry::Hit;
use crate::engine::state::Engine;
use crate::error::{Error, Kind, Result};
use crate::model::key::{Access, Class, Fingerprint, Key, Thing};
use crate::model::request::Request;
use crate::model::resource::query_value;
use crate::ports::service::Need;
use crate::secret::Secret;

/// What is wanted, owned: a flight outlives the call that began it.
#[derive(Clone)]
pub struct Wish {
    /// Whose.
    pub account: usize,
    /// Of which service.
    pub service: usize,
    /// Under which key.
    pub key: Key,
    /// What it is found in.
    pub parent: Option<String>,
    /// The secret of a link.
    pub link_secret: Option<Secret>,
    /// The password of a link.
    pub link_password: Option<Secret>,
    /// The generation that will not do, if there is one.
    pub stale: Option<u64>,
    /// How long its caller waits, if that is said.
    pub patience: Option<Duration>,
    /// For how long its caller needs the token.
    pub min_valid: Duration,
    /// Whose it will be, where the configuration does not say it.
    pub owner: Option<Fingerprint>,
}

impl Wish {
    /// A wish for a key and nothing special.
    pub fn new(account: usize, service: usize, key: Key) -> Self {
        Self {
            account,
            service,
            key,
            parent: None,
            link_secret: None,
            link_password: None,
            stale: None,
            patience: None,
            min_valid: Duration::ZERO,
            owner: None,
        }
    }
}

impl Engine {
    /// The key of a link: its secret and password as a fingerprint.
    ///
    /// # Errors
    /// [`Kind::InvalidResource`] if the secret can't be read.
    pub fn link_key(&self, bound: &Bound, spot: &Spot<'_>, request: &Request) -> Result<Key> {
        let secret = query_value(spot.query, "secret")?.map(Secret::new);
        let password = request.link_password.as_ref();
        let parts = [spot.target.id, secret.as_ref().map_or("", Secret::expose), password.map_or("", Secret::expose)];
        Ok(bound.scope.link(spot.target.id, self.fingerprints().of(&parts)))
    }

    /// The package that a link is known to open. As long as none is known, no fingerprint is made, and no store is asked for its key.
    ///
    /// # Errors
    /// Those of [`Engine::link_key`].
    pub fn opened_by(&self, bound: &Bound, spot: &Spot<'_>, request: &Request) -> Result<Option<Key>> {
        if self.aliases.read().is_empty() {
            return query_value(spot.query, "secret").map(|_| None);
        }
        let link = self.link_key(bound, spot, request)?;
        Ok(self.aliases.read().get(&link).cloned())
    }

    /// The wish for a spot; `hit` is what will not do.
    ///
    /// # Errors
    /// [`Kind::InvalidResource`] if a link's secret can't be read.
    pub fn wish(&self, bound: &Bound, spot: &Spot<'_>, request: &Request, hit: Option<&Hit>) -> Result<Wish> {
        let (key, link_secret) = match spot.target.class {
            Class::Link => (self.link_key(bound, spot, request)?, query_value(spot.query, "secret")?.map(Secret::new)),
            class => {
                let access = accesses(spot.target.need, request.access)[0];
                (bound.key(class, spot.target.id, access), None)
            }
        };
        Ok(Wish {
            parent: spot.target.parent.map(str::to_owned),
            link_secret,
            link_password: request.link_password.clone(),
            stale: hit.map(|hit| hit.token.facts().generation),
            patience: request.timeout,
            min_valid: request.min_valid,
            ..Wish::new(spot.account, spot.service, key)
        })
    }
}

/// The error for what is reached without a header.
#[cold]
pub fn no_header(service: &str) -> Error {
    Error::new(Kind::NoHeader, format!("{service} takes no header: its session is state in the program itself, send the request as it is"))
}

/// The accesses that serve a spot, best first.
#[inline]
pub fn accesses(need: Need, asked: Option<Access>) -> &'static [Access] {
    const MANAGE_ELSE_WRITE: &[Access] = &[Access::Manage, Access::Write];
    match (need, asked) {
        (Need::Only(Access::Full), _) => &[Access::Full],
        (_, Some(Access::Manage)) => &[Access::Manage],
        (_, Some(Access::Write)) => &[Access::Write, Access::Manage],
        (_, Some(Access::Read)) | (Need::Only(Access::Read), _) => &[Access::Read],
        (Need::Only(Access::Manage), _) => &[Access::Manage],
        (Need::Only(Access::Write), _) => &[Access::Write],
        (Need::ManageElseWrite, _) => MANAGE_ELSE_WRITE,
    }
}

/// The thing for a look-up.
#[inline]
pub fn thing_of<'a>(bound: &Bound, spot: &Spot<'a>) -> Thing<'a> {
    Thing { scope: bound.scope.fingerprint(), class: spot.target.class, id: spot.target.id }
}
