//! The tables of a plugin as the host keeps them: read once, checked, copied.

use std::ffi::c_char;

use super::abi;
use super::foreign_memory::{self, PlainData};
use super::routes::Route;
use crate::config::{DeclaredKind, DeclaredSetting, SETTINGS};
use crate::model::base_url::BaseUrl;
use crate::model::key::{Access, ResourceKind};

// SAFETY: numbers, pointers and optional functions, for all of which zero is a value.
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

/// The entry of a plugin.
pub(super) struct Descriptor {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) settings: Vec<DeclaredSetting>,
    pub(super) entry: abi::keyferry_plugin,
}

/// The extension `keyferry.service/1` of a plugin.
pub(super) struct ServiceTable {
    pub(super) title: String,
    pub(super) prefixes: [&'static str; 1],
    pub(super) routes: Vec<Route>,
    /// The patterns, for people.
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

/// Reads the entry.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the plugin's path.
///
/// # Safety
/// `entry` points to such a table, as the header asks of plugins.
pub(super) unsafe fn read_entry(entry: *const abi::keyferry_plugin) -> Result<Descriptor, String> {
    // SAFETY: by this function's contract.
    let entry = unsafe {
        foreign_memory::read_table(
            entry,
            std::mem::offset_of!(abi::keyferry_plugin, struct_size),
        )
    }
    .map_err(|fault| format!("has an entry that {fault}"))?;
    // SAFETY: as above.
    let name = unsafe { foreign_memory::read_text(entry.name, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("has a name that {fault}"))?;
    if !is_valid_name(&name) {
        return Err(
            "has a name that no plugin can have: 1 to 32 lower-case letters and digits, a letter first, and no built-in service's".into()
        );
    }
    // SAFETY: as above.
    let version = unsafe { foreign_memory::read_text(entry.version, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("({name}) has a version that {fault}"))?;
    // SAFETY: as above.
    let rows = unsafe {
        foreign_memory::read_array(entry.settings, entry.setting_count as usize, MAX_SETTINGS)
    };
    let rows = rows.map_err(|fault| format!("({name}) has a list of settings that {fault}"))?;
    let mut settings: Vec<DeclaredSetting> = Vec::new();
    for (index, row) in rows.iter().enumerate() {
        // SAFETY: as above.
        let declared = unsafe { read_setting(&name, row) }
            .map_err(|fault| format!("({name}) has a setting {index} {fault}"))?;
        if settings.iter().any(|other| other.key == declared.key) {
            return Err(format!("({name}) has the setting {} twice", declared.key));
        }
        settings.push(declared);
    }
    if entry.get_extension.is_none() {
        return Err(format!(
            "({name}) has no get_extension: a plugin without any extension does nothing"
        ));
    }
    Ok(Descriptor {
        name,
        version,
        settings,
        entry,
    })
}

/// Whether a plugin may have this name. It has no underscore: `KEYFERRY_NAME_KEY` has to be split
/// again.
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

/// # Safety
/// The row's texts are as the header asks of plugins.
unsafe fn read_setting(
    name: &str,
    row: &abi::keyferry_plugin_setting,
) -> Result<DeclaredSetting, String> {
    // SAFETY: by this function's contract.
    let key = unsafe { foreign_memory::read_text(row.key, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("whose key {fault}"))?;
    if !is_valid_key(&key) {
        return Err("whose key is not 1 to 32 lower-case letters, digits and underscores, a letter first, and no _file at the end".into());
    }
    // SAFETY: as above.
    let about = unsafe { foreign_memory::read_text(row.description, MAX_LONG_TEXT_BYTES) }
        .map_err(|fault| format!("({key}) whose sentence {fault}"))?;
    let kind = match row.kind {
        abi::KEYFERRY_PLUGIN_SETTING_TEXT => DeclaredKind::Text,
        abi::KEYFERRY_PLUGIN_SETTING_SECRET => DeclaredKind::Secret,
        abi::KEYFERRY_PLUGIN_SETTING_URL => DeclaredKind::Url,
        other => return Err(format!("({key}) of the kind {other}, which does not exist")),
    };
    let fallback = match row.default_value.is_null() {
        true => None,
        // SAFETY: as above.
        false => Some(
            unsafe { foreign_memory::read_text(row.default_value, MAX_LONG_TEXT_BYTES) }
                .map_err(|fault| format!("({key}) whose default {fault}"))?,
        ),
    };
    match (kind, &fallback) {
        (DeclaredKind::Secret, Some(_)) => {
            return Err(format!(
                "({key}) that is a secret with a default: everybody would know it"
            ));
        }
        (DeclaredKind::Url, Some(url)) => drop(
            BaseUrl::parse(&key, url, &[])
                .map_err(|error| format!("whose default can't be used: {error}"))?,
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
            "({key}) whose variable {variable} is a setting of keyferry's own"
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

/// Reads the table of a service.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the plugin's name.
///
/// # Safety
/// `table` points to such a table, as the header asks of plugins.
pub(super) unsafe fn read_service(
    table: *const abi::keyferry_plugin_service,
    settings: &[DeclaredSetting],
) -> Result<ServiceTable, String> {
    // SAFETY: by this function's contract.
    let table = unsafe { foreign_memory::read_table(table, 0) }
        .map_err(|fault| format!("has a service table that {fault}"))?;
    // SAFETY: as above.
    let title = unsafe { foreign_memory::read_text(table.title, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("has a service whose title {fault}"))?;
    // SAFETY: as above.
    let prefix = unsafe { foreign_memory::read_text(table.prefix, MAX_SHORT_TEXT_BYTES) }
        .map_err(|fault| format!("has a service whose prefix {fault}"))?;
    let segments = || prefix.trim_matches('/').split('/');
    let plain = prefix
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-_.~/".contains(&byte));
    let is_prefix = prefix == "/"
        || prefix.starts_with('/')
            && prefix.ends_with('/')
            && segments().all(|part| !part.is_empty() && !part.starts_with('.'));
    if !plain || !is_prefix || title.is_empty() {
        return Err("has a service whose prefix is not like /v1/, or whose title is empty".into());
    }
    if !settings
        .iter()
        .any(|setting| setting.key == "url" && setting.kind == DeclaredKind::Url)
    {
        return Err(
            "has a service and no setting `url` that is a URL: name it in the descriptor".into(),
        );
    }
    // SAFETY: as above.
    let rows =
        unsafe { foreign_memory::read_array(table.routes, table.route_count as usize, MAX_ROUTES) };
    let rows = rows.map_err(|fault| format!("has a list of routes that {fault}"))?;
    let (mut routes, mut patterns) = (Vec::new(), Vec::new());
    for (index, row) in rows.iter().enumerate() {
        // SAFETY: as above.
        let pattern = unsafe { foreign_memory::read_text(row.pattern, MAX_LONG_TEXT_BYTES) }
            .map_err(|fault| format!("has a route {index} whose pattern {fault}"))?;
        routes.push(
            read_route(&pattern, row)
                .map_err(|fault| format!("has a route {index} ({pattern}) that {fault}"))?,
        );
        patterns.push(pattern);
    }
    if routes.is_empty() {
        return Err("has a service without routes: no path is its own".into());
    }
    let acquire = table.acquire.ok_or("has a service without `acquire`")?;
    // The table lives as long as the process, and its prefix with it.
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

/// The ABI's number for a kind of token.
pub(super) fn token_kind_number(resource_kind: ResourceKind) -> u32 {
    match resource_kind {
        ResourceKind::User => abi::KEYFERRY_PLUGIN_TOKEN_USER,
        ResourceKind::Package => abi::KEYFERRY_PLUGIN_TOKEN_ITEM,
        ResourceKind::Key => abi::KEYFERRY_PLUGIN_TOKEN_KEY,
        _ => abi::KEYFERRY_PLUGIN_TOKEN_BEARER,
    }
}

/// The ABI's number for an access.
pub(super) fn access_number(access: Access) -> u32 {
    match access {
        Access::Full => abi::KEYFERRY_PLUGIN_ACCESS_FULL,
        Access::Read => abi::KEYFERRY_PLUGIN_ACCESS_READ,
        Access::Write => abi::KEYFERRY_PLUGIN_ACCESS_WRITE,
        Access::Manage => abi::KEYFERRY_PLUGIN_ACCESS_MANAGE,
    }
}

/// Reads the table of a secret source.
///
/// # Errors
/// What is wrong with it, as the end of a sentence that begins with the plugin's name.
///
/// # Safety
/// `table` points to such a table, as the header asks of plugins.
pub(super) unsafe fn read_secret_source(
    table: *const abi::keyferry_plugin_secret_source,
) -> Result<GetSecretFunction, String> {
    // SAFETY: by this function's contract.
    let table = unsafe { foreign_memory::read_table(table, 0) }
        .map_err(|fault| format!("has a secret source's table that {fault}"))?;
    table
        .get
        .ok_or_else(|| "has a secret source without `get`".into())
}
