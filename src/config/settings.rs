//! Every setting there is: the one place where keys, variables, defaults and meanings are written
//! down.
//!
//! The README's table, `keyferry config` and the texts of errors come from [`SETTINGS`]; a new
//! setting is one entry here.

use std::path::Path;

use super::value::ValueFormat;
use crate::error::{Error, ErrorKind, Result};

/// One setting that exists: its key, variables, default and meaning.
pub struct SettingDefinition {
    /// `masv.api_key`
    pub key: &'static str,
    /// Its variables, the first one that is set counts.
    pub env: &'static [&'static str],
    /// Whether it is a secret: never shown, and `_FILE` works.
    pub secret: bool,
    /// The default.
    pub default: Option<&'static str>,
    /// What it is, one sentence.
    pub about: &'static str,
    /// The format of its value.
    pub format: ValueFormat,
}

/// The key that picks the default account.
pub const PROFILE_KEY: &str = "profile";

/// Every setting.
pub static SETTINGS: &[SettingDefinition] = &[
    SettingDefinition {
        key: "masv.url",
        env: &["KEYFERRY_MASV_URL", "MASV_BASE_URL"],
        secret: false,
        default: Some("https://api.massive.app"),
        about: "Where MASV cloud is.",
        format: ValueFormat::Url,
    },
    SettingDefinition {
        key: "masv.api_key",
        env: &["KEYFERRY_MASV_API_KEY", "MASV_API_KEY"],
        secret: true,
        default: None,
        about: "An API key of MASV.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "masv.email",
        env: &["KEYFERRY_MASV_EMAIL"],
        secret: false,
        default: None,
        about: "The e-mail address that logs in to MASV.",
        format: ValueFormat::Login,
    },
    SettingDefinition {
        key: "masv.password",
        env: &["KEYFERRY_MASV_PASSWORD"],
        secret: true,
        default: None,
        about: "Its password.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "masv.team",
        env: &["KEYFERRY_MASV_TEAM", "MASV_TEAM_ID"],
        secret: false,
        default: None,
        about: "The team's id or subdomain; without it the login answer tells, or the list of teams if it has just one.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "agent.url",
        env: &["KEYFERRY_AGENT_URL"],
        secret: false,
        default: Some("http://localhost:8080"),
        about: "Where MASV Agent is.",
        format: ValueFormat::Url,
    },
    SettingDefinition {
        key: "fileverbs.url",
        env: &["KEYFERRY_FILEVERBS_URL"],
        secret: false,
        default: Some("https://api.fileverbs.com"),
        about: "Where FileVerbs is.",
        format: ValueFormat::Url,
    },
    SettingDefinition {
        key: "fileverbs.secret_key",
        env: &["KEYFERRY_FILEVERBS_SECRET_KEY"],
        secret: true,
        default: None,
        about: "The SecretKey of FileVerbs (Integration, API Secret).",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "fileverbs.api_key",
        env: &["KEYFERRY_FILEVERBS_API_KEY"],
        secret: true,
        default: None,
        about: "The APIKey of FileVerbs (Integration, Access Token), which a bearer token needs too.",
        format: ValueFormat::Text,
    },
    SettingDefinition {
        key: "fileverbs.refresh_path",
        env: &["KEYFERRY_FILEVERBS_REFRESH_PATH"],
        secret: false,
        default: Some("/api/v1/accounts/refresh-token"),
        about: "The route that renews a bearer token.",
        format: ValueFormat::UrlPath,
    },
    SettingDefinition {
        key: "fileverbs.refresh_cookie",
        env: &["KEYFERRY_FILEVERBS_REFRESH_COOKIE"],
        secret: false,
        default: Some("refreshToken"),
        about: "The cookie that the refresh token travels in.",
        format: ValueFormat::CookieName,
    },
    SettingDefinition {
        key: "store",
        env: &["KEYFERRY_STORE"],
        secret: false,
        default: Some("file"),
        about: "Where tokens are kept: `file` (sealed, in the user's state folder, for all programs), `file:/absolute/path`, or `memory`.",
        format: ValueFormat::Store,
    },
    SettingDefinition {
        key: "store_key",
        env: &["KEYFERRY_STORE_KEY"],
        secret: false,
        default: Some("file"),
        about: "Where the key of a file store is, from when it is made: `file` (which nobody else can read), or `keyring`, which every program asks at its start.",
        format: ValueFormat::KeyLocation,
    },
    SettingDefinition {
        key: "plugins",
        env: &["KEYFERRY_PLUGINS"],
        secret: false,
        default: None,
        about: "Plugins to load: absolute paths with colons between them.",
        format: ValueFormat::Paths,
    },
    SettingDefinition {
        key: "http.timeout_ms",
        env: &["KEYFERRY_HTTP_TIMEOUT_MS"],
        secret: false,
        default: Some("30000"),
        about: "How long a call may take in all, 1 to 600000 milliseconds.",
        format: ValueFormat::Milliseconds,
    },
    SettingDefinition {
        key: "http.ca_file",
        env: &["KEYFERRY_HTTP_CA_FILE"],
        secret: false,
        default: None,
        about: "A PEM file of certificates to trust beside the system's.",
        format: ValueFormat::Path,
    },
    SettingDefinition {
        key: "http.proxy",
        env: &["KEYFERRY_HTTP_PROXY"],
        secret: false,
        default: None,
        about: "The proxy to cloud hosts, or `none`; without it the system's. Never used for this machine.",
        format: ValueFormat::Proxy,
    },
    SettingDefinition {
        key: PROFILE_KEY,
        env: &["KEYFERRY_PROFILE"],
        secret: false,
        default: Some("default"),
        about: "The account where a call names none; from the environment or the program only.",
        format: ValueFormat::AccountName,
    },
];

impl SettingDefinition {
    /// The setting of a key.
    pub fn find(key: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|field| field.key == key)
    }

    /// Rejects a value that can't be right. `subject` begins the message: it names the setting and
    /// where it was found.
    ///
    /// # Errors
    /// `kind`, without the value.
    pub fn check(&self, kind: ErrorKind, subject: &str, value: &str) -> Result<()> {
        self.format.check(kind, subject, value)
    }

    /// Whether the value may come from somewhere else: a reference in the file, a variable with
    /// `_FILE` at its end.
    pub fn takes_reference(&self) -> bool {
        self.secret || self.format == ValueFormat::Login
    }
}

/// The error for a key that does not exist, with the nearest one that does. `file` is the file it
/// stands in.
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
            format!("{location}there is a setting whose name no setting can have"),
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
            "a profile chooses no other one, set `profile` outside of it".into()
        }
        Some(nearest_key) => format!("did you mean {profile}{nearest_key}?"),
        None => "`keyferry config` lists those there are".into(),
    };
    Error::new(
        ErrorKind::Config,
        format!("{location}there is no setting {key}: {hint}"),
    )
}

/// All settings as a table in Markdown, for people.
pub fn markdown_table() -> String {
    let mut text =
        String::from("| key | environment | default | what it is |\n|---|---|---|---|\n");
    for field in SETTINGS {
        let variables: Vec<_> = field.env.iter().map(|name| format!("`{name}`")).collect();
        let default = field
            .default
            .map(|value| format!("`{value}`"))
            .unwrap_or_default();
        let files = if field.takes_reference() {
            " Also with `_FILE`."
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
    text + "| `profile.NAME.KEY` | | | Any key above but `profile`, for the account NAME alone. |\n"
}

/// The known key that is most like this one, if one is near.
fn nearest(key: &str) -> Option<&'static str> {
    let last = |key: &'static str| key.rsplit('.').next().unwrap_or(key);
    let nearest_key = SETTINGS
        .iter()
        .map(|field| (distance(key, field.key), field.key))
        .min()?;
    if nearest_key.0 <= 2.max(nearest_key.1.len() / 4) {
        return Some(nearest_key.1);
    }
    SETTINGS
        .iter()
        .map(|field| field.key)
        .find(|other| last(other) == key.rsplit('.').next().unwrap_or(key))
}

/// The edit distance: how many bytes have to be changed, added or removed.
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.bytes().enumerate() {
            let change = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = change.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}
