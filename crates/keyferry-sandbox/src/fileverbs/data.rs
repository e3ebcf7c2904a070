//! The state of FileVerbs: refresh tokens, revoked families of them, job requests, and uploaded
//! documents.

use std::collections::{BTreeMap, BTreeSet};

use hyper::body::Bytes;

use crate::budget::Reservation;

/// The state of FileVerbs.
#[derive(Default)]
pub(crate) struct FileVerbsData {
    pub(crate) refresh_tokens: BTreeMap<String, RefreshToken>,
    pub(crate) revoked_families: BTreeSet<u64>,
    pub(crate) family_count: u64,
    pub(crate) jobs: BTreeSet<String>,
    pub(crate) uploads: Vec<UploadedFile>,
}

/// An uploaded document.
pub(crate) struct UploadedFile {
    pub(crate) name: String,
    pub(crate) content: Bytes,
    /// Returns the bytes to the budget when the document is dropped.
    pub(crate) _reservation: Reservation,
}

/// An issued refresh token. A login starts a family, and each rotation adds a token to it.
pub(crate) struct RefreshToken {
    pub(crate) family: u64,
    pub(crate) expires_ms: i64,
    pub(crate) used: bool,
}
