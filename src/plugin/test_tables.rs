//! Reads tables that a test made, to fuzz the checks of a plugin's tables. Exists only with the
//! feature `test-hooks`.

#![expect(unsafe_code, reason = "reads tables as a plugin passes them")]

use super::abi;
use super::descriptor;

/// Reads a plugin's entry, then the tables of its extensions.
///
/// # Errors
/// Returns the reason why a table is invalid.
///
/// # Safety
/// Each pointer is NULL, or points to a table that meets the requirements of the header.
pub unsafe fn read(
    entry: *const abi::keyferry_plugin,
    service: *const abi::keyferry_plugin_service,
    secret_source: *const abi::keyferry_plugin_secret_source,
) -> Result<(), String> {
    // SAFETY: by this function's contract.
    let descriptor = unsafe { descriptor::read_entry(entry) }?;
    // SAFETY: as above.
    unsafe { descriptor::read_service(service, &descriptor.settings) }?;
    // SAFETY: as above.
    unsafe { descriptor::read_secret_source(secret_source) }?;
    Ok(())
}
