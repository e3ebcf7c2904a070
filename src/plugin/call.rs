//! One call of a function of a plugin: on a thread of its own, identified by a number instead of a
//! pointer, with a timeout.
//!
//! The calling thread waits here and runs what the plugin asks the host for: it alone has the
//! [`Context`]. A call that does not return keeps its thread and its buffers, and nothing else.

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

/// With so many calls that have not returned a plugin is not called again.
pub(super) const MAX_HUNG_CALLS: usize = 4;
/// How often the waiting thread checks whether the session closes.
const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Work of the host that takes less counts as the plugin's time.
const MIN_HOST_TIME: Duration = Duration::from_millis(1);
const STACK_BYTES: usize = 2 * 1024 * 1024;

type Work = Box<dyn FnOnce(&dyn Context) + Send>;

/// From the threads of a call to the thread that waits for it.
enum Message {
    Run(Work),
    Returned(keyferry_plugin_status),
}

/// A call under way, as the host's functions see it.
pub(super) struct PluginCall {
    pub(super) plugin: &'static Plugin,
    sender: Mutex<Sender<Message>>,
    is_cancelled: AtomicBool,
    phase: Mutex<CallPhase>,
    deadline: Mutex<Instant>,
    pub(super) state: Mutex<CallState>,
}

/// How far a call is. It returns or times out, whichever comes first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallPhase {
    Running,
    Returned,
    TimedOut,
}

/// What a call got from the host, and what it gave.
#[derive(Default)]
pub(super) struct CallState {
    pub(super) buffers: Buffers,
    /// The secrets that it asked for.
    pub(super) secrets: Vec<Secret>,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) expires_unix_s: Option<i64>,
    pub(super) renewal: Option<Secret>,
    pub(super) secret: Option<Secret>,
    pub(super) exchange_count: u32,
    /// The plugin's own message for the error of the call.
    pub(super) error_message: Option<String>,
    /// The last error that a function of the host returned to it.
    pub(super) last_error: Option<Error>,
    /// Its first breach of the contract.
    pub(super) fault: Option<String>,
}

type ActiveCalls = Mutex<HashMap<u64, Arc<PluginCall>>>;

/// The calls under way, by id.
static ACTIVE_CALLS: PerProcess<ActiveCalls> = PerProcess::new();
static NEXT_ID: AtomicU64 = AtomicU64::new(0);

fn active_calls() -> &'static ActiveCalls {
    ACTIVE_CALLS.get_or_init(Mutex::default)
}

/// The call with an id, while it lasts.
pub(super) fn find(id: u64) -> Option<Arc<PluginCall>> {
    active_calls().lock().get(&id).cloned()
}

impl PluginCall {
    /// Runs `work` on the thread that waits for the call. None if it waits no more.
    pub(super) fn run_on_waiting_thread<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Context) -> T + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = mpsc::channel();
        let work: Work = Box::new(move |context| drop(sender.send(work(context))));
        self.sender.lock().send(Message::Run(work)).ok()?;
        receiver.recv().ok()
    }

    /// Whether no thread waits for it any more.
    pub(super) fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Acquire)
    }

    /// The time until its deadline.
    pub(super) fn time_left(&self) -> Duration {
        if self.is_cancelled() {
            Duration::ZERO
        } else {
            self.deadline
                .lock()
                .saturating_duration_since(Instant::now())
        }
    }

    /// Logs a breach of the contract. The first one becomes the error of the call.
    pub(super) fn record_fault(&self, what: String) {
        let name = &self.plugin.name;
        log::write(
            Level::Warn,
            format_args!("the plugin {name} misbehaves: {what}"),
        );
        self.state.lock().fault.get_or_insert(what);
    }
}

/// A function of a plugin: its name, for messages, and its timeout.
#[derive(Clone, Copy)]
pub(super) struct PluginFunction {
    pub(super) plugin: &'static Plugin,
    pub(super) name: &'static str,
    pub(super) timeout: Duration,
}

/// Calls a function of a plugin and waits for it. Runs meanwhile what the call asks the host for.
///
/// # Errors
/// The error that the plugin returned; [`ErrorKind::Plugin`] for a breach of the contract.
pub(super) fn run(
    function: PluginFunction,
    context: &dyn Context,
    body: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
) -> Result<CallState> {
    let plugin = function.plugin;
    if plugin.hung_calls.load(Ordering::Relaxed) >= MAX_HUNG_CALLS {
        let what = format!(
            "{MAX_HUNG_CALLS} of its calls have not come back: it is called again when one of them does; restart the program, and report it to its author"
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
        Err(plugin.misbehaved("no thread can be started for it: end some programs"))
    };
    active_calls().lock().remove(&id);
    // The buffers of a hung call stay with its thread, which may still use them.
    let code = outcome?;
    let mut state = std::mem::take(&mut *call.state.lock());
    state.buffers = Buffers::default();
    let secrets = state.secrets.clone();
    let is_recorded = state
        .last_error
        .as_ref()
        .is_some_and(|error| error.kind == ErrorKind::BadCredentials);
    let outcome = result_of(function, code, state);
    if let Err(error) = &outcome
        && error.kind == ErrorKind::BadCredentials
        && !is_recorded
    {
        // A refusal that only the plugin could read in the response is remembered too.
        context.record_refusal(&secrets.iter().collect::<Vec<_>>(), error);
    }
    outcome
}

/// An unused id. Ids are not consecutive, so that a plugin can't guess that of another call.
fn new_id() -> u64 {
    let step = getrandom::u32().map_or(1, |random| u64::from(random % 0xffff) + 1);
    NEXT_ID
        .fetch_add(step, Ordering::Relaxed)
        .wrapping_add(step)
}

/// Starts the thread of a call. False if the system gives none.
fn spawn(
    id: u64,
    call: Arc<PluginCall>,
    body: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
) -> bool {
    let thread = move || {
        // A broken connection of the plugin must not end the host.
        signals::block_sigpipe();
        let code = log::inside_plugin(|| body(id));
        let mut phase = call.phase.lock();
        if *phase == CallPhase::TimedOut {
            call.plugin.hung_calls.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        *phase = CallPhase::Returned;
        // The waiting thread receives until it sees this, or has set `TimedOut`.
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
                // Time spent in the host doesn't count against the plugin's timeout, but very short
                // work of the host does.
                *call.deadline.lock() += Some(started.elapsed())
                    .filter(|took| *took > MIN_HOST_TIME)
                    .unwrap_or_default();
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The thread holds the sender as long as it runs.
            Err(RecvTimeoutError::Disconnected) => {
                return Err(function.plugin.misbehaved("its thread ended in a call"));
            }
        }
    }
    {
        let mut phase = call.phase.lock();
        if *phase == CallPhase::Running {
            // From here on the call counts as hung; its thread takes that back when it returns.
            *phase = CallPhase::TimedOut;
            function.plugin.hung_calls.fetch_add(1, Ordering::Relaxed);
            call.is_cancelled.store(true, Ordering::Release);
        }
    }
    if !call.is_cancelled() {
        // It returned between the last check and the lock.
        while let Ok(message) = receiver.recv() {
            if let Message::Returned(code) = message {
                return Ok(code);
            }
        }
    }
    if context.is_closing() {
        return Err(Error::new(ErrorKind::Cancelled, "the session is closed"));
    }
    let what = format!(
        "it did not come back from `{}` in {} ms: report it to its author; `http.timeout_ms` sets the limit",
        function.name,
        function.timeout.as_millis()
    );
    Err(function.plugin.misbehaved(&what))
}

/// The result of a call that returned `code`.
fn result_of(
    function: PluginFunction,
    code: keyferry_plugin_status,
    state: CallState,
) -> Result<CallState> {
    let (plugin, name) = (function.plugin, function.name);
    if let Some(what) = &state.fault {
        return Err(plugin.misbehaved(&format!("{what}, in `{name}`: report it to its author")));
    }
    if code == KEYFERRY_PLUGIN_OK {
        return Ok(state);
    }
    let host_error = state
        .last_error
        .filter(|error| status::from_kind(error.kind) == code);
    if let Some(mut error) = host_error {
        // The plugin's own message, if there is one, with the details that the host knows.
        if let Some(message) = state.error_message {
            let own = plugin_error(plugin, error.kind, &message)
                .with_retry_after_ms(error.retry_after_ms);
            error = error
                .http_status
                .map_or(own.clone(), |status| own.with_http_status(status));
        }
        return Err(error);
    }
    let Some((kind, default_message)) = status::kind_and_message(code) else {
        let hint = if code == KEYFERRY_PLUGIN_E_CANCELLED {
            ", though its time was not over"
        } else {
            ", which it may not return"
        };
        return Err(plugin.misbehaved(&format!(
            "`{name}` returned the code {code}{hint}: report it to its author"
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

fn plugin_error(plugin: &Plugin, kind: ErrorKind, message: &str) -> Error {
    Error::new(kind, format!("the plugin {}: {message}", plugin.name))
}
