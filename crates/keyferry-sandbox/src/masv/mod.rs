//! MASV cloud: login, API keys, packages, links and transfers.

pub(crate) mod api_keys;
pub(crate) mod auth;
pub(crate) mod data;
pub(crate) mod files;
pub(crate) mod listings;
pub(crate) mod login;
pub(crate) mod packages;
pub(crate) mod routes;
pub(crate) mod transfers;
