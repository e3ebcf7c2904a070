//! Reads a plugin's tables, checks them, and keeps the host's own copy.

#![expect(unsafe_code, reason = "calls plugins, and is called by them")]

use std::ffi::c_char;

use super::abi;
use super::foreign_memory::{self, PlainData};
use super::routes::Route;
use crate::config::{DeclaredKind, DeclaredSetting, SETTINGS};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind};

// SAFETY: the fields are numbers, pointers and optional functions, which may all be zero.
unsafe impl PlainData for abi::keyferry_plugin {}
// SAFETY: as above.
unsafe impl PlainData for abi::keyferry_plugin_setting {}
// SAFETY: as above.
unsafe impl PlainData for abi::keyferry_plugin_service {}
// SAFETY: as above.
unsafe impl PlainData for abi::keyferry_plugin_route {}
// SAFETY: as above.
unsafe impl PlainData for abi::keyferry_plugin_secret_source {}
// SAFETY: as above.
unsafe impl PlainData for abi::keyferry_plugin_request {}
// SAFETY: as above.
unsafe impl PlainData for abi::keyferry_plugin_header {}

/// A plugin's entry, checked and copied.
pub(super) struct Descriptor {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) settings: Vec<DeclaredSetting>,
    pub(super) entry: abi::keyferry_plugin,
}

/// A plugin's extension `keyferry.service/1`.
pub(super) struct ServiceTable {
    pub(super) title: String,
    pub(super) prefixes: [&'static str; 1],
    pub(super) routes: Vec<Route>,
    /// The patterns of the routes, as the plugin wrote them.
    pub(super) patterns: Vec<String>,
    pub(super) acquire: unsafe extern "C" fn(
        abi::keyferry_plugin_call,
        *const abi::keyferry_plugin_token_spec,
    ) -> abi::keyferry_plugin_status,
    pub(super) renew: Option<
        unsafe extern "C" fn(
            abi::keyferry_plugin_call,
            *const abi::keyferry_plugin_token_spec,
            *const c_char,
        ) -> abi::keyferry_plugin_status,
    >,
}

/// The function of the extension `keyferry.secret-source/1`.
pub(super) type GetSecretFunction =
    unsafe extern "C" fn(abi::keyferry_plugin_call, *const c_char) -> abi::keyferry_plugin_status;

const MAX_SHORT_TEXT_BYTES: usize = 64;
const MAX_LONG_TEXT_BYTES: usize = 512;
const MAX_SETTINGS: usize = 32;
const MAX_ROUTES: usize = 64;
const RESERVED_NAMES: [&str; 6] = ["masv", "agent", "fileverbs", "profile", "store", "plugins"];

/// Reads a plugin's entry.
///
/// # Errors
/// Returns the reason why the entry is invalid, which the caller adds to "cannot load the plugin
/// PATH: ".
///
/// # Safety
/// `entry` points to a `keyferry_plugin` that meets the requirements of the header.
pub(super) unsafe fn read_entry(entry: *const abi::keyferry_plugin) -> Result<Descriptor, String> {
    // SAFETY: by this function's contract.
    let entry = unsafe {
        foreign_memory::read_table(
            entry,
            std::mem::offset_of!(abi::keyferry_plugin, struct_size),
        )
    }
    .map_err(|fault| format!("its entry {fault}"))?;
    // SAFETY: as above.
    let name = unsafe { foreign_memory::read_text(entry.name, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("its name {fault}"))?;
    if !is_valid_name(&name) {
        return Err(
            "its name is reserved, or is not 1 to 32 lower-case letters and digits beginning with a letter".into()
        );
    }
    // SAFETY: as above.
    let version = unsafe { foreign_memory::read_text(entry.version, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("its version {fault}"))?;
    // SAFETY: as above.
    let rows = unsafe {
        foreign_memory::read_array(entry.settings, entry.setting_count as usize, MAX_SETTINGS)
    };
    let rows = rows.map_err(|fault| format!("its list of settings {fault}"))?;
    let mut settings: Vec<DeclaredSetting> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        // SAFETY: as above.
        let declared = unsafe { read_setting(&name, row) }
            .map_err(|fault| format!("its setting {index} {fault}"))?;
        if settings.iter().any(|other| other.key == declared.key) {
            return Err(format!("it declares the setting {} twice", declared.key));
        }
        settings.push(declared);
    }
    if entry.get_extension.is_none() {
        return Err("its `get_extension` is NULL".into());
    }
    Ok(Descriptor {
        name,
        version,
        settings,
        entry,
    })
}

/// Returns whether a plugin may have this name. An underscore is not allowed, because it separates
/// the name from the key in the environment variable `KEYFERRY_NAME_KEY`.
fn is_valid_name(name: &str) -> bool {
    let fits = matches!(name.len(), 1..=32)
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    fits && name.starts_with(|c: char| c.is_ascii_lowercase())
        && !name.starts_with("http")
        && !RESERVED_NAMES.contains(&name)
}

fn is_valid_key(key: &str) -> bool {
    let fits = matches!(key.len(), 1..=32)
        && key
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    fits && key.starts_with(|c: char| c.is_ascii_lowercase()) && !key.ends_with("_file")
}

/// Reads one row of the list of settings.
///
/// # Errors
/// Returns the reason why the row is invalid, which the caller adds to "its setting INDEX ".
///
/// # Safety
/// Each string in `row` is NULL or ends in NUL.
unsafe fn read_setting(
    name: &str,
    row: &abi::keyferry_plugin_setting,
) -> Result<DeclaredSetting, String> {
    // SAFETY: by this function's contract.
    let key = unsafe { foreign_memory::read_text(row.key, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("has a key that {fault}"))?;
    if !is_valid_key(&key) {
        return Err("has a key that is not 1 to 32 lower-case letters, digits and underscores beginning with a letter, or that ends in `_file`".into());
    }
    // SAFETY: as above.
    let about = unsafe { foreign_memory::read_text(row.description, MAX_LONG_TEXT_BYTES) }
        .map_err(|fault| format!("({key}) has a description that {fault}"))?;
    let kind = match row.kind {
        abi::KEYFERRY_PLUGIN_SETTING_TEXT => DeclaredKind::Text,
        abi::KEYFERRY_PLUGIN_SETTING_SECRET => DeclaredKind::Secret,
        abi::KEYFERRY_PLUGIN_SETTING_URL => DeclaredKind::Url,
        other => {
            return Err(format!(
                "({key}) has the kind {other}, which does not exist"
            ));
        }
    };
    let fallback = match row.default_value.is_null() {
        true => None,
        // SAFETY: as above.
        false => Some(
            unsafe { foreign_memory::read_text(row.default_value, MAX_LONG_TEXT_BYTES) }
                .map_err(|fault| format!("({key}) has a default value that {fault}"))?,
        ),
    };
    match (kind, &fallback) {
        (DeclaredKind::Secret, Some(_)) => {
            return Err(format!(
                "({key}) is a secret, so it must not have a default value"
            ));
        }
        (DeclaredKind::Url, Some(url)) => drop(
            BaseUrl::parse(&key, url, &[])
                .map_err(|error| format!("({key}) has an invalid default value ({error})"))?,
        ),
        _ => {}
    }
    let full_key = format!("{name}.{key}");
    let variable = format!(
        "KEYFERRY_{}_{}",
        name.to_ascii_uppercase(),
        key.to_ascii_uppercase()
    );
    if SETTINGS
        .iter()
        .any(|field| field.env.contains(&variable.as_str()))
    {
        return Err(format!(
            "({key}) would have the environment variable {variable}, which is one of keyferry's own"
        ));
    }
    Ok(DeclaredSetting {
        full_key,
        key,
        variable,
        kind,
        fallback,
        about,
    })
}

/// Reads the table of a plugin's service.
///
/// # Errors
/// Returns the reason why the table is invalid, which the caller adds to "cannot use the plugin
/// NAME (PATH): ".
///
/// # Safety
/// `table` is NULL, or points to a `keyferry_plugin_service` that meets the requirements of the
/// header.
pub(super) unsafe fn read_service(
    table: *const abi::keyferry_plugin_service,
    settings: &[DeclaredSetting],
) -> Result<ServiceTable, String> {
    // SAFETY: by this function's contract.
    let table = unsafe { foreign_memory::read_table(table, 0) }
        .map_err(|fault| format!("its service table {fault}"))?;
    // SAFETY: as above.
    let title = unsafe { foreign_memory::read_text(table.title, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("the title of its service {fault}"))?;
    // SAFETY: as above.
    let prefix = unsafe { foreign_memory::read_text(table.prefix, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("the prefix of its service {fault}"))?;
    let segments = || prefix.trim_matches('/').split('/');
    let plain = prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte));
    let is_prefix = prefix == "/"
        || prefix.starts_with('/')
            && prefix.ends_with('/')
            && segments().all(|part| !part.is_empty() && !part.starts_with('.'));
    if !plain || !is_prefix {
        return Err("the prefix of its service is not a path like `/v1/`".into());
    }
    if title.is_empty() {
        return Err("the title of its service is empty".into());
    }
    if !settings
        .iter()
        .any(|setting| setting.key == "url" && setting.kind == DeclaredKind::Url)
    {
        return Err(
            "it has a service, but its entry declares no setting `url` of the kind URL".into(),
        );
    }
    // SAFETY: as above.
    let rows =
        unsafe { foreign_memory::read_array(table.routes, table.route_count as usize, MAX_ROUTES) };
    let rows = rows.map_err(|fault| format!("its list of routes {fault}"))?;
    let (mut routes, mut patterns) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        // SAFETY: as above.
        let pattern = unsafe { foreign_memory::read_text(row.pattern, MAX_LONG_TEXT_BYTES) }
            .map_err(|fault| format!("its route {index} has a pattern that {fault}"))?;
        routes.push(
            read_route(&pattern, row)
                .map_err(|fault| format!("its route {index} ({pattern}) {fault}"))?,
        );
        patterns.push(pattern);
    }
    if routes.is_empty() {
        return Err("its service has no routes".into());
    }
    let acquire = table
        .acquire
        .ok_or("the `acquire` of its service is NULL")?;
    // A plugin is never unloaded, so its prefix is leaked once.
    let prefixes = [&*Box::leak(prefix.into_boxed_str())];
    Ok(ServiceTable {
        title,
        prefixes,
        routes,
        patterns,
        acquire,
        renew: table.renew,
    })
}

fn read_route(pattern: &str, row: &abi::keyferry_plugin_route) -> Result<Route, String> {
    let resource_kind = match row.token_kind {
        abi::KEYFERRY_PLUGIN_TOKEN_BEARER => ResourceKind::Bearer,
        abi::KEYFERRY_PLUGIN_TOKEN_USER => ResourceKind::User,
        abi::KEYFERRY_PLUGIN_TOKEN_ITEM => ResourceKind::Package,
        abi::KEYFERRY_PLUGIN_TOKEN_KEY => ResourceKind::Key,
        other => return Err(format!("has the token kind {other}, which does not exist")),
    };
    let access = match row.access {
        abi::KEYFERRY_PLUGIN_ACCESS_FULL => Access::Full,
        abi::KEYFERRY_PLUGIN_ACCESS_READ => Access::Read,
        abi::KEYFERRY_PLUGIN_ACCESS_WRITE => Access::Write,
        abi::KEYFERRY_PLUGIN_ACCESS_MANAGE => Access::Manage,
        other => return Err(format!("has the access {other}, which does not exist")),
    };
    Route::parse(pattern, resource_kind, access).map_err(str::to_owned)
}

/// Returns the ABI's number for a kind of token.
pub(super) fn token_kind_number(resource_kind: ResourceKind) -> u32 {
    match resource_kind {
        ResourceKind::User => abi::KEYFERRY_PLUGIN_TOKEN_USER,
        ResourceKind::Package => abi::KEYFERRY_PLUGIN_TOKEN_ITEM,
        ResourceKind::Key => abi::KEYFERRY_PLUGIN_TOKEN_KEY,
        _ => abi::KEYFERRY_PLUGIN_TOKEN_BEARER,
    }
}

/// Returns the ABI's number for an access.
pub(super) fn access_number(access: Access) -> u32 {
    match access {
        Access::Full => abi::KEYFERRY_PLUGIN_ACCESS_FULL,
        Access::Read => abi::KEYFERRY_PLUGIN_ACCESS_READ,
        Access::Write => abi::KEYFERRY_PLUGIN_ACCESS_WRITE,
        Access::Manage => abi::KEYFERRY_PLUGIN_ACCESS_MANAGE,
    }
}

/// Reads the table of a plugin's secret source.
///
/// # Errors
/// Returns the reason why the table is invalid, which the caller adds to "cannot use the plugin
/// NAME (PATH): ".
///
/// # Safety
/// `table` is NULL, or points to a `keyferry_plugin_secret_source` that meets the requirements of
/// the header.
pub(super) unsafe fn read_secret_source(
    table: *const abi::keyferry_plugin_secret_source,
) -> Result<GetSecretFunction, String> {
    // SAFETY: by this function's contract.
    let table = unsafe { foreign_memory::read_table(table, 0) }
        .map_err(|fault| format!("its secret source table {fault}"))?;
    table
        .get
        .ok_or_else(|| "the `get` of its secret source is NULL".into())
}
