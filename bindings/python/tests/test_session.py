"""Sessions, tokens, requests and configurations: each does what its docstring says."""

import asyncio
import copy
import datetime
import gc
import http.server
import json
import os
import pathlib
import pickle
import threading
import time
import unittest.mock
import weakref

import keyferry
from support import (
    EMAIL,
    FILES,
    FILEVERBS,
    PACKAGE,
    PASSWORD,
    TEAMS,
    Case,
    add_fault,
    config,
    control,
    count,
    renewed_in_background,
    run,
    slow_login,
    status_of,
)


class Headers(Case):
    def test_headers_open_what_they_are_for(self):
        for url in (FILES, TEAMS, f"{FILEVERBS}/api/v1/fileuploads"):
            self.assertEqual(status_of(url, self.session.headers(url)), 200, url)
            self.assertEqual(self.session.headers(url), dict([self.session.header(url)]))
            self.assertEqual(self.session.headers(url), self.session.token_for(url).headers)

    def test_a_hit_goes_nowhere(self):
        self.session.header(FILES)
        before = count("requests")
        for _ in range(10):
            self.session.header(FILES)
            self.session.token_for(FILES)
            self.session.cached(FILES)
        self.assertEqual(count("requests"), before)

    def test_a_token_is_renewed_before_it_ends_whatever_call_asks_for_it(self):
        for call in (self.session.header, self.session.headers, self.session.token_for):
            for resource in ("user", TEAMS + "?page=2"):
                self.assertTrue(renewed_in_background(self.session, lambda call=call, resource=resource: call(resource)), (call, resource))

    def test_what_may_hold_a_secret_is_not_kept_in_the_session(self):
        self.session.token_for(os.environ["TEST_LINK"])
        self.session.token_for(FILES)
        self.assertEqual(list(self.session._requests), [FILES])
        self.session.close()
        self.assertEqual(list(self.session._requests), [])

    def test_a_line_longer_than_the_buffer_comes_whole(self):
        value = "x" * 5000
        self.session.adopt("transfers/LONG", value)
        self.assertEqual(self.session.header("transfers/LONG"), ("X-Transfer-Token", value))
        self.assertEqual(self.session.headers("transfers/LONG"), {"X-Transfer-Token": value})

    def test_foreign_and_odd_resources_get_nothing(self):
        self.fails(keyferry.UnknownService, self.session.header, "https://example.com/")
        self.fails(keyferry.NoHeader, self.session.headers, "agent:session")
        self.session.header(FILES)
        self.fails(keyferry.InvalidValue, self.session.header, FILES + "\0.example.com")
        self.fails(keyferry.InvalidValue, self.session.token_for, FILES + "\0.example.com")
        self.fails(keyferry.InvalidResource, self.session.header, "https://me:word@example.com/")
        self.fails(TypeError, self.session.header, None)
        self.fails(TypeError, self.session.header, FILES.encode())

    def test_a_misspelt_short_form_gets_nothing(self):
        for resource, meant in (("packges/01ABC", "`packages/01ABC`"), ("fileverbs:beerer", "`fileverbs:bearer`"), ("masv:foo/bar", "packages/ID")):
            calls = [getattr(self.session, name) for name in ("header", "headers", "token_for", "cached", "explain", "forget")]
            calls.append(lambda resource: self.session.token_for(keyferry.Request(resource)))
            calls.append(lambda resource: self.session.adopt(resource, "made-up"))
            calls.append(lambda resource: self.session.reject_value(resource, "made-up"))
            calls.append(lambda resource: asyncio.run(self.session.aheaders(resource)))
            for call in calls:
                self.assertIn(meant, str(self.fails(keyferry.InvalidResource, call, resource)), resource)
        self.assertEqual(count("requests"), 0)

    def test_a_str_of_a_class_of_its_own_is_encoded_by_str(self):
        class Resource(str):
            def encode(self, *_):
                return 5

        self.assertEqual(self.session.header(Resource(FILES)), self.session.header(FILES))

    def test_the_default_session_is_opened_from_the_environment(self):
        program = "import keyferry, sys; print(keyferry.header(sys.argv[1])[0], keyferry.token_for(sys.argv[1]).kind, end='')"
        self.assertEqual(run(program, FILES), "X-Package-Token package")
        self.assertEqual(count("login"), 1)


class Tokens(Case):
    def test_a_token_says_what_it_is(self):
        token = self.session.token_for(PACKAGE)
        self.assertEqual((token.service, token.kind, token.access), ("masv", "package", "manage"))
        self.assertEqual(token.headers, {"X-Package-Token": token.value})
        self.assertEqual(token.expires_at.utcoffset(), datetime.timedelta(0))
        self.assertGreater(token.expires_at, datetime.datetime.now(datetime.timezone.utc))
        self.assertEqual(token.details["state"], "finalized")
        self.assertNotIn(token.value, repr(token) + str(token))
        bearer = self.session.fileverbs_bearer()
        self.assertEqual(bearer.headers["Authorization"], f"Bearer {bearer.value}")
        self.assertIsNone(self.session.fileverbs_secret_key().expires_at)

    def test_generations_rise_and_a_rejected_one_is_dead(self):
        first = self.session.token_for(PACKAGE)
        self.session.reject(first)
        self.fails(keyferry.NotCached, self.session.cached, PACKAGE)
        second = self.session.token_for(PACKAGE)
        self.assertGreater(second.generation, first.generation)
        self.session.reject(first)
        self.assertEqual(self.session.token_for(PACKAGE).generation, second.generation)

    def test_a_value_is_rejected_without_its_token(self):
        name, value = self.session.header(PACKAGE)
        self.session.reject_value(PACKAGE, "another")
        self.assertEqual(self.session.header(PACKAGE), (name, value))
        self.session.reject_value(PACKAGE, value)
        self.assertNotEqual(self.session.header(PACKAGE), (name, value))

    def test_tokens_outlive_their_session_and_are_never_copied(self):
        token = self.session.token_for(PACKAGE)
        self.session.close()
        self.assertEqual(token.kind, "package")
        for refused in (copy.copy, copy.deepcopy, pickle.dumps):
            self.assertIn("Token", str(self.fails(TypeError, refused, token)))
            self.fails(TypeError, refused, self.session)
            self.fails(TypeError, refused, config())
            self.fails(TypeError, refused, keyferry.Request("user"))
        self.fails(TypeError, keyferry.Token)

    def test_adopted_tokens_are_handed_out_until_they_end(self):
        soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(hours=1)
        self.session.adopt("transfers/MINE", "abc", soon)
        token = self.session.token_for("transfers/MINE")
        self.assertEqual((token.value, token.expires_at), ("abc", soon.replace(microsecond=0)))
        self.fails(keyferry.InvalidValue, self.session.adopt, "transfers/MINE", "abc", datetime.datetime(2020, 1, 1, tzinfo=soon.tzinfo))
        self.fails(keyferry.InvalidValue, self.session.adopt, "transfers/MINE", "abc", datetime.datetime(2099, 1, 1))
        self.fails(keyferry.Unsupported, self.session.adopt, os.environ["TEST_LINK"], "abc")

    def test_a_moment_beyond_all_calendars_is_the_last_one_of_ours(self):
        last = datetime.datetime.max.replace(tzinfo=datetime.timezone.utc)
        for offset in (-12, 0, 12):
            moment = datetime.datetime.max.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=offset)))
            self.session.adopt("transfers/MINE", f"token{offset}", moment)
            self.assertEqual(self.session.token_for("transfers/MINE").expires_at, min(moment, last).replace(microsecond=0))

    def test_what_is_forgotten_is_got_anew(self):
        self.session.token_for("user")
        self.session.forget("user")
        self.fails(keyferry.NotCached, self.session.cached, "user")
        self.session.token_for("user")
        self.fails(TypeError, self.session.forget)
        for wrong in (None, b"user", 5, keyferry.Request("user")):
            for call in (self.session.forget, self.session.header, self.session.explain):
                message = str(self.fails(TypeError, call, wrong))
                self.assertEqual(message, f"expected a str, not {type(wrong).__name__}; pass a str")
        self.assertNotEqual(self.session.list(), [])
        self.session.forget_all()
        self.assertEqual(self.session.list(), [])
        self.assertEqual(count("login"), 2)


class Reports(Case):
    def test_reports_are_json_without_secrets(self):
        token = self.session.token_for("user")
        self.assertEqual(self.session.explain("user")["class"], "user")
        self.assertEqual([entry["kind"] for entry in self.session.list()], ["user"])
        self.assertEqual(self.session.stats()["logins"], 1)
        printed = f"{self.session.explain('user')}{self.session.list()}{self.session.stats()}"
        self.assertNotIn(token.value, printed)
        self.assertNotIn(PASSWORD, printed)


class Requests(Case):
    def test_a_request_says_what_is_wanted(self):
        link, secret = os.environ["TEST_PROTECTED_LINK"], bytearray(os.environ["TEST_LINK_PASSWORD"].encode())
        self.fails(keyferry.BadCredentials, self.session.token_for, link)
        token = self.session.token_for(keyferry.Request(link, link_password=secret))
        self.assertEqual(token.access, "read")
        self.assertEqual(bytes(secret), bytes(len(secret)))
        self.assertEqual(self.session.token_for(keyferry.Request(PACKAGE, access="read")).access, "read")
        self.assertEqual(self.session.cached(keyferry.Request(PACKAGE, access="read")).access, "read")
        self.fails(keyferry.NotConfigured, self.session.token_for, keyferry.Request("user", account="nobody"))

    def test_a_hit_of_a_request_or_of_a_url_with_a_query_takes_no_thread(self):
        request = keyferry.Request(FILES)
        first = self.session.token_for(request)
        with unittest.mock.patch.object(keyferry._wait, "_join", side_effect=AssertionError):
            for resource in (request, FILES + "?page=2"):
                self.assertEqual(self.session.token_for(resource).value, first.value)
                self.assertEqual(asyncio.run(self.session.atoken_for(resource)).value, first.value)
        with keyferry.Session(config()) as other:
            self.assertEqual(status_of(FILES, other.token_for(request).headers), 200)
        self.session.forget(FILES)
        self.fails(keyferry.NotCached, self.session.cached, request)

    def test_a_cached_token_is_no_answer_to_a_request_for_something_else(self):
        self.session.token_for(PACKAGE)
        self.session.token_for("user")
        self.fails(keyferry.InsufficientAccess, self.session.token_for, keyferry.Request(PACKAGE, access="read"))
        self.fails(keyferry.NotConfigured, self.session.token_for, keyferry.Request("user", account="nobody"))
        self.fails(keyferry.NotConfigured, self.session.token_for, keyferry.Request("user", account=""))
        request = keyferry.Request("user")
        self.session.token_for(request)
        request.cancel()
        self.fails(keyferry.Cancelled, self.session.token_for, request)

    def test_times_are_rounded_up_to_what_the_library_counts_in(self):
        with unittest.mock.patch("keyferry.request._set_min_valid_s", return_value=0) as seconds:
            keyferry.Request("user", min_valid=0.5)
            keyferry.Request("user", min_valid=2**40)
        self.assertEqual([call.args[1] for call in seconds.call_args_list], [1, 2**32 - 1])
        with unittest.mock.patch("keyferry.request._set_timeout_ms", return_value=0) as milliseconds:
            keyferry.Request("user", timeout=0.0001)
            keyferry.Request("user", timeout=1.5)
        self.assertEqual([call.args[1] for call in milliseconds.call_args_list], [1, 1500])

    def test_numbers_out_of_range_are_refused(self):
        for wrong in ({"timeout": 601}, {"timeout": -1}, {"min_valid": -1}, {"timeout": float("nan")}, {"access": "all"}, {"timeout": 2**40}):
            self.fails(keyferry.InvalidValue, keyferry.Request, "user", **wrong)
        self.fails(keyferry.InvalidResource, keyferry.Request, "no such thing")

    def test_what_is_infinite_is_as_much_as_there_is(self):
        keyferry.Request("user", min_valid=float("inf"))
        self.fails(keyferry.InvalidValue, keyferry.Request, "user", timeout=float("inf"))

    def test_what_was_never_made_is_dropped_without_a_word(self):
        with unittest.mock.patch("sys.unraisablehook") as unraisable_hook:
            self.fails(TypeError, keyferry.Request)
            self.fails(TypeError, keyferry.Config, 1, 2)
            self.fails(keyferry.InvalidValue, keyferry.Request, "a\0b")
            gc.collect()
        unraisable_hook.assert_not_called()

    def test_a_request_waits_no_longer_than_it_says(self):
        slow_login(5)
        error = self.fails(keyferry.Timeout, self.session.token_for, keyferry.Request("user", timeout=0.2))
        self.assertIsInstance(error, TimeoutError)

    def test_another_thread_cancels_a_request(self):
        slow_login(5)
        request = keyferry.Request("user")
        timer = threading.Timer(0.1, request.cancel)
        timer.start()
        self.fails(keyferry.Cancelled, self.session.token_for, request)
        timer.join()


class Logins(Case):
    def test_a_login_gives_user_and_teams_and_wipes_the_password(self):
        self.session.close()
        session = keyferry.Session(config(masv_email=None, masv_password=None))
        self.fails(keyferry.NotConfigured, session.masv_login)
        self.fails(keyferry.Error, session.token_for, "user")
        password = bytearray(PASSWORD.encode())
        token = session.masv_login(EMAIL, password)
        self.assertEqual(bytes(password), bytes(len(PASSWORD)))
        self.assertEqual(token.details["user"]["email"], EMAIL)
        self.assertEqual(session.token_for("user").generation, token.generation)
        wrong = bytearray(b"wrong")
        error = self.fails(keyferry.BadCredentials, session.masv_login, EMAIL, wrong)
        self.assertEqual((error.http_status, bytes(wrong)), (401, bytes(5)))
        self.fails(keyferry.InvalidValue, session.masv_login, EMAIL, b"a\0b")
        session.close()

    def test_an_ended_login_without_a_password_wants_a_person(self):
        session = keyferry.Session(config(masv_email=None, masv_password=None))
        token = session.masv_login(EMAIL, PASSWORD)
        control("POST", "reject", {"token": token.value})
        session.reject(token)
        error = self.fails(keyferry.LoginRequired, session.token_for, "user")
        self.assertIn("log in", error.remedy)

    def test_the_agent_tells_who_is_signed_in(self):
        self.fails(keyferry.LoginRequired, self.session.masv_agent_session)
        self.fails(keyferry.BadCredentials, self.session.masv_agent_sign_in, EMAIL, "wrong")
        self.assertEqual(self.session.masv_agent_sign_in()["user"]["email"], EMAIL)
        self.assertEqual(self.session.masv_agent_session()["user"]["email"], EMAIL)
        self.fails(keyferry.Unsupported, self.session.masv_agent_sign_up, "new@example.com", "word", "New")
        control("POST", "configure", {"legacy": True})
        self.assertEqual(self.session.masv_agent_sign_up("new@example.com", "word", "New")["user"]["email"], "new@example.com")


class Wiping(Case):
    def test_a_secret_is_wiped_also_where_the_call_fails_before_it_is_used(self):
        link, naive, half = os.environ["TEST_PROTECTED_LINK"], datetime.datetime(2099, 1, 1), {"masv.email": "a\0b"}

        def spoilt(secret):
            secret[3] = 0
            return secret

        calls = {
            "NUL": lambda secret: self.session.masv_login(EMAIL, spoilt(secret)),
            "NUL before": lambda secret: self.session.masv_login("a\0b", secret),
            "wrong type before": lambda secret: self.session.masv_login(5, secret),
            "agent": lambda secret: self.session.masv_agent_sign_in("a\0b", secret),
            "name": lambda secret: self.session.masv_agent_sign_up(EMAIL, secret, "a\0b"),
            "moment": lambda secret: self.session.adopt("transfers/MINE", secret, naive),
            "resource": lambda secret: self.session.adopt("a\0b", secret),
            "value of": lambda secret: self.session.reject_value("a\0b", secret),
            "request": lambda secret: keyferry.Request("no such thing", link_password=secret),
            "access": lambda secret: keyferry.Request(link, access="all", link_password=secret),
            "timeout": lambda secret: keyferry.Request(link, timeout=-1, link_password=secret),
            "setting": lambda secret: keyferry.Config({"masv.urll": "x", "masv.password": secret}),
            "value": lambda secret: keyferry.Config({**half, "masv.password": secret}),
            "key": lambda secret: config().set("a\0b", secret),
        }
        for name, call in calls.items():
            secret = bytearray(b"secret")
            with self.subTest(name):
                self.fails((keyferry.Error, TypeError), call, secret)
                self.assertEqual(bytes(secret), bytes(6))


class Errors(Case):
    def test_an_error_carries_every_detail(self):
        add_fault(service="masv", path="/v1/auth", kind="status", status=429, retry_after="7", times="forever")
        error = self.fails(keyferry.Throttled, self.session.token_for, "user")
        self.assertEqual((error.http_status, error.status), (429, keyferry.Throttled.status))
        self.assertAlmostEqual(error.retry_after, 7, delta=1)
        again = pickle.loads(pickle.dumps(error))
        self.assertEqual((type(again), str(again), again.retry_after), (keyferry.Throttled, str(error), error.retry_after))

    def test_what_was_not_told_is_none(self):
        session = keyferry.Session(config(masv_url="http://127.0.0.1:9"))
        error = self.fails(keyferry.Unreachable, session.token_for, "user")
        self.assertEqual((error.http_status, error.service_code, error.retry_after), (None, None, None))
        self.assertIsInstance(error, ConnectionError)
        self.assertIsInstance(error, keyferry.Error)

    def test_texts_and_secrets_that_can_not_be_told_are_bad_values(self):
        half = "\ud800"
        for value in (half, b"\xff", None, "a\0b"):
            self.fails(keyferry.InvalidValue, config().set, "masv.password", value)
            self.fails(keyferry.InvalidValue, self.session.adopt, "transfers/MINE", value)
            self.fails(keyferry.InvalidValue, self.session.reject_value, PACKAGE, value)
        for call in (self.session.header, self.session.token_for, self.session.explain, keyferry.Request):
            error = self.fails(keyferry.InvalidValue, call, PACKAGE + half)
            self.assertIsNone(error.__context__, "Python's own error holds the text, which may be a link's secret")
        self.fails(keyferry.InvalidValue, self.session.masv_login, half, "word")
        self.assertNotIn(half, str(self.fails(keyferry.InvalidValue, config().set, "masv.password", half)))
        self.fails(TypeError, keyferry.Session, {})


class Lives(Case):
    def test_a_closed_session_says_so(self):
        with keyferry.Session(config()) as session:
            session.token_for(PACKAGE)
        session.close()
        for call in (session.header, session.headers, session.token_for, session.cached, session.explain, session.forget):
            self.assertEqual(str(self.fails(ValueError, call, PACKAGE)), "the session is closed")
        self.fails(ValueError, session.masv_login)
        keyferry.default.close()
        self.assertIn("logins", keyferry.default.stats())

    def test_a_session_that_is_closed_under_a_call_lives_until_it_is_done(self):
        slow_login(0.5)
        tokens = []
        thread = threading.Thread(target=lambda: tokens.append(self.session.token_for("user")))
        thread.start()
        while self.session.stats()["flights_under_way"] == 0:
            pass
        self.session.close()
        thread.join()
        self.assertEqual(tokens[0].kind, "user")

    def test_a_dropped_session_closes_everything(self):
        def threads():
            return sorted(os.listdir("/proc/self/task"))

        def files():
            return sorted(os.readlink(f"/proc/self/fd/{fd}") for fd in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{fd}"))

        self.session.close()
        gc.collect()
        before = threads(), files()
        session = keyferry.Session(config())
        session.token_for("user")
        self.assertGreater(len(threads()), len(before[0]))
        gone = weakref.ref(session)
        del session
        self.assertIsNone(gone())
        # Its threads have a second to end.
        deadline = time.monotonic() + 2
        while (threads(), files()) != before and time.monotonic() < deadline:
            pass
        self.assertEqual((threads(), files()), before)


class PasswordService(http.server.BaseHTTPRequestHandler):
    """Accepts every login and keeps the passwords."""

    passwords: "list[str]" = []

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.passwords.append(json.loads(body)["password"])
        answer = b'\xef\xbb\xbf{"token": "abc"}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *arguments):
        pass


class Encodings(Case):
    def test_a_secret_is_literal_in_each_type(self):
        server = http.server.HTTPServer(("127.0.0.1", 0), PasswordService)
        self.addCleanup(server.server_close)
        self.addCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}"
        for sent in ("word", "  word  ", "\ufeffword", "wörd 東"):
            encoded = sent.encode()
            for secret in (sent, encoded, bytearray(encoded)):
                with self.subTest(secret), keyferry.Session(config(masv_url=url)) as session:
                    self.assertEqual(session.masv_login(EMAIL, secret).value, "abc")
                    self.assertEqual(PasswordService.passwords.pop(), sent)
        for refused in (b"canary\xe9", "canary\n".encode("utf-16"), b"can\0ary", "canary\udce9", b"canary\r\n"):
            for secret in (refused, bytearray(refused)) if isinstance(refused, bytes) else (refused,):
                with self.subTest(secret), keyferry.Session(config(masv_url=url)) as session:
                    error = self.fails(keyferry.InvalidValue, session.masv_login, EMAIL, secret)
                    self.assertIn("; ", str(error))
                    self.assertNotIn("canary", str(error))
        self.assertEqual(PasswordService.passwords, [])

    def test_a_path_need_not_be_utf_8(self):
        path = os.path.join(os.environ["TEST_FOLDER"].encode(), b"python\xff.toml")
        with open(path, "wb") as file:
            file.write(b"\xef\xbb\xbf[masv]\r\nteam = 'other'\r\n")
        os.chmod(path, 0o600)
        for given in (path, os.fsdecode(path), pathlib.Path(os.fsdecode(path))):
            with self.subTest(given), keyferry.Session(keyferry.Config.load(given)) as session:
                self.assertIn("masv", session.explain("user")["service"])
        self.fails(keyferry.InvalidValue, keyferry.Config.load, "/a\0b")
        self.fails(keyferry.InvalidValue, keyferry.Config.load, "/a\ud800b")


class Configs(Case):
    def test_a_file_is_read_and_the_program_has_the_last_word(self):
        path = os.path.join(os.environ["TEST_FOLDER"], "python.toml")
        with open(path, "w") as file:
            file.write("[masv]\nteam = 'other'\n")
        os.chmod(path, 0o600)
        loaded = keyferry.Config.load(path)
        loaded.set("masv.email", "somebody@example.com")
        with keyferry.Session(loaded) as session:
            self.assertIn("masv", session.explain("user")["service"])
        self.assertIn("masv.urll", str(self.fails(keyferry.ConfigError, loaded.set, "masv.urll", "x")))
        self.fails(keyferry.ConfigError, keyferry.Config.load, path + ".missing")
        secret = bytearray(b"word")
        loaded.set("masv.password", secret)
        self.assertEqual(bytes(secret), bytes(4))
