"""Waits for calls of the C ABI that may take as long as a login.

Each call runs on a thread of its own, and its callers wait for that thread: threads with a lock,
asyncio and trio tasks with an event of their loop. Callers with the same key share one call.
Therefore Ctrl-C ends a wait at once, a crowd of tasks takes one thread, and the interpreter never
waits for a thread that is inside the library. A cache hit doesn't come here.
"""

import os
import sys
from _thread import RLock, allocate_lock, get_ident, start_new_thread
from time import monotonic, sleep

from . import _abi
from ._library import bind_gil
from .error import Cancelled, Error, Timeout, copy_error, error_from

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Awaitable, Callable, Hashable, Optional, Tuple

    from .request import Request

    #: A function that makes a call, and one that cancels the call. The second is `None` for a call
    #: that must run to its end.
    Call = Tuple[Callable[[], Any], Optional[Callable[[], None]]]
    #: Returns a call that takes at most the given number of seconds, or the usual time for `None`.
    Prepare = Callable[[Optional[float]], Call]

#: The maximum number of threads that run calls for tasks. Further calls wait for a free thread.
#: Waiting threads don't count: each call of theirs may have a thread.
MAX_THREADS = 32

#: How many seconds a signal handler may be late. Python misses a signal that arrives just before it
#: blocks, or that the kernel gives to another thread, until it looks again.
SIGNAL_SECONDS = 0.2

#: How many seconds a wait goes on after the main thread has ended. The rest of the exit takes time
#: too, and the whole exit at most 1.5 seconds.
EXIT_SECONDS = 0.75

_set_timeout_ms = bind_gil("keyferry_request_set_timeout_ms")

# An RLock, because the garbage collector may end an abandoned task at any time, also while this
# thread holds the lock.
_lock = RLock()
#: The running and queued calls that a new caller may join, by their keys.
_shared: "dict[Hashable, _SharedCall]" = {}
#: The calls that have a thread.
_running: "dict[_SharedCall, None]" = {}
#: The calls of tasks that wait for a thread.
_queue: "list[_SharedCall]" = []
#: All callers that wait.
_waiters: "dict[Waiter, None]" = {}
_is_exit_watched = False
#: Whether the exit of the interpreter has ended a wait.
_was_cut = False


class Waiter:
    """One caller that waits: a thread or a task."""

    __slots__ = ("began", "error", "holds_up_exit", "wake")

    def __init__(self, wake: "Callable[[], None]") -> None:
        self.wake = wake
        self.holds_up_exit = _holds_up_exit()
        self.began = monotonic()
        #: The error that ends this wait, but not the call.
        self.error: "Optional[Error]" = None

    def end(self, error: Error) -> None:
        """Ends the wait with an error. The call goes on for others."""
        self.error = error
        self.wake()


def _holds_up_exit() -> bool:
    """Returns whether Python joins the calling thread when the main thread has ended.

    A daemon thread goes on waiting at the exit. If its wait ended with an exception, the thread
    would print the exception while the interpreter ends, which can be fatal to Python.
    """
    import threading

    thread = threading.current_thread()
    return not thread.daemon and thread is not threading.main_thread()


class _SharedCall:
    """A call, and the callers that wait for it."""

    __slots__ = ("began", "call", "cancel", "context", "error", "is_done", "key", "value", "waiters")

    def __init__(self, key: "Hashable", call: "Call") -> None:
        from contextvars import copy_context

        self.key = key
        self.call: "Optional[Callable[[], Any]]" = call[0]
        self.cancel = call[1]
        self.context = copy_context()
        self.waiters: "dict[Waiter, None]" = {}
        self.began = monotonic()
        self.is_done = False
        self.value: "Any" = None
        self.error: "Optional[BaseException]" = None

    def run(self) -> None:
        call, self.call = self.call, None
        assert call
        try:
            self.value = call()
        except BaseException as error:
            # The frames of the traceback would keep the session alive.
            self.error = error.with_traceback(None)
        # Drop the references to the session before a caller continues.
        del call
        with _lock:
            self.is_done = True
            _stop_sharing(self)
            self.key = None
        for waiter in list(self.waiters):
            # A task whose loop was closed never leaves by itself.
            _waiters.pop(waiter, None)
            waiter.wake()


def _stop_sharing(call: _SharedCall) -> None:
    if _shared.get(call.key) is call:
        del _shared[call.key]


def _work(call: _SharedCall) -> None:
    """Runs a call, then queued calls. The body of each thread."""
    following: "Optional[_SharedCall]" = call
    while following:
        following.context.run(following.run)
        with _lock:
            _running.pop(following, None)
            following = _queue.pop(0) if _queue else None
            if following:
                _running[following] = None


def _start(call: _SharedCall) -> bool:
    """Starts a thread for a call. Returns whether Python can start one."""
    _running[call] = None
    try:
        start_new_thread(_work, (call,))
        return True
    except RuntimeError:
        _running.pop(call, None)
        return False
    except BaseException:
        _running.pop(call, None)
        raise


def _join(key: "Optional[Hashable]", prepare: "Prepare", waiter: Waiter, may_queue: bool) -> "Optional[_SharedCall]":
    """Joins the call of a key, or starts one. Returns `None` if Python can't start a thread.

    Ctrl-C may end this function anywhere. It starts a call before it shares the call, so that
    nobody joins a call that never runs.
    """
    with _lock:
        while (call := _shared.get(key) if key else None) is not None:
            call.waiters[waiter] = None
            # The garbage collector may have cancelled the call in the meantime.
            if _shared.get(key) is call:
                return call
        call = _SharedCall(key, prepare(None))
        call.waiters[waiter] = None
        if may_queue and len(_running) >= MAX_THREADS:
            _queue.append(call)
        elif not _start(call):
            return None
        if key:
            _shared[key] = call
        return call


def _leave(call: _SharedCall, waiter: Waiter) -> None:
    """Ends a wait. The last caller that leaves cancels the call."""
    with _lock:
        call.waiters.pop(waiter, None)
        if call.waiters or call.is_done or not call.cancel:
            return
        _stop_sharing(call)
        if call in _queue:
            _queue.remove(call)
    call.cancel()


def stop_sharing(owner: object) -> None:
    """Lets no new caller join the running calls of a session.

    For a caller that has changed what the session knows. The result of an earlier call may be a
    token that the caller has rejected.
    """
    with _lock:
        for key in [key for key in _shared if isinstance(key, tuple) and key[0] is owner]:
            del _shared[key]


def wait(key: "Optional[Hashable]", prepare: "Prepare", request: "Optional[Request]" = None) -> "Any":
    """Makes a call and returns its result, for a thread.

    Raises what a signal handler raises, at once. `request.cancel` ends the wait.
    """
    _refuse_in_log_handler()
    main_thread = _watch_exit()
    while True:
        if _was_cut or not main_thread.is_alive():
            return _wait_at_exit(prepare, request, get_ident() == main_thread.ident)
        lock = allocate_lock()
        lock.acquire()
        waiter = Waiter(lambda: _release(lock))
        try:
            # Before the call starts, so that an exit finds each waiter whose call is running.
            _add(waiter, request)
            call = _join(key, prepare, waiter, False)
            if not call:
                return _call_here(prepare(None), request)
            try:
                while not lock.acquire(True, SIGNAL_SECONDS):
                    pass
            finally:
                _leave(call, waiter)
        finally:
            _remove(waiter, request)
        if not _must_repeat(call, waiter):
            return _result(call, waiter)


async def await_call(key: "Optional[Hashable]", prepare: "Prepare", request: "Optional[Request]" = None) -> "Any":
    """Makes a call and returns its result, for a task of asyncio or trio.

    Cancelling the task ends the wait, and so does `request.cancel`.
    """
    main_thread = _watch_exit()
    while True:
        if (_was_cut or not main_thread.is_alive()) and _holds_up_exit():
            raise _exits()
        wake, ended = _event()
        waiter = Waiter(wake)
        try:
            _add(waiter, request)
            call = _join(key, prepare, waiter, True)
            if not call:
                raise RuntimeError("cannot wait for the service: Python can't start a thread; retry later")
            try:
                await ended()
            finally:
                _leave(call, waiter)
        finally:
            _remove(waiter, request)
        if not _must_repeat(call, waiter):
            return _result(call, waiter)


def _call_here(call: "Call", request: "Optional[Request]") -> "Any":
    """Makes a call on the calling thread. Only `cancel` can end its wait."""
    function, cancel = call
    waiter = Waiter(cancel or (lambda: None))
    try:
        _add(waiter, request)
        return function()
    finally:
        _remove(waiter, request)


def _add(waiter: Waiter, request: "Optional[Request]") -> None:
    _waiters[waiter] = None
    if request:
        request._add_waiter(waiter)


def _remove(waiter: Waiter, request: "Optional[Request]") -> None:
    _waiters.pop(waiter, None)
    if request:
        request._remove_waiter(waiter)


def _release(lock: "Any") -> None:
    try:
        lock.release()
    except RuntimeError:
        # The waiter was ended before its call was done.
        pass


def _event() -> "tuple[Callable[[], None], Callable[[], Awaitable[Any]]]":
    """Returns an event of the running loop: a function for any thread that sets it, and one that
    waits for it.
    """
    return _trio_event() or _asyncio_event()


def _trio_event() -> "Optional[tuple[Callable[[], None], Callable[[], Awaitable[Any]]]]":
    trio = sys.modules.get("trio")
    if not trio:
        return None
    try:
        trio.lowlevel.current_task()
    except RuntimeError:
        return None
    event, token = trio.Event(), trio.lowlevel.current_trio_token()

    def wake() -> None:
        try:
            token.run_sync_soon(event.set)
        except trio.RunFinishedError:
            # The task was abandoned.
            pass

    return wake, event.wait


def _asyncio_event() -> "tuple[Callable[[], None], Callable[[], Awaitable[Any]]]":
    from asyncio import get_running_loop

    loop = get_running_loop()
    future = loop.create_future()

    def finish() -> None:
        if not future.done():
            future.set_result(None)

    def wake() -> None:
        try:
            loop.call_soon_threadsafe(finish)
        except RuntimeError:
            # The loop was closed and the task abandoned.
            pass

    return wake, lambda: future


def _must_repeat(call: _SharedCall, waiter: Waiter) -> bool:
    """Returns whether a call timed out for a caller that joined it late, and that therefore has
    time left.
    """
    return waiter.error is None and isinstance(call.error, Timeout) and call.began < waiter.began


def _result(call: _SharedCall, waiter: Waiter) -> "Any":
    error = waiter.error or call.error
    if error:
        # Each caller gets its own object, because Python writes a traceback into it.
        raise copy_error(error) if isinstance(error, Error) else error
    return call.value


def _refuse_in_log_handler() -> None:
    """Raises `Reentrant` in a handler of keyferry's log.

    The library checks this for its own caller, which would be another thread here. That thread may
    wait for a lock that the handler holds.
    """
    if _set_timeout_ms(None, 0, None) == _abi.KEYFERRY_E_REENTRANT:
        raise error_from(_abi.KEYFERRY_E_REENTRANT, None)


def _exits() -> Error:
    return Cancelled(
        "cannot wait for the service: the interpreter exits; join the threads that use keyferry before the main thread ends"
    )


def _watch_exit() -> "Any":
    """Makes the exit of the interpreter end the waits of other threads. Returns the main thread.

    Python joins all other threads before it calls functions that were registered with `atexit`.
    `concurrent.futures` has the same problem and solves it with the same function of `threading`,
    whose functions run in reverse order. It is therefore imported here, so that it joins its
    threads after their waits have ended.
    """
    global _is_exit_watched
    import threading

    main_thread = threading.main_thread()
    if not _is_exit_watched and get_ident() != main_thread.ident:
        _is_exit_watched = True
        try:
            import concurrent.futures.thread  # noqa: F401

            register = getattr(threading, "_register_atexit", None)
            if register:
                register(_end_waits)
        except RuntimeError:
            # The interpreter exits already.
            pass
    return main_thread


def _end_waits() -> None:
    """Gives the waits that hold up the exit a short time to end, then ends them."""
    global _was_cut
    deadline = monotonic() + EXIT_SECONDS
    while (held_up := [waiter for waiter in list(_waiters) if waiter.holds_up_exit]) and monotonic() < deadline:
        sleep(0.01)
    for waiter in held_up:
        _was_cut = True
        waiter.end(_exits())


def _wait_at_exit(prepare: "Prepare", request: "Optional[Request]", is_main: bool) -> "Any":
    """Makes a call after the main thread has ended, when Python may start no thread any more.

    A function that was registered with `atexit` waits only for a short time. Other threads have the
    usual time, because Python waits for them by the program's own wish.
    """
    global _was_cut
    if _was_cut and (is_main or _holds_up_exit()):
        raise _exits()
    try:
        return _call_here(prepare(EXIT_SECONDS if is_main else None), request)
    except Timeout:
        _was_cut = _was_cut or is_main
        raise


def _forget_all() -> None:
    """Forgets the calls of the parent in a forked child, which doesn't have their threads."""
    global _lock
    _lock = RLock()
    for calls in (_shared, _running, _queue, _waiters):
        calls.clear()


os.register_at_fork(after_in_child=_forget_all)
