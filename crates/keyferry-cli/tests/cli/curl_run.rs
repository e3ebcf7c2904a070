//! `keyferry curl -- ARGS` with the real curl, and a server that must never get the token.

use std::ffi::OsString;
use std::fs;
use std::io::Read;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use keyferry_cli::commands::curl::arguments;
use keyferry_sandbox::{Fault, FaultAction, Options, credentials as c};

use crate::programs::{KEYFERRY, Programs};
use keyferry_testing::child::{ProgramOutput, run_with_input};
use keyferry_testing::harness::Harness;
use keyferry_testing::skip;

/// A server that reads what it gets and closes each connection. It ends with the test's process.
struct OtherHost {
    address: String,
    received: Receiver<Vec<u8>>,
}

impl OtherHost {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, received) = channel();
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let limit = Some(Duration::from_millis(500));
                stream.set_read_timeout(limit).unwrap();
                let mut bytes = vec![0; 64 * 1024];
                let length = stream.read(&mut bytes).unwrap_or(0);
                bytes.truncate(length);
                if sender.send(bytes).is_err() {
                    return;
                }
            }
        });
        Self { address, received }
    }

    fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Returns what each connection since the last call has sent.
    fn connections(&self) -> Vec<String> {
        let all = self.received.try_iter();
        all.map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .collect()
    }
}

fn teams(harness: &Harness) -> String {
    format!("{}/v1/teams", harness.sandbox().masv_url())
}

/// Returns `keyferry curl -- ARGS` with an API key, so that no login is necessary.
fn curl(harness: &Harness, arguments: &[&str]) -> Command {
    let mut command = harness.program(KEYFERRY, &[&["curl", "--"], arguments].concat());
    command.env("KEYFERRY_MASV_API_KEY", c::API_KEY);
    command
}

fn run_curl(harness: &Harness, arguments: &[&str]) -> ProgramOutput {
    run_with_input(&mut curl(harness, arguments), "")
}

const STATUS: [&str; 5] = ["-sS", "-o", "out", "-w", "%{http_code}"];

#[test]
fn curl_gets_the_header_for_the_url() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let (masv, fileverbs) = (
        harness.sandbox().masv_url(),
        harness.sandbox().fileverbs_url(),
    );
    for url in [
        format!("{masv}/v1/teams"),
        format!("{masv}/v1/packages/{}/files", c::PACKAGE_ID),
        format!("{fileverbs}/api/v1/fileuploads"),
        format!("{}/v1/teams", masv.replace("127.0.0.1", "LOCALHOST")),
    ] {
        let harness_words = [&["curl", "--"], &STATUS[..], &[url.as_str()]].concat();
        let mut command = harness.program(KEYFERRY, &harness_words);
        if url.contains("LOCALHOST") {
            command.env("KEYFERRY_MASV_URL", masv.replace("127.0.0.1", "localhost"));
        }
        let output = run_with_input(&mut command, "");
        assert_eq!(
            (output.code, output.out.as_str(), output.err.as_str()),
            (Some(0), "200", ""),
            "{url}"
        );
    }
    harness.assert_no_secret_in_argv();
}

#[test]
fn exit_codes_standard_input_and_the_process_are_those_of_curl() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let url = teams(&harness);
    let absent = format!("{url}/absent/route");
    assert_eq!(run_curl(&harness, &["-sSf", &absent]).code, Some(22));
    assert_eq!(run_curl(&harness, &["-sS", "-o", "/", &url]).code, Some(23));
    let mut upload = curl(&harness, &["-sS", "-w", "%{size_upload}", "-T", "-", &url]);
    let output = run_with_input(&mut upload, "12345");
    assert!(output.out.ends_with('5'), "{output:?}");

    // A program named curl that shows how it was started.
    let fake = harness.write_file(
        "bin/curl",
        "#!/bin/bash\necho \"pid $$\"\nprintf '%s\\n' \"$@\"\ncat \"$3\"\n/usr/bin/env\nkill -TERM $$\n",
        0o700,
    );
    let mut command = curl(&harness, &["-sSo", "out", &url]);
    let path = format!(
        "{}:{}",
        fake.parent().unwrap().display(),
        std::env::var("PATH").unwrap()
    );
    command.env("PATH", &path);
    let child = command
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id();
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let (start, rest) = text.split_once("--output\nout\n").unwrap();
    let start: Vec<_> = start.lines().collect();
    assert_eq!(
        (start[0], start[1], start[2]),
        (format!("pid {pid}").as_str(), "--disable", "--config")
    );
    assert!(start[3].starts_with("/dev/fd/"), "{start:?}");
    let (config, environment) = rest.split_at(rest.find("X-API-KEY").unwrap() + 200);
    assert!(config.contains("url = ") && config.contains("max-redirs = 0"));
    assert!(!environment.contains(c::API_KEY), "{environment}");
    assert!(!environment.contains(c::PASSWORD), "{environment}");
    let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
    assert_eq!(signal, Some(libc::SIGTERM));

    fs::set_permissions(&fake, fs::Permissions::from_mode(0o600)).unwrap();
    let mut command = curl(&harness, &[&url]);
    command.env("PATH", harness.path("work"));
    run_with_input(&mut command, "").assert_error(127, "install curl");
}

/// Returns the names of all options that the installed curl lists, and all letters.
fn all_options() -> Vec<String> {
    let help = Command::new("curl")
        .args(["--help", "all"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let long = help
        .split_whitespace()
        .filter(|word| word.starts_with("--") && word.len() > 3)
        .map(str::to_owned);
    let short = (b'!'..=b'~')
        .filter(|letter| *letter != b'-')
        .map(|letter| format!("-{}", char::from(letter)));
    long.chain(short).collect()
}

#[test]
fn no_option_of_curl_sends_the_header_to_another_host() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let other = OtherHost::start();
    let url = teams(&harness);
    harness.sandbox().fault(
        Fault::new(FaultAction::Redirect {
            status: 302,
            to: other.url(),
        })
        .path("/v1/teams")
        .forever(),
    );
    let options = all_options();
    assert!(options.len() > 250, "{}", options.len());
    let own_port = url.split(['/', ':']).nth(4).unwrap();
    let values = [
        other.url(),
        format!("127.0.0.1:{own_port}:{}", other.address),
    ];
    let mut accepted = 0;
    for option in &options {
        let attached = format!("{option}{}", other.url());
        let mut forms = vec![
            vec![option.as_str(), &values[0], &url],
            vec![option.as_str(), &values[1], &url],
            vec![option.as_str(), &url],
            vec![&url, option],
        ];
        if !option.starts_with("--") {
            forms.push(vec![&attached, &url]);
        }
        for form in forms {
            let words = [&["-sS", "-m", "20", "-o", "out"], form.as_slice()].concat();
            let checked: Vec<_> = words.iter().map(OsString::from).collect();
            if arguments::check(&checked).is_err() {
                continue;
            }
            accepted += 1;
            let output = run_curl(&harness, &words);
            let said = output.said();
            assert_eq!(other.connections(), [""; 0], "{words:?}: {said}");
            assert!(!said.contains(c::API_KEY), "{words:?}: {said}");
        }
    }
    assert!(accepted > 150, "{accepted}");
    for name in fs::read_dir(harness.path("work")).unwrap().flatten() {
        let bytes = fs::read(name.path()).unwrap();
        assert!(
            !String::from_utf8_lossy(&bytes).contains(c::API_KEY),
            "{name:?}"
        );
    }
    // The redirect itself works.
    let followed = format!("curl -sS -m 5 -L {url} || true");
    run_with_input(&mut harness.isolated_program("sh", &["-c", &followed]), "");
    assert_eq!(other.connections().len(), 1);
}

#[test]
fn neither_variables_nor_files_of_curl_send_the_header_to_another_host() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let other = OtherHost::start();
    let url = teams(&harness);
    let config = format!(
        "location\nurl = \"{0}\"\nproxy = \"{0}\"\nverbose\nnext\nurl = \"{0}\"\n",
        other.url()
    );
    for name in [
        "home/.curlrc",
        "home/.config/.curlrc",
        "home/.config/curlrc",
    ] {
        harness.write_private_file(name, &config);
    }
    let words = [&STATUS[..], &[&url]].concat();
    for name in ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"] {
        let mut command = curl(&harness, &words);
        command
            .env(name, other.url())
            .env("CURL_HOME", harness.path("home"))
            .env("XDG_CONFIG_HOME", harness.path("home/.config"))
            .env("NO_PROXY", "")
            .env("no_proxy", "");
        let output = run_with_input(&mut command, "");
        assert_eq!(
            (
                output.out.as_str(),
                output.err.as_str(),
                other.connections()
            ),
            ("200", "", Vec::new()),
            "{name}"
        );
    }
}

#[test]
fn a_proxy_gets_no_header_of_an_https_request() {
    if skip::without(&["curl"]) {
        return;
    }
    let options = Options {
        tls: true,
        ..Options::default()
    };
    let harness = Harness::with_sandbox(options);
    let other = OtherHost::start();
    let url = teams(&harness);
    let ca = harness.write_private_file("ca.pem", harness.sandbox().ca_pem().unwrap());
    let ca = ca.to_str().unwrap();
    let output = run_curl(&harness, &[&STATUS[..], &["--cacert", ca, &url]].concat());
    assert_eq!((output.out.as_str(), output.err.as_str()), ("200", ""));
    // Without the certificate, curl does not send the header.
    assert_eq!(run_curl(&harness, &["-sS", &url]).code, Some(60));

    let proxy = other.url();
    let by_option = run_curl(&harness, &["-sS", "--cacert", ca, "-x", &proxy, &url]);
    let mut command = curl(&harness, &["-sS", "--cacert", ca, &url]);
    command.env("https_proxy", &proxy);
    let by_variable = run_with_input(&mut command, "");
    assert!(by_option.code != Some(0) && by_variable.code != Some(0));
    let received = other.connections();
    assert_eq!(received.len(), 2, "{received:?}");
    for text in received {
        assert!(
            text.starts_with("CONNECT ") && !text.contains("X-API-KEY"),
            "{text}"
        );
    }
}

#[test]
fn the_header_goes_to_the_service_of_the_token_only() {
    if skip::without(&["curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let url = teams(&harness);
    let links = format!(
        "{}/v1/packages/{}/links",
        harness.sandbox().masv_url(),
        c::PACKAGE_ID
    );
    let made = run_curl(&harness, &["-sS", "--json", "{}", &links]);
    let made: Value = serde_json::from_str(&made.out).unwrap_or_else(|_| panic!("{made:?}"));
    let page = format!(
        "https://get.massive.io/{}?secret={}",
        made["id"].as_str().unwrap(),
        made["download_secret"].as_str().unwrap()
    );
    run_curl(&harness, &[&page]).assert_error(1, "it is for http://127.0.0.1");
    run_curl(&harness, &["https://other.example/"]).assert_error(1, "no configured service");
    run_curl(&harness, &["-H", "x-api-key: mine", &url]).assert_error(1, "two X-API-KEY headers");
    run_curl(&harness, &["-L", &url]).assert_error(2, "refuses -L (--location)");
    run_curl(&harness, &["--loc", &url]).assert_error(2, "refuses --location");
    run_curl(&harness, &["user"]).assert_error(2, "not a URL");
    run_curl(&harness, &["-v", &url]).assert_error(2, "print the token");
    let both = harness.keyferry(&["curl", &url, "--", &url]);
    assert_eq!(both.code, Some(2), "{both:?}");
    let neither = harness.keyferry(&["curl"]);
    assert_eq!(neither.code, Some(2), "{neither:?}");
}

/// Runs a script of sh with `$KEYFERRY` and `$URL`, but without credentials.
fn without_token(harness: &Harness, script: &str) -> ProgramOutput {
    let mut command = harness.program_without_secrets("bash", &["-c", script]);
    command.env("KEYFERRY", KEYFERRY).env("URL", teams(harness));
    run_with_input(&mut command, "")
}

#[test]
fn without_a_token_no_request_is_sent() {
    if skip::without(&["bash", "curl"]) {
        return;
    }
    let harness = Harness::watching_arguments();
    let keyferry = r#""$KEYFERRY" curl "$URL""#;
    for script in [
        format!(r#"{keyferry} | curl -K - "$URL""#),
        format!(r#"{keyferry} | curl "$URL" -K -"#),
        format!(r#"{keyferry} | curl -sS -K - -L --proto =http,https "$URL""#),
        format!(r#"{keyferry} | curl -sS -x "$URL" -K - "$URL""#),
        format!(r#"{keyferry} | curl -q -fsS -K - --fail-early "$URL""#),
        format!(r#"curl -sS -K <({keyferry}) "$URL""#),
        format!(r#"{keyferry} --fressh | curl -sS -K - "$URL""#),
        format!(r#"{keyferry} --password x | curl -sS -K - "$URL""#),
        r#""$KEYFERRY" curl login | curl -sS -K - "$URL""#.into(),
        r#""$KEYFERRY" curl login --nonsense | curl -sS -K - "$URL""#.into(),
        r#""$KEYFERRY" curl -- -sS "$URL""#.into(),
    ] {
        let output = without_token(&harness, &script);
        assert!(
            output.code != Some(0) && output.err.contains("keyferry"),
            "{script}: {output:?}"
        );
        assert_eq!(output.out, "", "{script}");
        assert_eq!(harness.sandbox().count("requests"), 0, "{script}");
    }
    let answered = without_token(&harness, r#"curl -sS "$URL""#);
    assert!(
        answered.code == Some(0) && harness.sandbox().count("requests") == 1,
        "the same request arrives without the configuration: {answered:?}"
    );
}
