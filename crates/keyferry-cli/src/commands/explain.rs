//! `keyferry explain`: explains which credential keyferry would use for a resource, and why.
//!
//! It doesn't use the network.

use clap::Args;

use crate::context::CliContext;
use crate::resource_input::read_resource;
use crate::streams::Streams;
use crate::table::{Table, plain_cell};
use crate::terminal::Style;
use keyferry::ffi::json;

/// The options of `keyferry explain`.
#[derive(Args)]
pub struct ExplainOptions {
    /// URL or short form, as for `keyferry header`; `-` reads it from standard input
    pub resource: String,
    /// Use this profile from config.toml
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
    /// Print JSON instead of a table
    #[arg(long)]
    pub json: bool,
}

/// Prints which credential would be used, and why.
pub fn run(options: &ExplainOptions, context: &CliContext, streams: &mut Streams<'_>) -> u8 {
    let resource = read_resource(&options.resource, streams.stdin);
    let explained = resource.and_then(|resource| {
        context
            .open_configured_session(options.profile.as_deref())?
            .explain(&resource)
    });
    let document = match explained {
        Ok(explanation) => json::explanation(&explanation),
        Err(error) => return streams.fail_with(&error),
    };
    if options.json {
        let written = streams.write_json(&document);
        return streams.finish_write(written);
    }
    let mut table = Table::new(&["property", "value"]);
    for (name, value) in document.as_object().into_iter().flatten() {
        let shown = value.as_str().map_or_else(
            || {
                if value.is_null() {
                    "-".into()
                } else {
                    value.to_string()
                }
            },
            str::to_owned,
        );
        table.add_row([(Style::Faint, name.replace('_', " ")), plain_cell(shown)]);
    }
    let written = table.write(&mut streams.stdout);
    streams.finish_write(written)
}
