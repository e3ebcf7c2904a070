//! Issues, verifies and rejects the tokens of all three services.
//!
//! The services decide what a token permits, based on its claims.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::jwt::Signer;

/// A kind of token. Each kind has its own lifetime and generation counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum GrantKind {
    User,
    Package,
    Transfer,
    Bearer,
    Refresh,
}

impl GrantKind {
    const ALL: [(GrantKind, &'static str, i64); 5] = [
        (GrantKind::User, "user", 3 * 86_400),
        (GrantKind::Package, "package", 86_400),
        (GrantKind::Transfer, "transfer", 86_400),
        (GrantKind::Bearer, "bearer", 900),
        (GrantKind::Refresh, "refresh", 7 * 86_400),
    ];

    pub(crate) fn from_name(name: &str) -> Result<GrantKind, String> {
        let entry = GrantKind::ALL
            .iter()
            .find(|(_, kind_name, _)| *kind_name == name);
        entry.map(|(kind, _, _)| *kind).ok_or_else(|| {
            format!(
                "no token kind is called '{name}'; use user, package, transfer, bearer or refresh"
            )
        })
    }

    pub(crate) fn name(self) -> &'static str {
        GrantKind::ALL
            .iter()
            .find(|(kind, _, _)| *kind == self)
            .map_or("", |(_, name, _)| name)
    }
}

/// The reason why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenError {
    Invalid,
    Expired,
    Rejected,
}

impl TokenError {
    /// The counter of this refusal.
    pub(crate) fn counter(self) -> &'static str {
        match self {
            Self::Invalid => "bad_token",
            Self::Expired => "expired_token",
            Self::Rejected => "rejected_token",
        }
    }
}

/// The tokens that were issued and rejected, and the options for new ones.
pub(crate) struct Tokens {
    signer: Signer,
    lifetimes_s: BTreeMap<GrantKind, i64>,
    issued: BTreeMap<GrantKind, u64>,
    rejected_generations: BTreeSet<(GrantKind, u64)>,
    rejected: HashSet<String>,
    opaque_kinds: BTreeSet<GrantKind>,
    no_expiry_kinds: BTreeSet<GrantKind>,
    opaque_claims: HashMap<String, Value>,
}

impl Tokens {
    pub(crate) fn new() -> std::io::Result<Tokens> {
        Ok(Tokens {
            signer: Signer::new()?,
            lifetimes_s: GrantKind::ALL
                .iter()
                .map(|(kind, _, lifetime_s)| (*kind, *lifetime_s))
                .collect(),
            issued: BTreeMap::new(),
            rejected_generations: BTreeSet::new(),
            rejected: HashSet::new(),
            opaque_kinds: BTreeSet::new(),
            no_expiry_kinds: BTreeSet::new(),
            opaque_claims: HashMap::new(),
        })
    }

    pub(crate) fn lifetime_s(&self, kind: GrantKind) -> i64 {
        self.lifetimes_s.get(&kind).copied().unwrap_or_default()
    }

    pub(crate) fn set_lifetime_s(&mut self, kind: GrantKind, seconds: i64) {
        self.lifetimes_s.insert(kind, seconds);
    }

    /// Sets the kinds that are issued as random strings instead of JWTs.
    pub(crate) fn set_opaque(&mut self, kinds: BTreeSet<GrantKind>) {
        self.opaque_kinds = kinds;
    }

    /// Sets the kinds whose JWTs have no `exp`.
    pub(crate) fn set_no_expiry(&mut self, kinds: BTreeSet<GrantKind>) {
        self.no_expiry_kinds = kinds;
    }

    /// Returns how many tokens of a kind were issued since the start.
    pub(crate) fn issued(&self, kind: GrantKind) -> u64 {
        self.issued.get(&kind).copied().unwrap_or_default()
    }

    /// Issues a token with these claims, a JSON object. Adds `exp` unless the kind has no expiry.
    pub(crate) fn issue(&mut self, kind: GrantKind, mut claims: Value, now_ms: i64) -> String {
        let generation = self.next_generation(kind);
        if !self.no_expiry_kinds.contains(&kind) {
            let expires_s = now_ms
                .div_euclid(1000)
                .saturating_add(self.lifetime_s(kind));
            claims["exp"] = expires_s.into();
        }
        let key_id = format!("{}-{generation}", kind.name());
        let mut token = self.signer.sign(&key_id, &claims);
        if self.opaque_kinds.contains(&kind) {
            // A JWT's signature looks random and differs for each generation, so use it as the
            // string.
            token = format!("{key_id}.{}", token.rsplit('.').next().unwrap_or_default())
                .replace('.', "_");
            self.opaque_claims.insert(token.clone(), claims);
        }
        if self.rejected_generations.contains(&(kind, generation)) {
            self.rejected.insert(token.clone());
        }
        token
    }

    /// Counts a new token of a kind and returns its number. Refresh tokens are counted too,
    /// although they aren't JWTs.
    pub(crate) fn next_generation(&mut self, kind: GrantKind) -> u64 {
        let count = self.issued.entry(kind).or_default();
        *count += 1;
        *count
    }

    /// Returns the claims of a token that was issued here, is of this kind, and is neither expired
    /// nor rejected.
    pub(crate) fn verify(
        &self,
        kind: GrantKind,
        token: &str,
        now_ms: i64,
    ) -> Result<Value, TokenError> {
        let claims = match self.opaque_claims.get(token) {
            Some(claims) if token.starts_with(&format!("{}-", kind.name())) => claims.clone(),
            Some(_) => return Err(TokenError::Invalid),
            None => {
                let verified = self.signer.verify(token).ok_or(TokenError::Invalid)?;
                let is_of_kind = verified.key_id.split('-').next() == Some(kind.name());
                is_of_kind
                    .then_some(verified.claims)
                    .ok_or(TokenError::Invalid)?
            }
        };
        if self.is_rejected(token) {
            return Err(TokenError::Rejected);
        }
        let expires_s = claims.get("exp").and_then(Value::as_i64);
        match expires_s {
            Some(expires_s) if now_ms >= expires_s.saturating_mul(1000) => Err(TokenError::Expired),
            _ => Ok(claims),
        }
    }

    pub(crate) fn reject(&mut self, token: &str) {
        self.rejected.insert(token.to_owned());
    }

    pub(crate) fn is_rejected(&self, token: &str) -> bool {
        self.rejected.contains(token)
    }

    pub(crate) fn reject_generation(&mut self, kind: GrantKind, generation: u64) {
        self.rejected_generations.insert((kind, generation));
    }

    pub(crate) fn is_rejected_generation(&self, kind: GrantKind, generation: u64) -> bool {
        self.rejected_generations.contains(&(kind, generation))
    }
}
