//! `keyferry setup git`: sets the credential helper of the services' URLs with `git config
//! --global`.
//!
//! For each URL the helper has two values, an empty one and keyferry. The empty value makes git
//! ignore the helpers that are set for all URLs. Otherwise git could ask a helper first that prompts
//! the user, and a helper that stores passwords in clear text would store keyferry's tokens.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

use super::change::{
    Change, Origin, Plan, failure, found_on_path, home_path, origins, own_program,
};
use crate::context::CliContext;
use crate::shell::quote;
use keyferry::config::without_secrets;
use keyferry::error::Result;
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::signals;

const HELPER: &str = "git-credential-keyferry";
/// The helper in git's configuration, if the helper is on PATH.
const SHORT_NAME: &str = "keyferry";
/// The services whose tokens do not depend on the path.
const WITHOUT_PATH: [&str; 1] = ["fileverbs"];
/// The exit code of `git config` if there is no such setting.
const NO_SETTING: i32 = 1;

/// The arguments of one call of `git config --global`.
type Arguments = Vec<String>;

/// Compares git's configuration with the wanted one.
///
/// # Errors
/// [`keyferry::error::ErrorKind::Config`] if git cannot be run, or if another helper is set.
pub(super) fn plan(undo: bool, context: &CliContext) -> Result<Plan> {
    // git changes a file in the home directory.
    let created = home_path(context, ".gitconfig")?;
    let settings = Settings::read()?;
    if undo {
        let done = "git no longer uses keyferry";
        let nothing = "git does not use keyferry; nothing to undo";
        let make = move |commands: Vec<Arguments>| {
            commands.iter().try_for_each(change)?;
            // git does not remove a file that it has created. If removing it fails, git ignores the
            // empty file.
            let is_empty = |path: &PathBuf| {
                fs::symlink_metadata(path).is_ok_and(|facts| facts.is_file() && facts.len() == 0)
            };
            if is_empty(&created) {
                let _ = fs::remove_file(created);
            }
            Ok(())
        };
        return Ok(plan_commands(settings.undo_commands(), done, nothing, make));
    }
    let origins = origins(context)?;
    let done = "git now uses keyferry\nto undo this: keyferry setup git --undo";
    let nothing = "git already uses keyferry; nothing to change";
    let commands = settings.setup_commands(&origins, &helper_value(context)?)?;
    let make = |commands: Vec<Arguments>| commands.iter().try_for_each(change);
    Ok(plan_commands(commands, done, nothing, make))
}

fn plan_commands(
    commands: Vec<Arguments>,
    done: &str,
    nothing: &str,
    make: impl FnOnce(Vec<Arguments>) -> Result<()> + 'static,
) -> Plan {
    if commands.is_empty() {
        return Plan::UpToDate(nothing.to_owned());
    }
    Plan::Needed(Change {
        title: "Commands to run:".to_owned(),
        lines: commands.iter().map(shown).collect(),
        make: Box::new(move || make(commands)),
        done: done.to_owned(),
    })
}

/// Returns the value of `credential.helper` that makes git start the helper beside this program.
fn helper_value(context: &CliContext) -> Result<String> {
    let helper = own_program(HELPER)?;
    if found_on_path(context, &helper).is_some() {
        return Ok(SHORT_NAME.to_owned());
    }
    let path = helper.to_str().ok_or_else(|| {
        let shown = helper.display();
        failure(format!(
            "cannot write the path {shown} into git's configuration, because it is not UTF-8; install keyferry elsewhere"
        ))
    })?;
    // git passes the value to a shell.
    Ok(if is_plain(path) {
        path.to_owned()
    } else {
        format!("!{}", quote(path))
    })
}

/// Whether a value of `credential.helper` starts keyferry.
fn is_ours(value: &str) -> bool {
    let path = value.trim_end_matches('\'');
    value == SHORT_NAME || path.ends_with(&format!("/{HELPER}"))
}

/// The settings in git's section `credential` in the user's own file, in the file's order.
struct Settings(Vec<(String, String)>);

impl Settings {
    fn read() -> Result<Self> {
        let output = run(&["--null", "--get-regexp", r"^credential\."].map(str::to_owned))?;
        if !output.status.success() && output.status.code() != Some(NO_SETTING) {
            return Err(git_failure("read", &output));
        }
        let text = String::from_utf8_lossy(&output.stdout);
        let entries = text.split_terminator('\0').map(|entry| {
            let (key, value) = entry.split_once('\n').unwrap_or((entry, ""));
            (key.to_owned(), value.to_owned())
        });
        Ok(Self(entries.collect()))
    }

    fn values(&self, key: &str) -> Vec<&str> {
        let entries = self.0.iter().filter(|(name, _)| name == key);
        entries.map(|(_, value)| value.as_str()).collect()
    }

    fn setup_commands(&self, origins: &[Origin], helper: &str) -> Result<Vec<Arguments>> {
        let mut commands = Vec::new();
        let urls: BTreeSet<_> = origins.iter().map(|origin| &origin.url).collect();
        for url in urls {
            commands.extend(self.helper_commands(url, helper)?);
            let needs_path = origins.iter().any(|origin| {
                origin.url == *url && !WITHOUT_PATH.contains(&origin.service.as_str())
            });
            if needs_path {
                commands.extend(self.path_command(url)?);
            }
        }
        Ok(commands)
    }

    fn helper_commands(&self, url: &str, helper: &str) -> Result<Vec<Arguments>> {
        let key = format!("credential.{url}.helper");
        let values = self.values(&key);
        if values.contains(&helper) {
            return Ok(Vec::new());
        }
        // The error does not quote the other helper, because it may be a command with a password.
        if values
            .iter()
            .any(|value| !value.is_empty() && !is_ours(value))
        {
            return Err(failure(format!(
                "cannot set up git: another helper is set for {url}; to remove it, run `git config --global --unset-all {key}`, then retry"
            )));
        }
        let unset = (!values.is_empty()).then(|| arguments(&["--unset-all", &key]));
        let added = ["", helper].map(|value| arguments(&["--add", &key, value]));
        Ok(unset.into_iter().chain(added).collect())
    }

    fn path_command(&self, url: &str) -> Result<Option<Arguments>> {
        let key = format!("credential.{url}.useHttpPath");
        match self.values(&path_key(url)).last() {
            None => Ok(Some(arguments(&[&key, "true"]))),
            Some(value) if is_true(value) => Ok(None),
            Some(_) => Err(failure(format!(
                "cannot set up git: {key} is false, but keyferry needs the path; to remove it, run `git config --global --unset-all {key}`, then retry"
            ))),
        }
    }

    fn undo_commands(&self) -> Vec<Arguments> {
        let urls: BTreeSet<_> = self
            .0
            .iter()
            .filter_map(|(key, _)| helper_url(key))
            .collect();
        let commands = urls.into_iter().flat_map(|url| self.undo_url(url));
        commands.collect()
    }

    /// Returns the commands that remove the settings of a URL, if [`Self::helper_commands`] made
    /// them: then the helper has an empty value, too.
    fn undo_url(&self, url: &str) -> Vec<Arguments> {
        let key = format!("credential.{url}.helper");
        let values = self.values(&key);
        let Some(helper) = values.iter().find(|value| is_ours(value)) else {
            return Vec::new();
        };
        if !values.contains(&"") {
            return Vec::new();
        }
        let has_others = values
            .iter()
            .any(|value| !value.is_empty() && !is_ours(value));
        let mut commands = if has_others {
            let remove = |value| arguments(&["--fixed-value", "--unset-all", &key, value]);
            vec![remove(helper), remove("")]
        } else {
            vec![arguments(&["--unset-all", &key])]
        };
        if self.is_path_ours(url, &key) {
            let key = format!("credential.{url}.useHttpPath");
            commands.push(arguments(&["--unset", &key]));
        }
        commands
    }

    /// Whether [`Self::path_command`] set `useHttpPath`: it then comes after the helper. One that the
    /// user had set before comes before the helper.
    fn is_path_ours(&self, url: &str, helper_key: &str) -> bool {
        let path_key = path_key(url);
        let position = |is_it: &dyn Fn(&(String, String)) -> bool| self.0.iter().position(is_it);
        let helper = position(&|(key, value)| key == helper_key && is_ours(value));
        let path = position(&|(key, _)| *key == path_key);
        self.values(&path_key).len() == 1 && path > helper
    }
}

/// Returns `credential.URL.useHttpPath` as git lists it.
fn path_key(url: &str) -> String {
    format!("credential.{url}.usehttppath")
}

/// Returns the URL in the key `credential.URL.helper`.
fn helper_url(key: &str) -> Option<&str> {
    key.strip_prefix("credential.")?.strip_suffix(".helper")
}

/// Whether git reads a value as true. A setting without a value is true, too.
fn is_true(value: &str) -> bool {
    ["", "true", "yes", "on", "1"].contains(&&*value.to_ascii_lowercase())
}

fn arguments(words: &[&str]) -> Arguments {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Returns a command as it can be pasted into a shell.
fn shown(arguments: &Arguments) -> String {
    let quoted = |word: &String| match word {
        word if is_plain(word) => word.clone(),
        word => quote(word),
    };
    let words: Vec<_> = arguments.iter().map(quoted).collect();
    format!("git config --global {}", words.join(" "))
}

/// Whether a shell reads a word as it is.
fn is_plain(word: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:".contains(c);
    !word.is_empty() && word.chars().all(is_plain)
}

fn change(arguments: &Arguments) -> Result<()> {
    let output = run(arguments)?;
    if output.status.success() {
        Ok(())
    } else {
        Err(git_failure("change", &output))
    }
}

fn run(arguments: &[String]) -> Result<Output> {
    let mut command = Command::new("git");
    command.args(["config", "--global"]).args(arguments);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let output =
        signals::spawn(without_secrets(&mut command)).and_then(|child| child.wait_with_output());
    output.map_err(|error| {
        let reason = io_cause::explain(&error, Subject::Program);
        failure(format!("cannot run git: {reason}"))
    })
}

fn git_failure(action: &str, output: &Output) -> keyferry::error::Error {
    let text = String::from_utf8_lossy(&output.stderr);
    let reason = text.lines().next().unwrap_or("git gave no reason");
    failure(format!("cannot {action} git's configuration: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://api.massive.app";

    fn settings(entries: &[(&str, &str)]) -> Settings {
        let entry = |(name, value): &(&str, &str)| {
            (format!("credential.{URL}.{name}"), (*value).to_owned())
        };
        Settings(entries.iter().map(entry).collect())
    }

    fn lines(commands: Vec<Arguments>) -> Vec<String> {
        let line =
            |arguments: &Arguments| shown(arguments).replace(&format!("credential.{URL}."), "");
        commands.iter().map(line).collect()
    }

    #[test]
    fn undo_removes_only_what_setup_added() {
        for (entries, commands) in [
            (&[][..], &[][..]),
            (&[("helper", "store")], &[]),
            // The user's own setting, from before.
            (&[("helper", "keyferry")], &[]),
            (
                &[
                    ("helper", ""),
                    ("helper", "keyferry"),
                    ("usehttppath", "true"),
                ],
                &["--unset-all helper", "--unset useHttpPath"],
            ),
            (
                &[
                    ("usehttppath", "true"),
                    ("helper", ""),
                    ("helper", "keyferry"),
                ],
                &["--unset-all helper"],
            ),
            (
                &[
                    ("helper", ""),
                    ("helper", "!'/a b/git-credential-keyferry'"),
                    ("helper", "store"),
                ],
                &[
                    r"--fixed-value --unset-all helper '!'\''/a b/git-credential-keyferry'\'''",
                    "--fixed-value --unset-all helper ''",
                ],
            ),
        ] {
            let expected: Vec<_> = commands
                .iter()
                .map(|one| format!("git config --global {one}"))
                .collect();
            assert_eq!(
                lines(settings(entries).undo_commands()),
                expected,
                "{entries:?}"
            );
        }
    }
}
