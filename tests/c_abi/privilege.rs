//! Programs with the setuid or setgid bit or with file capabilities: their callers choose neither
//! what is sent nor where it goes. Each test also runs the program without the bit, to show that it
//! would reach the caller's server.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use keyferry::ffi::status::{KEYFERRY_E_CONFIG, KEYFERRY_E_TLS};
use keyferry_sandbox::{Options, Sandbox, credentials as c};
use keyferry_testing::child;
use keyferry_testing::files;
use keyferry_testing::harness::Harness;
use keyferry_testing::privilege::{self, Raised};

use super::program;

const LIMIT: Duration = Duration::from_secs(120);

/// The program of `privilege.c` in a directory that every user can reach.
struct Privileged {
    harness: Harness,
    program: PathBuf,
}

impl Privileged {
    /// `None` if this machine has no programs with raised privilege. The test is skipped then.
    fn new() -> Option<Self> {
        let harness = Harness::new();
        if privilege::without(harness.folder()) {
            return None;
        }
        set_mode(harness.folder().into(), 0o755);
        let lib = harness.path("lib");
        fs::create_dir(&lib).unwrap();
        // The caller may have no access to the directory of the build.
        let soname = format!(
            "libkeyferry.so.{}",
            keyferry::ffi::version::KEYFERRY_ABI_VERSION
        );
        fs::copy(files::beside("libkeyferry.so"), lib.join(&soname)).unwrap();
        fs::copy(lib.join(&soname), lib.join("libkeyferry.so")).unwrap();
        // The linker ignores LD_LIBRARY_PATH for a program with raised privilege.
        let search = format!("-Wl,-rpath,{}", lib.display());
        let source = files::file(&format!("c-tests/{}", "privilege.c"));
        let program = program::compile_with(&source, &harness, &[&search]);
        Some(Self { harness, program })
    }

    /// Runs the program as the caller. Returns its status and its error message.
    fn run(
        &self,
        raised: Raised,
        words: &[&str],
        change: impl FnOnce(&mut Command),
    ) -> (i32, String) {
        raised.apply(&self.program);
        let mut command = Command::new(&self.program);
        self.harness.isolate(command.args(words));
        change(privilege::as_caller(&mut command));
        let ended = child::run(&mut command, LIMIT);
        let secure = u8::from(raised != Raised::No);
        let line = ended.out.strip_prefix(&format!("secure {secure}, status "));
        let (status, message) = line
            .and_then(|line| line.split_once(": "))
            .unwrap_or_else(|| panic!("{raised:?}: {}", ended.said()));
        // Without the bit, the caller's store may be unusable, which is a warning.
        let is_quiet = raised == Raised::No || ended.err.is_empty();
        assert!(is_quiet, "{raised:?}: {}", ended.said());
        (status.parse().unwrap(), message.trim_end().to_owned())
    }

    /// Runs the program with a configuration that has these settings.
    fn run_with(
        &self,
        raised: Raised,
        settings: &[(&str, &str)],
        change: impl FnOnce(&mut Command),
    ) -> (i32, String) {
        let lines = settings
            .iter()
            .map(|(key, value)| format!("{key}={value}\n"));
        let lines: String = lines.collect();
        self.run(raised, &["new"], |command| {
            command.env("TEST_SETTINGS", lines);
            change(command);
        })
    }

    /// Writes a file that every user can read and nobody but root can write.
    fn write_public(&self, name: &str, text: &str) -> PathBuf {
        self.harness.write_file(name, text, 0o644)
    }
}

fn set_mode(path: PathBuf, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
}

#[track_caller]
fn assert_refused(outcome: &(i32, String), hint: &str) {
    let (status, message) = outcome;
    assert!(
        *status == KEYFERRY_E_CONFIG && message.contains("AT_SECURE") && message.contains(hint),
        "{hint}: {outcome:?}"
    );
}

fn total(sandbox: &Sandbox) -> u64 {
    sandbox.counts().values().sum()
}

#[test]
fn a_caller_gets_no_secret_file_sent_to_a_server_of_theirs() {
    let Some(privileged) = Privileged::new() else {
        return;
    };
    let sandbox = privileged.harness.sandbox();
    let password = privileged.write_public("password", c::PASSWORD);
    let config = format!(
        "[masv]\nurl = \"{}\"\nemail = \"{}\"\n",
        sandbox.masv_url(),
        c::EMAIL
    );
    privileged.write_public("home/.config/keyferry/config.toml", &config);
    for variables in [
        // The URL and the file are in the environment.
        &[
            ("KEYFERRY_MASV_URL", sandbox.masv_url()),
            ("KEYFERRY_MASV_EMAIL", c::EMAIL),
            ("HOME", "/nonexistent"),
        ][..],
        // The URL is in the caller's configuration file.
        &[],
    ] {
        let change = |command: &mut Command| {
            command.env("KEYFERRY_MASV_PASSWORD_FILE", &password);
            command.envs(variables.iter().copied());
        };
        let control = privileged.run(Raised::No, &["user"], change);
        assert_eq!(control, (0, "ok".into()));
        assert_eq!(sandbox.count("login"), 1, "the control reaches the server");
        sandbox.reset_counts();
        for raised in Raised::KINDS {
            let outcome = privileged.run(raised, &["user"], change);
            assert_refused(&outcome, "keyferry_config_new");
            assert_eq!(total(sandbox), 0, "{raised:?}");
        }
    }
}

#[test]
fn a_caller_chooses_no_certificates() {
    let Some(privileged) = Privileged::new() else {
        return;
    };
    let sandbox = Sandbox::start(Options {
        tls: true,
        ..Options::default()
    })
    .unwrap();
    let ca = privileged.write_public("certificates/ca.pem", sandbox.ca_pem().unwrap());
    let settings = [
        ("masv.url", sandbox.masv_url()),
        ("masv.email", c::EMAIL),
        ("masv.password", c::PASSWORD),
    ];
    let ca_file = ("http.ca_file", ca.to_str().unwrap());
    for (name, value) in [
        ("SSL_CERT_FILE", ca.as_path()),
        ("SSL_CERT_DIR", ca.parent().unwrap()),
    ] {
        let change = |command: &mut Command| {
            command.env(name, value);
        };
        let control = privileged.run_with(Raised::No, &settings, change);
        assert_eq!((control.0, sandbox.count("login")), (0, 1), "{control:?}");
        sandbox.reset_counts();
        for raised in Raised::KINDS {
            let outcome = privileged.run_with(raised, &settings, change);
            assert_eq!(outcome.0, KEYFERRY_E_TLS, "{raised:?}: {outcome:?}");
            assert_eq!(sandbox.count("login"), 0, "{raised:?}");
        }
    }
    // The program itself may trust a certificate.
    sandbox.reset_counts();
    let settings = [&settings[..], &[ca_file]].concat();
    for raised in Raised::KINDS {
        let outcome = privileged.run_with(raised, &settings, |_| ());
        assert_eq!(outcome, (0, "ok".into()), "{raised:?}");
    }
    assert_eq!(sandbox.count("login"), 3);
}

/// A proxy that refuses each request. Returns its URL and the requests that it got.
fn proxy() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (sender, requests) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut bytes) = (stream.unwrap(), [0; 4096]);
            let length = stream.read(&mut bytes).unwrap();
            let request = String::from_utf8_lossy(&bytes[..length]).into_owned();
            // The program waits for the response, so the request is known when the program ends.
            if sender.send(request).is_err() {
                return;
            }
            let _ = stream.write_all(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\n\r\n");
        }
    });
    (url, requests)
}

#[test]
fn a_caller_chooses_no_proxy() {
    let Some(privileged) = Privileged::new() else {
        return;
    };
    let (caller_url, caller_requests) = proxy();
    let (own_url, own_requests) = proxy();
    let settings = [
        ("masv.url", "https://cloud.invalid"),
        ("masv.email", c::EMAIL),
        ("masv.password", c::PASSWORD),
    ];
    // Nothing answers without a proxy, and looking up the host may take as long as it is allowed.
    let direct = [&settings[..], &[("http.timeout_ms", "2000")]].concat();
    let set_proxy = |command: &mut Command| {
        let names = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
        command.envs(names.map(|name| (name, &caller_url)));
    };
    let control = privileged.run_with(Raised::No, &settings, set_proxy);
    let request = caller_requests.try_iter().last();
    assert!(
        request.is_some_and(|text| text.starts_with("CONNECT cloud.invalid:443 ")),
        "{control:?}"
    );
    for raised in Raised::KINDS {
        let outcome = privileged.run_with(raised, &direct, set_proxy);
        assert!(outcome.0 != 0, "{raised:?}");
        assert_eq!(caller_requests.try_iter().last(), None, "{raised:?}");
    }
    // The caller does not turn off the program's own proxy either.
    let set_no_proxy = |command: &mut Command| {
        command.env("NO_PROXY", "*").env("no_proxy", "*");
    };
    let direct = [&direct[..], &[("http.proxy", own_url.as_str())]].concat();
    privileged.run_with(Raised::No, &direct, set_no_proxy);
    assert_eq!(own_requests.try_iter().last(), None);
    let with_proxy = [&settings[..], &[("http.proxy", own_url.as_str())]].concat();
    for raised in Raised::KINDS {
        privileged.run_with(raised, &with_proxy, set_no_proxy);
        assert!(own_requests.try_iter().last().is_some(), "{raised:?}");
    }
}

#[test]
fn a_file_that_the_program_names_is_read_without_the_environment() {
    let Some(privileged) = Privileged::new() else {
        return;
    };
    let (trusted, theirs) = (
        Sandbox::start(Options::default()).unwrap(),
        privileged.harness.sandbox(),
    );
    let text = format!(
        "masv.url = \"{}\"\nmasv.email = \"{}\"\nmasv.password = {{ file = \"{}\" }}\n",
        trusted.masv_url(),
        c::EMAIL,
        privileged
            .harness
            .write_private_file("password", c::PASSWORD)
            .display()
    );
    let config = privileged.write_public("config.toml", &text);
    let words = ["load", config.to_str().unwrap()];
    let change = |command: &mut Command| {
        command
            .env("KEYFERRY_MASV_URL", theirs.masv_url())
            .env("KEYFERRY_MASV_PASSWORD", c::PASSWORD)
            .env_remove("KEYFERRY_STORE");
    };
    privileged.run(Raised::No, &words, change);
    assert_eq!(theirs.count("login"), 1, "the control reaches the server");
    theirs.reset_counts();
    for name in ["home", "runtime"] {
        set_mode(privileged.harness.path(name), 0o777);
        fs::remove_dir_all(privileged.harness.path(name)).unwrap();
        fs::create_dir(privileged.harness.path(name)).unwrap();
    }
    for raised in [Raised::Setuid, Raised::Capability] {
        trusted.reset_counts();
        // The file of the password belongs to the user that the program runs as.
        let outcome = privileged.run(raised, &words, change);
        assert_eq!(outcome, (0, "ok".into()), "{raised:?}");
        assert_eq!(
            (trusted.count("login"), total(theirs)),
            (1, 0),
            "{raised:?}"
        );
    }
    for name in ["home", "runtime"] {
        let names = fs::read_dir(privileged.harness.path(name)).unwrap();
        assert_eq!(names.count(), 0, "a file was made in {name}");
    }
}

#[test]
fn plugins_programs_keyrings_variables_and_stores_are_refused() {
    let Some(privileged) = Privileged::new() else {
        return;
    };
    let marker = privileged.harness.path("work/marker");
    set_mode(privileged.harness.path("work"), 0o777);
    let touch = format!(
        "password = {{ command = [\"/usr/bin/touch\", \"{}\"] }}",
        marker.display()
    );
    let store = format!("file:{}", privileged.harness.path("work/store").display());
    let store_line = format!("store = \"{store}\"");
    let start = format!(
        "[masv]\nurl = \"{}\"\nemail = \"{}\"\n",
        privileged.harness.sandbox().masv_url(),
        c::EMAIL
    );
    for (line, hint) in [
        (touch.as_str(), "no program"),
        ("password = { env = \"LEAK\" }", "no environment variable"),
        ("password = { keyring = [\"a\", \"b\"] }", "no keyring"),
        ("password = { plugin = [\"vault\", \"x\"] }", "no plugin"),
        (
            "[profile.other.masv]\npassword = { env = \"LEAK\" }",
            "`profile.other.masv.password`",
        ),
        (store_line.as_str(), "memory"),
        ("store = \"file\"", "memory"),
        ("plugins = \"/nonexistent/x.so\"", "no plugin"),
    ] {
        // These keys stand before the first section.
        let text = if line.starts_with("store") || line.starts_with("plugins") {
            format!("{line}\n{start}")
        } else {
            format!("{start}{line}\n")
        };
        let config = privileged.write_public("config.toml", &text);
        for raised in Raised::KINDS {
            let words = ["load", config.to_str().unwrap()];
            let outcome = privileged.run(raised, &words, |command| {
                command.env("LEAK", c::PASSWORD);
            });
            assert_refused(&outcome, hint);
        }
    }
    for (key, value) in [
        ("plugins", "/nonexistent/x.so"),
        ("store", "file"),
        ("store", &store),
    ] {
        for raised in Raised::KINDS {
            let outcome = privileged.run_with(raised, &[(key, value)], |_| ());
            assert_refused(&outcome, &format!("`{key}`"));
        }
    }
    assert_eq!(total(privileged.harness.sandbox()), 0);
    assert!(!marker.exists() && !privileged.harness.path("work/store").exists());
}
