//! The core: turns a request into a fresh token.
//!
//! The path of one `masv_token_for` call, from the C function to the HTTP request:
//!
//! 1. `ffi/boundary.rs`, `call_with_out`: sets the out-pointers to NULL. `ffi/panic.rs` catches
//!    panics, and `ffi/text.rs` checks the caller's strings.
//! 2. `session/mod.rs`, `Session::token`: looks in the cache, and returns the token if it is fresh.
//!    Skips this for a link, and for a URL that must be normalized first, such as one with
//!    upper-case letters in its host. `Session::token_for` does the same for a request object, and
//!    skips it only for a link: the request keeps the key of its resource (`model/request.rs`,
//!    `Resolution`).
//! 3. `engine/broker.rs`, `Broker::token_for`: handles every other case.
//! 4. `engine/accounts.rs`, `Accounts::resolve`: finds the service that the resource belongs to,
//!    and the kind and id that the resource names in that service.
//! 5. `engine/broker.rs`, `Broker::serve_hit`: looks in the cache again, now with the access, the
//!    minimum lifetime and the link password of the request. `engine/freshness.rs` says whether the
//!    token is fresh.
//! 6. `engine/broker.rs`, `Broker::try_once`: looks in the store. If it has no fresh token,
//!    `engine/backoff.rs` says whether the service may be contacted now.
//! 7. `engine/single_flight.rs`, `SingleFlight::join`: one caller leads the flight. Other callers
//!    for the same key wait for the outcome of that flight.
//! 8. `engine/fetch.rs`, `Fetch::run`: asks the store for the lock of the key. If the store has a
//!    newer record, it returns that record instead, and the flight uses its token. Otherwise the
//!    flight refreshes or acquires the token. The whole flight uses the record that the store read
//!    when it granted the lock.
//! 9. `services/masv/`, `Service::acquire`: builds the service's requests and reads the responses.
//! 10. `engine/service_context.rs`, `Context::send` and `Context::login`: check
//!     `engine/negative_cache.rs`, send the request through `transport/mod.rs`, and retry.
//! 11. `engine/persistence.rs`, `Persistence::store_fetched`: stores the token, then caches it.
//!     `SingleFlight::run` then wakes the waiting callers. If the save takes longer than 200 ms,
//!     they take the token before it ends.

pub mod accounts;
pub mod acquisition;
pub mod backoff;
pub mod broker;
pub mod cache;
pub mod fetch;
pub mod forecast;
pub mod freshness;
pub mod negative_cache;
pub mod persistence;
pub mod rejections;
pub mod replacement;
pub mod saves;
pub mod service_context;
pub mod single_flight;
pub mod state;
pub mod workers;
