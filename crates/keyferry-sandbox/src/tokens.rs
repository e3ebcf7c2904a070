//! Issues, checks and refuses the tokens of all three services: kinds, lives, generations.
//!
//! It doesn't know what a token permits; the services decide that from its claims.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::jwt::Signer;

/// A kind of token, for lives and generations.
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

    pub(crate) fn named(name: &str) -> Result<GrantKind, String> {
        let found = GrantKind::ALL.iter().find(|(_, own, _)| *own == name);
        found
            .map(|(kind, _, _)| *kind)
            .ok_or_else(|| format!("no token kind is called '{name}': there are user, package, transfer, bearer and refresh"))
    }

    pub(crate) fn name(self) -> &'static str {
        GrantKind::ALL.iter().find(|(kind, _, _)| *kind == self).map_or("", |(_, name, _)| name)
    }
}

/// Why a token isn't taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rejection {
    Unknown,
    Expired,
    Rejected,
}

impl Rejection {
    /// What is counted.
    pub(crate) fn counter(self) -> &'static str {
        match self {
            Self::Unknown => "bad_token",
            Self::Expired => "expired_token",
            Self::Rejected => "rejected_token",
        }
    }
}

pub(crate) struct Tokens {
    signer: Signer,
    lives: BTreeMap<GrantKind, i64>,
    issued: BTreeMap<GrantKind, u64>,
    refused_generations: BTreeSet<(GrantKind, u64)>,
    rejected: HashSet<String>,
    opaque_kinds: BTreeSet<GrantKind>,
    endless_kinds: BTreeSet<GrantKind>,
    opaque: HashMap<String, Value>,
}

impl Tokens {
    pub(crate) fn new() -> std::io::Result<Tokens> {
        Ok(Tokens {
            signer: Signer::new()?,
            lives: GrantKind::ALL.iter().map(|(kind, _, life)| (*kind, *life)).collect(),
            issued: BTreeMap::new(),
            refused_generations: BTreeSet::new(),
            rejected: HashSet::new(),
            opaque_kinds: BTreeSet::new(),
            endless_kinds: BTreeSet::new(),
            opaque: HashMap::new(),
        })
    }

    pub(crate) fn life_s(&self, kind: GrantKind) -> i64 {
        self.lives.get(&kind).copied().unwrap_or_default()
    }

    pub(crate) fn set_life(&mut self, kind: GrantKind, seconds: i64) {
        self.lives.insert(kind, seconds);
    }

    /// Kinds that are issued as random text instead of a JWT.
    pub(crate) fn set_opaque(&mut self, kinds: BTreeSet<GrantKind>) {
        self.opaque_kinds = kinds;
    }

    /// Kinds whose JWT has no `exp`.
    pub(crate) fn set_without_expiry(&mut self, kinds: BTreeSet<GrantKind>) {
        self.endless_kinds = kinds;
    }

    /// How many of a kind were issued since the start.
    pub(crate) fn issued(&self, kind: GrantKind) -> u64 {
        self.issued.get(&kind).copied().unwrap_or_default()
    }

    /// Makes a token of these claims, a JSON object, and adds `exp` unless the kind has none.
    pub(crate) fn issue(&mut self, kind: GrantKind, mut claims: Value, now_ms: i64) -> String {
        let generation = self.next_generation(kind);
        if !self.endless_kinds.contains(&kind) {
            let expires_s = now_ms.div_euclid(1000).saturating_add(self.life_s(kind));
            claims["exp"] = expires_s.into();
        }
        let key_id = format!("{}-{generation}", kind.name());
        let mut token = self.signer.sign(&key_id, &claims);
        if self.opaque_kinds.contains(&kind) {
            // The signature of a JWT is as random as any text and differs for each generation.
            token = format!("{key_id}.{}", token.rsplit('.').next().unwrap_or_default()).replace('.', "_");
            self.opaque.insert(token.clone(), claims);
        }
        if self.refused_generations.contains(&(kind, generation)) {
            self.rejected.insert(token.clone());
        }
        token
    }

    /// Counts one more of a kind; for refresh tokens, which are no JWT, as well.
    pub(crate) fn next_generation(&mut self, kind: GrantKind) -> u64 {
        let count = self.issued.entry(kind).or_default();
        *count += 1;
        *count
    }

    /// The claims of a token that is ours, of this kind, unexpired and not rejected.
    pub(crate) fn check(&self, kind: GrantKind, token: &str, now_ms: i64) -> Result<Value, Rejection> {
        let claims = match self.opaque.get(token) {
            Some(claims) if token.starts_with(&format!("{}-", kind.name())) => claims.clone(),
            Some(_) => return Err(Rejection::Unknown),
            None => {
                let read = self.signer.read(token).ok_or(Rejection::Unknown)?;
                let is_kind = read.key_id.split('-').next() == Some(kind.name());
                is_kind.then_some(read.claims).ok_or(Rejection::Unknown)?
            }
        };
        if self.is_rejected(token) {
            return Err(Rejection::Rejected);
        }
        let expires_s = claims.get("exp").and_then(Value::as_i64);
        match expires_s {
            Some(at) if now_ms >= at.saturating_mul(1000) => Err(Rejection::Expired),
            _ => Ok(claims),
        }
    }

    pub(crate) fn reject(&mut self, token: &str) {
        self.rejected.insert(token.to_owned());
    }

    pub(crate) fn is_rejected(&self, token: &str) -> bool {
        self.rejected.contains(token)
    }

    pub(crate) fn refuse_generation(&mut self, kind: GrantKind, generation: u64) {
        self.refused_generations.insert((kind, generation));
    }

    pub(crate) fn is_refused_generation(&self, kind: GrantKind, generation: u64) -> bool {
        self.refused_generations.contains(&(kind, generation))
    }
}
