"""The log goes to `logging`, from any thread, never with a secret, and ends before the interpreter does."""

import logging
import gc
import itertools
import os
import unittest.mock

import keyferry
import keyferry.log
from support import PACKAGE, PASSWORD, Case, control, run, run_in_threads


SECRETS = ("KEYFERRY_MASV_PASSWORD", "KEYFERRY_FILEVERBS_SECRET_KEY", "KEYFERRY_FILEVERBS_API_KEY")


class RecordingHandler(logging.Handler):
    def __init__(self):
        super().__init__()
        self.records = []

    def emit(self, record):
        self.records.append(record)


class Log(Case):
    def setUp(self):
        super().setUp()
        self.handler, self.logger = RecordingHandler(), logging.getLogger("keyferry")
        self.logger.addHandler(self.handler)
        self.logger.setLevel(logging.DEBUG)
        self.addCleanup(self.logger.removeHandler, self.handler)
        self.addCleanup(keyferry.log.stop)

    def logged_text(self):
        return "\n".join(record.getMessage() for record in self.handler.records)

    def test_levels_are_those_of_logging(self):
        keyferry.log.start(logging.DEBUG)
        token = self.session.token_for("user")
        self.assertIn((logging.INFO, "keyferry"), [(record.levelno, record.name) for record in self.handler.records])
        self.assertIn(logging.DEBUG, [record.levelno for record in self.handler.records])
        self.assertNotIn(PASSWORD, self.logged_text())
        self.assertNotIn(token.value, self.logged_text())

    def test_requests_are_logged_and_no_line_has_a_secret(self):
        keyferry.log.start(logging.DEBUG)
        tokens = [self.session.token_for(resource).value for resource in ("user", PACKAGE, "fileverbs:bearer")]
        tokens.append(self.session.masv_login().value)
        text = self.logged_text()
        self.assertRegex(text, r"masv: POST http://\S+/v1/auth: status 200 after \d+ ms")
        self.assertRegex(text, r"fileverbs: POST http://\S+: status 200 after \d+ ms")
        for secret in (*tokens, *(os.environ[name] for name in SECRETS)):
            self.assertNotIn(secret, text)

    def test_what_is_below_the_level_is_not_even_made(self):
        for level in (logging.WARNING, logging.CRITICAL):
            keyferry.log.start(level)
            self.session.forget_all()
            self.session.token_for("user")
            self.assertEqual(self.handler.records, [])

    def test_another_logger_takes_over_and_stop_ends_it(self):
        other = RecordingHandler()
        logger = logging.Logger("mine")
        logger.addHandler(other)
        keyferry.log.start(logging.INFO)
        keyferry.log.start(logging.INFO, logger)
        self.session.token_for("user")
        keyferry.log.stop()
        self.session.forget_all()
        self.session.token_for("user")
        self.assertEqual((len(self.handler.records), len(other.records) > 0), (0, True))
        self.assertEqual(sum("acquired" in record.getMessage() for record in other.records), 1)

    def test_what_is_installed_lives_however_two_threads_meet(self):
        call_status, calls, other = keyferry.log.call_status, itertools.count(), RecordingHandler()

        def call_then_overtake(*arguments):
            call_status(*arguments)
            if next(calls) == 0:
                # Another thread installs its own before this one can note that it did.
                logger = logging.Logger("overtaker")
                logger.addHandler(other)
                keyferry.log.start(logging.DEBUG, logger)

        with unittest.mock.patch("keyferry.log.call_status", call_then_overtake):
            keyferry.log.start(logging.DEBUG)
        gc.collect()
        self.session.token_for("user")
        self.assertEqual((len(self.handler.records), len(other.records) > 0), (0, True))

    def test_a_handler_that_calls_back_is_told(self):
        statuses = []

        class CallingHandler(logging.Handler):
            def emit(self, record):
                try:
                    keyferry.default.stats()
                except keyferry.Reentrant as error:
                    statuses.append(error.status)

        handler = CallingHandler()
        self.logger.addHandler(handler)
        self.addCleanup(self.logger.removeHandler, handler)
        keyferry.log.start()
        self.session.token_for("user")
        self.assertEqual(set(statuses), {keyferry.Reentrant.status})

    def test_a_handler_that_would_wait_is_told_too(self):
        request, errors = keyferry.Request("user"), []

        class WaitingHandler(logging.Handler):
            def emit(handler, record):
                for call in (lambda: self.session.token_for(request), self.session.masv_login):
                    try:
                        call()
                    except keyferry.Reentrant as error:
                        errors.append(error)

        handler = WaitingHandler()
        self.logger.addHandler(handler)
        self.addCleanup(self.logger.removeHandler, handler)
        keyferry.log.start()
        self.session.token_for("user")
        self.assertGreaterEqual(len(errors), 2)

    def test_many_threads_log_at_once_and_nobody_waits_for_ever(self):
        keyferry.log.start(logging.DEBUG)

        def work(_):
            for _ in range(20):
                self.session.forget("user")
                self.session.token_for("user")
                self.session.header("user")

        run_in_threads(8, work)
        self.assertGreater(len(self.handler.records), 0)

    def test_a_forked_child_says_nothing_until_it_starts_the_log_itself(self):
        keyferry.log.start(logging.DEBUG)
        for starts in (False, True):
            child = os.fork()
            if child == 0:
                if starts:
                    keyferry.log.start(logging.DEBUG)
                self.handler.records.clear()
                self.session.token_for("user")
                os._exit(0 if bool(self.handler.records) == starts else 1)
            self.assertEqual(os.waitpid(child, 0)[1], 0)

    def test_the_log_ends_before_the_interpreter(self):
        control("POST", "fault", {"path": "/v1/auth", "kind": "nothing", "latency_ms": 100, "times": "forever"})
        program = (
            "import keyferry, keyferry.log, logging, threading\n"
            "logging.basicConfig(level=logging.DEBUG)\n"
            "keyferry.log.start(logging.DEBUG)\n"
            "def ask():\n"
            "    while True:\n"
            "        keyferry.default.forget('user')\n"
            "        keyferry.token_for('user')\n"
            "for _ in range(8): threading.Thread(target=ask, daemon=True).start()\n"
            "keyferry.token_for('user')\n"
        )
        for _ in range(3):
            run(program, timeout=30)

    def test_what_ends_later_than_the_log_is_not_logged(self):
        program = (
            "import atexit, keyferry, logging, sys\n"
            "@atexit.register\n"
            "def last():\n"
            "    print('last')\n"
            "    keyferry.default.forget('user')\n"
            "    keyferry.token_for('user')\n"
            "import keyferry.log\n"
            "logging.basicConfig(level=logging.INFO, stream=sys.stdout)\n"
            "keyferry.log.start()\n"
            "keyferry.token_for('user')\n"
        )
        before, after = run(program).split("last\n")
        self.assertIn("INFO:keyferry:acquired", before)
        self.assertEqual(after, "")
