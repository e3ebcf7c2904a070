"""The promises of the README's table "Waiting, exit and cancelling": one test for each promise and each kind of caller."""

import asyncio
import contextvars
import functools
import io
import os
import signal
import subprocess
import sys
import threading
import time
import unittest.mock

import anyio
import httpx
import keyferry
import keyferry._wait
import keyferry.httpx
import keyferry.requests
import requests
import trio
from support import FILES, MASV, PACKAGE, TEAMS, Case, add_fault, config, control, count, run, run_in_threads, slow_login

CROWD = 64
#: A login that takes so long is hung: no test waits for it.
HUNG = 30.0
#: How long the exit may take, with a hung login, and how long it takes at most on a machine that does something else.
EXIT, BUSY_EXIT = 1.5, 15.0
PACKAGE_BODY = '{"name": "Promised", "description": ""}'


def threads_of_keyferry():
    return len(keyferry._wait._running)


def until(condition):
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "the condition never held"
        time.sleep(0.001)


def package(index):
    """A package that doesn't exist, so that its token is not cached."""
    return f"packages/01J0SANDB0XN0NE{index:011}"


def interrupts_soon(condition):
    """Interrupts the main thread as Ctrl-C does, once the condition holds."""

    def interrupt():
        until(condition)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    return thread


class Waits(Case):
    def setUp(self):
        super().setUp()
        # An earlier test's thread may be about to end.
        until(lambda: threads_of_keyferry() == 0 and not keyferry._wait._waiters)

    def flights(self):
        return self.session.stats()["flights_under_way"]

    def hang(self):
        slow_login(HUNG)


class Threads(Waits):
    def test_share_of_the_pool(self):
        slow_login(1)
        seen = []

        def ask(index):
            if index:
                return self.session.token_for("user").value
            until(lambda: len(keyferry._wait._waiters) == CROWD - 1)
            seen.append(threads_of_keyferry())
            return self.session.token_for("user").value

        self.assertEqual(len(set(run_in_threads(CROWD, ask))), 1)
        self.assertEqual((seen, count("login")), ([1], 1))

    def test_share_of_the_pool_is_no_limit_for_other_threads(self):
        """More threads than the pool has, each with a resource of its own: none waits for another."""
        add_fault(service="masv", kind="nothing", latency_ms=20_000, times="forever")
        asked = [keyferry.Request(package(index)) for index in range(keyferry._wait.MAX_THREADS + 8)]
        threads = [threading.Thread(target=self.fails, args=(keyferry.Cancelled, self.session.token_for, request)) for request in asked]
        for thread in threads:
            thread.start()
        until(lambda: threads_of_keyferry() == len(threads))
        for request in asked:
            request.cancel()
        for thread in threads:
            thread.join()

    def test_cancel_ends_the_wait_and_not_the_flight(self):
        slow_login(1)
        request, tokens = keyferry.Request("user"), []
        other = threading.Thread(target=lambda: tokens.append(self.session.token_for(keyferry.Request("user"))))
        cancelled = threading.Thread(target=lambda: tokens.append(self.fails(keyferry.Cancelled, self.session.token_for, request)))
        for thread in (other, cancelled):
            thread.start()
        until(lambda: len(keyferry._wait._waiters) == 2)
        request.cancel()
        cancelled.join()
        self.assertTrue(other.is_alive())
        other.join()
        self.assertEqual([type(token) for token in tokens], [keyferry.Cancelled, keyferry.Token])
        self.assertEqual(count("login"), 1)
        self.fails(keyferry.Cancelled, self.session.token_for, request)

    def test_interrupt_ends_the_wait_and_not_the_flight(self):
        slow_login(2)
        tokens = []
        other = threading.Thread(target=lambda: tokens.append(self.session.token_for("user")))
        other.start()
        interrupting = interrupts_soon(lambda: len(keyferry._wait._waiters) == 2)
        self.fails(KeyboardInterrupt, self.session.token_for, "user")
        self.assertTrue(other.is_alive())
        other.join()
        interrupting.join()
        self.assertEqual((tokens[0].kind, count("login")), ("user", 1))

    def test_interrupt_leaves_a_request_usable(self):
        self.hang()
        request = keyferry.Request("user")
        thread = interrupts_soon(self.flights)
        self.fails(KeyboardInterrupt, self.session.token_for, request)
        thread.join()
        control("POST", "reset", {"all": True})
        with keyferry.Session(config()) as session:
            self.assertEqual(session.token_for(request).kind, "user")

    def test_interrupt_ends_every_call_that_waits_for_a_service(self):
        add_fault(kind="nothing", latency_ms=int(HUNG * 1000), times="forever")
        # What can't be cancelled ends after this time, also for the tests that follow.
        session, request = keyferry.Session(config(http_timeout_ms="4000")), keyferry.Request("user")
        self.addCleanup(session.close)
        calls = {
            "header": lambda: session.header(TEAMS),
            "headers": lambda: session.headers(TEAMS),
            "token_for": lambda: session.token_for(request),
            "masv_login": session.masv_login,
            "masv_agent_session": session.masv_agent_session,
            "masv_agent_sign_in": session.masv_agent_sign_in,
            "masv_agent_sign_up": lambda: session.masv_agent_sign_up("a@example.com", "word", "A"),
            "fileverbs_bearer": session.fileverbs_bearer,
        }
        for name, call in calls.items():
            with self.subTest(name):
                thread = interrupts_soon(lambda: keyferry._wait._waiters)
                started = time.monotonic()
                self.fails(KeyboardInterrupt, call)
                thread.join()
                self.assertLess(time.monotonic() - started, 2)

    def test_another_signal_runs_its_handler_during_the_wait(self):
        slow_login(1)
        seen = []
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.signal(signal.SIGUSR1, lambda *_: seen.append(self.flights())))
        thread = threading.Thread(target=lambda: (until(self.flights), os.kill(os.getpid(), signal.SIGUSR1)))
        thread.start()
        self.assertEqual(self.session.token_for("user").kind, "user")
        thread.join()
        self.assertEqual(seen, [1])

    def test_a_handler_may_wait_in_the_middle_of_a_wait(self):
        slow_login(1)
        seen = []
        handler = signal.signal(signal.SIGUSR1, lambda *_: seen.append(self.session.token_for("user").kind))
        self.addCleanup(signal.signal, signal.SIGUSR1, handler)
        thread = threading.Thread(target=lambda: (until(self.flights), os.kill(os.getpid(), signal.SIGUSR1)))
        thread.start()
        self.assertEqual(self.session.token_for("user").kind, "user")
        thread.join()
        self.assertEqual((seen, count("login")), (["user"], 1))

    def test_a_late_caller_has_its_own_time(self):
        slow_login(2)
        first = threading.Thread(target=lambda: self.fails(keyferry.Timeout, self.session.token_for, keyferry.Request("user", timeout=1.5)))
        first.start()
        until(lambda: len(keyferry._wait._waiters) == 1)
        time.sleep(1)
        self.assertEqual(self.session.token_for(keyferry.Request("user", timeout=1.5)).kind, "user")
        first.join()

    def test_each_caller_gets_its_own_error(self):
        add_fault(service="masv", path="/v1/auth", kind="status", status=503, latency_ms=500, times="forever")
        errors = run_in_threads(8, lambda _: self.fails(keyferry.Unavailable, self.session.token_for, "user"))
        self.assertEqual(len(set(map(id, errors))), 8)
        self.assertEqual(len(set(map(str, errors))), 1)

    def test_a_caller_after_a_rejection_joins_no_earlier_call(self):
        token = self.session.token_for("user")
        slow_login(1)
        control("POST", "reject", {"token": token.value})
        self.session.reject(token)
        first = threading.Thread(target=self.session.token_for, args=("user",))
        first.start()
        until(lambda: len(keyferry._wait._shared) == 1)
        self.session.reject_value("user", "another")
        self.assertEqual(keyferry._wait._shared, {})
        self.assertGreater(self.session.token_for("user").generation, token.generation)
        first.join()

    def test_without_a_thread_the_call_waits_where_it_is(self):
        def refuse(*_):
            raise RuntimeError("can't start new thread")

        slow_login(0.1)
        with unittest.mock.patch("keyferry._wait.start_new_thread", refuse):
            self.assertEqual(self.session.token_for("user").kind, "user")
        self.assertEqual((keyferry._wait._running, keyferry._wait._shared, keyferry._wait._waiters), ({}, {}, {}))


class Tasks:
    """The promises to tasks. `backend` is the event loop under anyio."""

    def in_loop(self, function, *arguments):
        return anyio.run(function, *arguments, backend=self.backend)

    def test_share_of_the_pool(self):
        """A crowd that wants one URL takes one thread. Names are resolved and files are read meanwhile."""
        self.hang()

        async def crowd():
            async with anyio.create_task_group() as group:
                for _ in range(CROWD):
                    group.start_soon(self.session.atoken_for, "user")
                while len(keyferry._wait._waiters) < CROWD:
                    await anyio.sleep(0)
                await anyio.getaddrinfo("localhost", 80)
                self.assertEqual(await anyio.Path(__file__).exists(), True)
                self.assertEqual(threads_of_keyferry(), 1)
                group.cancel_scope.cancel()

        self.in_loop(crowd)
        self.assertEqual(count("login"), 1)

    def test_share_of_the_pool_has_a_limit(self):
        """Tasks with more resources than there are threads: the others wait for a free thread, and get their turn."""
        self.session.token_for("user")
        add_fault(service="masv", kind="nothing", latency_ms=150, times="forever")
        outcomes, most, number = [], [0], keyferry._wait.MAX_THREADS + 8

        async def ask(index):
            try:
                outcomes.append(await self.session.atoken_for(package(index)))
            except keyferry.Error as error:
                outcomes.append(error)

        async def crowd():
            async with anyio.create_task_group() as group:
                for index in range(number):
                    group.start_soon(ask, index)
                while len(outcomes) < number:
                    most[0] = max(most[0], threads_of_keyferry())
                    await anyio.sleep(0)

        self.in_loop(crowd)
        self.assertEqual(most, [keyferry._wait.MAX_THREADS])
        self.assertEqual([type(outcome) for outcome in outcomes], [keyferry.NotFound] * number)

    def test_cancel_ends_the_wait_and_not_the_flight(self):
        slow_login(1)
        tokens = []

        async def ask(resource):
            tokens.append(await self.session.atoken_for(resource))

        async def cancelled(scope, resource):
            with scope:
                await ask(resource)

        async def both(resource):
            scope = anyio.CancelScope()
            async with anyio.create_task_group() as group:
                group.start_soon(cancelled, scope, resource)
                group.start_soon(ask, resource)
                while len(keyferry._wait._waiters) < 2:
                    await anyio.sleep(0)
                scope.cancel()
                while len(keyferry._wait._waiters) == 2:
                    await anyio.sleep(0)
                self.assertEqual((tokens, threads_of_keyferry()), ([], 1))

        for logins, resource in enumerate(("user", keyferry.Request("user")), 1):
            tokens.clear()
            self.session.forget_all()
            self.in_loop(both, resource)
            self.assertEqual(([token.kind for token in tokens], count("login")), (["user"], logins))

    def test_cancel_of_the_last_task_ends_the_shared_wait(self):
        self.hang()
        request = keyferry.Request("user")

        async def ask():
            with anyio.move_on_after(HUNG) as scope:
                async with anyio.create_task_group() as group:
                    for _ in range(4):
                        group.start_soon(self.session.atoken_for, request)
                    while not self.flights():
                        await anyio.sleep(0.001)
                    scope.cancel()
            while threads_of_keyferry():
                await anyio.sleep(0.001)

        started = time.monotonic()
        self.in_loop(ask)
        self.assertLess(time.monotonic() - started, HUNG / 2)
        self.assertEqual((keyferry._wait._shared, keyferry._wait._waiters), ({}, {}))
        # The request itself was not cancelled.
        control("POST", "reset", {"all": True})
        with keyferry.Session(config()) as session:
            self.assertEqual(session.token_for(request).kind, "user")

    def test_cancel_of_a_request_ends_the_waits_of_its_tasks_only(self):
        slow_login(1)
        cancelled, other, outcomes = keyferry.Request("user"), keyferry.Request("user"), []

        async def ask(request):
            try:
                outcomes.append((await self.session.atoken_for(request)).kind)
            except keyferry.Cancelled:
                outcomes.append("cancelled")

        async def both():
            async with anyio.create_task_group() as group:
                group.start_soon(ask, cancelled)
                group.start_soon(ask, other)
                while len(keyferry._wait._waiters) < 2:
                    await anyio.sleep(0)
                self.assertEqual(threads_of_keyferry(), 1)
                cancelled.cancel()

        self.in_loop(both)
        self.assertEqual(outcomes, ["cancelled", "user"])

    def test_cancel_does_not_lose_a_rejection(self):
        """A task that is cancelled while it reports a 401 has reported it."""
        token = self.session.token_for("user")
        control("POST", "reject", {"token": token.value})
        reject, began, free = keyferry._auth.reject_headers, threading.Event(), threading.Event()

        def slow_reject(*arguments):
            began.set()
            free.wait()
            reject(*arguments)

        async def get():
            async with httpx.AsyncClient(auth=keyferry.httpx.Auth(self.session), trust_env=False) as client:
                await client.get(TEAMS)

        async def cancelled():
            async with anyio.create_task_group() as group:
                group.start_soon(get)
                while not began.is_set():
                    await anyio.sleep(0.001)
                group.cancel_scope.cancel()

        with unittest.mock.patch("keyferry._auth.reject_headers", slow_reject):
            self.in_loop(cancelled)
            free.set()
            until(lambda: threads_of_keyferry() == 0)
        self.assertGreater(self.session.token_for(TEAMS).generation, token.generation)

    def test_interrupt_ends_the_wait_and_not_the_flight(self):
        slow_login(2)
        tokens = []
        other = threading.Thread(target=lambda: tokens.append(self.session.token_for("user")))
        other.start()
        interrupting = interrupts_soon(lambda: len(keyferry._wait._waiters) == 2)
        # Before Python 3.11, anyio makes of the interrupt a cancellation.
        self.fails((KeyboardInterrupt, asyncio.CancelledError), self.in_loop, self.session.atoken_for, "user")
        self.assertTrue(other.is_alive())
        other.join()
        interrupting.join()
        self.assertEqual((tokens[0].kind, count("login")), ("user", 1))

    def test_loops_in_several_threads_share_one_wait(self):
        slow_login(1)
        seen = []

        async def ask(index):
            if index == 0:
                while len(keyferry._wait._waiters) < 7:
                    await anyio.sleep(0.001)
                seen.append(threads_of_keyferry())
            return (await self.session.atoken_for("user")).value

        values = run_in_threads(8, lambda index: self.in_loop(ask, index))
        self.assertEqual((len(set(values)), seen, count("login")), (1, [1], 1))

    def test_the_caller_s_context_is_there_during_the_call(self):
        variable = contextvars.ContextVar("variable")
        seen, token_for = [], keyferry.session._token_for

        def recorded(*arguments):
            seen.append(variable.get(None))
            return token_for(*arguments)

        async def ask():
            variable.set("mine")
            await self.session.atoken_for("user")

        with unittest.mock.patch("keyferry.session._token_for", recorded):
            self.in_loop(ask)
        self.assertEqual(seen, ["mine"])

    def test_a_hit_needs_no_other_thread(self):
        self.session.token_for(FILES)
        with unittest.mock.patch("keyferry._wait.start_new_thread", None):
            self.assertEqual(self.in_loop(self.session.aheaders, FILES), self.session.headers(FILES))


class Asyncio(Tasks, Waits):
    backend = "asyncio"

    def test_a_loop_that_is_closed_under_a_wait_disturbs_nobody(self):
        slow_login(1)
        loop = asyncio.new_event_loop()
        task = loop.create_task(self.session.atoken_for("user"))
        loop.call_later(0.05, loop.stop)
        loop.run_forever()
        loop.close()
        self.assertEqual(self.session.token_for("user").kind, "user")
        self.assertFalse(task.done())
        task._log_destroy_pending = False
        self.assertEqual(count("login"), 1)

    def test_the_default_executor_is_free_even_where_it_has_one_thread(self):
        self.hang()

        async def ask():
            from concurrent.futures import ThreadPoolExecutor

            loop = asyncio.get_running_loop()
            loop.set_default_executor(ThreadPoolExecutor(1))
            task = loop.create_task(self.session.atoken_for("user"))
            while not self.flights():
                await asyncio.sleep(0.001)
            names = await loop.getaddrinfo("localhost", 80)
            task.cancel()
            return names

        self.assertTrue(asyncio.run(ask()))


class Trio(Tasks, Waits):
    backend = "trio"

    def test_trio_without_anyio(self):
        async def ask():
            return (await self.session.atoken_for("user")).kind

        self.assertEqual(trio.run(ask), "user")

    def test_a_guest_of_asyncio_waits_on_its_own_loop(self):
        slow_login(0.2)

        async def host():
            loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
            trio.lowlevel.start_guest_run(
                self.session.atoken_for, "user", run_sync_soon_threadsafe=loop.call_soon_threadsafe, done_callback=done.set_result
            )
            token, outcome = await asyncio.gather(self.session.atoken_for("user"), done)
            return token.kind, outcome.unwrap().kind

        self.assertEqual(asyncio.run(host()), ("user", "user"))


#: What the programs below share: the login hangs, and `mark` says when the exit begins.
PROGRAM = """
import atexit, concurrent.futures, multiprocessing, os, signal, sys, threading, time
import keyferry

def ask():
    keyferry.token_for("user")

def until_hung():
    while not keyferry.default.stats()["flights_under_way"]:
        time.sleep(0.001)

def mark():
    print(time.monotonic(), flush=True)
"""

#: How a program waits, and what ends its waits: a text of the program for each.
WAITING = {
    "daemon": "threading.Thread(target=ask, daemon=True).start()",
    "thread": "threading.Thread(target=ask).start()",
    "executor": "executor = concurrent.futures.ThreadPoolExecutor(4)\nfor _ in range(64): executor.submit(ask)",
    "asyncio": "import anyio\nthreading.Thread(target=anyio.run, args=(keyferry.default.atoken_for, 'user')).start()",
    "trio": "import anyio\nthreading.Thread(target=anyio.run, args=(keyferry.default.atoken_for, 'user'), kwargs={'backend': 'trio'}).start()",
}
ENDS = {
    "end of main": ("", 0),
    "sys.exit": ("sys.exit(3)", 3),
    "exception": ("raise ValueError('uncaught')", 1),
    "os._exit": ("os._exit(4)", 4),
    "interrupt": ("os.kill(os.getpid(), signal.SIGINT)\ntime.sleep(60)", -signal.SIGINT),
}


class Exit(Case):
    """Exit with a hung login. The exit takes at most 1.5 seconds in the fastest of 8 tries: the machine may be busy."""

    def setUp(self):
        super().setUp()
        slow_login(HUNG)

    def assert_exits(self, program, status=0):
        times = []
        while len(times) < 8 and not (times and min(times) < EXIT):
            ended = subprocess.run([sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, timeout=60)
            over = time.monotonic()
            self.assertEqual(ended.returncode, status, ended.stderr)
            for word in ("Fatal", "Segmentation", "unraisable"):
                self.assertNotIn(word, ended.stderr)
            times.append(over - float(ended.stdout.split()[-1]))
            self.assertLess(times[-1], BUSY_EXIT, ended.stderr)
        self.assertLess(min(times), EXIT, times)

    def test_a_session_of_its_own_is_freed_at_the_end(self):
        self.assert_exits(
            "session = keyferry.Session()\n"
            "threading.Thread(target=session.token_for, args=('user',), daemon=True).start()\n"
            "while not session.stats()['flights_under_way']: pass\n"
            "mark()"
        )

    def test_atexit(self):
        """A function that is called at the exit waits for a short time."""
        self.assert_exits(
            "def last():\n"
            "    for _ in range(3):\n"
            "        try: ask()\n"
            "        except keyferry.Error as error: print(type(error).__name__, file=sys.stderr)\n"
            "atexit.register(last)\n"
            "mark()"
        )

    def test_a_queue_of_an_executor_that_is_imported_first_or_last(self):
        for before, after in (("concurrent.futures.ThreadPoolExecutor", ""), ("", "concurrent.futures.ThreadPoolExecutor")):
            self.assert_exits(f"{before}\nthreading.Thread(target=ask).start()\nuntil_hung()\n{after}\n" + WAITING["executor"] + "\nmark()")

    def test_children_of_multiprocessing(self):
        methods = ("fork", "spawn", "forkserver")
        run_in_threads(len(methods), lambda index: self.assert_exits(_child(methods[index])))

    def test_a_thread_that_asks_after_the_end_of_main_gets_its_token(self):
        """Main has ended, but Python waits for the other threads: keyferry works for them as before."""
        control("POST", "reset", {"all": True})
        printed = run(
            PROGRAM + "def later():\n"
            "    threading.main_thread().join()\n"
            "    time.sleep(0.2)\n"
            "    for resource in ('user', os.environ['TEST_PACKAGE']):\n"
            "        print(keyferry.token_for(resource).kind)\n"
            "threading.Thread(target=later).start()\n"
            "threading.Thread(target=ask).start()\n"
        )
        self.assertEqual(printed.split(), ["user", "package"])

    def test_a_login_that_ends_within_a_second_is_not_lost(self):
        control("POST", "reset", {"all": True})
        slow_login(0.3)
        printed = run(PROGRAM + "threading.Thread(target=lambda: print(keyferry.token_for('user').kind)).start()\nuntil_hung()\n")
        self.assertEqual(printed, "user\n")

    def test_a_daemon_thread_is_not_woken_by_the_exit(self):
        """It would print an exception while the interpreter ends, which may then abort."""
        program = "for _ in range(8): threading.Thread(target=ask, daemon=True).start()\n" + WAITING["thread"] + "\nuntil_hung()"
        ended = subprocess.run([sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, timeout=60)
        self.assertEqual((ended.returncode, ended.stderr.count("Exception in thread")), (0, 1), ended.stderr)

    def test_a_wait_that_the_exit_ends_says_so(self):
        ended = subprocess.run(
            [sys.executable, "-c", PROGRAM + WAITING["thread"] + "\nuntil_hung()"], capture_output=True, text=True, timeout=60
        )
        self.assertIn("keyferry.error.Cancelled: cannot wait for the service: the interpreter exits; join the threads", ended.stderr)


def _child(method):
    """A program whose child has a thread that waits. The child gets its code as a text: `python -c` has no file to import."""
    code = PROGRAM + "threading.Thread(target=ask).start()\nuntil_hung()\nmark()\n"
    return f"process = multiprocessing.get_context({method!r}).Process(target=exec, args=({code!r}, {{}}))\nprocess.start()\nprocess.join()\n"


def _exit_test(waiting):
    """The ends of one kind of waiting, all at the same time: each takes a second."""

    def test(self):
        def one(index):
            end, (program, status) = list(ENDS.items())[index]
            try:
                self.assert_exits(f"{waiting}\nuntil_hung()\nmark()\n{program}", status)
            except AssertionError as error:
                raise AssertionError(f"{end}: {error}") from error

        run_in_threads(len(ENDS), one)

    return test


for _name, _waiting in WAITING.items():
    setattr(Exit, f"test_exit_while_{_name}_waits", _exit_test(_waiting))


class Bodies(Waits):
    """A 401 with each kind of body: the token is rejected always, and the request is sent again if its body can be read again."""

    def assert_after_401(self, post, body, is_sent_again):
        team = self.session.token_for("user").details["teams"][0]["id"]
        url = f"{MASV}/v1/teams/{team}/packages"
        revoked = self.session.token_for("user").value
        control("POST", "reject", {"token": revoked})
        # Without it, the service answers 415 to a form before it looks at the token.
        add_fault(service="masv", method="POST", path="/v1/teams", status=401)
        answer = post(url, body)
        self.assertEqual(answer.status_code != 401, is_sent_again, answer.status_code)
        self.assertNotEqual(self.session.token_for(url).value, revoked, "the token was not rejected")


def _bodies(with_file):
    """Each kind of body for a synchronous client: how it is passed, and whether it can be sent again."""
    return {
        "bytes": (lambda: {"data": PACKAGE_BODY.encode()}, True),
        "str": (lambda: {"data": PACKAGE_BODY}, True),
        "file": (lambda: {"data": io.BytesIO(PACKAGE_BODY.encode())}, with_file),
        "generator": (lambda: {"data": (part for part in [PACKAGE_BODY.encode()])}, False),
        "multipart": (lambda: {"files": {"part": b"bytes"}}, True),
        "multipart of a file": (lambda: {"files": {"part": io.BytesIO(b"bytes")}}, with_file),
        "none": (lambda: {}, True),
    }


def _async_bodies():
    async def parts():
        yield PACKAGE_BODY.encode()

    bodies = {name: body for name, body in _bodies(False).items() if name not in ("file", "generator")}
    return {**bodies, "async generator": (lambda: {"data": parts()}, False)}


def _for_httpx(body):
    return {"content" if name == "data" else name: value for name, value in body.items()}


class ThreadsWithRequests(Bodies):
    def post(self, url, body):
        with requests.Session() as client:
            client.trust_env = False
            client.auth = keyferry.requests.Auth(self.session)
            return client.post(url, **body)

    def test_a_file_that_was_closed_leaves_the_401_as_the_answer(self):
        class Closing(io.BytesIO):
            def read(self, *arguments):
                data = super().read(*arguments)
                if not data:
                    self.close()
                return data

        class Body:
            """A file whose length isn't known, so that it is read to its end."""

            def __init__(self):
                self.file = Closing(PACKAGE_BODY.encode())
                self.tell, self.seek = self.file.tell, self.file.seek

            def __iter__(self):
                yield self.file.read()
                self.file.close()

        self.assert_after_401(self.post, {"data": Body()}, False)


class ThreadsWithHttpx(Bodies):
    def post(self, url, body):
        with httpx.Client(auth=keyferry.httpx.Auth(self.session), trust_env=False) as client:
            return client.post(url, **_for_httpx(body))


class _TasksWithHttpx(Bodies):
    def post(self, url, body):
        async def sent():
            async with httpx.AsyncClient(auth=keyferry.httpx.Auth(self.session), trust_env=False) as client:
                return await client.post(url, **_for_httpx(body))

        return anyio.run(sent, backend=self.backend)


class AsyncioWithHttpx(_TasksWithHttpx):
    backend = "asyncio"


class TrioWithHttpx(_TasksWithHttpx):
    backend = "trio"


def _body_test(make, is_sent_again):
    return lambda self: self.assert_after_401(self.post, make(), is_sent_again)


for _class, _all in (
    (ThreadsWithRequests, _bodies(True)),
    (ThreadsWithHttpx, _bodies(False)),
    (AsyncioWithHttpx, _async_bodies()),
    (TrioWithHttpx, _async_bodies()),
):
    for _name, _body in _all.items():
        setattr(_class, f"test_401_with_{_name.replace(' ', '_')}", _body_test(*_body))
