//! Reads settings from `config.toml`. A value is either literal or a reference, which is a table
//! such as `{ env = "X" }`.
//!
//! No error message contains a message of the TOML library. That library quotes the lines that it
//! rejects, and they may contain a password.

use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::account::check_profile_name;
use super::declared;
use super::entry::{Entry, Setting, checked_literal};
use super::layer::Layer;
use super::settings::{self, PROFILE_KEY, SETTINGS, SettingDefinition};
use super::value::{ValueFormat, check_text};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::private_file::{self, Privacy};
use crate::text;

const MAX_FILE_BYTES: usize = 256 * 1024;

/// The content of a configuration file.
pub(super) struct FileSettings {
    /// The settings of the file.
    pub(super) entries: Vec<Entry>,
    /// The profiles that the file names, including profiles without settings.
    pub(super) profiles: Vec<String>,
}

/// Reads all settings of a file.
pub(super) fn read(path: &Path) -> Result<FileSettings> {
    let file = private_file::open(path, Privacy::Public)?;
    let bytes = Zeroizing::new(private_file::read_open(&file, path, MAX_FILE_BYTES)?);
    let table = parse(path, &bytes)?;
    let mut reader = Reader {
        path,
        public: private_file::is_public(&file),
        entries: Vec::new(),
        profiles: Vec::new(),
    };
    reader.read_all(table)?;
    let is_literal_secret =
        |entry: &&Entry| entry.secret && matches!(entry.setting, Setting::Literal(_));
    if let Some(entry) = reader.entries.iter().find(is_literal_secret)
        && reader.public
    {
        let (file, key) = (path.display(), &entry.key);
        return Err(Error::new(
            ErrorKind::UnsafeFile,
            format!("{file} contains {key} and other users can read it; run `chmod 600 {file}`"),
        ));
    }
    Ok(FileSettings {
        entries: reader.entries,
        profiles: reader.profiles,
    })
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Table> {
    let file = path.display();
    let text = text::decode(bytes).map_err(|fault| {
        let message = format!("{file} {}; save it as UTF-8", fault.reason());
        Error::new(ErrorKind::Config, message)
    })?;
    text.parse::<Table>()
        .map_err(|error| toml_error(path, text.as_bytes(), error.span()))
}

/// Returns the error for a file that is not valid TOML. `span` is the place of the fault. The
/// message names the line and column but quotes nothing, because the file may contain secrets.
pub fn toml_error(path: &Path, bytes: &[u8], span: Option<Range<usize>>) -> Error {
    let file = path.display();
    let before = &bytes[..span.map_or(0, |span| span.start.min(bytes.len()))];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let column = before
        .iter()
        .rev()
        .take_while(|byte| **byte != b'\n')
        .count()
        + 1;
    Error::new(
        ErrorKind::Config,
        format!(
            "{file} is not valid TOML at line {line}, column {column}; check for missing quotes and repeated keys"
        ),
    )
}

struct Reader<'a> {
    path: &'a Path,
    public: bool,
    entries: Vec<Entry>,
    profiles: Vec<String>,
}

impl Reader<'_> {
    fn reject<T>(&self, message: &str) -> Result<T> {
        Err(Error::new(
            ErrorKind::Config,
            format!("{}: {message}", self.path.display()),
        ))
    }

    /// Reads the settings outside profiles, then the profiles.
    fn read_all(&mut self, mut table: Table) -> Result<()> {
        let profiles = table.remove(PROFILE_KEY);
        self.read_section(None, "", table)?;
        match profiles {
            None => Ok(()),
            Some(Value::Table(profiles)) => profiles
                .into_iter()
                .try_for_each(|(name, value)| self.read_profile(name, value)),
            Some(_) => self.reject(
                "profile is not a table; write each profile as a section [profile.NAME], and select the default account with the environment variable KEYFERRY_PROFILE",
            ),
        }
    }

    fn read_profile(&mut self, name: String, value: Value) -> Result<()> {
        check_profile_name(
            &name,
            &format!("{}: the name of a table in profile", self.path.display()),
        )?;
        let Value::Table(table) = value else {
            return self.reject(&format!(
                "profile.{name} is not a table; write a section such as [profile.{name}.masv]"
            ));
        };
        self.profiles.push(name.clone());
        self.read_section(Some(&name), "", table)
    }

    /// Reads the settings of a table. `prefix` is the first part of their keys.
    fn read_section(&mut self, account: Option<&str>, prefix: &str, table: Table) -> Result<()> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            let full_key = settings::full_key(account, &key);
            let field = SettingDefinition::find(&key)
                .filter(|field| field.key != PROFILE_KEY && !name.contains('.'));
            let below = format!("{key}.");
            if let Some(field) = field {
                let setting = self.parse_setting(field, &full_key, value)?;
                self.entries.push(Entry::new(
                    account.map(str::to_owned),
                    field,
                    Layer::File(self.path.to_owned()),
                    setting,
                ));
            } else if !name.contains('.')
                && SETTINGS.iter().any(|field| field.key.starts_with(&below))
            {
                let Value::Table(table) = value else {
                    return self.reject(&format!("{full_key} is not a table; write [{full_key}]"));
                };
                self.read_section(account, &below, table)?;
            } else if let Value::Table(table) = value
                && prefix.is_empty()
                && declared::is_plugin_section(&name)
            {
                self.read_plugin_section(account, &name, table)?;
            } else {
                return Err(settings::unknown_key(Some(self.path), &full_key));
            }
        }
        Ok(())
    }

    /// Reads the settings of a section that may belong to a plugin. Plugins are loaded later.
    fn read_plugin_section(
        &mut self,
        account: Option<&str>,
        section: &str,
        table: Table,
    ) -> Result<()> {
        for (name, value) in table {
            let key = format!("{section}.{name}");
            let full_key = settings::full_key(account, &key);
            if !declared::is_plugin_key(&key) {
                return Err(settings::unknown_key(Some(self.path), &full_key));
            }
            let setting = match value {
                Value::String(text) => {
                    check_text(
                        ErrorKind::Config,
                        &format!("{}: {full_key}", self.path.display()),
                        &text,
                    )?;
                    Setting::Literal(Secret::new(text))
                }
                Value::Table(table) => self.parse_reference(&full_key, table)?,
                _ => return self.reject(&format!("{full_key} is not a string; put it in quotes")),
            };
            let (account, layer) = (
                account.map(str::to_owned),
                Layer::File(self.path.to_owned()),
            );
            self.entries.push(Entry {
                account,
                key: key.into(),
                secret: false,
                public: self.public,
                layer,
                setting,
            });
        }
        Ok(())
    }

    fn parse_setting(
        &self,
        field: &'static SettingDefinition,
        full_key: &str,
        value: Value,
    ) -> Result<Setting> {
        let subject = format!("{}: {full_key}", self.path.display());
        let is_number = field.format == ValueFormat::Milliseconds;
        match value {
            Value::String(text) if !is_number => {
                checked_literal(field, ErrorKind::Config, &subject, Secret::new(text))
            }
            Value::Integer(count) if is_number => checked_literal(
                field,
                ErrorKind::Config,
                &subject,
                Secret::new(count.to_string()),
            ),
            Value::Table(_) if !field.takes_reference() => self.reject(&format!(
                "{full_key} is not a secret, so it cannot be a table such as {{ env = \"NAME\" }}; write the value itself"
            )),
            Value::Table(table) => self.parse_reference(full_key, table),
            Value::Float(_) if is_number => self.reject(&format!(
                "{full_key} is not a whole number; write a number such as 30000"
            )),
            _ if is_number => self.reject(&format!(
                "{full_key} is not a number; write a number without quotes"
            )),
            _ => self.reject(&format!("{full_key} is not a string; put it in quotes")),
        }
    }

    /// Parses a reference such as `{ env = "NAME" }`.
    fn parse_reference(&self, full_key: &str, table: Table) -> Result<Setting> {
        let mut pairs = table.into_iter();
        let (Some((source, value)), None) = (pairs.next(), pairs.next()) else {
            return self.reject(&format!(
                "{full_key} is not a valid reference; write exactly one of env, file, keyring, command and plugin"
            ));
        };
        let is_single = value.is_str();
        let texts = texts(value);
        if let Some(texts) = &texts {
            let subject = format!("{}: {full_key}.{source}", self.path.display());
            let is_known_source = matches!(
                source.as_str(),
                "env" | "file" | "keyring" | "command" | "plugin"
            );
            texts
                .iter()
                .filter(|_| is_known_source)
                .try_for_each(|text| check_text(ErrorKind::Config, &subject, text))?;
        }
        let absolute = |path: &str| Path::new(path).is_absolute();
        match (source.as_str(), texts.as_deref()) {
            ("env", Some([name])) if is_single && is_variable_name(name) => Ok(Setting::Env(name.clone())),
            ("env", _) => self.reject(&format!("{full_key}.env is not the name of an environment variable; write {{ env = \"NAME\" }}")),
            ("file", Some([path])) if is_single && absolute(path) => Ok(Setting::File(PathBuf::from(path))),
            ("file", _) => self.reject(&format!("{full_key}.file is not an absolute path; write {{ file = \"/path\" }}")),
            ("keyring", Some([service, account])) => Ok(Setting::Keyring(service.clone(), account.clone())),
            ("keyring", _) => {
                self.reject(&format!("{full_key}.keyring is not a list of two strings; write {{ keyring = [\"SERVICE\", \"ACCOUNT\"] }}"))
            }
            ("command", Some([program, ..])) if !is_single && absolute(program) => Ok(Setting::Command(texts.unwrap_or_default())),
            ("command", _) => self.reject(&format!(
                "{full_key}.command is not a list that begins with an absolute path; write {{ command = [\"/path\", \"argument\"] }}"
            )),
            ("plugin", Some([plugin, what])) if declared::is_plugin_section(plugin) => Ok(Setting::Plugin(plugin.clone(), what.clone())),
            ("plugin", _) => {
                self.reject(&format!("{full_key}.plugin is not a list of two strings that begins with the name of a plugin; write {{ plugin = [\"NAME\", \"SECRET\"] }}"))
            }
            _ => self.reject(&format!("{full_key} is not a valid reference; write exactly one of env, file, keyring, command and plugin")),
        }
    }
}

/// Returns a string or a list of strings as a list.
fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values
            .into_iter()
            .map(|value| {
                if let Value::String(text) = value {
                    Some(text)
                } else {
                    None
                }
            })
            .collect(),
        _ => None,
    }
}

fn is_variable_name(name: &str) -> bool {
    let start = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    start
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
