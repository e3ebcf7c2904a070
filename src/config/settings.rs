//! The table of all settings: their keys, environment variables, defaults and descriptions.
//!
//! The table in docs/configuration.md, `keyferry config` and error messages use [`SETTINGS`]. To
//! add a setting, add an entry here.

use std::path::Path;

use super::value::ValueFormat;
use crate::error::{Error, ErrorKind, Result};
use crate::model::nearest::nearest_name;

/// The definition of a setting.
pub struct SettingDefinition {
    /// The key, such as `masv.api_key`.
    pub key: &'static str,
    /// The environment variables. keyferry uses the first variable that is set.
    pub env: &'static [&'static str],
    /// Whether the setting is a secret. Secrets are never printed, and may be set with a `_FILE`
    /// variable.
    pub secret: bool,
    /// The default.
    pub default: Option<&'static str>,
    /// A description for the settings table and `keyferry config`.
    pub about: &'static str,
    /// The format of the value.
    pub format: ValueFormat,
}

/// The key that selects the default account.
pub const PROFILE_KEY: &str = "profile";

/// Every setting.
pub static SETTINGS: &[SettingDefinition] = &[
    SettingDefinition {
        key: "masv.url",
        env: &["KEYFERRY_MASV_URL", "MASV_BASE_URL"],
        secret: false,
        default: Some("https://api.massive.app"),
        about: "The base URL of MASV cloud.",
        format: ValueFormat::Url,
    },
    SettingDefinition {
        key: "masv.api_key",
        env: &["KEYFERRY_MASV_API_KEY", "MASV_API_KEY"],
        secret: true,
        default: None,
        about: "The MASV API key.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "masv.email",
        env: &["KEYFERRY_MASV_EMAIL"],
        secret: false,
        default: None,
        about: "The e-mail address for the MASV login.",
        format: ValueFormat::Login,
    },
    SettingDefinition {
        key: "masv.password",
        env: &["KEYFERRY_MASV_PASSWORD"],
        secret: true,
        default: None,
        about: "The password for the MASV login.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "masv.team",
        env: &["KEYFERRY_MASV_TEAM", "MASV_TEAM_ID"],
        secret: false,
        default: None,
        about: "The ID or subdomain of the MASV team. If unset: the team in the login response, or the only team of the user.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "agent.url",
        env: &["KEYFERRY_AGENT_URL"],
        secret: false,
        default: Some("http://localhost:8080"),
        about: "The base URL of MASV Agent.",
        format: ValueFormat::Url,
    },
    SettingDefinition {
        key: "fileverbs.url",
        env: &["KEYFERRY_FILEVERBS_URL"],
        secret: false,
        default: Some("https://api.fileverbs.com"),
        about: "The base URL of FileVerbs.",
        format: ValueFormat::Url,
    },
    SettingDefinition {
        key: "fileverbs.secret_key",
        env: &["KEYFERRY_FILEVERBS_SECRET_KEY"],
        secret: true,
        default: None,
        about: "The FileVerbs SecretKey (in FileVerbs: Integration, API Secret).",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "fileverbs.api_key",
        env: &["KEYFERRY_FILEVERBS_API_KEY"],
        secret: true,
        default: None,
        about: "The FileVerbs APIKey (in FileVerbs: Integration, Access Token). Bearer tokens require it in addition to the SecretKey.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "fileverbs.refresh_path",
        env: &["KEYFERRY_FILEVERBS_REFRESH_PATH"],
        secret: false,
        default: Some("/api/v1/accounts/refresh-token"),
        about: "The URL path that refreshes a FileVerbs bearer token.",
        format: ValueFormat::UrlPath,
    },
    SettingDefinition {
        key: "fileverbs.refresh_cookie",
        env: &["KEYFERRY_FILEVERBS_REFRESH_COOKIE"],
        secret: false,
        default: Some("refreshToken"),
        about: "The name of the cookie that contains the FileVerbs refresh token.",
        format: ValueFormat::CookieName,
    },
    SettingDefinition {
        key: "store",
        env: &["KEYFERRY_STORE"],
        secret: false,
        default: Some("file"),
        about: "Where tokens are stored: `file` (encrypted, in the user's state directory, shared by all programs of the user), `file:/absolute/path` (encrypted, in that directory), or `memory` (only in this process).",
        format: ValueFormat::Store,
    },
    SettingDefinition {
        key: "store_key",
        env: &["KEYFERRY_STORE_KEY"],
        secret: false,
        default: Some("file"),
        about: "Where a file store keeps its encryption key: `file` (only the user can read it) or `keyring` (every program that uses the store reads the key from the keyring when it starts). Set it before the store is created.",
        format: ValueFormat::KeyLocation,
    },
    SettingDefinition {
        key: "plugins",
        env: &["KEYFERRY_PLUGINS"],
        secret: false,
        default: None,
        about: "The plugins to load: absolute paths, separated by colons.",
        format: ValueFormat::Paths,
    },
    SettingDefinition {
        key: "http.timeout_ms",
        env: &["KEYFERRY_HTTP_TIMEOUT_MS"],
        secret: false,
        default: Some("30000"),
        about: "The time limit for a whole call, in milliseconds, from 1 to 600000.",
        format: ValueFormat::Milliseconds,
    },
    SettingDefinition {
        key: "http.ca_file",
        env: &["KEYFERRY_HTTP_CA_FILE"],
        secret: false,
        default: None,
        about: "A PEM file with CA certificates to trust in addition to the system's.",
        format: ValueFormat::Path,
    },
    SettingDefinition {
        key: "http.proxy",
        env: &["KEYFERRY_HTTP_PROXY"],
        secret: false,
        default: None,
        about: "The proxy for requests to the cloud, or `none`. If unset: the system's proxy settings. Requests to this machine never use a proxy.",
        format: ValueFormat::Proxy,
    },
    SettingDefinition {
        key: PROFILE_KEY,
        env: &["KEYFERRY_PROFILE"],
        secret: false,
        default: Some("default"),
        about: "The default account, for calls that name no account. Cannot be set in the file.",
        format: ValueFormat::AccountName,
    },
];

impl SettingDefinition {
    /// Returns the setting with this key.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|field| field.key == key)
    }

    /// Rejects an invalid value. `subject` names the setting and its source. The error message
    /// begins with it.
    ///
    /// # Errors
    /// An error of `kind` if the value is invalid.
    pub fn check(&self, kind: ErrorKind, subject: &str, value: &str) -> Result<()> {
        self.format.check(kind, subject, value)
    }

    /// Returns whether the value may be a reference in the file, or come from a variable whose name
    /// ends in `_FILE`.
    pub fn takes_reference(&self) -> bool {
        self.secret || self.format == ValueFormat::Login
    }
}

/// Returns the error for a key that does not exist. It suggests the most similar key. `file` is the
/// file that contains the key.
pub(super) fn unknown_key(file: Option<&Path>, key: &str) -> Error {
    let location = file
        .map(|path| format!("{}: ", path.display()))
        .unwrap_or_default();
    if key.len() > 80
        || !key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    {
        return Error::new(
            ErrorKind::Config,
            format!(
                "{location}there is no setting of this name; use only letters, digits, dots, dashes and underscores, at most 80"
            ),
        );
    }
    let (profile, bare) = match key
        .strip_prefix("profile.")
        .and_then(|rest| rest.split_once('.'))
    {
        Some((name, bare)) => (format!("profile.{name}."), bare),
        None => (String::new(), key),
    };
    let hint = match nearest(bare) {
        Some(PROFILE_KEY) if !profile.is_empty() => {
            "set `profile` in the environment or the program".into()
        }
        Some(nearest_key) => format!("did you mean {profile}{nearest_key}?"),
        None => "run `keyferry config` to list all settings".into(),
    };
    Error::new(
        ErrorKind::Config,
        format!("{location}there is no setting {key}; {hint}"),
    )
}

/// Returns all settings as a Markdown table.
pub fn markdown_table() -> String {
    let mut text =
        String::from("| key | environment variable | default | meaning |\n|---|---|---|---|\n");
    for field in SETTINGS {
        let variables: Vec<_> = field.env.iter().map(|name| format!("`{name}`")).collect();
        let default = field
            .default
            .map(|value| format!("`{value}`"))
            .unwrap_or_default();
        let files = if field.takes_reference() {
            "; also with `_FILE` appended"
        } else {
            ""
        };
        text += &format!(
            "| `{}` | {}{files} | {default} | {} |\n",
            field.key,
            variables.join(", else "),
            field.about
        );
    }
    text + "| `profile.NAME.KEY` | | | Any key above except `profile`, for account NAME only. |\n"
}

/// Returns the key of a setting of this account, as [`Config::set`](super::Config::set) takes it. `None`
/// is the default account.
#[doc(hidden)]
pub fn full_key(account: Option<&str>, key: &str) -> String {
    account.map_or_else(
        || key.to_owned(),
        |account| format!("profile.{account}.{key}"),
    )
}

/// Returns the key that was probably meant: one with the same last part, or else the most similar one.
fn nearest(key: &str) -> Option<&'static str> {
    let last_part = |key: &str| key.rsplit('.').next().map(str::to_owned);
    let keys: Vec<_> = SETTINGS.iter().map(|field| field.key).collect();
    let same_last_part = || keys.iter().find(|other| last_part(other) == last_part(key));
    same_last_part()
        .copied()
        .or_else(|| nearest_name(key, &keys))
}
