//! The pages of the commands and of the configuration.

use clap_mangen::Man;
use keyferry_testing::documents::read;

use crate::markdown::{escaped, sections, to_roff};

/// A page's language says how to write an apostrophe. clap_mangen repeats it before each section.
const PREAMBLE: &str = ".ie \\n(.g .ds Aq \\(aq\n.el .ds Aq '\n";
/// The sections of `docs/testing.md` that describe the running sandbox.
const SANDBOX_SECTIONS: [&str; 4] = ["Control routes", "Faults", "Behaviours", "Counters"];
/// The pages that most users need next.
const SEE_ALSO: [&str; 2] = ["keyferry(1)", "keyferry-config(5)"];

/// Returns the page of a command. The version is typed in one place only, so the page has none.
/// `words` call the command.
pub(crate) fn command_page(command: &clap::Command, words: &[&str]) -> String {
    // The command line holds names that live for ever.
    let name: &'static str = words.join("-").leak();
    let man = Man::new(command.clone().name(name).bin_name(words.join(" ")));
    let mut body = Vec::new();
    man.render_name_section(&mut body).unwrap();
    let mut synopsis = Vec::new();
    man.render_synopsis_section(&mut synopsis).unwrap();
    body.extend(with_value_names(command, String::from_utf8(synopsis).unwrap()).into_bytes());
    man.render_description_section(&mut body).unwrap();
    man.render_options_section(&mut body).unwrap();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut body).unwrap();
    }
    let body = String::from_utf8(body).unwrap().replace(PREAMBLE, "");
    let mut page = PREAMBLE.to_owned() + &title(name, 1) + &without_blank_lines(&body);
    let help = command.get_after_help().map(ToString::to_string);
    page += &exit_status(&help.unwrap_or_default());
    if words == ["keyferry", "sandbox"] {
        let text = sections(&read("docs/testing.md"), &SANDBOX_SECTIONS);
        page += &to_roff(&text);
    }
    if words == ["keyferry"] {
        let text = sections(&read("docs/configuration.md"), &["Files", "Environment"]);
        page += &to_roff(&text);
    }
    page + &see_also(&format!("{name}(1)"))
}

/// Adds the names of the options' values to a synopsis. clap_mangen leaves them out.
fn with_value_names(command: &clap::Command, synopsis: String) -> String {
    let options = command
        .get_opts()
        .filter_map(|option| Some((option.get_long()?, option.get_value_names()?)));
    options.fold(synopsis, |synopsis, (long, names)| {
        let option = format!("\\fB{}\\fR", escaped(&format!("--{long}")));
        let names: String = names
            .iter()
            .map(|name| format!(" \\fI{name}\\fR"))
            .collect();
        synopsis.replace(&format!("{option}]"), &format!("{option}{names}]"))
    })
}

/// Returns the page of `config.toml` and of the environment variables.
pub(crate) fn config_page() -> String {
    title("keyferry-config", 5)
        + ".SH NAME\nkeyferry\\-config \\- settings of keyferry: config.toml and environment variables\n"
        + ".SH DESCRIPTION\n"
        + &to_roff(&read("docs/configuration.md"))
        + &see_also("keyferry-config(5)")
}

fn title(name: &str, section: u8) -> String {
    let name = escaped(&name.to_uppercase());
    // No hyphens and no blanks are added to lines, so that names can be copied.
    format!(".TH {name} {section} \"\" keyferry\n.nh\n.ad l\n")
}

/// Replaces the blank lines between the paragraphs of an option, and the line breaks around them.
fn without_blank_lines(roff: &str) -> String {
    let spaced = roff.replace("\n\n", "\n.sp\n");
    let spaced = spaced.replace(".br\n.sp\n.br\n", ".sp\n");
    let lines = spaced.lines().map(|line| line.trim_end().to_owned() + "\n");
    lines.collect()
}

/// Turns the list at the end of a command's help, and the paragraphs after it, into a section.
fn exit_status(help: &str) -> String {
    let mut lines = help.lines();
    let Some(first) = lines.next() else {
        return String::new();
    };
    let first = first.trim_start_matches("Exit codes:").trim();
    let mut roff = ".SH EXIT STATUS\n".to_owned();
    if !first.is_empty() {
        roff += &format!("{}\n", escaped(&capitalized(first)));
    }
    for line in lines.map(str::trim) {
        roff += &match line.split_once(' ') {
            Some((code, meaning)) if code.parse::<u8>().is_ok() => {
                let meaning = escaped(meaning.trim());
                format!(".TP\n\\fB{code}\\fR\n{meaning}\n")
            }
            _ if line.is_empty() => ".PP\n".to_owned(),
            _ => format!("{}\n", escaped(line)),
        };
    }
    roff
}

fn capitalized(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}

fn see_also(own_name: &str) -> String {
    let others = SEE_ALSO.iter().filter(|name| **name != own_name);
    let names: Vec<_> = others
        .map(|name| {
            let (page, section) = name.split_once('(').unwrap();
            format!("\\fB{}\\fR({section}", escaped(page))
        })
        .collect();
    let names = names.join(", ");
    format!(
        ".SH SEE ALSO\n{names}\n.PP\nThe documents, such as shell.md, are in the directory share/doc/keyferry of the installation.\n"
    )
}
