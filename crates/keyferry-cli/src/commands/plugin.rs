//! `keyferry plugin list` lists the configured plugins. `keyferry plugin check FILE` tests a plugin
//! against keyferry_plugin.h.
//!
//! A check runs in a child process, because the plugin may crash.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::context::CliContext;
use crate::exit_code::{EXIT_FAILED, EXIT_OK};
use crate::json;
use crate::progress::with_progress;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use keyferry::config::{DeclaredKind, Profile};
use keyferry::error::{Error, ErrorKind};
use keyferry::plugin::{self, Instance, Plugins};
use keyferry::sys::io_cause::{self, Subject};
use keyferry::sys::process::{Limits, RunOutcome, run as run_program, this_program};

/// The options of `keyferry plugin`.
#[derive(Args)]
pub struct PluginOptions {
    #[command(subcommand)]
    action: PluginAction,
}

#[derive(Subcommand)]
enum PluginAction {
    /// List the configured plugins, with the URLs that they serve and the settings that have a value
    #[command(after_help = crate::exit_code::EXIT_CODES_HELP)]
    List {
        /// Use this profile from config.toml
        #[arg(long, value_name = "NAME")]
        profile: Option<String>,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Check that a plugin follows keyferry_plugin.h, without using the network
    ///
    /// For authors of plugins. Prints the result of each step.
    #[command(after_help = crate::exit_code::EXIT_CODES_HELP)]
    Check {
        /// Absolute path of the plugin file
        file: PathBuf,
        /// Run the check in this process. Without this option, the command starts a child process
        /// with this option.
        #[arg(long, hide = true)]
        inside: bool,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

/// The limits of a check. The time is enough to check a plugin that hangs in every function.
const CHECK_LIMITS: Limits = Limits {
    time: Duration::from_secs(120),
    bytes: 256 * 1024,
    own_group: true,
};

/// Separates a step from its fault. Never occurs in the name of a step.
const FAULT_SEPARATOR: &str = " :: ";

/// Lists or checks plugins.
pub fn run(options: &PluginOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    match &options.action {
        PluginAction::List { profile, json } => list(profile.as_deref(), *json, context, streams),
        PluginAction::Check {
            file, inside: true, ..
        } => check_in_this_process(file, streams),
        PluginAction::Check {
            file,
            inside: false,
            json,
        } => check_in_child(file, *json, streams),
    }
}

fn list(
    account: Option<&str>,
    as_json: bool,
    context: &CliContext,
    streams: &mut Streams<'_>,
) -> u8 {
    let (plugins, profile) = match context
        .load_config()
        .and_then(|config| context.load_plugins(config, account))
    {
        Ok(found) => found,
        Err(error) => return streams.fail_with(&error),
    };
    let written = if as_json {
        streams.write_json(&list_json(&plugins, &profile))
    } else {
        plugin_table(&plugins, &profile).write(&mut streams.stdout)
    };
    let exit_code = plugins
        .faults
        .iter()
        .fold(EXIT_OK, |_, plugin| streams.fail_with(&plugin.error));
    if exit_code == EXIT_OK {
        streams.finish_write(written)
    } else {
        exit_code
    }
}

fn plugin_table(plugins: &Plugins, profile: &Profile) -> Table {
    let mut table = Table::new(&["plugin", "version", "serves", "settings", "file"]);
    for instance in &plugins.instances {
        let plugin = instance.plugin();
        let serves = match (instance.patterns(), instance.is_source()) {
            (Some(patterns), is_source) => {
                let name = plugin.name.as_str();
                let resources = patterns.iter().map(|pattern| format!("{name}:{pattern}"));
                let resources = resources.collect::<Vec<_>>().join(" ");
                resources + if is_source { ", secrets" } else { "" }
            }
            (None, _) => "secrets".into(),
        };
        let describe_setting = |declared: &keyferry::config::DeclaredSetting| {
            let is_set = profile.is_set(&declared.full_key);
            let suffix = if is_set {
                ""
            } else if declared.fallback.is_some() {
                " (default)"
            } else {
                " (not set)"
            };
            format!("{}{suffix}", declared.full_key)
        };
        let settings: Vec<_> = plugin.settings.iter().map(describe_setting).collect();
        let file = (Style::Plain, plugin.path.display().to_string());
        table.add_row([
            plain_cell(plugin.name.as_str()),
            plain_cell(plugin.version.as_str()),
            plain_cell(serves),
            plain_cell(settings.join(" ")),
            file,
        ]);
    }
    table
}

/// Returns the list for `--json`. `error` is the fault of the last plugin that cannot be used, which
/// also decides the exit code.
fn list_json(plugins: &Plugins, profile: &Profile) -> Value {
    let all = plugins.instances.iter();
    let faults = plugins.faults.iter().map(|plugin| plugin.error.message());
    let mut fields = json!({
        "plugins": all.map(|instance| plugin_json(instance, profile)).collect::<Vec<_>>(),
        "left_out": faults.collect::<Vec<_>>(),
    });
    if let Some(plugin) = plugins.faults.last() {
        fields["error"] = json::error(&plugin.error);
    }
    fields
}

fn plugin_json(instance: &Instance, profile: &Profile) -> Value {
    let plugin = instance.plugin();
    let setting = |declared: &keyferry::config::DeclaredSetting| {
        json!({
            "key": declared.full_key, "environment": declared.variable, "about": declared.about, "default": declared.fallback,
            "secret": declared.kind == DeclaredKind::Secret, "set": profile.is_set(&declared.full_key),
        })
    };
    json!({
        "name": plugin.name, "version": plugin.version, "file": plugin.path.display().to_string(), "abi_minor": plugin.abi_minor, "routes": instance.patterns(),
        "is_source": instance.is_source(), "settings": plugin.settings.iter().map(setting).collect::<Vec<_>>(),
    })
}

/// Checks a plugin in this process. Prints a line before and after each step, which
/// [`check_in_child`] reads.
fn check_in_this_process(file: &Path, streams: &mut Streams<'_>) -> u8 {
    let passed = plugin::check(file, &mut |step, outcome| {
        let line = match outcome {
            None => format!("? {step}"),
            Some(Ok(())) => format!("+ {step}"),
            Some(Err(fault)) => format!("- {step}{FAULT_SEPARATOR}{fault}"),
        };
        // If this line can't be written, the parent process reports the lines that it has.
        let _ = streams.stdout.write_line(&line);
    });
    if passed { EXIT_OK } else { EXIT_FAILED }
}

fn check_in_child(file: &Path, as_json: bool, streams: &mut Streams<'_>) -> u8 {
    let program = match this_program() {
        Ok(program) => program,
        Err(error) => {
            let why = io_cause::explain(&error, Subject::Program);
            let what = format!("cannot find the path of this program: {why}");
            return streams.fail_with(&Error::new(ErrorKind::Plugin, what));
        }
    };
    let mut command = Command::new(program);
    command.args(["plugin", "check", "--inside"]).arg(file);
    let outcome = with_progress(streams, "keyferry: checking the plugin", || {
        run_program(&mut command, None, CHECK_LIMITS)
    });
    let (output, ended) = match outcome {
        Ok(done) => done,
        Err(error) => {
            let why = io_cause::explain(&error, Subject::Program);
            let what = format!("cannot start the check: {why}");
            return streams.fail_with(&Error::new(ErrorKind::Plugin, what));
        }
    };
    let report = CheckReport::parse(&String::from_utf8_lossy(&output), &ended);
    let written = if as_json {
        streams.write_json(&report.to_json(file))
    } else {
        report.table().write(&mut streams.stdout)
    };
    match report.faults() {
        0 => streams.finish_write(written),
        faults => streams.fail(&format!(
            "{} does not follow keyferry_plugin.h: {faults} of {} steps failed; see the {}",
            file.display(),
            report.0.len(),
            if as_json { "document" } else { "table" }
        )),
    }
}

/// A step of a check.
struct Step {
    name: String,
    /// Why the step failed. None if it passed.
    fault: Option<String>,
}

/// The parsed output of a check.
struct CheckReport(Vec<Step>);

impl CheckReport {
    fn parse(output: &str, ended: &RunOutcome) -> Self {
        let mut steps = Vec::new();
        let step = |name: &str, fault: Option<&str>| Step {
            name: name.to_owned(),
            fault: fault.map(str::to_owned),
        };
        let mut open = None;
        for line in output.lines() {
            match line.split_at_checked(2) {
                Some(("? ", name)) => open = Some(name),
                Some(("+ ", name)) => {
                    steps.push(step(name, None));
                    open = None;
                }
                Some(("- ", rest)) => {
                    let (name, fault) = rest.split_once(FAULT_SEPARATOR).unwrap_or((rest, ""));
                    steps.push(step(name, Some(fault)));
                    open = None;
                }
                _ => {}
            }
        }
        let end_reason = match ended {
            RunOutcome::Exited(Some(_)) | RunOutcome::StatusLost => {
                "the plugin ended the process; return an error instead"
            }
            RunOutcome::Exited(None) => {
                "the plugin crashed the process; run `keyferry plugin check --inside FILE` in a debugger"
            }
            RunOutcome::TimedOut => "it did not return within 2 minutes",
            RunOutcome::OutputTooLong => "it printed more than 256 KiB",
        };
        if let Some(name) = open {
            steps.push(step(name, Some(end_reason)));
        } else if steps.is_empty() {
            steps.push(step("starts", Some(end_reason)));
        }
        Self(steps)
    }

    fn faults(&self) -> usize {
        self.0.iter().filter(|step| step.fault.is_some()).count()
    }

    fn table(&self) -> Table {
        let mut table = Table::new(&["", "step", "fault"]);
        for Step { name, fault } in &self.0 {
            let (style, mark) = match fault {
                None => (Style::Plain, "ok"),
                Some(_) => (Style::Bad, "FAULT"),
            };
            table.add_row([
                (style, mark.to_owned()),
                plain_cell(name),
                plain_cell(fault.as_deref().unwrap_or_default()),
            ]);
        }
        table
    }

    fn to_json(&self, file: &Path) -> Value {
        let step_json = |Step { name, fault }: &Step| json!({ "step": name, "ok": fault.is_none(), "fault": fault });
        json!({
            "file": file.display().to_string(), "ok": self.faults() == 0, "steps": self.0.iter().map(step_json).collect::<Vec<_>>(),
        })
    }
}
