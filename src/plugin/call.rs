//! One call of a plugin's function: on a thread of its own, with a number instead of a pointer, a limit, and an end whatever the
//! plugin does.
//!
//! The thread that wants something of the plugin waits here and does what the plugin asks for: it alone has the [`Context`]. A
//! plugin that doesn't come back keeps its thread and the memory that it was given, and nothing else.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use super::abi::{KEYFERRY_PLUGIN_E_OVER, KEYFERRY_PLUGIN_OK, keyferry_plugin_status};
use super::buffers::Blocks;
use super::handle::Plugin;
use super::status;
use crate::error::{Error, ErrorKind, PluginFault, Result};
use crate::log::{self, Level};
use crate::ports::service::Context;
use crate::secret::Secret;
use crate::sys::fork::PerProcess;
use crate::sys::signals;
use crate::sys::sync::Mutex;

/// So many calls of a plugin may be out for good before it is called no more.
pub(super) const MAX_HUNG_CALLS: usize = 4;
/// How often is looked whether anybody still waits.
const TICK: Duration = Duration::from_millis(20);
/// Below this the host did nothing worth counting.
const HOSTS_TIME: Duration = Duration::from_millis(1);
const STACK_BYTES: usize = 2 * 1024 * 1024;

type Work = Box<dyn FnOnce(&dyn Context) + Send>;

enum Message {
    Ask(Work),
    Back(keyferry_plugin_status),
}

/// A call under way, as the host's functions see it.
pub(super) struct PluginCall {
    pub(super) plugin: &'static Plugin,
    door: Mutex<Sender<Message>>,
    over: AtomicBool,
    end: Mutex<CallEnd>,
    until: Mutex<Instant>,
    pub(super) state: Mutex<CallState>,
}

/// Who was first, the plugin or the clock.
#[derive(Clone, Copy, PartialEq, Eq)]
enum CallEnd {
    Open,
    Returned,
    TimedOut,
}

/// What a call has given and was given.
#[derive(Default)]
pub(super) struct CallState {
    pub(super) blocks: Blocks,
    /// The secrets that it asked for.
    pub(super) secrets: Vec<Secret>,
    pub(super) headers: Vec<(String, Secret)>,
    pub(super) expires_unix_s: Option<i64>,
    pub(super) renewal: Option<Secret>,
    pub(super) secret: Option<Secret>,
    pub(super) exchanges: u32,
    /// What the plugin says of its failure.
    pub(super) said: Option<String>,
    /// The last error that the host has told it.
    pub(super) last: Option<Error>,
    /// What it did that it must not.
    pub(super) fault: Option<String>,
}

/// The calls under way by their numbers.
static CALLS: PerProcess<Mutex<HashMap<u64, Arc<PluginCall>>>> = PerProcess::new();
static NEXT: AtomicU64 = AtomicU64::new(0);

fn calls() -> &'static Mutex<HashMap<u64, Arc<PluginCall>>> {
    CALLS.get_or_init(Mutex::default)
}

/// The call of a number, while it lasts.
pub(super) fn find(number: u64) -> Option<Arc<PluginCall>> {
    calls().lock().get(&number).cloned()
}

impl PluginCall {
    /// Has the thread that waits for the call do something. None when nobody waits any more.
    pub(super) fn ask<T: Send + 'static>(&self, work: impl FnOnce(&dyn Context) -> T + Send + 'static) -> Option<T> {
        let (reply, response) = mpsc::channel();
        let work: Work = Box::new(move |context| drop(reply.send(work(context))));
        self.door.lock().send(Message::Ask(work)).ok()?;
        response.recv().ok()
    }

    /// Whether nobody waits for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }

    /// How long it may still take.
    pub(super) fn left(&self) -> Duration {
        if self.is_over() { Duration::ZERO } else { self.until.lock().saturating_duration_since(Instant::now()) }
    }

    /// Notes what it must not do; the first time counts.
    pub(super) fn record_fault(&self, what: String) {
        let name = &self.plugin.name;
        log::write(Level::Warn, format_args!("the plugin {name} misbehaves: {what}"));
        self.state.lock().fault.get_or_insert(what);
    }
}

/// What is called, for messages.
#[derive(Clone, Copy)]
pub(super) struct Slot {
    pub(super) plugin: &'static Plugin,
    pub(super) name: &'static str,
    pub(super) limit: Duration,
}

/// Calls a function of a plugin and waits for it, doing meanwhile what it asks for.
///
/// # Errors
/// What it failed with; [`ErrorKind::Plugin`] for everything that it must not do.
pub(super) fn run(
    slot: Slot,
    context: &dyn Context,
    function: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static,
) -> Result<CallState> {
    let plugin = slot.plugin;
    if plugin.hung_calls.load(Ordering::Relaxed) >= MAX_HUNG_CALLS {
        let what = format!(
            "{MAX_HUNG_CALLS} of its calls have not come back: it is called again when one of them does; restart the program, and report it to its author"
        );
        return Err(plugin.misbehaved(&what));
    }
    let (door, asked) = mpsc::channel();
    let until = Mutex::new(Instant::now() + slot.limit);
    let (over, end) = (AtomicBool::new(false), Mutex::new(CallEnd::Open));
    let call = Arc::new(PluginCall { plugin, door: Mutex::new(door), over, end, until, state: Mutex::default() });
    let number = number();
    calls().lock().insert(number, Arc::clone(&call));
    let began = start(number, Arc::clone(&call), function);
    let outcome = if began {
        wait(slot, &call, context, &asked)
    } else {
        Err(plugin.misbehaved("no thread can be started for it: end some programs"))
    };
    calls().lock().remove(&number);
    // What a lost call was given stays with its thread, which may still use it.
    let code = outcome?;
    let mut state = std::mem::take(&mut *call.state.lock());
    state.blocks = Blocks::default();
    let (secrets, told) = (state.secrets.clone(), state.last.as_ref().is_some_and(|last| last.kind == ErrorKind::BadCredentials));
    let outcome = settle(slot, code, state);
    if let Err(error) = &outcome
        && error.kind == ErrorKind::BadCredentials
        && !told
    {
        // What the service said in a way that only the plugin can read is remembered all the same.
        context.refused(&secrets.iter().collect::<Vec<_>>(), error);
    }
    outcome
}

/// A number that was not there before; not the next one, so that a plugin can't guess another call's.
fn number() -> u64 {
    let step = getrandom::u32().map_or(1, |random| u64::from(random % 0xffff) + 1);
    NEXT.fetch_add(step, Ordering::Relaxed).wrapping_add(step)
}

fn start(number: u64, call: Arc<PluginCall>, function: impl FnOnce(u64) -> keyferry_plugin_status + Send + 'static) -> bool {
    let whole = move || {
        // A plugin's own broken connection is its own fault, and not the host's end.
        signals::block_sigpipe();
        let code = log::inside_plugin(|| function(number));
        let mut end = call.end.lock();
        if *end == CallEnd::TimedOut {
            call.plugin.hung_calls.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        *end = CallEnd::Returned;
        // Who waits is there until it sees this, or finds the call lost.
        drop(call.door.lock().send(Message::Back(code)));
    };
    std::thread::Builder::new().name("keyferry-plugin".into()).stack_size(STACK_BYTES).spawn(whole).is_ok()
}

fn wait(slot: Slot, call: &PluginCall, context: &dyn Context, asked: &mpsc::Receiver<Message>) -> Result<keyferry_plugin_status> {
    loop {
        let left = call.until.lock().saturating_duration_since(Instant::now());
        if left.is_zero() || context.is_closing() {
            break;
        }
        match asked.recv_timeout(left.min(TICK)) {
            Ok(Message::Back(code)) => return Ok(code),
            Ok(Message::Ask(work)) => {
                let began = Instant::now();
                work(context);
                // What the host takes long for is not the plugin's time; asking without end is.
                *call.until.lock() += Some(began.elapsed()).filter(|took| *took > HOSTS_TIME).unwrap_or_default();
            }
            Err(RecvTimeoutError::Timeout) => {}
            // The thread has the other end as long as it runs.
            Err(RecvTimeoutError::Disconnected) => return Err(slot.plugin.misbehaved("its thread ended in a call")),
        }
    }
    {
        let mut end = call.end.lock();
        if *end == CallEnd::Open {
            // From here on its thread counts as lost, and gives that back by itself.
            *end = CallEnd::TimedOut;
            slot.plugin.hung_calls.fetch_add(1, Ordering::Relaxed);
            call.over.store(true, Ordering::Release);
        }
    }
    if !call.is_over() {
        // It came back at this very moment.
        while let Ok(message) = asked.recv() {
            if let Message::Back(code) = message {
                return Ok(code);
            }
        }
    }
    if context.is_closing() {
        return Err(Error::new(ErrorKind::Cancelled, "the session is closed"));
    }
    let what = format!(
        "it did not come back from `{}` in {} ms: report it to its author; `http.timeout_ms` sets the limit",
        slot.name,
        slot.limit.as_millis()
    );
    Err(slot.plugin.misbehaved(&what))
}

/// What a code, and what happened before it, come to.
fn settle(slot: Slot, code: keyferry_plugin_status, state: CallState) -> Result<CallState> {
    let (plugin, name) = (slot.plugin, slot.name);
    if let Some(what) = &state.fault {
        return Err(plugin.misbehaved(&format!("{what}, in `{name}`: report it to its author")));
    }
    if code == KEYFERRY_PLUGIN_OK {
        return Ok(state);
    }
    let last = state.last.filter(|last| status::code(last.kind) == code);
    if let Some(mut last) = last {
        // The plugin's own words, if it has any, with what the host knows of the cause.
        if let Some(said) = state.said {
            let own = words(plugin, last.kind, &said).with_retry_after_ms(last.retry_after_ms);
            last = last.http_status.map_or(own.clone(), |status| own.with_http_status(status));
        }
        return Err(last);
    }
    let Some((kind, usual)) = status::meaning(code) else {
        let hint = if code == KEYFERRY_PLUGIN_E_OVER { ", though its time was not over" } else { ", which it may not return" };
        return Err(plugin.misbehaved(&format!("`{name}` returned the code {code}{hint}: report it to its author")));
    };
    Err(match state.said {
        Some(said) => words(plugin, kind, &said),
        None if kind == ErrorKind::Plugin => words(plugin, kind, usual).with_conduct(PluginFault::SaidNothing),
        None => words(plugin, kind, usual),
    })
}

fn words(plugin: &Plugin, kind: ErrorKind, said: &str) -> Error {
    Error::new(kind, format!("the plugin {}: {said}", plugin.name))
}
