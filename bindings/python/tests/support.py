"""What the tests share: the sandbox's control routes, sessions on it, and programs of their own.

`cargo test -p keyferry-cli --test packages` sets the environment: `KEYFERRY_…` point to the sandbox, `TEST_…` are its made-up credentials. Nothing here
needs the repository: the tests run against the installed package.
"""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
import unittest
import urllib.error
import urllib.request

import keyferry

MASV = os.environ["KEYFERRY_MASV_URL"]
FILEVERBS = os.environ["KEYFERRY_FILEVERBS_URL"]
EMAIL = os.environ["KEYFERRY_MASV_EMAIL"]
PASSWORD = os.environ["KEYFERRY_MASV_PASSWORD"]
PACKAGE = os.environ["TEST_PACKAGE"]
FILES = f"{MASV}/v1/{PACKAGE}/files"
TEAMS = f"{MASV}/v1/teams"
SETTINGS = {
    "masv.url": MASV,
    "masv.email": EMAIL,
    "masv.password": PASSWORD,
    "agent.url": os.environ["KEYFERRY_AGENT_URL"],
    "fileverbs.url": FILEVERBS,
    "fileverbs.secret_key": os.environ["KEYFERRY_FILEVERBS_SECRET_KEY"],
    "fileverbs.api_key": os.environ["KEYFERRY_FILEVERBS_API_KEY"],
}

_opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def control(method, path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{MASV}/sandbox/{path}", data, {"Content-Type": "application/json"}, method=method)
    with _opener.open(request) as answer:
        text = answer.read()
    return json.loads(text) if text.strip() else None


def counts():
    return control("GET", "counts")


def count(name):
    return counts().get(name, 0)


def add_fault(**fields):
    control("POST", "fault", fields)


def slow_login(seconds):
    add_fault(service="masv", method="POST", path="/v1/auth", kind="nothing", latency_ms=int(seconds * 1000), times="forever")


def renewed_in_background(session, ask, life=2, rounds=3):
    """Whether a short-lived user token is renewed beside its callers, none of whom waits, in one of these rounds.

    On a busy machine, half a second may pass between two calls. The next call then waits for the renewal, and the round says nothing."""
    return any(_is_renewed_beside(session, ask, life) for _ in range(rounds))


def _is_renewed_beside(session, ask, life):
    """Asks again and again until the token was renewed; whether that happened beside the callers."""
    session.forget_all()
    control("POST", "life", {"user": life})
    ask()
    before = session.stats()
    while session.stats()["logins"] == before["logins"]:
        ask()
    return session.stats()["refreshes_beside"] - before["refreshes_beside"] == 1


def status_of(url, headers, method="GET"):
    """What the service itself says to these headers."""
    try:
        with _opener.open(urllib.request.Request(url, headers=headers, method=method)) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code


def config(**more):
    """Settings for a session on the sandbox that know nothing of this machine; `masv_team="x"` sets `masv.team`."""
    settings = {**SETTINGS, **{name.replace("_", ".", 1): value for name, value in more.items()}}
    return keyferry.Config({key: value for key, value in settings.items() if value is not None})


def run(program, *arguments, timeout=60):
    """Runs a Python program by itself; returns what it printed."""
    ended = subprocess.run(
        [sys.executable, "-c", program, *arguments], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=timeout
    )
    assert ended.returncode == 0, f"status {ended.returncode}: {ended.stdout}"
    return ended.stdout


def run_in_threads(number, work):
    """Runs `work(index)` in so many threads that start together; returns what each gave, or raises what one raised."""
    gate, results, failures = threading.Barrier(number), [None] * number, []

    def one(index):
        try:
            gate.wait()
            results[index] = work(index)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=one, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


class Case(unittest.TestCase):
    """A test with a fresh sandbox and a session on it."""

    def setUp(self):
        control("POST", "reset", {"all": True})
        self.session = keyferry.Session(config())
        self.addCleanup(self.session.close)

    def fails(self, kind, call, *arguments, **named):
        with self.assertRaises(kind) as caught:
            call(*arguments, **named)
        return caught.exception

    def assert_cancels_at_once(self, asking):
        """Cancels a task that awaits `asking()` while its login, a slow one, is under way. It ends at once, and so does the event loop,
        which waits for the thread of the call.
        """
        logins = count("login")
        slow_login(20)

        async def cancelled():
            task = asyncio.ensure_future(asking())
            while count("login") == logins:
                await asyncio.sleep(0)
            task.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await task

        started = time.monotonic()
        asyncio.run(cancelled())
        self.assertLess(time.monotonic() - started, 10)
