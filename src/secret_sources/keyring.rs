//! Secrets in a keyring: `{ keyring = ["SERVICE", "ACCOUNT"] }`.
//!
//! On a desktop, keyferry uses the Secret Service through libsecret's program `secret-tool`.
//! Elsewhere, it uses the kernel's keyring, which is lost when the machine reboots.
//!
//! Rationale: a request to a locked keyring may hang until the user unlocks it. A thread that hangs
//! in a library can't be killed, but a process can: keyferry kills it after two seconds. Using a
//! program also keeps a hundred crates for D-Bus out of the library.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::config::{Environment, without_secrets};
use crate::error::{Error, ErrorKind, Result};
use crate::ports::store::KeyBackend;
use crate::secret::{Extent, Secret};
use crate::sys::fork::PerProcess;
use crate::sys::io_cause::{self, Subject};
use crate::sys::keyutils;
use crate::sys::process::{Limits, RunOutcome, run};
use crate::sys::sync::Mutex;

const LIMITS: Limits = Limits {
    time: Duration::from_secs(2),
    bytes: 64 * 1024,
    own_group: true,
};
const TOOL_PATHS: [&str; 2] = ["/usr/bin/secret-tool", "/usr/local/bin/secret-tool"];

/// The service name of keyferry's own items.
const SERVICE: &str = "keyferry";

/// Lets one thread at a time use the keyring. Rationale: some daemons crash on two requests at
/// once. A forked child has its own gate, so that it doesn't wait for a thread of its parent.
static GATE: PerProcess<Mutex<KeyringGate>> = PerProcess::new();

fn keyring_gate() -> &'static Mutex<KeyringGate> {
    GATE.get_or_init(Mutex::default)
}

/// The time after a tool's failure during which the tool is not run again for the same item. A
/// person needs about this time to unlock a keyring and retry.
const RETRY_COOLDOWN: Duration = Duration::from_secs(3);

/// A tool, a service and an account.
type ItemId<'a> = (&'a str, &'a str, &'a str);

/// The recent failures of the keyring. A thread must lock this value to use the keyring.
///
/// Rationale: a request to a keyring that hangs takes two seconds. Without recorded failures, 12
/// threads that needed a secret each waited two seconds, one after the other.
#[derive(Default)]
struct KeyringGate {
    failures: Vec<RecentFailure>,
}

struct RecentFailure {
    tool: String,
    /// Service and account. `None` after a timeout, because a timeout applies to all items.
    item: Option<(String, String)>,
    at: Instant,
    error: Error,
}

impl KeyringGate {
    /// Looks up an item with a tool. Returns the recent error instead if the tool has just failed.
    fn look_up(&mut self, tool: &str, service: &str, account: &str) -> Result<Option<Secret>> {
        let item = (tool, service, account);
        if let Some(error) = self.recent_failure(item, Instant::now()) {
            return Err(error);
        }
        let began = Instant::now();
        let found = look_up_with_tool(tool, service, account);
        if let Err(error) = &found {
            self.record_failure(item, began.elapsed() >= LIMITS.time, error, Instant::now());
        }
        found
    }

    fn recent_failure(&self, (tool, service, account): ItemId<'_>, now: Instant) -> Option<Error> {
        let is_recent =
            |failure: &RecentFailure| now.saturating_duration_since(failure.at) < RETRY_COOLDOWN;
        let applies = |failure: &&RecentFailure| {
            let is_of_item = failure
                .item
                .as_ref()
                .is_none_or(|(of_service, of_account)| {
                    of_service == service && of_account == account
                });
            failure.tool == tool && is_of_item && is_recent(failure)
        };
        self.failures
            .iter()
            .find(applies)
            .map(|failure| failure.error.clone())
    }

    fn record_failure(
        &mut self,
        (tool, service, account): ItemId<'_>,
        is_timeout: bool,
        error: &Error,
        now: Instant,
    ) {
        self.failures
            .retain(|failure| now.saturating_duration_since(failure.at) < RETRY_COOLDOWN);
        let item = (!is_timeout).then(|| (service.to_owned(), account.to_owned()));
        self.failures.push(RecentFailure {
            tool: tool.to_owned(),
            item,
            at: now,
            error: error.clone(),
        });
    }
}

/// Returns the secret of an item.
pub(super) fn get(service: &str, account: &str, environment: &Environment) -> Result<Secret> {
    let missing = || {
        source_error(format!(
            "no keyring has an item with service {service} and account {account}; unlock the keyring, or run `keyferry login --save keyring`"
        ))
    };
    find(service, account, environment)?.ok_or_else(missing)
}

/// Returns the secret of an item. `None` if all keyrings report that they have no such item.
fn find(service: &str, account: &str, environment: &Environment) -> Result<Option<Secret>> {
    let mut gate = keyring_gate().lock();
    // The kernel's keyring may have an item that the tool does not find. If it has none either,
    // report the tool's failure.
    let (found, tool_failure) = match find_tool(environment) {
        Some(tool) => match gate.look_up(tool, service, account) {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error)),
        },
        None => (None, None),
    };
    if found.is_some() {
        return Ok(found);
    }
    match keyutils::read(&kernel_key_name(service, account)) {
        Ok(Some(bytes)) => decode(&bytes).map(Some),
        Ok(None) => tool_failure.map_or(Ok(None), Err),
        Err(error) => Err(tool_failure.unwrap_or_else(|| unavailable_error(&error))),
    }
}

/// The time after a keyring's failure during which keyferry does not ask it again for the key of a
/// store. Rationale: otherwise each lookup of a token would wait for the keyring.
const BACKEND_COOLDOWN: Duration = Duration::from_secs(60);

/// A keyring that holds the key of a store.
pub struct Keyring {
    environment: Environment,
    recent_failure: Mutex<Option<(Instant, Error)>>,
}

impl Keyring {
    /// Creates a backend for the keyring that these environment variables determine. The keyring is
    /// not accessed yet.
    pub fn new(environment: &Environment) -> Self {
        Self {
            environment: environment.clone(),
            recent_failure: Mutex::default(),
        }
    }

    fn with_cooldown<T>(&self, call: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some((since, error)) = &*self.recent_failure.lock()
            && since.elapsed() < BACKEND_COOLDOWN
        {
            return Err(error.clone());
        }
        let outcome = call();
        *self.recent_failure.lock() = outcome
            .as_ref()
            .err()
            .map(|error| (Instant::now(), error.clone()));
        outcome
    }
}

impl KeyBackend for Keyring {
    fn get(&self, name: &str) -> Result<Option<Secret>> {
        self.with_cooldown(|| find(SERVICE, name, &self.environment))
    }

    fn put(&self, name: &str, key: &Secret) -> Result<()> {
        self.with_cooldown(|| save(SERVICE, name, key, &self.environment).map(drop))
    }
}

/// Saves a secret in a keyring. Returns the name of the keyring.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if no keyring stores the secret.
#[expect(
    clippy::disallowed_methods,
    reason = "passes the secret to the keyring"
)]
pub fn save(
    service: &str,
    account: &str,
    secret: &Secret,
    environment: &Environment,
) -> Result<&'static str> {
    let mut gate = keyring_gate().lock();
    if let Some(tool) = find_tool(environment) {
        // The user requested this save, and it may succeed although recent requests failed.
        gate.failures.clear();
        let label = format!("--label={service} {account}");
        let mut command = Command::new(tool);
        command.args(["store", &label, "service", service, "account", account]);
        return match run(
            without_secrets(&mut command),
            Some(secret.expose().as_bytes()),
            LIMITS,
        ) {
            Ok((_, RunOutcome::Exited(Some(0)))) => Ok("the Secret Service"),
            outcome => Err(tool_error(&outcome)),
        };
    }
    keyutils::add(
        &kernel_key_name(service, account),
        secret.expose().as_bytes(),
    )
    .map_err(|error| unavailable_error(&error))?;
    Ok("the kernel's keyring, until this machine reboots")
}

/// Deletes an item from all keyrings. An item that does not exist is not an error.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if a keyring that may have the item cannot be used.
pub fn delete(service: &str, account: &str, environment: &Environment) -> Result<()> {
    let mut gate = keyring_gate().lock();
    gate.failures.clear();
    if let Some(tool) = find_tool(environment) {
        let mut command = Command::new(tool);
        command.args(["clear", "service", service, "account", account]);
        match run(without_secrets(&mut command), None, LIMITS) {
            // `clear` exits with 1 if there is no such item.
            Ok((_, RunOutcome::Exited(Some(0 | 1)))) => {}
            outcome => return Err(tool_error(&outcome)),
        }
    }
    match keyutils::remove(&kernel_key_name(service, account)) {
        Err(error) if find_tool(environment).is_none() => Err(unavailable_error(&error)),
        _ => Ok(()),
    }
}

/// Returns the path of the tool. `None` if it is not installed, or if there is no D-Bus session bus
/// to reach the keyring.
fn find_tool(environment: &Environment) -> Option<&'static str> {
    let non_empty = |name: &str| environment(name).filter(|value| !value.is_empty());
    let has_bus = non_empty("DBUS_SESSION_BUS_ADDRESS").is_some()
        || non_empty("XDG_RUNTIME_DIR").is_some_and(|dir| Path::new(&dir).join("bus").exists());
    TOOL_PATHS
        .into_iter()
        .find(|path| has_bus && Path::new(path).exists())
}

fn look_up_with_tool(tool: &str, service: &str, account: &str) -> Result<Option<Secret>> {
    match run(
        without_secrets(
            Command::new(tool).args(["lookup", "service", service, "account", account]),
        ),
        None,
        LIMITS,
    ) {
        Ok((bytes, RunOutcome::Exited(Some(0)) | RunOutcome::StatusLost)) if !bytes.is_empty() => {
            decode(&bytes).map(Some)
        }
        Ok((_, RunOutcome::Exited(Some(0 | 1)))) => Ok(None),
        outcome => Err(tool_error(&outcome)),
    }
}

fn decode(item: &[u8]) -> Result<Secret> {
    Secret::decode(item, Extent::Whole, "the keyring's item")
}

fn tool_error<T>(outcome: &std::io::Result<(T, RunOutcome)>) -> Error {
    match outcome {
        Ok((_, RunOutcome::TimedOut)) => {
            source_error("the keyring did not respond within 2 s; unlock it, or keep the secret in a file".into())
        }
        // Either there is no item, or the keyring rejected the request. If this were treated as "no
        // item", the store might create another key.
        Ok((_, RunOutcome::StatusLost)) => source_error(
            "cannot read the keyring: secret-tool printed nothing and its exit code was lost; change this process so that it \
             neither ignores SIGCHLD nor waits for all children"
                .into(),
        ),
        Ok(_) => source_error("cannot use the keyring: secret-tool failed; unlock the keyring, or keep the secret in a file".into()),
        Err(error) => source_error(format!("cannot run secret-tool: {}", io_cause::explain(error, Subject::Program))),
    }
}

fn unavailable_error(error: &std::io::Error) -> Error {
    let reason = io_cause::reason(error);
    source_error(format!(
        "no keyring is available ({reason}); install libsecret-tools on a desktop, or keep the secret in a file"
    ))
}

fn kernel_key_name(service: &str, account: &str) -> String {
    format!("{service}:{account}")
}

fn source_error(what: String) -> Error {
    Error::new(ErrorKind::SecretSource, what)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]
#[expect(
    clippy::disallowed_methods,
    reason = "the secrets in tests are made up"
)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// Creates a fake `secret-tool`, so that no test accesses a real keyring.
    fn fake_tool(script: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret-tool");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let name = path.to_str().unwrap().to_owned();
        (folder, name)
    }

    fn get(script: &str) -> Result<Option<Secret>> {
        let (_folder, name) = fake_tool(script);
        look_up_with_tool(&name, "keyferry", "masv.password")
    }

    #[test]
    fn the_item_is_what_the_tool_prints() {
        let exact =
            r#"[ "$*" = "lookup service keyferry account masv.password" ] && printf 'a=b $c'"#;
        assert_eq!(get(exact).unwrap().unwrap().expose(), "a=b $c");
        assert!(get("exit 1").unwrap().is_none() && get("exit 0").unwrap().is_none());
        assert!(
            get("echo canary >&2; exit 5")
                .unwrap_err()
                .message()
                .contains("secret-tool failed")
        );
        assert!(
            get(r"printf '\377'")
                .unwrap_err()
                .message()
                .contains("UTF-8")
        );
    }

    #[test]
    fn a_keyring_that_does_not_answer_is_killed_after_two_seconds() {
        let began = Instant::now();
        let error = get("sleep 60").unwrap_err();
        assert!(
            error.message().contains("did not respond within 2 s"),
            "{error}"
        );
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_keyring_that_does_not_answer_is_asked_once_for_all_who_wait() {
        let (folder, name) = fake_tool("echo >> \"$0.calls\"; sleep 60");
        let began = Instant::now();
        std::thread::scope(|scope| {
            // The threads need different secrets.
            let look_up = |number: usize| {
                keyring_gate().lock().look_up(
                    &name,
                    "keyferry",
                    ["masv.password", "masv.api_key"][number % 2],
                )
            };
            let threads: Vec<_> = (0..12)
                .map(|number| scope.spawn(move || look_up(number)))
                .collect();
            for thread in threads {
                let error = thread.join().unwrap().unwrap_err();
                assert!(
                    error.message().contains("did not respond within 2 s"),
                    "{error}"
                );
            }
        });
        assert!(
            began.elapsed() < Duration::from_secs(6),
            "{:?}",
            began.elapsed()
        );
        let calls = || fs::read_to_string(folder.path().join("secret-tool.calls")).unwrap();
        assert_eq!(calls(), "\n");
        assert!(
            keyring_gate()
                .lock()
                .look_up(&name, "keyferry", "fileverbs.api_key")
                .is_err()
        );
        assert_eq!(calls(), "\n", "it is not run again during the cooldown");
    }

    #[test]
    fn a_timeout_is_remembered_for_a_few_seconds_and_a_refusal_for_its_item_alone() {
        let (mut gate, began) = (KeyringGate::default(), Instant::now());
        gate.record_failure(
            ("tool", "keyferry", "a"),
            false,
            &source_error("refuses".into()),
            began,
        );
        assert!(
            gate.recent_failure(("tool", "keyferry", "a"), began + Duration::from_secs(1))
                .is_some()
        );
        assert!(
            gate.recent_failure(("tool", "keyferry", "b"), began + Duration::from_secs(1))
                .is_none()
        );
        gate.record_failure(
            ("tool", "keyferry", "b"),
            true,
            &source_error("mute".into()),
            began,
        );
        assert!(
            gate.recent_failure(("tool", "other", "c"), began + Duration::from_secs(1))
                .is_some()
        );
        assert!(
            gate.recent_failure(("other", "keyferry", "b"), began + Duration::from_secs(1))
                .is_none()
        );
        assert!(
            gate.recent_failure(("tool", "keyferry", "a"), began + RETRY_COOLDOWN)
                .is_none()
        );
        let (_folder, name) = fake_tool("exit 5");
        assert!(gate.look_up(&name, "keyferry", "a").is_err());
        fs::write(&name, "#!/bin/sh\necho mended\n").unwrap();
        assert!(gate.look_up(&name, "keyferry", "a").is_err());
        assert_eq!(
            gate.look_up(&name, "keyferry", "b")
                .unwrap()
                .unwrap()
                .expose(),
            "mended"
        );
    }

    #[test]
    fn without_a_bus_the_tool_is_not_looked_for() {
        let nothing: Environment = std::sync::Arc::new(|_| None);
        assert!(find_tool(&nothing).is_none());
    }
}
