//! Calls a function of a plugin on a new thread, with a timeout.
//!
//! The plugin identifies a call by a number instead of a pointer, so the host never follows a stale
//! pointer. The caller's thread waits here and runs the work of the host's slots, because only that
//! thread has the [`Context`]. A call that doesn't return keeps its thread and its buffers, but
//! blocks no caller.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::abi::{KEYFERRY_PLUGIN_E_CANCELLED, KEYFERRY_PLUGIN_OK, keyferry_plugin_status};
use super::buffers::Buffers;
use super::handle::Plugin;
use super::status;
use crate::error::{Error, ErrorKind, PluginFault, Result};
use crate::log::{self, Level};
use crate::ports::service::Context;
use crate::secret::Secret;
use crate::sys::fork::PerProcess;
use crate::sys::signals;
use crate::sys::sync::Mutex;

/// The number of hung calls after which the host stops calling the plugin.
pub(super) const MAX_HUNG_CALLS: usize = 4;
/// The interval at which the waiting thread checks whether the session is closing.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// If the host's work in a slot takes longer than this, it does not use up the plugin's timeout.
const MIN_HOST_TIME: Duration = Duration::from_millis(1);
const STACK_BYTES: usize = 2 * 1024 * 1024;

type Work = Box<dyn FnOnce(&dyn Context) + Send>;

/// A message from a thread of the plugin to the thread that waits for the call.
enum Message {
    Run(Work),
    Returned(keyferry_plugin_status),
}

/// A running call, as the host's slots see it.
pub(super) struct PluginCall {
    pub(super) plugin: &'static Plugin,
    sender: Mutex<Sender<Message>>,
    is_cancelled: AtomicBool,
    phase: Mutex<CallPhase>,
    deadline: Mutex<Instant>,
    pub(super) state: Mutex<CallState>,
}

/// The phase of a call. A call either returns or times out.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallPhase {
    Running,
    Returned,
    TimedOut,
}

/// The data that the plugin got from the host, and passed to the host, during a call.
#[derive(Default)]
pub(super) struct CallState {
    pub(super) buffers: Buffers,
    /// The secrets that the call has read, by the positions of their declarations. A failure is
    /// recorded for these secrets in this order, so that a forecast finds it.
    pub(super) secrets: Vec<(usize, Secret)>,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) expires_unix_s: Option<i64>,
    pub(super) renewal: Option<Secret>,
    pub(super) secret: Option<Secret>,
    pub(super) exchange_count: u32,
    /// The error message that the plugin has set.
    pub(super) error_message: Option<String>,
    /// The last error that a slot of the host returned to the plugin.
    pub(super) last_error: Option<Error>,
    /// The plugin's first breach of the contract in this call.
    pub(super) fault: Option<String>,
}

impl CallState {
    /// Adds a secret that the call has read, unless the call has read it before.
    pub(super) fn add_secret(&mut self, position: usize, secret: Secret) {
        let at = self.secrets.partition_point(|(other, _)| *other < position);
        if self
            .secrets
            .get(at)
            .is_none_or(|(other, _)| *other != position)
        {
            self.secrets.insert(at, (position, secret));
        }
    }
}

type ActiveCalls = Mutex<HashMap<u64, Arc<PluginCall>>>;

/// The running calls, by id.
static ACTIVE_CALLS: PerProcess<ActiveCalls> = PerProcess::new();
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

fn active_calls() -> &'static ActiveCalls {
    ACTIVE_CALLS.get_or_init(Mutex::default)
}

/// Returns the running call with this id.
pub(super) fn find(id: u64) -> Option<Arc<PluginCall>> {
    active_calls().lock().get(&id).cloned()
}

impl PluginCall {
    /// Runs `work` on the thread that waits for the call, and returns its result. Returns `None` if
    /// no thread waits any more.
    pub(super) fn run_on_waiting_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Context) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = mpsc::channel();
        let work: Work = Box::new(move |context| drop(sender.send(work(context))));
        self.sender.lock().send(Message::Run(work)).ok()?;
        receiver.recv().ok()
    }

    /// Returns whether the call has timed out or the session is closing.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// Returns the time until the deadline: zero for a cancelled call.
    pub(super) fn time_left(&self) -> Duration {
        if self.is_cancelled() {
            Duration::ZERO
        } else {
            self.deadline
                .lock()
                .saturating_duration_since(Instant::now())
        }
    }

    /// Logs a breach of the contract. The first breach becomes the error of the call.
    pub(super) fn record_fault(&self, what: String) {
        let name = &self.plugin.name;
        log::write(
            Level::Warn,
            format_args!("the plugin {name} misbehaved: {what}"),
        );
        self.state.lock().fault.get_or_insert(what);
    }
}

/// A function of a plugin, with its name for messages and its timeout.
#[derive(Clone, Copy)]
pub(super) struct PluginFunction {
    pub(super) plugin: &'static Plugin,
    pub(super) name: &'static str,
    pub(super) timeout: Duration,
}

/// Calls a function of a plugin and waits until it returns. Meanwhile, runs the work of the slots
/// that the plugin calls.
///
/// # Errors
/// The error that the plugin returned; [`ErrorKind::Plugin`] if the plugin broke the contract or
/// timed out; [`ErrorKind::Cancelled`] if the session is closing.
pub(super) fn run(
    function: PluginFunction,
    context: &dyn Context,
    body: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
) -> Result<CallState> {
    let plugin = function.plugin;
    if plugin.hung_calls.load(Ordering::Relaxed) >= MAX_HUNG_CALLS {
        let what = format!(
            "{MAX_HUNG_CALLS} of its calls have not returned, so it is not called until one of them returns; restart the application, and report this to the plugin's author"
        );
        return Err(plugin.misbehaved(&what));
    }
    let (sender, receiver) = mpsc::channel();
    let call = Arc::new(PluginCall {
        plugin,
        sender: Mutex::new(sender),
        is_cancelled: AtomicBool::new(false),
        phase: Mutex::new(CallPhase::Running),
        deadline: Mutex::new(Instant::now() + function.timeout),
        state: Mutex::default(),
    });
    let id = new_id();
    active_calls().lock().insert(id, Arc::clone(&call));
    let is_started = spawn(id, Arc::clone(&call), body);
    let outcome = if is_started {
        wait(function, &call, context, &receiver)
    } else {
        Err(no_thread(function))
    };
    active_calls().lock().remove(&id);
    // After a timeout, this line returns the error. The call keeps its buffers, which the plugin
    // may still use.
    let code = outcome?;
    let mut state = std::mem::take(&mut *call.state.lock());
    state.buffers = Buffers::default();
    let secrets = state.secrets.clone();
    let is_recorded = state
        .last_error
        .as_ref()
        .is_some_and(|error| error.kind == ErrorKind::BadCredentials);
    let mut outcome = result_of(function, code, state);
    if let Err(error) = &mut outcome
        && error.kind == ErrorKind::BadCredentials
        && !is_recorded
    {
        // The engine records a rejected secret when it sees the service's status. Here only the
        // plugin could tell from the response that the service rejected the secret.
        context.record_refusal(
            &secrets.iter().map(|(_, secret)| secret).collect::<Vec<_>>(),
            error,
        );
    }
    outcome
}

/// Returns an unused id. Ids are not consecutive, so a plugin can't guess the id of another call.
fn new_id() -> u64 {
    let step = getrandom::u32().map_or(1, |random| u64::from(random % 0xffff) + 1);
    NEXT_ID
        .fetch_add(step, Ordering::Relaxed)
        .wrapping_add(step)
}

/// Starts the thread of a call. Returns `false` if the system can't create a thread.
fn spawn(
    id: u64,
    call: Arc<PluginCall>,
    body: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
) -> bool {
    let thread = move || {
        // Without this, the plugin would kill the process by writing to a closed connection.
        signals::block_sigpipe();
        let code = log::inside_plugin(|| body(id));
        let mut phase = call.phase.lock();
        if *phase == CallPhase::TimedOut {
            call.plugin.hung_calls.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        *phase = CallPhase::Returned;
        // The waiting thread receives messages until it gets this one, or sets `TimedOut`.
        drop(call.sender.lock().send(Message::Returned(code)));
    };
    std::thread::Builder::new()
        .name("keyferry-plugin".into())
        .stack_size(STACK_BYTES)
        .spawn(thread)
        .is_ok()
}

fn wait(
    function: PluginFunction,
    call: &PluginCall,
    context: &dyn Context,
    receiver: &mpsc::Receiver<Message>,
) -> Result<keyferry_plugin_status> {
    loop {
        let time_left = call
            .deadline
            .lock()
            .saturating_duration_since(Instant::now());
        if time_left.is_zero() || context.is_closing() {
            break;
        }
        match receiver.recv_timeout(time_left.min(POLL_INTERVAL)) {
            Ok(Message::Returned(code)) => return Ok(code),
            Ok(Message::Run(work)) => {
                let started = Instant::now();
                work(context);
                // The host's own work extends the deadline, so that it does not use up the plugin's
                // timeout. Very short work does not extend the deadline.
                *call.deadline.lock() += Some(started.elapsed())
                    .filter(|took| *took > MIN_HOST_TIME)
                    .unwrap_or_default();
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The plugin's thread owns a sender while it runs, so it has ended without a result.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(function.plugin.misbehaved(&format!(
                    "its thread ended in `{}`; report this to the plugin's author",
                    function.name
                )));
            }
        }
    }
    {
        let mut phase = call.phase.lock();
        if *phase == CallPhase::Running {
            // From now on, the call is hung. Its thread decrements `hung_calls` when the call
            // returns.
            *phase = CallPhase::TimedOut;
            function.plugin.hung_calls.fetch_add(1, Ordering::Relaxed);
            call.is_cancelled.store(true, Ordering::Release);
        }
    }
    if !call.is_cancelled() {
        // The call returned after the last check, before this thread locked the phase.
        while let Ok(message) = receiver.recv() {
            if let Message::Returned(code) = message {
                return Ok(code);
            }
        }
    }
    if context.is_closing() {
        return Err(Error::new(ErrorKind::Cancelled, "the session is closed"));
    }
    // `http.timeout_ms` doesn't apply to these three functions.
    let remedy = match function.name {
        "init" | "deinit" | "get_extension" => "",
        _ => ", or raise `http.timeout_ms`",
    };
    let what = format!(
        "`{}` did not return within {} ms; report this to the plugin's author{remedy}",
        function.name,
        function.timeout.as_millis()
    );
    Err(function.plugin.misbehaved(&what))
}

/// Returns the result of a call that returned `code`.
fn result_of(
    function: PluginFunction,
    code: keyferry_plugin_status,
    state: CallState,
) -> Result<CallState> {
    let (plugin, name) = (function.plugin, function.name);
    if let Some(what) = &state.fault {
        return Err(plugin.misbehaved(&format!(
            "in `{name}`, {what}; report this to the plugin's author"
        )));
    }
    if code == KEYFERRY_PLUGIN_OK {
        return Ok(state);
    }
    let host_error = state
        .last_error
        .filter(|error| status::from_kind(error.kind) == code);
    if let Some(mut error) = host_error {
        // The plugin's own message, if it has set one, replaces the host's message. The HTTP status
        // and the retry time stay.
        if let Some(message) = state.error_message {
            let own = plugin_error(plugin, error.kind, &message)
                .with_retry_after_ms(error.retry_after_ms)
                .with_since_unix_s(error.since_unix_s);
            error = error
                .http_status
                .map_or(own.clone(), |status| own.with_http_status(status));
        }
        return Err(error);
    }
    let Some((kind, default_message)) = status::kind_and_message(code) else {
        let hint = if code == KEYFERRY_PLUGIN_E_CANCELLED {
            ", but the host did not cancel the call"
        } else {
            ", which a plugin must not return"
        };
        return Err(plugin.misbehaved(&format!(
            "`{name}` returned the code {code}{hint}; report this to the plugin's author"
        )));
    };
    Err(match state.error_message {
        Some(message) => plugin_error(plugin, kind, &message),
        None if kind == ErrorKind::Plugin => {
            plugin_error(plugin, kind, default_message).with_plugin_fault(PluginFault::SaidNothing)
        }
        None => plugin_error(plugin, kind, default_message),
    })
}

/// Returns the error for a thread that can't be started.
fn no_thread(function: PluginFunction) -> Error {
    let what = format!(
        "cannot call `{}` of the plugin {}: the system cannot start a thread; end some programs",
        function.name, function.plugin.name
    );
    Error::new(ErrorKind::Plugin, what).with_plugin_fault(PluginFault::Misbehaved)
}

fn plugin_error(plugin: &Plugin, kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, format!("the plugin {}: {message}", plugin.name))
}
