//! The library's value types: base URLs, resources, keys, requests and tokens. They contain no code
//! for a particular service and no policy.

pub mod base_url;
pub mod key;
pub mod request;
pub mod resource;
pub mod short_form;
pub mod token;
