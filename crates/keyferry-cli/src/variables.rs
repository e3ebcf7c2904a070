//! The environment variables that begin with `KEYFERRY_`, and the warning for unknown ones.
//!
//! The variables of settings are in [`SETTINGS`], those of plugins in the plugins. All others are
//! in [`OTHER_VARIABLES`].

use std::collections::BTreeSet;

use crate::context::CliContext;
use crate::log_output::{self, collect_warnings};
use keyferry::config::SETTINGS;
use keyferry::model::nearest::nearest_name;

/// The prefix of the variables that belong to keyferry.
pub const PREFIX: &str = "KEYFERRY_";

/// A variable that is not a setting.
pub struct Variable {
    /// The name.
    pub name: &'static str,
    /// Its purpose, as docs/configuration.md describes it.
    pub about: &'static str,
}

/// Every variable that begins with [`PREFIX`] and is not a setting.
pub const OTHER_VARIABLES: [Variable; 6] = [
    Variable {
        name: log_output::VARIABLE,
        about: "The most detailed messages that the commands print on standard error: `error`, `warn` (the default), `info` or `debug`. `debug` prints each request to a service.",
    },
    Variable {
        name: "KEYFERRY_SANDBOX_PID",
        about: "The process of a running `keyferry sandbox`, which prints this variable. keyferry does not read it.",
    },
    Variable {
        name: "KEYFERRY_LIBRARY",
        about: "The path of the library that the Python and Node packages take when they are built.",
    },
    Variable {
        name: "KEYFERRY_PROGRAMS",
        about: "The directory of the programs that the Python and Node packages take when they are built.",
    },
    Variable {
        name: "KEYFERRY_UPDATE",
        about: "For the tests of keyferry: writes generated files instead of comparing them.",
    },
    Variable {
        name: "KEYFERRY_ADVISORY_DB",
        about: "For the checks of keyferry: the directory of the advisory database.",
    },
];

/// Returns a warning for each of these variables that neither keyferry nor one of its plugins
/// declares, with the nearest name.
///
/// Returns none if the configuration or a plugin cannot be loaded: the variable may belong to it,
/// and the command reports that failure.
pub fn warnings(names: &[String], context: &CliContext) -> Vec<String> {
    let unknown: Vec<_> = names.iter().filter(|name| !is_own(name)).collect();
    if unknown.is_empty() {
        return Vec::new();
    }
    let known = own_names();
    let Some(declared) = plugin_names(context) else {
        return Vec::new();
    };
    let known: Vec<_> = known.iter().chain(&declared).map(String::as_str).collect();
    let unknown = unknown
        .iter()
        .filter(|name| !known.contains(&name.as_str()));
    unknown.map(|name| warning(name, &known)).collect()
}

fn warning(name: &str, known: &[&str]) -> String {
    // The prefix is left out, because names are compared in relation to their length.
    let words: Vec<_> = known
        .iter()
        .filter_map(|name| name.strip_prefix(PREFIX))
        .collect();
    let hint = match nearest_name(name.strip_prefix(PREFIX).unwrap_or(name), &words) {
        Some(nearest) => format!("did you mean {PREFIX}{nearest}?"),
        None => "unset it, or load the plugin that it belongs to; docs/configuration.md lists the variables".to_owned(),
    };
    format!("keyferry has no variable {name}; {hint}")
}

/// Returns whether a variable is one of keyferry's own.
pub fn is_own(name: &str) -> bool {
    let referred = name.strip_suffix("_FILE").unwrap_or_default();
    OTHER_VARIABLES.iter().any(|variable| variable.name == name)
        || SETTINGS.iter().any(|setting| {
            setting.env.contains(&name)
                || setting.takes_reference() && setting.env.contains(&referred)
        })
}

/// Returns the names of keyferry's own variables.
fn own_names() -> BTreeSet<String> {
    let others = OTHER_VARIABLES
        .iter()
        .map(|variable| variable.name.to_owned());
    let settings = SETTINGS.iter().flat_map(|setting| {
        let names = setting.env.iter().filter(|name| name.starts_with(PREFIX));
        names.flat_map(|name| {
            let file = setting.takes_reference().then(|| format!("{name}_FILE"));
            [Some((*name).to_owned()), file]
        })
    });
    others.chain(settings.flatten()).collect()
}

/// Returns the names of the variables that the plugins of all profiles declare. `None` if one of
/// them cannot be loaded.
fn plugin_names(context: &CliContext) -> Option<BTreeSet<String>> {
    let config = context.load_config().ok()?;
    let mut names = BTreeSet::new();
    for account in config.accounts() {
        // The command reports a plugin that cannot be loaded.
        let (loaded, _) = collect_warnings(|| context.load_plugins(config.clone(), Some(&account)));
        let (plugins, _) = loaded
            .ok()
            .filter(|(plugins, _)| plugins.faults.is_empty())?;
        let settings = plugins
            .instances
            .iter()
            .flat_map(|instance| &instance.plugin().settings);
        for setting in settings {
            names.insert(format!("{}_FILE", setting.variable));
            names.insert(setting.variable.clone());
        }
    }
    Some(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_variable_is_known_and_described_in_the_documentation() {
        let known = own_names();
        for name in [
            "KEYFERRY_STORE",
            "KEYFERRY_MASV_PASSWORD_FILE",
            "KEYFERRY_LOG",
        ] {
            assert!(known.contains(name), "{name}");
        }
        assert!(!known.contains("KEYFERRY_STORE_FILE"));
        let known_ones = known.iter().map(String::as_str);
        for name in known_ones.chain(["KEYFERRY_STORE_FILE", "KEYFERRY_", "KEYFERRY_LOG_FILE"]) {
            assert_eq!(is_own(name), known.contains(name), "{name}");
        }
        let page = include_str!("../../../docs/configuration.md");
        for Variable { name, about } in OTHER_VARIABLES {
            let row = format!("| `{name}` | {about} |");
            assert!(page.contains(&row), "add to docs/configuration.md: {row}");
        }
    }

    #[test]
    fn the_nearest_name_is_told() {
        let known = ["KEYFERRY_MASV_PASSWORD", "KEYFERRY_STORE"];
        assert_eq!(
            warning("KEYFERRY_MASV_PASWORD", &known),
            "keyferry has no variable KEYFERRY_MASV_PASWORD; did you mean KEYFERRY_MASV_PASSWORD?"
        );
        assert_eq!(
            warning("KEYFERRY_OTHER", &known),
            "keyferry has no variable KEYFERRY_OTHER; unset it, or load the plugin that it belongs to; docs/configuration.md lists the variables"
        );
    }
}
