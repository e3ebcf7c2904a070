//! Offline stand-ins for MASV cloud, its object storage, the MASV Agent and FileVerbs, for tests and
//! demos.
//!
//! A [`Sandbox`] serves them on loopback, each on its own port, and checks every request strictly, so that a
//! client's mistake fails its test. It uses no network but loopback and writes nothing to disk. All
//! its data is made up; see [`credentials`]. The crate depends on no other crate of the workspace,
//! so it can't repeat a mistake of the library and thereby hide it.
//!
//! A request may carry at most one credential header, and it must be one that the route accepts.
//! Any other request is refused with a 4xx status and counted. Tokens are HS256 JWTs with exactly
//! the documented claims. The `kid` in their header makes two tokens of the same second differ.
//! Tokens are verified each time they are used. A virtual [`Clock`] decides when they expire and
//! sets every `Date` header. The pages of a listing are numbered from 1. The route that looks up a
//! single package doesn't find packages in the inbox.
//!
//! A Rust test controls the sandbox with the methods of [`Sandbox`]. Tests in other languages use
//! the control routes at `/sandbox/…`. `docs/testing.md` in the repository lists these routes and
//! the faults, behaviours and counters. A behaviour is a property of a service that a test can
//! change.

mod agent;
mod apply_fault;
mod body;
mod budget;
mod checks;
mod clock;
mod connection;
mod control;
pub mod credentials;
mod dispatch;
mod fault_json;
mod faults;
mod fileverbs;
mod jwt;
mod masv;
mod options;
mod receive;
mod request;
mod response;
mod sandbox;
mod server;
mod service;
mod settings;
mod state;
mod storage;
mod tls;
mod tokens;

pub use clock::Clock;
pub use faults::{BodyKind, Fault, FaultAction};
pub use options::Options;
pub use request::RecordedRequest;
pub use sandbox::Sandbox;
pub use service::Service;
