//! Parses the common forms of the commands that other programs call often: `header`, `token`, `curl`, `get`
//! and `git`.
//!
//! Rationale: clap builds the options of every command before it parses one. That takes as long as
//! the answer from the store. This parser knows only a few options. Any other argument, and every
//! mistake, is left to clap, so that all help texts and error messages are clap's.

use std::ffi::OsString;

use crate::commands::Command;
use crate::commands::curl::CurlOptions;
use crate::commands::get::GetOptions;
use crate::commands::git::GitOptions;
use crate::commands::print::PrintOptions;
use crate::log_output::LogOptions;
use crate::secret_input::LinkPasswordInput;
use crate::token_options::TokenOptions;

/// Parses the arguments that follow the program's name. Returns `None` if clap must parse them.
/// Otherwise clap would return the same command.
pub fn parse(arguments: &[OsString]) -> Option<Command> {
    let (name, rest) = arguments.split_first()?;
    match name.to_str()? {
        "header" => Some(Command::Header(print_options(rest)?)),
        "token" => Some(Command::Token(print_options(rest)?)),
        "curl" => Some(Command::Curl(curl_options(rest)?)),
        "get" => Some(Command::Get(get_options(rest)?)),
        // Operations that keyferry does not know are ignored, as git expects.
        "git" if !is_option(rest.first()?) => Some(Command::Git(GitOptions {
            words: rest.to_vec(),
        })),
        _ => None,
    }
}

/// The arguments that this parser knows. Each is given at most once.
#[derive(Default)]
struct Parsed {
    resource: Option<String>,
    profile: Option<String>,
    json: bool,
    no_expires: bool,
}

impl Parsed {
    fn read(arguments: &[OsString]) -> Option<Self> {
        let mut parsed = Self::default();
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            match argument.to_str()? {
                "--json" => set(&mut parsed.json)?,
                "--no-expires" => set(&mut parsed.no_expires)?,
                "--profile" => fill(&mut parsed.profile, rest.next()?.to_str()?)?,
                word => fill(&mut parsed.resource, word)?,
            }
        }
        Some(parsed)
    }
}

fn set(flag: &mut bool) -> Option<()> {
    (!std::mem::replace(flag, true)).then_some(())
}

/// Sets a value. Returns `None` if it is set already, if it is empty, or if it may be an option.
fn fill(slot: &mut Option<String>, word: &str) -> Option<()> {
    let is_value = slot.is_none() && !word.is_empty() && !word.starts_with('-');
    is_value.then(|| *slot = Some(word.to_owned()))
}

fn is_option(argument: &OsString) -> bool {
    argument.as_encoded_bytes().starts_with(b"-")
}

fn print_options(arguments: &[OsString]) -> Option<PrintOptions> {
    let Parsed {
        resource,
        profile,
        json,
        no_expires: false,
    } = Parsed::read(arguments)?
    else {
        return None;
    };
    Some(PrintOptions {
        resource: resource?,
        token: token_options(profile),
        json,
    })
}

fn curl_options(arguments: &[OsString]) -> Option<CurlOptions> {
    let separator = arguments.iter().position(|argument| argument == "--");
    let (own, arguments) = arguments.split_at(separator.unwrap_or(arguments.len()));
    let Parsed {
        resource,
        profile,
        json,
        no_expires: false,
    } = Parsed::read(own)?
    else {
        return None;
    };
    let arguments = arguments.get(1..).unwrap_or_default().to_vec();
    // The resource and --json exclude arguments for curl.
    let is_valid = if arguments.is_empty() {
        resource.is_some() && separator.is_none()
    } else {
        resource.is_none() && !json
    };
    is_valid.then(|| CurlOptions {
        resource,
        token: token_options(profile),
        json,
        arguments,
    })
}

fn get_options(arguments: &[OsString]) -> Option<GetOptions> {
    let Parsed {
        resource: None,
        profile,
        json: false,
        no_expires,
    } = Parsed::read(arguments)?
    else {
        return None;
    };
    Some(GetOptions {
        no_expires,
        profile,
        log: LogOptions::default(),
        rest: Vec::new(),
    })
}

/// Returns the options of a token that has only a profile.
fn token_options(profile: Option<String>) -> TokenOptions {
    TokenOptions {
        profile,
        access: None,
        min_valid_s: 0,
        fresh: false,
        link_password: LinkPasswordInput::default(),
        log: LogOptions::default(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use proptest::prelude::*;

    use super::*;
    use crate::commands::CommandLine;

    const WORDS: [&str; 30] = [
        "--json",
        "--json=true",
        "--profile",
        "--profile=work",
        "--profile=",
        "work",
        "--no-expires",
        "--fresh",
        "--access",
        "read",
        "--min-valid-s",
        "60",
        "-v",
        "--verbose",
        "--help",
        "-h",
        "--",
        "-",
        "",
        "user",
        "packages/01A",
        "https://api.massive.app/v1/teams",
        "-sS",
        "get",
        "header",
        "help",
        "--prof",
        "--link-password-fd",
        "--token",
        "é\u{202e}",
    ];

    fn by_clap(arguments: &[OsString]) -> Option<String> {
        let words = std::iter::once(OsString::from("keyferry")).chain(arguments.iter().cloned());
        let parsed = CommandLine::try_parse_from(words).ok()?;
        Some(shown(&parsed.command))
    }

    fn shown(command: &Command) -> String {
        match command {
            Command::Header(options) => format!("header {options:?}"),
            Command::Token(options) => format!("token {options:?}"),
            Command::Curl(options) => format!("curl {options:?}"),
            Command::Get(options) => format!("get {options:?}"),
            Command::Git(options) => format!("git {options:?}"),
            _ => "another command".to_owned(),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1500))]
        #[test]
        fn clap_would_return_the_same_command(
            name in prop::sample::select(vec!["header", "token", "curl", "get", "git", "status"]),
            words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 0..5),
        ) {
            let arguments: Vec<OsString> = [name].into_iter().chain(words).map(OsString::from).collect();
            if let Some(command) = parse(&arguments) {
                prop_assert_eq!(Some(shown(&command)), by_clap(&arguments), "{:?}", arguments);
            }
        }
    }

    #[test]
    fn the_common_forms_need_no_clap() {
        for line in [
            "header user",
            "header user --json",
            "header --profile work user",
            "token packages/01A",
            "curl user",
            "curl --json --profile work user",
            "curl -- -sS https://api.massive.app/v1/teams",
            "curl --profile work -- -- url",
            "get",
            "get --no-expires --profile work",
            "git get",
            "git unknown -x",
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            let parsed = parse(&arguments).map(|command| shown(&command));
            assert!(parsed.is_some(), "{line}");
            assert_eq!(parsed, by_clap(&arguments), "{line}");
        }
    }

    #[test]
    fn all_else_is_left_to_clap() {
        use std::os::unix::ffi::OsStringExt;

        for line in [
            "",
            "header",
            "header -",
            "header --json",
            "header user user",
            "header user --json --json",
            "header user --profile",
            "header user --profile -v",
            "header user -v",
            "header -- user",
            "header user --no-expires",
            "curl user -- url",
            "curl --json -- url",
            "curl --",
            "curl user --",
            "get words",
            "git",
            "git --help",
            "status",
            "--json header user",
        ] {
            let arguments: Vec<OsString> = line.split(' ').map(OsString::from).collect();
            assert!(parse(&arguments).is_none(), "{line}");
        }
        assert!(parse(&[]).is_none());
        let not_utf8 = OsString::from_vec(vec![0xff]);
        assert!(parse(&["header".into(), not_utf8]).is_none());
    }
}
