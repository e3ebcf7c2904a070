//! The store that all programs of a user share: one sealed file for each key.
//!
//! It opens nothing before it is asked for something. A store that can't be used becomes a store in
//! memory, with one warning that names the remedy. A file that another key sealed, or that has a
//! newer format, is never overwritten.
//!
//! | in the store's directory | content |
//! |---|---|
//! | `store` | names the key that seals the store |
//! | `tokens/`, `refusals/` | sealed files whose names are keyed hashes |
//! | `new/` | files that are being written |
//! | `locks/` | the locks |
//! | `swept` | the time of the last search for expired records |
//!
//! A reader takes no lock: a file gets its name once it is complete.

mod codec;
mod envelope;
mod file_store;
mod gc;
mod lazy_store;
mod location;
mod lock;
mod master_key;
mod open_store;
mod private_dir;
mod sealed_file;

pub use file_store::{FileStore, is_record_or_failure};
