//! keyferry provides valid request headers for MASV cloud and FileVerbs to any program on a
//! machine. It also reports the signed-in user of the local MASV Agent. The programs themselves
//! contain no secrets.
//!
//! A [`Session`] reads the user's configuration, logs in when necessary, caches and stores tokens,
//! and refreshes them before they expire. A program passes a URL, gets a [`Token`], and sends its
//! headers with any HTTP client.
//!
//! ```
//! use keyferry::{Config, Session};
//!
//! # fn main() -> Result<(), keyferry::Error> {
//! let mut config = Config::new(); // `Session::open_user` reads the user's configuration instead
//! config.set("masv.api_key", "made-up-key".into())?;
//! let session = Session::open(config)?;
//!
//! let token = session.token("https://api.massive.app/v1/user")?;
//! let headers: Vec<_> = token.headers().collect();
//! assert_eq!(headers, [("X-API-KEY", "made-up-key")]);
//! # Ok(())
//! # }
//! ```
//!
//! Any thread can use sessions, tokens and errors. Calls that may use the network block the thread.
//! In asynchronous code, run them on a thread for blocking work.
//!
//! # Features
//!
//! `wiping-alloc` (default) sets a global allocator that wipes each block when it is freed. A
//! program that needs its own allocator must turn this feature off. [`Secret`]s are then still
//! wiped. Tokens, their headers and the buffers of the HTTP, TLS and JSON libraries are not wiped,
//! and these buffers may contain passwords.
//!
//! # Module order
//!
//! A module may import the modules of the rows above its own, and the modules before it in its own
//! row. Adapters do not import each other. A test in `tests/architecture` checks these rules. Only
//! the types re-exported below are public API. All other items serve the C ABI and the programs,
//! and may change in any version.
//!
//! | layer | modules |
//! |---|---|
//! | foundations | `text` `error` `secret` `sys` `clock` `log` `model` `config` `ports` |
//! | adapters | `services` `stores` `secret_sources` `transport` `plugin` |
//! | core | `engine` |
//! | API | `session` `ffi` |

#[doc(hidden)]
pub mod clock;
#[doc(hidden)]
pub mod config;
#[doc(hidden)]
pub mod engine;
#[doc(hidden)]
pub mod error;
#[doc(hidden)]
pub mod ffi;
#[doc(hidden)]
pub mod log;
#[doc(hidden)]
pub mod model;
#[doc(hidden)]
pub mod plugin;
#[doc(hidden)]
pub mod ports;
#[doc(hidden)]
pub mod secret;
#[doc(hidden)]
pub mod secret_sources;
#[doc(hidden)]
pub mod services;
#[doc(hidden)]
pub mod session;
#[doc(hidden)]
pub mod stores;
#[doc(hidden)]
pub mod sys;
#[doc(hidden)]
pub mod text;
#[doc(hidden)]
pub mod transport;

pub use config::Config;
pub use error::{Error, ErrorKind, Result};
pub use model::key::{Access, ResourceKind};
pub use model::request::{Cancel, Login, PreparedResource, Request};
pub use model::token::{Token, TokenKind};
pub use ports::service::AgentSession;
pub use secret::Secret;
pub use session::Session;
pub use session::inspect::{Explanation, NextStep, Origin, SessionStats, SettingSource, TokenInfo};

#[cfg(feature = "wiping-alloc")]
#[global_allocator]
static ALLOCATOR: sys::wiping_alloc::WipingAlloc = sys::wiping_alloc::WipingAlloc;

/// Runs the Rust code in the README as documentation tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
