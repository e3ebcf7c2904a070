//! The object storage behind MASV: keeps uploaded files in memory and serves them.
//!
//! MASV hands out signed URLs of the storage, which is another origin. The storage refuses every
//! credential header, and every URL that this sandbox didn't sign.

pub(crate) mod data;
pub(crate) mod etag;
pub(crate) mod range;
pub(crate) mod routes;
pub(crate) mod urls;
