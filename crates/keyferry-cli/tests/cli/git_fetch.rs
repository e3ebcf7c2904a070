//! A real `git fetch` over http from a server that wants `Authorization: Bearer`, and takes a
//! FileVerbs token for it.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::programs::HELPER;
use keyferry_testing::child::run_with_input;
use keyferry_testing::harness::Harness;
use keyferry_testing::http;
use keyferry_testing::secrets::assert_no_secret_in_file;
use keyferry_testing::skip;

/// A server of one repository. What begins with `/api/` goes on to the sandbox, so that both are at
/// one origin.
struct Server {
    url: String,
    refused: Arc<AtomicUsize>,
}

impl Server {
    fn start(root: PathBuf, fileverbs: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://127.0.0.1:{}", listener.local_addr().unwrap().port());
        let refused = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&refused);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (root, fileverbs, count) =
                    (root.clone(), fileverbs.clone(), Arc::clone(&count));
                std::thread::spawn(move || serve(stream, &root, &fileverbs, &count));
            }
        });
        Self { url, refused }
    }
}

fn serve(stream: TcpStream, root: &Path, fileverbs: &str, refused: &AtomicUsize) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut head = String::new();
    while reader.read_line(&mut head).unwrap_or(0) > 2 {}
    let header = |name: &str| {
        let is_it = |line: &&str| {
            line.split(':')
                .next()
                .is_some_and(|own| own.eq_ignore_ascii_case(name))
        };
        head.lines()
            .skip(1)
            .find(is_it)
            .and_then(|line| line.split_once(": "))
            .map(|(_, value)| value.to_owned())
    };
    let mut body = vec![
        0;
        header("content-length")
            .and_then(|text| text.parse().ok())
            .unwrap_or(0)
    ];
    reader.read_exact(&mut body).unwrap();
    let mut words = head.split_whitespace();
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        return;
    };
    let answer = if target.starts_with("/api/") {
        pass_on(fileverbs, &head, &body)
    } else if header("authorization").is_none_or(|value| {
        http::get(
            fileverbs,
            "/api/v1/fileuploads",
            &[("Authorization", &value)],
        )
        .status
            != 200
    }) {
        refused.fetch_add(1, Ordering::Relaxed);
        b"HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm=\"test\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_vec()
    } else {
        backend(root, method, target, &header, &body)
    };
    let _ = (&stream).write_all(&answer);
}

/// Sends the same to the sandbox, on a connection that ends with the answer.
fn pass_on(fileverbs: &str, head: &str, body: &[u8]) -> Vec<u8> {
    let kept: String = head
        .lines()
        .filter(|line| !line.is_empty() && !line.to_lowercase().starts_with("connection:"))
        .map(|line| format!("{line}\r\n"))
        .collect();
    let head = format!("{kept}Connection: close\r\n\r\n");
    http::send_bytes(fileverbs, &[head.as_bytes(), body].concat())
}

fn backend(
    root: &Path,
    method: &str,
    target: &str,
    header: &dyn Fn(&str) -> Option<String>,
    body: &[u8],
) -> Vec<u8> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", method);
    command
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("REMOTE_ADDR", "127.0.0.1");
    for (name, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "HTTP_GIT_PROTOCOL"),
    ] {
        command.envs(header(name).map(|value| (variable, value)));
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let end = output
        .windows(4)
        .position(|four| four == b"\r\n\r\n")
        .unwrap();
    let head = String::from_utf8_lossy(&output[..end]).into_owned();
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK")
        .to_owned();
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{head}\r\n\r\n",
        output.len() - end - 4
    )
    .into_bytes();
    answer.extend_from_slice(&output[end + 4..]);
    answer
}

fn git(harness: &Harness, arguments: &[&str]) {
    let mut command = harness.program("git", arguments);
    for name in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{name}_NAME"), "Test")
            .env(format!("GIT_{name}_EMAIL"), "test@example.com");
    }
    let output = run_with_input(&mut command, "");
    assert_eq!(output.code, Some(0), "{arguments:?}: {}", output.err);
}

#[test]
fn a_fetch_gets_its_bearer_from_the_helper() {
    // Only a git that knows `authtype` can send a bearer token.
    if skip::without_git((2, 46)) {
        return;
    }
    let harness = Harness::watching_arguments();
    let root = harness.path("served");
    fs::create_dir(&root).unwrap();
    git(&harness, &["init", "-q", "-b", "main", "source"]);
    git(
        &harness,
        &[
            "-C",
            "source",
            "commit",
            "-q",
            "--allow-empty",
            "-m",
            "first",
        ],
    );
    git(
        &harness,
        &[
            "clone",
            "-q",
            "--bare",
            "source",
            root.join("repo.git").to_str().unwrap(),
        ],
    );
    let server = Server::start(root, harness.sandbox().fileverbs_url().to_owned());
    git(&harness, &["init", "-q", "-b", "main", "target"]);

    let fetch = |helper: &str| {
        let kept = harness.path("kept");
        let (store, helper) = (
            format!("credential.helper=store --file={}", kept.display()),
            format!("credential.helper={helper}"),
        );
        let url = format!("{}/repo.git", server.url);
        let arguments = [
            "-C",
            "target",
            "-c",
            "credential.helper=",
            "-c",
            &store,
            "-c",
            &helper,
            "fetch",
            &url,
            "main",
        ];
        let mut command = harness.program("git", &arguments);
        command
            .env("KEYFERRY_FILEVERBS_URL", &server.url)
            .env("GIT_TRACE_CURL", harness.path("trace"))
            .env("GIT_ASKPASS", "/bin/false");
        run_with_input(&mut command, "")
    };
    let without = fetch("");
    assert_ne!(without.code, Some(0), "the server wants a credential");
    let refused = server.refused.load(Ordering::Relaxed);
    assert!(refused > 0);

    let with = fetch(HELPER);
    assert_eq!(with.code, Some(0), "{}", with.err);
    with.assert_no_secrets();
    git(
        &harness,
        &["-C", "target", "rev-parse", "--verify", "FETCH_HEAD"],
    );
    assert_eq!(
        server.refused.load(Ordering::Relaxed),
        refused + 1,
        "one question, and the answer was right"
    );
    assert_eq!(harness.sandbox().count("fileverbs_login"), 1);
    // git writes <redacted> into its trace, and hands an ephemeral credential to no other helper's
    // file.
    assert_no_secret_in_file(&harness.path("trace"));
    assert_no_secret_in_file(&harness.path("kept"));
    harness.assert_no_secret_in_argv();
}
