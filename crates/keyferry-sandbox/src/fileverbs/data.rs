//! The data of FileVerbs: refresh tokens, the families that were revoked, and job requests.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Default)]
pub(crate) struct FileVerbsData {
    pub(crate) refresh_tokens: BTreeMap<String, Refresh>,
    pub(crate) revoked_families: BTreeSet<u64>,
    pub(crate) families: u64,
    pub(crate) jobs: BTreeSet<String>,
}

/// What is known of a refresh token that was issued.
pub(crate) struct Refresh {
    pub(crate) family: u64,
    pub(crate) expires_ms: i64,
    pub(crate) used: bool,
}
