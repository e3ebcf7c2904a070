//! The value types of the library: base URLs, resources, keys, requests and tokens. They know no
//! service and no policy.

pub mod base_url;
pub mod key;
pub mod request;
pub mod resource;
pub mod token;
