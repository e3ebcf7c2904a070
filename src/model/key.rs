//! The key under which a token is cached and stored, and its parts.
//!
//! The key of a link contains a keyed fingerprint of the link's secret and password, never the
//! values themselves.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ring::{digest, hmac};
use zeroize::Zeroizing;

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[non_exhaustive]
pub enum ResourceKind {
    /// The configured API key or SecretKey, which is returned unchanged.
    Key = 1,
    /// A user's login.
    User = 2,
    /// One package.
    Package = 3,
    /// One transfer.
    Transfer = 4,
    /// One link. It is an alias of the package that it opens.
    Link = 5,
    /// A bearer token.
    Bearer = 6,
    /// A session that another program keeps. It has no header.
    Session = 7,
}

impl ResourceKind {
    /// All variants in the order of their numbers, from 1 on, with the names used in messages and
    /// file names.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Key, "key"),
        (Self::User, "user"),
        (Self::Package, "package"),
        (Self::Transfer, "transfer"),
        (Self::Link, "link"),
        (Self::Bearer, "bearer"),
        (Self::Session, "session"),
    ];

    /// Returns the name used in messages and file names.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize - 1].1
    }

    /// Returns the kind with this number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .get(usize::from(number).wrapping_sub(1))
            .map(|(resource_kind, _)| *resource_kind)
    }
}

/// The access that a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Access {
    /// Everything that this kind of token allows. The resource has only one access level.
    Full = 1,
    /// List and download.
    Read = 2,
    /// Add files and finalize.
    Write = 3,
    /// Rename, delete, change the expiry, manage links and transfers.
    Manage = 4,
}

impl Access {
    /// All variants in the order of their numbers, from 1 on, with the names used in messages and
    /// file names.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Full, "full"),
        (Self::Read, "read"),
        (Self::Write, "write"),
        (Self::Manage, "manage"),
    ];

    /// Returns the name used in messages and file names.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize - 1].1
    }

    /// Returns the access with this number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .get(usize::from(number).wrapping_sub(1))
            .map(|(access, _)| *access)
    }
}

/// The access that a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAccess {
    /// Exactly this access.
    Only(Access),
    /// [`Access::Manage`]. A write token is also accepted if it is already cached or stored.
    ManageElseWrite,
}

/// The owner of tokens: one account at one base URL of one service.
#[derive(Debug)]
pub struct Scope {
    /// The name of the service.
    pub service: String,
    /// The service's base URL. A token from one base URL is never sent to another.
    pub base: String,
    /// The name of the account.
    pub account: String,
    fingerprint: u64,
}

impl Scope {
    /// Creates the scope of an account at a service's base URL.
    pub fn new(service: &str, base: &str, account: &str) -> Self {
        let fingerprint = first_u64(digest(&[service, base, account]).as_ref());
        Self {
            service: service.into(),
            base: base.into(),
            account: account.into(),
            fingerprint,
        }
    }

    /// Returns a number that identifies the scope. It is the same in every process.
    #[inline]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// Returns the key of a resource in this scope. For a link, use [`Scope::link`]. All keys are
    /// created in this module.
    pub fn key(
        self: &Arc<Self>,
        resource_kind: ResourceKind,
        id: &str,
        access: Access,
    ) -> TokenKey {
        TokenKey {
            scope: Arc::clone(self),
            resource_kind,
            id: id.into(),
            access,
        }
    }

    /// Returns the key of a link. The key contains the fingerprint of the link's secret and
    /// password, because another secret may open another package.
    pub fn link(self: &Arc<Self>, id: &str, fingerprint: Fingerprint) -> TokenKey {
        self.key(
            ResourceKind::Link,
            &format!("{id}{PASSWORD_SEPARATOR}{fingerprint}"),
            Access::Read,
        )
    }
}

/// Returns the digest of these parts. Each part is preceded by its length, so that different lists
/// of parts never have the same input.
fn digest(parts: &[&str]) -> digest::Digest {
    let mut context = digest::Context::new(&digest::SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_le_bytes());
        context.update(part.as_bytes());
    }
    context.finish()
}

fn first_u64(digest: &[u8]) -> u64 {
    digest
        .iter()
        .take(8)
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// A borrowed key without its access, for look-ups.
#[derive(Clone, Copy, Debug)]
pub struct KeyPrefix<'a> {
    /// [`Scope::fingerprint`].
    pub scope: u64,
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// The id of the resource.
    pub id: &'a str,
}

impl<'a> KeyPrefix<'a> {
    /// Returns the key with this access.
    #[inline]
    pub fn with(&self, access: Access) -> TokenKeyRef<'a> {
        TokenKeyRef {
            scope: self.scope,
            resource_kind: self.resource_kind,
            id: self.id,
            access,
        }
    }
}

/// A borrowed key, for look-ups.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenKeyRef<'a> {
    /// [`Scope::fingerprint`].
    pub scope: u64,
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// The id of the resource.
    pub id: &'a str,
    /// The access that the token allows.
    pub access: Access,
}

impl<'a> TokenKeyRef<'a> {
    /// Returns the key without its access.
    #[inline]
    pub fn prefix(&self) -> KeyPrefix<'a> {
        KeyPrefix {
            scope: self.scope,
            resource_kind: self.resource_kind,
            id: self.id,
        }
    }
}

/// Separates a link's id from the fingerprint of its secret and password. Never occurs in ids.
const PASSWORD_SEPARATOR: char = '#';

/// An owned key.
#[derive(Clone)]
pub struct TokenKey {
    /// The scope of the token.
    pub scope: Arc<Scope>,
    /// The kind of the resource.
    pub resource_kind: ResourceKind,
    /// The id of the resource. It is empty if the service has only one resource of this kind. The
    /// id of a link ends in a fingerprint; see [`TokenKey::url_id`].
    pub id: Box<str>,
    /// The access that the token allows.
    pub access: Access,
}

impl TokenKey {
    /// Borrows the key for a look-up.
    pub fn borrow(&self) -> TokenKeyRef<'_> {
        TokenKeyRef {
            scope: self.scope.fingerprint,
            resource_kind: self.resource_kind,
            id: &self.id,
            access: self.access,
        }
    }

    /// Returns the id as it appears in URLs, without a link's fingerprint.
    pub fn url_id(&self) -> &str {
        match self.resource_kind {
            ResourceKind::Link => self.id.split(PASSWORD_SEPARATOR).next().unwrap_or_default(),
            _ => &self.id,
        }
    }

    /// Returns the key of the same resource with another access.
    #[must_use]
    pub fn with_access(&self, access: Access) -> Self {
        Self {
            access,
            ..self.clone()
        }
    }
}

impl PartialEq for TokenKey {
    fn eq(&self, other: &Self) -> bool {
        self.borrow() == other.borrow()
    }
}

impl Eq for TokenKey {}

impl Hash for TokenKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.scope.fingerprint.hash(state);
        self.resource_kind.hash(state);
        self.id.hash(state);
        self.access.hash(state);
    }
}

impl fmt::Display for TokenKey {
    /// Writes `masv package 01ABC (manage)`. A link's fingerprint is omitted.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.scope.service, self.resource_kind.name())?;
        if !self.url_id().is_empty() {
            write!(f, " {}", self.url_id())?;
        }
        if self.access != Access::Full {
            write!(f, " ({})", self.access.name())?;
        }
        Ok(())
    }
}

/// Computes fingerprints of secrets with a key that belongs to the store. Equal secrets have equal
/// fingerprints. A leaked fingerprint reveals nothing about its secret.
pub struct Fingerprinter(hmac::Key);

/// The fingerprint of a secret.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprinter {
    /// Creates a fingerprinter with this key, which should be random.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// Creates a fingerprinter with a random key.
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        // If this fails, the key is all zeros. Fingerprints still distinguish secrets, and
        // fingerprints of this fingerprinter are never written to disk.
        let _ = getrandom::fill(&mut *key);
        Self::new(&*key)
    }

    /// Returns the fingerprint of these parts, in this order.
    pub fn of(&self, parts: &[&str]) -> Fingerprint {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_le_bytes());
            context.update(part.as_bytes());
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&context.sign().as_ref()[..16]);
        Fingerprint(bytes)
    }
}

impl Fingerprint {
    /// Returns the fingerprint of these parts, in this order, without a key. Only for fingerprints
    /// that are stored encrypted.
    pub fn unkeyed(parts: &[&str]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest(parts).as_ref()[..16]);
        Self(bytes)
    }

    /// Restores a fingerprint that was stored.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the bytes, which serve as the key of a stored failure record.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_places_in_the_tables() {
        assert!(
            ResourceKind::ALL
                .iter()
                .enumerate()
                .all(|(at, (resource_kind, _))| *resource_kind as usize == at + 1)
        );
        assert!(
            Access::ALL
                .iter()
                .enumerate()
                .all(|(at, (access, _))| *access as usize == at + 1)
        );
        assert_eq!(
            (ResourceKind::from_number(0), Access::from_number(5)),
            (None, None)
        );
    }

    #[test]
    fn fields_can_not_run_into_each_other() {
        let scope = |service, base, account| Scope::new(service, base, account).fingerprint();
        assert_ne!(scope("a", "bc", "d"), scope("ab", "c", "d"));
        assert_ne!(scope("a", "b", ""), scope("a", "", "b"));
        let print = Fingerprinter::new(&[7; 32]);
        assert!(print.of(&["ab", "c"]) != print.of(&["a", "bc"]));
        assert!(print.of(&["a"]) == print.of(&["a"]));
        assert!(print.of(&["a"]) != Fingerprinter::new(&[8; 32]).of(&["a"]));
    }

    #[test]
    fn a_link_is_shown_without_its_fingerprint() {
        let scope = Arc::new(Scope::new("masv", "https://a.example", "default"));
        let print = |secret: &str| Fingerprint::unkeyed(&[secret]);
        let key = scope.link("01L", print("a"));
        assert_eq!(
            (key.to_string().as_str(), key.url_id()),
            ("masv link 01L (read)", "01L")
        );
        assert!(key == scope.link("01L", print("a")) && key != scope.link("01L", print("b")));
        assert_eq!(
            scope
                .key(ResourceKind::Package, "01P", Access::Read)
                .url_id(),
            "01P"
        );
    }
}
