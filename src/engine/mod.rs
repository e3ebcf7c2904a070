//! The core: from a request to a fresh token.
//!
//! The path of `masv_token_for`, from the C call to the HTTP request:
//!
//! 1. `ffi/boundary.rs`, `call_with_out`: sets the out-pointers to NULL; `ffi/panic.rs` stops
//!    panics, and `ffi/text.rs` checks the text.
//! 2. `session/mod.rs`, `Session::token`: asks the cache; a fresh token of a usual name is returned
//!    here.
//! 3. `engine/accounts.rs`, `Accounts::resolve`: finds the service that the resource belongs to,
//!    and what it names there.
//! 4. `engine/broker.rs`, `Broker::token_for`: looks at the cache again, as the request wants it;
//!    `engine/freshness.rs` decides.
//! 5. `engine/broker.rs`, `Broker::try_once`: asks the store, then `engine/backoff.rs` whether the
//!    service may be asked.
//! 6. `engine/single_flight.rs`, `SingleFlight::join`: one caller leads the flight, the others wait
//!    for it.
//! 7. `engine/fetch.rs`, `Fetch::run`: takes the store's lock, looks once more, then renews or
//!    acquires.
//! 8. `services/masv/`, `Service::acquire`: makes the requests of the service and reads its
//!    responses.
//! 9. `engine/service_context.rs`, `Context::send` and `login`: applies retries, pauses and
//!    `engine/negative_cache.rs`, then sends through `transport/mod.rs`.
//! 10. `engine/persistence.rs`, `Persistence::store_acquired`: stores the token, caches it, and the
//!     waiters are woken.

pub mod accounts;
pub mod acquisition;
pub mod backoff;
pub mod broker;
pub mod cache;
pub mod fetch;
pub mod freshness;
pub mod negative_cache;
pub mod persistence;
pub mod service_context;
pub mod single_flight;
pub mod state;
pub mod workers;
