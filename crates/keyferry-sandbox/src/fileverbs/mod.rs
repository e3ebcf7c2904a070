//! FileVerbs: the token call, refresh, and the calls that its credentials open.

pub(crate) mod accounts;
pub(crate) mod data;
pub(crate) mod jobs;
pub(crate) mod routes;
