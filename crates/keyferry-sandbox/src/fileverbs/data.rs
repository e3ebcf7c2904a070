//! The state of FileVerbs: refresh tokens, revoked families of them, and job requests.

use std::collections::{BTreeMap, BTreeSet};

/// The state of FileVerbs.
#[derive(Default)]
pub(crate) struct FileVerbsData {
    pub(crate) refresh_tokens: BTreeMap<String, RefreshToken>,
    pub(crate) revoked_families: BTreeSet<u64>,
    pub(crate) family_count: u64,
    pub(crate) jobs: BTreeSet<String>,
}

/// An issued refresh token. A login starts a family, and each rotation adds a token to it.
pub(crate) struct RefreshToken {
    pub(crate) family: u64,
    pub(crate) expires_ms: i64,
    pub(crate) used: bool,
}
