//! Secrets in a keyring: `{ keyring = ["SERVICE", "ACCOUNT"] }`.
//!
//! On a desktop the Secret Service, through libsecret's own `secret-tool`; where there is none, the
//! kernel's keys, which last until the machine starts again.
//!
//! Rationale: a locked keyring may wait for ever for somebody to unlock it, and a thread that hangs in a library can't be ended, a
//! program can: after two seconds it is. That also keeps a hundred crates of a bus out of the library.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::config::{Environment, Setting, withhold};
use crate::error::{Error, ErrorKind, Result};
use crate::ports::store::KeyBackend;
use crate::secret::Secret;
use crate::sys::fork::PerProcess;
use crate::sys::keyutils;
use crate::sys::process::{Limits, RunOutcome, run};
use crate::sys::sync::Mutex;

const LIMITS: Limits = Limits { time: Duration::from_secs(2), bytes: 64 * 1024, own_group: true };
const TOOLS: [&str; 2] = ["/usr/bin/secret-tool", "/usr/local/bin/secret-tool"];

/// Whose items the executable's own are.
const SERVICE: &str = "keyferry";

/// Some daemons end when two speak to them at once. A child that is forked meanwhile has a turn of its own, and doesn't wait for a thread
/// that it hasn't got.
static TURNS: PerProcess<Mutex<KeyringGate>> = PerProcess::new();

fn turns() -> &'static Mutex<KeyringGate> {
    TURNS.get_or_init(Mutex::default)
}

/// How long a tool that gave trouble is not asked again for the same: as long as somebody needs to unlock a keyring and to try again.
const RETRY_COOLDOWN: Duration = Duration::from_secs(3);

/// A tool, a service and an account.
type Item<'a> = (&'a str, &'a str, &'a str);

/// Who may speak to the keyring; with it goes what trouble the last ones had.
///
/// Rationale: a keyring that is mute is so for two seconds, and twelve threads that wanted a secret of it waited one after the other.
#[derive(Default)]
struct KeyringGate(Vec<RecentFailure>);

struct RecentFailure {
    tool: String,
    /// Service and account; none where the keyring was mute, which concerns all of it.
    item: Option<(String, String)>,
    at: Instant,
    error: Error,
}

impl KeyringGate {
    /// Asks a tool, unless it has just given trouble.
    fn ask(&mut self, tool: &str, service: &str, account: &str) -> Result<Option<Secret>> {
        let item = (tool, service, account);
        if let Some(error) = self.failure(item, Instant::now()) {
            return Err(error);
        }
        let began = Instant::now();
        let found = secret_service(tool, service, account);
        if let Err(error) = &found {
            self.note(item, began.elapsed() >= LIMITS.time, error, Instant::now());
        }
        found
    }

    fn failure(&self, (tool, service, account): Item<'_>, now: Instant) -> Option<Error> {
        let is_recent = |failure: &RecentFailure| now.saturating_duration_since(failure.at) < RETRY_COOLDOWN;
        let is_it = |failure: &&RecentFailure| {
            let concerns = failure.item.as_ref().is_none_or(|(own, whose)| own == service && whose == account);
            failure.tool == tool && concerns && is_recent(failure)
        };
        self.0.iter().find(is_it).map(|failure| failure.error.clone())
    }

    fn note(&mut self, (tool, service, account): Item<'_>, is_mute: bool, error: &Error, now: Instant) {
        self.0.retain(|failure| now.saturating_duration_since(failure.at) < RETRY_COOLDOWN);
        let item = (!is_mute).then(|| (service.to_owned(), account.to_owned()));
        self.0.push(RecentFailure { tool: tool.to_owned(), item, at: now, error: error.clone() });
    }
}

pub(super) fn get(setting: &Setting, environment: &Environment) -> Option<Result<Secret>> {
    let Setting::Keyring(service, account) = setting else { return None };
    Some(look_up(service, account, environment))
}

fn look_up(service: &str, account: &str, environment: &Environment) -> Result<Secret> {
    let missing =
        || fail(format!("no keyring has an item of service {service} and account {account}: unlock it, or keyferry login --save keyring"));
    find(service, account, environment)?.ok_or_else(missing)
}

/// What is there; none where every keyring that there is says so.
fn find(service: &str, account: &str, environment: &Environment) -> Result<Option<Secret>> {
    let mut turn = turns().lock();
    // What is missing or mute there may stand in the kernel all the same; the first trouble is the one worth telling.
    let (found, failure) = match tool(environment) {
        Some(tool) => match turn.ask(tool, service, account) {
            Ok(found) => (found, None),
            Err(error) => (None, Some(error)),
        },
        None => (None, None),
    };
    if found.is_some() {
        return Ok(found);
    }
    match keyutils::read(&name(service, account)) {
        Ok(Some(mut bytes)) => {
            Secret::from_bytes(std::mem::take(&mut *bytes)).map(Some).ok_or_else(|| fail("the keyring's item is not UTF-8".into()))
        }
        Ok(None) => failure.map_or(Ok(None), Err),
        Err(error) => Err(failure.unwrap_or_else(|| no_keyring(&error))),
    }
}

/// How long a keyring that gave trouble is not asked again for the key of a store: each look-up of a token would wait for it.
const PAUSE: Duration = Duration::from_secs(60);

/// The keyring as the keeper of a store's key.
pub struct Keyring {
    environment: Environment,
    failure: Mutex<Option<(Instant, Error)>>,
}

impl Keyring {
    /// The keyring that these variables lead to. It is not asked yet.
    pub fn new(environment: &Environment) -> Self {
        Self { environment: environment.clone(), failure: Mutex::default() }
    }

    fn patiently<T>(&self, ask: impl FnOnce() -> Result<T>) -> Result<T> {
        if let Some((since, error)) = &*self.failure.lock()
            && since.elapsed() < PAUSE
        {
            return Err(error.clone());
        }
        let outcome = ask();
        *self.failure.lock() = outcome.as_ref().err().map(|error| (Instant::now(), error.clone()));
        outcome
    }
}

impl KeyBackend for Keyring {
    fn get(&self, name: &str) -> Result<Option<Secret>> {
        self.patiently(|| find(SERVICE, name, &self.environment))
    }

    fn put(&self, name: &str, key: &Secret) -> Result<()> {
        self.patiently(|| put(SERVICE, name, key, &self.environment).map(drop))
    }
}

/// Keeps a secret. The name of the keyring that took it.
///
/// # Errors
/// [`ErrorKind::SecretSource`] if none does.
pub fn put(service: &str, account: &str, secret: &Secret, environment: &Environment) -> Result<&'static str> {
    let mut turn = turns().lock();
    if let Some(tool) = tool(environment) {
        // Somebody asked for this, and it may mend what troubled others.
        turn.0.clear();
        let label = format!("--label={service} {account}");
        let mut command = Command::new(tool);
        command.args(["store", &label, "service", service, "account", account]);
        return match run(withhold(&mut command), Some(secret.expose().as_bytes()), LIMITS) {
            Ok((_, RunOutcome::Exited(Some(0)))) => Ok("the Secret Service"),
            outcome => Err(failure(&outcome)),
        };
    }
    keyutils::add(&name(service, account), secret.expose().as_bytes()).map_err(|error| no_keyring(&error))?;
    Ok("the kernel's keyring, until this machine starts again")
}

/// The tool, where there are both it and a bus to speak on.
fn tool(environment: &Environment) -> Option<&'static str> {
    let filled = |name: &str| environment(name).filter(|value| !value.is_empty());
    let has_bus = filled("DBUS_SESSION_BUS_ADDRESS").is_some()
        || filled("XDG_RUNTIME_DIR").is_some_and(|folder| Path::new(&folder).join("bus").exists());
    TOOLS.into_iter().find(|path| has_bus && Path::new(path).exists())
}

fn secret_service(tool: &str, service: &str, account: &str) -> Result<Option<Secret>> {
    match run(withhold(Command::new(tool).args(["lookup", "service", service, "account", account])), None, LIMITS) {
        Ok((mut bytes, RunOutcome::Exited(Some(0)) | RunOutcome::StatusLost)) if !bytes.is_empty() => {
            if bytes.last() == Some(&b'\n') {
                bytes.pop();
            }
            Secret::from_bytes(std::mem::take(&mut *bytes)).map(Some).ok_or_else(|| fail("the keyring's item is not UTF-8".into()))
        }
        Ok((_, RunOutcome::Exited(Some(0 | 1)))) => Ok(None),
        outcome => Err(failure(&outcome)),
    }
}

fn failure<T>(outcome: &std::io::Result<(T, RunOutcome)>) -> Error {
    match outcome {
        Ok((_, RunOutcome::TimedOut)) => fail("the keyring does not answer within 2 s: unlock it, or keep the secret in a file".into()),
        // No item, or a refusal: nobody can tell. As none it could have the store make itself another key.
        Ok((_, RunOutcome::StatusLost)) => fail(
            "the keyring gives nothing, and this process took the exit code of secret-tool: let it not ignore SIGCHLD, nor wait for \
             children that are not its own"
                .into(),
        ),
        Ok(_) => fail("the keyring refuses: unlock it, or keep the secret in a file".into()),
        Err(error) => fail(format!("secret-tool can't be started: {}", error.kind())),
    }
}

fn no_keyring(error: &std::io::Error) -> Error {
    let kind = error.kind();
    fail(format!("there is no keyring here ({kind}): install libsecret-tools on a desktop, or keep the secret in a file"))
}

fn name(service: &str, account: &str) -> String {
    format!("{service}:{account}")
}

fn fail(what: String) -> Error {
    Error::new(ErrorKind::SecretSource, what)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    /// A stand-in for `secret-tool`: no test touches a real keyring.
    fn tool(script: &str) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret-tool");
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        let name = path.to_str().unwrap().to_owned();
        (folder, name)
    }

    fn get(script: &str) -> Result<Option<Secret>> {
        let (_folder, name) = tool(script);
        secret_service(&name, "keyferry", "masv.password")
    }

    #[test]
    fn the_item_is_what_the_tool_prints() {
        let exact = r#"[ "$*" = "lookup service keyferry account masv.password" ] && printf 'a=b $c'"#;
        assert_eq!(get(exact).unwrap().unwrap().expose(), "a=b $c");
        assert!(get("exit 1").unwrap().is_none() && get("exit 0").unwrap().is_none());
        assert!(get("echo canary >&2; exit 5").unwrap_err().message().contains("refuses"));
        assert!(get(r"printf '\377'").unwrap_err().message().contains("UTF-8"));
    }

    #[test]
    fn a_mute_keyring_is_left_after_two_seconds() {
        let began = Instant::now();
        let error = get("sleep 60").unwrap_err();
        assert!(error.message().contains("does not answer within 2 s"), "{error}");
        assert!(began.elapsed() < Duration::from_secs(10));
    }

    #[test]
    fn a_mute_keyring_is_asked_once_for_all_who_wait() {
        let (folder, name) = tool("echo >> \"$0.asked\"; sleep 60");
        let began = Instant::now();
        std::thread::scope(|scope| {
            // Whatever they want of it.
            let ask = |number: usize| turns().lock().ask(&name, "keyferry", ["masv.password", "masv.api_key"][number % 2]);
            let asking: Vec<_> = (0..12).map(|number| scope.spawn(move || ask(number))).collect();
            for one in asking {
                let error = one.join().unwrap().unwrap_err();
                assert!(error.message().contains("does not answer within 2 s"), "{error}");
            }
        });
        assert!(began.elapsed() < Duration::from_secs(6), "{:?}", began.elapsed());
        let asked = || fs::read_to_string(folder.path().join("secret-tool.asked")).unwrap();
        assert_eq!(asked(), "\n");
        assert!(turns().lock().ask(&name, "keyferry", "fileverbs.api_key").is_err());
        assert_eq!(asked(), "\n", "it is left alone for a while");
    }

    #[test]
    fn trouble_is_remembered_for_a_few_seconds_and_a_refusal_for_its_item_alone() {
        let (mut turn, began) = (KeyringGate::default(), Instant::now());
        turn.note(("tool", "keyferry", "a"), false, &fail("refuses".into()), began);
        assert!(turn.failure(("tool", "keyferry", "a"), began + Duration::from_secs(1)).is_some());
        assert!(turn.failure(("tool", "keyferry", "b"), began + Duration::from_secs(1)).is_none());
        turn.note(("tool", "keyferry", "b"), true, &fail("mute".into()), began);
        assert!(turn.failure(("tool", "other", "c"), began + Duration::from_secs(1)).is_some());
        assert!(turn.failure(("other", "keyferry", "b"), began + Duration::from_secs(1)).is_none());
        assert!(turn.failure(("tool", "keyferry", "a"), began + RETRY_COOLDOWN).is_none());
        let (_folder, name) = tool("exit 5");
        assert!(turn.ask(&name, "keyferry", "a").is_err());
        fs::write(&name, "#!/bin/sh\necho mended\n").unwrap();
        assert!(turn.ask(&name, "keyferry", "a").is_err());
        assert_eq!(turn.ask(&name, "keyferry", "b").unwrap().unwrap().expose(), "mended");
    }

    #[test]
    fn without_a_bus_the_tool_is_not_looked_for() {
        let nothing: Environment = std::sync::Arc::new(|_| None);
        assert!(super::tool(&nothing).is_none());
    }
}
