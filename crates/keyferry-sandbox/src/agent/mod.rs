//! The local MASV Agent: its session and its routes.

pub(crate) mod data;
pub(crate) mod routes;
