//! More than 1000 hostile requests to `keyferry git`: none is answered, none reaches the network.

use std::io::{Cursor, Read};
use std::sync::Arc;

use keyferry::config::Environment;
use keyferry_cli::commands::git;
use keyferry_cli::context::CliContext;
use keyferry_cli::fast_path::FastPath;
use keyferry_cli::json::JsonOutput;
use keyferry_cli::streams::Streams;
use keyferry_cli::terminal::{Output, TerminalCaps};
use keyferry_sandbox::{Options, Sandbox, credentials as c};

/// Runs the helper in this process and returns its exit code and output.
fn call_helper(environment: &Environment, word: &str, input: &[u8]) -> (u8, Vec<u8>, Vec<u8>) {
    let (mut out, mut err, mut stdin) = (Vec::new(), Vec::new(), Cursor::new(input.to_vec()));
    let context = CliContext {
        environment: Arc::clone(environment),
        temp_dir: std::env::temp_dir(),
        stdin_is_terminal: false,
    };
    let mut streams = Streams {
        stdin: &mut stdin,
        stdout: Output::new(&mut out, TerminalCaps::PLAIN),
        stderr: Output::new(&mut err, TerminalCaps::PLAIN),
        detach_stdout: || Ok(()),
        json: JsonOutput::Off,
    };
    // The quick program first, then the whole one with what that was left.
    let code = match git::run_from_store(&[word.into()], &context, &mut streams) {
        FastPath::Answered(code) => code,
        FastPath::NeedsFullCli(left) => {
            let left = left.map_or_else(Vec::new, |left| left.to_vec());
            let mut rest = Cursor::new(left).chain(streams.stdin);
            let mut streams = Streams {
                stdin: &mut rest,
                stdout: streams.stdout,
                stderr: streams.stderr,
                detach_stdout: || Ok(()),
                json: JsonOutput::Off,
            };
            git::run(&[word.into()], &context, &mut streams)
        }
    };
    (code, out, err)
}

fn environment(sandbox: &Sandbox) -> Environment {
    let mut variables = sandbox.variables();
    variables.extend([
        ("KEYFERRY_STORE".to_owned(), "memory".to_owned()),
        ("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()),
    ]);
    Arc::new(move |name| {
        variables
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.into())
    })
}

/// A valid request, spoilt in every way that was ever an answer to somebody else's question.
fn corpus(sandbox: &Sandbox) -> Vec<Vec<u8>> {
    let (masv, fileverbs) = (&sandbox.masv_url()[7..], &sandbox.fileverbs_url()[7..]);
    let valid = [
        format!("protocol=http\nhost={fileverbs}\npath=a\n"),
        format!(
            "protocol=http\nhost={masv}\npath=v1/packages/{}\n",
            c::PACKAGE_ID
        ),
        format!("capability[]=authtype\nprotocol=http\nhost={fileverbs}\nusername=default\n"),
    ];
    let mut all: Vec<Vec<u8>> = Vec::new();
    let symbols: [&[u8]; 9] = [
        b"\0",
        b"\x01",
        b"\t",
        b"\x0b",
        b"\r",
        b"\x1b",
        b"\x7f",
        "\u{85}".as_bytes(),
        "\u{2028}".as_bytes(),
    ];
    for text in &valid {
        for at in 0..text.len() {
            for symbol in symbols {
                all.push([&text.as_bytes()[..at], symbol, &text.as_bytes()[at..]].concat());
            }
        }
        all.push(text.replace('\n', "\r\n").into_bytes());
        all.push(text.replace('\n', "\r").into_bytes());
        all.push(text.replace("protocol=http", "protocol=https").into_bytes());
        all.push(text.replace("protocol=http\n", "").into_bytes());
        all.push(text.replace("protocol=http", "protocol=").into_bytes());
        all.push(text.replace("host=", "host= ").into_bytes());
        all.push(text.replace("host=", "Host=").into_bytes());
        all.push(text.replace("host=", "host=x").into_bytes());
        all.push(text.replace("127.0.0.1", "127.1").into_bytes());
        all.push(text.replace("127.0.0.1", "0x7f.0.0.1").into_bytes());
        all.push(text.replace("127.0.0.1", "127.0.0.1.").into_bytes());
        all.push(text.replace("127.0.0.1", "127。0.0.1").into_bytes());
        all.push(text.replace("127.0.0.1", "[::ffff:127.0.0.1]").into_bytes());
        all.push(
            text.replace("127.0.0.1", "api.fileverbs.com@127.0.0.1")
                .into_bytes(),
        );
        all.push([text.as_bytes(), b"host=other.example\n"].concat());
        all.push([text.as_bytes(), b"no equals sign\n"].concat());
        all.push([text.as_bytes(), b"username=\xff\xfe\n"].concat());
        all.push([text.as_bytes(), b"path=", &vec![b'a'; 65_535], b"\n"].concat());
        all.push([b"\xef\xbb\xbf", text.as_bytes()].concat());
        all.push([text.as_bytes(), &b"wwwauth[]=a\n".repeat(30_000)].concat());
        all.push([b"\n", text.as_bytes()].concat());
    }
    all
}

#[test]
fn no_hostile_request_is_answered() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let environment = environment(&sandbox);
    let all = corpus(&sandbox);
    assert!(all.len() > 1_000, "{}", all.len());
    for input in &all {
        for word in ["get", "store", "erase"] {
            let (code, out, err) = call_helper(&environment, word, input);
            let shown = String::from_utf8_lossy(&input[..input.len().min(200)]);
            assert!(out.is_empty(), "{word} {shown:?} was answered");
            assert_eq!(
                code,
                0,
                "{word} {shown:?}: {}",
                String::from_utf8_lossy(&err)
            );
            assert!(
                !err.iter()
                    .any(|byte| (*byte < b' ' && *byte != b'\n') || *byte == 0x7f),
                "{word} {shown:?}"
            );
        }
    }
    assert_eq!(sandbox.count("requests"), 0);
}

#[test]
fn what_was_spoilt_is_answered_when_it_is_whole() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let host = &sandbox.fileverbs_url()[7..];
    let (code, out, err) = call_helper(
        &environment(&sandbox),
        "get",
        format!("protocol=http\nhost={host}\npath=a\n").as_bytes(),
    );
    assert!(code == 0 && out.starts_with(b"username=default\npassword=eyJ") && err.is_empty());
}

#[test]
fn what_is_not_needed_does_not_spoil_a_request() {
    let sandbox = Sandbox::start(Options::default()).unwrap();
    let environment = environment(&sandbox);
    let host = &sandbox.fileverbs_url()[7..];
    let long = [b"wwwauth[]=".as_slice(), &vec![b'a'; 65_535]].concat();
    for unused in [
        b"wwwauth[]=Basic realm=\"caf\xe9\"".as_slice(),
        b"wwwauth[]=Basic\trealm=x",
        b"unheard=\0",
        &long,
    ] {
        let request = format!("\nprotocol=http\nhost={host}\n");
        let input = [unused, request.as_bytes()].concat();
        let (code, out, err) = call_helper(&environment, "get", &input);
        assert!(code == 0 && out.starts_with(b"username=default\npassword=eyJ") && err.is_empty());
    }
}

#[test]
fn hosts_that_look_alike_get_nothing() {
    let variables = [
        ("KEYFERRY_MASV_API_KEY", "canary"),
        ("KEYFERRY_FILEVERBS_SECRET_KEY", "canary"),
        ("KEYFERRY_STORE", "memory"),
    ];
    let environment: Environment = Arc::new(move |name| {
        variables
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| (*value).into())
    });
    let ask_for = |protocol: &str, host: &str, path: &str| {
        call_helper(
            &environment,
            "get",
            format!("protocol={protocol}\nhost={host}\npath={path}\n").as_bytes(),
        )
        .1
    };
    for (host, path) in [
        ("api.massive.app", "v1/user"),
        ("api.fileverbs.com", "api/v1/jobrequests"),
    ] {
        for right in [host.to_owned(), format!("{host}:443"), host.to_uppercase()] {
            assert!(!ask_for("https", &right, path).is_empty(), "{right}");
        }
        let bare = host.strip_prefix("api.").unwrap();
        for wrong in [
            format!("{host}.evil.example"),
            format!("evil{host}"),
            format!("{host}."),
            format!("{host}:444"),
            format!("{host}:80"),
            bare.into(),
            format!("x.{host}"),
            format!("{host}@evil.example"),
            format!("evil.example@{host}"),
            format!("{host}#.evil.example"),
            format!("{host}\\.evil.example"),
            format!("{host}/.evil.example"),
            format!("{host}?x"),
            format!("{host}%2eevil.example"),
            host.replace('.', "-"),
            host.replace('a', "а"),
            host.replace("api", "xn--ai-fmc"),
            format!("[{host}]"),
            format!("{host}:0443x"),
            format!(" {host}"),
            format!("{host} "),
        ] {
            assert!(ask_for("https", &wrong, path).is_empty(), "{wrong}");
        }
        assert!(
            ask_for("http", host, path).is_empty()
                && ask_for("HTTPS", host, path).is_empty()
                && ask_for("ftp", host, path).is_empty()
        );
    }
}
