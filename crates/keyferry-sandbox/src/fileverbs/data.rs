//! The data of FileVerbs: refresh tokens, their revoked families, and job requests.

use std::collections::{BTreeMap, BTreeSet};

/// All data of FileVerbs.
#[derive(Default)]
pub(crate) struct FileVerbsData {
    pub(crate) refresh_tokens: BTreeMap<String, RefreshToken>,
    pub(crate) revoked_families: BTreeSet<u64>,
    pub(crate) family_count: u64,
    pub(crate) jobs: BTreeSet<String>,
}

/// A refresh token that was issued. A login starts a family; each rotation adds a token to it.
pub(crate) struct RefreshToken {
    pub(crate) family: u64,
    pub(crate) expires_ms: i64,
    pub(crate) used: bool,
}
