//! keyferry gives every program on a machine the right, unexpired request headers for MASV cloud
//! and FileVerbs, and tells who is signed in to the local MASV Agent, without a secret in the
//! program's code.
//!
//! A [`Session`] reads the user's configuration, logs in when it has to, keeps the tokens, and
//! renews them before they expire. A program names a URL, gets a [`Token`], and sends its headers
//! with any HTTP client.
//!
//! ```
//! use keyferry::{Config, Session};
//!
//! # fn main() -> Result<(), keyferry::Error> {
//! let mut config = Config::new(); // `Session::open_user` reads the user's own instead
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
//! Sessions, tokens and errors can be used by any thread. Calls that may go to the network block:
//! in asynchronous code, run them on a thread for blocking work.
//!
//! # Features
//!
//! `wiping-alloc` (default) makes an allocator the global one that wipes each block when it is
//! freed. Without it a program may have an allocator of its own. Then [`Secret`]s are still wiped,
//! but these are not: tokens and their headers, and the buffers of the HTTP, TLS and JSON
//! libraries, which may hold passwords.
//!
//! # The folders, in their order
//!
//! A module imports from the rows above its own, and inside its row from the modules before it. The
//! adapters do not import each other. A test in `tests/architecture` holds this. Everything but the
//! types below is for the C ABI and the programs, and may change in any version.
//!
//! | layer | modules |
//! |---|---|
//! | foundations | `error` `secret` `sys` `clock` `log` `model` `config` `ports` |
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
pub mod transport;

pub use config::Config;
pub use error::{Error, ErrorKind, Result};
pub use model::key::Access;
pub use model::request::{Cancel, Request};
pub use model::token::{Token, TokenKind};
pub use secret::Secret;
pub use session::Session;

#[cfg(feature = "wiping-alloc")]
#[global_allocator]
static ALLOCATOR: sys::wiping_alloc::WipingAlloc = sys::wiping_alloc::WipingAlloc;

/// The code of the README, run by the tests of the documentation.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
