"""Many at once: threads, asyncio tasks, forked children. One login serves them all, and nobody stops the others."""

import asyncio
import multiprocessing
import os
import sys
import threading
import time

import keyferry
from support import FILES, PACKAGE, TEAMS, Case, config, control, count, run, run_in_threads, slow_login, status_of

CROWD = 64
#: So long takes the login during which others must get on.
SLOW = 2.0


class Threads(Case):
    def test_64_threads_on_an_empty_cache_log_in_once(self):
        slow_login(0.3)
        tokens = run_in_threads(CROWD, lambda _: self.session.token_for("user"))
        self.assertEqual(len({token.value for token in tokens}), 1)
        self.assertEqual(count("login"), 1)

    def test_the_gil_is_free_during_a_call_of_two_seconds(self):
        slow_login(SLOW)
        turns, longest, over = [], [0.0], threading.Event()

        def turn():
            last = time.monotonic()
            while not over.is_set():
                now = time.monotonic()
                longest[0] = max(longest[0], now - last)
                last = now
                turns.append(None)

        thread = threading.Thread(target=turn)
        thread.start()
        started = time.monotonic()
        self.session.token_for("user")
        took = time.monotonic() - started
        over.set()
        thread.join()
        self.assertGreaterEqual(took, SLOW)
        self.assertGreater(len(turns), 10_000)
        self.assertLess(longest[0], SLOW / 4)

    def test_each_thread_gets_its_own_answer(self):
        urls = [FILES, TEAMS]
        right = [self.session.header(url) for url in urls]

        def look(index):
            return all(self.session.header(urls[index % 2]) == right[index % 2] for _ in range(2000))

        interval = sys.getswitchinterval()
        self.addCleanup(sys.setswitchinterval, interval)
        sys.setswitchinterval(1e-6)
        self.assertEqual(run_in_threads(8, look), [True] * 8)

    def test_sessions_are_closed_under_busy_threads(self):
        for _ in range(20):
            session = keyferry.Session(config())
            session.header(FILES)
            session.token_for(FILES)

            def until_closed(_, session=session):
                try:
                    while True:
                        session.header(FILES)
                        session.token_for(FILES)
                except ValueError as error:
                    return str(error)

            timer = threading.Timer(0.01, session.close)
            timer.start()
            self.assertEqual(set(run_in_threads(4, until_closed)), {"the session is closed"})


class Asyncio(Case):
    def test_64_tasks_on_an_empty_cache_log_in_once(self):
        slow_login(0.3)

        async def crowd():
            return await asyncio.gather(*(self.session.atoken_for("user") for _ in range(CROWD)))

        tokens = asyncio.run(crowd())
        self.assertEqual(len({token.value for token in tokens}), 1)
        self.assertEqual(count("login"), 1)

    def test_the_event_loop_is_free_during_a_call_of_two_seconds(self):
        slow_login(SLOW)

        async def measured():
            longest, turns, last = 0.0, 0, time.monotonic()
            task = asyncio.ensure_future(self.session.aheaders("user"))
            while not task.done():
                await asyncio.sleep(0)
                now = time.monotonic()
                longest, turns, last = max(longest, now - last), turns + 1, now
            return await task, longest, turns

        started = time.monotonic()
        headers, longest, turns = asyncio.run(measured())
        self.assertGreaterEqual(time.monotonic() - started, SLOW)
        self.assertEqual(list(headers), ["X-User-Token"])
        self.assertGreater(turns, 1000)
        self.assertLess(longest, SLOW / 4)

    def test_a_hit_needs_no_other_thread(self):
        self.session.token_for(FILES)
        before = count("requests")

        async def hits():
            loop = asyncio.get_running_loop()
            loop.run_in_executor = None
            return await self.session.aheaders(FILES), await self.session.atoken_for(FILES)

        headers, token = asyncio.run(hits())
        self.assertEqual(token.headers, headers)
        self.assertEqual(count("requests"), before)

    def test_cancelling_the_task_cancels_the_request(self):
        self.assert_cancels_at_once(lambda: self.session.atoken_for("user"))

    def test_what_fails_is_raised_where_it_is_awaited(self):
        for resource, kind in (("https://example.com/", keyferry.UnknownService), ("agent:session", keyferry.NoHeader)):
            with self.assertRaises(kind):
                asyncio.run(self.session.aheaders(resource))


def _ask(number):
    """In a forked child, which inherited the sessions of a busy parent."""
    fresh, default = _inherited.header(FILES), keyferry.header(FILES)
    tokens = _inherited.token_for(PACKAGE), keyferry.token_for(PACKAGE)
    again = _inherited.header(FILES) == fresh
    works = [status_of(FILES, dict([line])) for line in (fresh, default)] + [status_of(FILES, token.headers) for token in tokens]
    try:
        _inherited.token_for(_request)
        refused = False
    except keyferry.Forked:
        refused = True
    return os.getpid(), works, _token.kind, again, refused


class Forks(Case):
    def test_8_forked_workers_of_a_busy_parent_get_sessions_of_their_own(self):
        global _inherited, _token, _request
        _inherited, _request = self.session, keyferry.Request("user")
        _token = self.session.token_for(PACKAGE)
        keyferry.token_for(PACKAGE)
        over = threading.Event()

        def busy():
            while not over.is_set():
                self.session.token_for(_request)
                self.session.header(FILES)
                self.session.list()
                self.session.forget("user")

        threads = [threading.Thread(target=busy) for _ in range(4)]
        for thread in threads:
            thread.start()
        self.addCleanup(lambda: [thread.join() for thread in threads])
        self.addCleanup(over.set)
        started = time.monotonic()
        with multiprocessing.get_context("fork").Pool(8) as pool:
            answers = pool.map_async(_ask, range(32), chunksize=1).get(timeout=60)
        self.assertTrue(all(works == [200] * 4 for _, works, *_ in answers), answers)
        self.assertTrue(all((kind, again, refused) == ("package", True, True) for _, _, kind, again, refused in answers), answers)
        self.assertGreater(len({process for process, *_ in answers}), 1)
        self.assertLess(time.monotonic() - started, 50)

    def test_a_child_of_a_child_and_its_threads_share_one_session(self):
        self.session.token_for("user")
        control("POST", "reset", {})
        for depth in (1, 2):
            logins = count("login")
            child = os.fork()
            if child == 0:
                if depth == 2 and os.fork():
                    os._exit(0 if os.wait()[1] == 0 else 1)
                values = run_in_threads(8, lambda _: self.session.token_for("user").value)
                os._exit(0 if len(set(values)) == 1 else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)
            self.assertEqual(count("login") - logins, 1)

    def test_errors_cross_processes(self):
        with multiprocessing.get_context("fork").Pool(1) as pool:
            error = self.fails(keyferry.UnknownService, pool.apply, keyferry.token_for, ("https://example.com/",))
        self.assertEqual(error.status, keyferry.UnknownService.status)

    def test_a_program_that_ends_in_the_middle_of_a_call_ends(self):
        slow_login(30)
        program = (
            "import keyferry, threading, sys\n"
            "def ask():\n    keyferry.token_for('user')\n"
            "threading.Thread(target=ask, daemon=True).start()\n"
            "while not keyferry.default.stats()['flights_under_way']: pass\n"
            "print('bye')"
        )
        self.assertEqual(run(program, timeout=20), "bye\n")
