//! Safe wrappers around operating system calls.

pub mod atomic_words;
pub mod clock;
pub mod dir;
pub mod dlopen;
pub mod file_facts;
pub mod file_lock;
pub mod fork;
pub mod in_use;
pub mod io_cause;
#[cfg(target_os = "linux")]
mod keyctl;
pub mod keyutils;
pub mod owner;
pub mod pipe;
pub mod private_file;
#[cfg(target_os = "linux")]
pub mod private_keyring;
pub mod privilege;
pub mod process;
pub mod signals;
pub mod sync;
pub mod trusted_dir;
#[cfg(feature = "wiping-alloc")]
pub mod wiping_alloc;
