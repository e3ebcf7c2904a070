//! The key that a token is cached and stored under, and its parts.
//!
//! The id of a link's key contains its secret and password as a keyed fingerprint only.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use ring::{digest, hmac};
use zeroize::Zeroizing;

/// The kind of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ResourceKind {
    /// The configured API key or SecretKey, handed out as it is.
    Key = 1,
    /// The login of a user.
    User = 2,
    /// One package.
    Package = 3,
    /// One transfer.
    Transfer = 4,
    /// One link: an alias of the package that it opens.
    Link = 5,
    /// A bearer token.
    Bearer = 6,
    /// A session that is state elsewhere and no header.
    Session = 7,
}

impl ResourceKind {
    /// All of them, by their numbers from 1 on, with their names in texts and names of files.
    pub const ALL: [(Self, &'static str); 7] = [
        (Self::Key, "key"),
        (Self::User, "user"),
        (Self::Package, "package"),
        (Self::Transfer, "transfer"),
        (Self::Link, "link"),
        (Self::Bearer, "bearer"),
        (Self::Session, "session"),
    ];

    /// Its name in texts and names of files.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize - 1].1
    }

    /// The kind of this number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .get(usize::from(number).wrapping_sub(1))
            .map(|(resource_kind, _)| *resource_kind)
    }
}

/// What a token allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Access {
    /// All that the thing's kind of token allows; there is only one sort.
    Full = 1,
    /// List and download.
    Read = 2,
    /// Add files and finalize.
    Write = 3,
    /// Rename, expiry, links, delete, transfers.
    Manage = 4,
}

impl Access {
    /// All of them, by their numbers from 1 on, with their names in texts and names of files.
    pub const ALL: [(Self, &'static str); 4] = [
        (Self::Full, "full"),
        (Self::Read, "read"),
        (Self::Write, "write"),
        (Self::Manage, "manage"),
    ];

    /// Its name in texts and names of files.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize - 1].1
    }

    /// The access of this number.
    #[inline]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .get(usize::from(number).wrapping_sub(1))
            .map(|(access, _)| *access)
    }
}

/// The owner of tokens: one account at one base URL of one service.
#[derive(Debug)]
pub struct Scope {
    /// The service's name.
    pub service: String,
    /// Its base URL: a token from one is never used at another.
    pub base: String,
    /// The profile's name.
    pub account: String,
    fingerprint: u64,
}

impl Scope {
    /// The scope of these three.
    pub fn new(service: &str, base: &str, account: &str) -> Self {
        let fingerprint = first_u64(digest(&[service, base, account]).as_ref());
        Self {
            service: service.into(),
            base: base.into(),
            account: account.into(),
            fingerprint,
        }
    }

    /// A number that identifies the scope, the same in every process.
    #[inline]
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }

    /// The key of a resource in this scope; for a link see [`Scope::link`]. Keys are made here
    /// only.
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

    /// The key of a link, by its id and the fingerprint of its secret and password: another secret
    /// may open another package.
    pub fn link(self: &Arc<Self>, id: &str, fingerprint: Fingerprint) -> TokenKey {
        self.key(
            ResourceKind::Link,
            &format!("{id}{PASSWORD_SEPARATOR}{fingerprint}"),
            Access::Read,
        )
    }
}

/// The digest of these parts, each after its length, so that no two lists of parts have the same
/// input.
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

/// A key without its access, borrowed for a look-up.
#[derive(Clone, Copy, Debug)]
pub struct KeyPrefix<'a> {
    /// [`Scope::fingerprint`].
    pub scope: u64,
    /// What the id names.
    pub resource_kind: ResourceKind,
    /// Which one.
    pub id: &'a str,
}

impl<'a> KeyPrefix<'a> {
    /// The key of its token with this access.
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

/// A key, borrowed for a look-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenKeyRef<'a> {
    /// [`Scope::fingerprint`].
    pub scope: u64,
    /// What the id names.
    pub resource_kind: ResourceKind,
    /// Which one.
    pub id: &'a str,
    /// What the token allows.
    pub access: Access,
}

impl<'a> TokenKeyRef<'a> {
    /// The key without its access.
    #[inline]
    pub fn prefix(&self) -> KeyPrefix<'a> {
        KeyPrefix {
            scope: self.scope,
            resource_kind: self.resource_kind,
            id: self.id,
        }
    }
}

/// Separates a link's id from the fingerprint of its secret and password; never occurs in ids.
const PASSWORD_SEPARATOR: char = '#';

/// An owned key.
#[derive(Clone)]
pub struct TokenKey {
    /// Whose.
    pub scope: Arc<Scope>,
    /// What the id names.
    pub resource_kind: ResourceKind,
    /// Which one; empty where there is only one. Of a link it ends in a fingerprint: see
    /// [`TokenKey::url_id`].
    pub id: Box<str>,
    /// What the token allows.
    pub access: Access,
}

impl TokenKey {
    /// The key for a look-up.
    pub fn borrow(&self) -> TokenKeyRef<'_> {
        TokenKeyRef {
            scope: self.scope.fingerprint,
            resource_kind: self.resource_kind,
            id: &self.id,
            access: self.access,
        }
    }

    /// The id as a URL contains it: without a link's fingerprint.
    pub fn url_id(&self) -> &str {
        match self.resource_kind {
            ResourceKind::Link => self.id.split(PASSWORD_SEPARATOR).next().unwrap_or_default(),
            _ => &self.id,
        }
    }

    /// The key of the same resource with another access.
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
    /// `masv package 01ABC (manage)`; of a link its id alone, without the fingerprint.
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

/// Makes fingerprints of secrets, with a key of the store's own: equal secrets are seen to be
/// equal, and nothing is learned from a fingerprint that gets out.
pub struct Fingerprinter(hmac::Key);

/// A secret's fingerprint.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 16]);

impl Fingerprinter {
    /// With this key, which should be random.
    pub fn new(key: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, key))
    }

    /// With a random key.
    pub fn random() -> Self {
        let mut key = Zeroizing::new([0; 32]);
        // Without it fingerprints still tell secrets apart; nothing of them is written anywhere
        // then.
        let _ = getrandom::fill(&mut *key);
        Self::new(&*key)
    }

    /// The fingerprint of these parts, in this order.
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
    /// Of these parts, in this order, without a key: for what stays sealed.
    pub fn unkeyed(parts: &[&str]) -> Self {
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest(parts).as_ref()[..16]);
        Self(bytes)
    }

    /// One that was kept.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Its bytes, to keep what is known of a secret under.
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
