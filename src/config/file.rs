//! Settings from `config.toml`: literals, and references as tables.
//!
//! No text of the TOML library gets into a message: it quotes the lines it does not like, and those
//! may hold a password.

use std::path::{Path, PathBuf};

use toml::{Table, Value};
use zeroize::Zeroizing;

use super::{Config, Entry, FIELDS, Field, Layer, PROFILE, Setting, Shape, check_text, declared, fields, literal};
use crate::error::{Error, ErrorKind, Result};
use crate::secret::Secret;
use crate::sys::private_file::{self, Privacy};

const LONGEST_BYTES: usize = 256 * 1024;

/// Takes over all settings of a file.
pub(super) fn read(path: &Path, config: &mut Config) -> Result<()> {
    let file = private_file::open(path, Privacy::Public)?;
    let bytes = Zeroizing::new(private_file::read_open(&file, path, LONGEST_BYTES)?);
    let table = parse(path, &bytes)?;
    let mut reader = Reader { path, public: private_file::is_public(&file), entries: Vec::new(), profiles: Vec::new() };
    reader.general(table)?;
    let is_literal_secret = |entry: &&Entry| entry.secret && matches!(entry.setting, Setting::Literal(_));
    if let Some(entry) = reader.entries.iter().find(is_literal_secret)
        && reader.public
    {
        let (shown, key) = (path.display(), &entry.key);
        return Err(Error::new(ErrorKind::UnsafeFile, format!("{shown} holds {key} and can be read by others: chmod 600 {shown}")));
    }
    config.profiles.extend(reader.profiles);
    reader.entries.into_iter().for_each(|entry| config.put(entry));
    Ok(())
}

fn parse(path: &Path, bytes: &[u8]) -> Result<Table> {
    let shown = path.display();
    let refuse = |what: String| Error::new(ErrorKind::Config, what);
    let text = str::from_utf8(bytes).map_err(|_| refuse(format!("{shown} is not UTF-8")))?;
    text.parse::<Table>().map_err(|error| {
        let before = &bytes[..error.span().map_or(0, |span| span.start.min(bytes.len()))];
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|byte| **byte != b'\n').count() + 1;
        refuse(format!("{shown} is not TOML at line {line}, column {column}: put texts into quotes, and write each key once"))
    })
}

struct Reader<'a> {
    path: &'a Path,
    public: bool,
    entries: Vec<Entry>,
    profiles: Vec<String>,
}

impl Reader<'_> {
    fn refuse<T>(&self, what: &str) -> Result<T> {
        Err(Error::new(ErrorKind::Config, format!("{}: {what}", self.path.display())))
    }

    /// The settings outside profiles, then the profiles.
    fn general(&mut self, mut table: Table) -> Result<()> {
        let profiles = table.remove(PROFILE);
        self.section(None, "", table)?;
        match profiles {
            None => Ok(()),
            Some(Value::Table(profiles)) => profiles.into_iter().try_for_each(|(name, value)| self.profile(name, value)),
            Some(_) => self.refuse("profile is a table of profiles here: choose the default one with KEYFERRY_PROFILE"),
        }
    }

    fn profile(&mut self, name: String, value: Value) -> Result<()> {
        super::check_profile(&name, &format!("{}: a table in profile", self.path.display()))?;
        let Value::Table(table) = value else {
            return self.refuse(&format!("profile.{name} is not a table: write [profile.{name}.masv]"));
        };
        self.profiles.push(name.clone());
        self.section(Some(&name), "", table)
    }

    /// The settings of a table whose keys begin with `prefix`.
    fn section(&mut self, account: Option<&str>, prefix: &str, table: Table) -> Result<()> {
        for (name, value) in table {
            let key = format!("{prefix}{name}");
            let shown = account.map_or_else(|| key.clone(), |account| format!("profile.{account}.{key}"));
            let field = Field::find(&key).filter(|field| field.key != PROFILE && !name.contains('.'));
            let below = format!("{key}.");
            if let Some(field) = field {
                let setting = self.setting(field, &shown, value)?;
                self.entries.push(Entry::new(account.map(str::to_owned), field, Layer::File(self.path.to_owned()), setting));
            } else if !name.contains('.') && FIELDS.iter().any(|field| field.key.starts_with(&below)) {
                let Value::Table(table) = value else {
                    return self.refuse(&format!("{shown} is not a table: write [{shown}]"));
                };
                self.section(account, &below, table)?;
            } else if let Value::Table(table) = value
                && prefix.is_empty()
                && declared::is_section(&name)
            {
                self.plugins_section(account, &name, table)?;
            } else {
                return Err(fields::unknown(Some(self.path), &shown));
            }
        }
        Ok(())
    }

    /// What may be the settings of a plugin, which is not there yet.
    fn plugins_section(&mut self, account: Option<&str>, section: &str, table: Table) -> Result<()> {
        for (name, value) in table {
            let key = format!("{section}.{name}");
            let shown = account.map_or_else(|| key.clone(), |account| format!("profile.{account}.{key}"));
            if !declared::is_key(&key) {
                return Err(fields::unknown(Some(self.path), &shown));
            }
            let setting = match value {
                Value::String(text) => {
                    check_text(ErrorKind::Config, &format!("{}: {shown}", self.path.display()), &text)?;
                    Setting::Literal(Secret::new(text))
                }
                Value::Table(table) => self.reference(&shown, table)?,
                _ => return self.refuse(&format!("{shown} is not a text: put it into quotes")),
            };
            let (account, layer) = (account.map(str::to_owned), Layer::File(self.path.to_owned()));
            self.entries.push(Entry { account, key: key.into(), secret: false, public: self.public, layer, setting });
        }
        Ok(())
    }

    fn setting(&self, field: &'static Field, shown: &str, value: Value) -> Result<Setting> {
        let whence = format!("{}: {shown}", self.path.display());
        let number = field.shape == Shape::Milliseconds;
        match value {
            Value::String(text) if !number => literal(field, ErrorKind::Config, &whence, Secret::new(text)),
            Value::Integer(count) if number => literal(field, ErrorKind::Config, &whence, Secret::new(count.to_string())),
            Value::Table(_) if !field.takes_reference() => {
                self.refuse(&format!("{shown} is no secret and takes no reference: write its value"))
            }
            Value::Table(table) => self.reference(shown, table),
            Value::Float(_) if number => self.refuse(&format!("{shown} is not a whole number: write it like 30000")),
            _ if number => self.refuse(&format!("{shown} is not a number: write it without quotes")),
            _ => self.refuse(&format!("{shown} is not a text: put it into quotes")),
        }
    }

    /// `{ env = "NAME" }` and its kin.
    fn reference(&self, shown: &str, table: Table) -> Result<Setting> {
        let mut pairs = table.into_iter();
        let (Some((source, value)), None) = (pairs.next(), pairs.next()) else {
            return self.refuse(&format!("{shown} needs exactly one of env, file, keyring, command and plugin"));
        };
        let alone = value.is_str();
        let texts = texts(value);
        if let Some(texts) = &texts {
            let whence = format!("{}: {shown}.{source}", self.path.display());
            let known = matches!(source.as_str(), "env" | "file" | "keyring" | "command" | "plugin");
            texts.iter().filter(|_| known).try_for_each(|text| check_text(ErrorKind::Config, &whence, text))?;
        }
        let absolute = |path: &str| Path::new(path).is_absolute();
        match (source.as_str(), texts.as_deref()) {
            ("env", Some([name])) if alone && is_variable(name) => Ok(Setting::Env(name.clone())),
            ("env", _) => self.refuse(&format!("{shown}.env is not the name of a variable: write {{ env = \"NAME\" }}")),
            ("file", Some([path])) if alone && absolute(path) => Ok(Setting::File(PathBuf::from(path))),
            ("file", _) => self.refuse(&format!("{shown}.file is not an absolute path: write {{ file = \"/path\" }}")),
            ("keyring", Some([service, account])) => Ok(Setting::Keyring(service.clone(), account.clone())),
            ("keyring", _) => self.refuse(&format!("{shown}.keyring is not two texts: write {{ keyring = [\"SERVICE\", \"ACCOUNT\"] }}")),
            ("command", Some([program, ..])) if !alone && absolute(program) => Ok(Setting::Command(texts.unwrap_or_default())),
            ("command", _) => self
                .refuse(&format!("{shown}.command does not begin with an absolute path: write {{ command = [\"/path\", \"argument\"] }}")),
            ("plugin", Some([plugin, what])) if declared::is_section(plugin) => Ok(Setting::Plugin(plugin.clone(), what.clone())),
            ("plugin", _) => {
                self.refuse(&format!("{shown}.plugin is not a plugin's name and a text: write {{ plugin = [\"NAME\", \"WHAT\"] }}"))
            }
            _ => self.refuse(&format!("{shown} needs exactly one of env, file, keyring, command and plugin")),
        }
    }
}

/// A text or a list of texts.
fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => values.into_iter().map(|value| if let Value::String(text) = value { Some(text) } else { None }).collect(),
        _ => None,
    }
}

fn is_variable(name: &str) -> bool {
    let start = name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    start && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}
