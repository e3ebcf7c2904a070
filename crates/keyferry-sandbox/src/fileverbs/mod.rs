//! FileVerbs: login, refresh, uploads and job requests.

pub(crate) mod accounts;
pub(crate) mod data;
pub(crate) mod jobs;
pub(crate) mod routes;
pub(crate) mod uploads;
