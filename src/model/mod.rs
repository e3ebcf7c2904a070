//! The library's value types: base URLs, resources, keys, requests and tokens, and the readers of
//! JSON and of dates. They contain no code for a particular service and no policy.

pub mod base_url;
pub mod json;
pub mod key;
pub mod nearest;
pub mod request;
pub mod resource;
pub mod short_form;
pub mod timestamp;
pub mod token;
