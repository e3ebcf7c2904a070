//! The store that all programs of a user share. Each record is an encrypted ("sealed") file.
//!
//! The store opens its first file when it is first used. If the store can't be used, it logs one
//! warning that names the remedy, and keeps its records in memory. The store never overwrites a
//! file that was sealed with another key or that has a newer format.
//!
//! | in the store's directory | content |
//! |---|---|
//! | `store` | the label: names the store's version and the key that seals the store |
//! | `tokens/`, `refusals/` | sealed files whose names are keyed hashes |
//! | `new/` | files that are being written |
//! | `lock` | all locks |
//! | `swept` | the time of the last search for expired records |
//!
//! Readers take no lock. A new file that holds no renewal secret is written under its final name,
//! and readers treat it as missing until it is complete. Every other file is written in `new/`, and
//! is renamed when it is complete.

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
mod record_files;
mod record_lock;
mod sealed_file;

pub use file_store::{FileStore, is_record_or_failure};
pub use record_files::Damage;
