"""The adapters for HTTP clients: the right headers by URL, one more try after a 401, nothing for anybody else."""

import asyncio
import http.server
import io
import os
import threading
import unittest.mock

import httpx
import keyferry
import keyferry.httpx
import keyferry.requests
import requests
from support import FILES, FILEVERBS, MASV, PACKAGE, TEAMS, Case, config, control, count, renewed_in_background, slow_login

AUTH_HEADERS = ("x-package-token", "x-user-token", "x-api-key", "x-transfer-token", "authorization", "secretkey")


class ForeignHost(http.server.BaseHTTPRequestHandler):
    """A host that is none of ours: keeps what it is sent, answers with the status in the path, or sends on to where the path says."""

    requests = []

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.requests.append({name.lower(): value for name, value in self.headers.items()})
        if self.path.startswith("/to/"):
            self.send_response(307)
            self.send_header("Location", self.path[len("/to/") :])
        else:
            self.send_response(int(self.path.strip("/")))
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_POST = do_GET

    def log_message(self, *_):
        pass


class Clients:
    """What both adapters must do. `get` and `post` send with the adapter, following redirects, and give the client's response."""

    @classmethod
    def setUpClass(cls):
        cls.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), ForeignHost)
        threading.Thread(target=cls.server.serve_forever, daemon=True).start()
        cls.foreign_url = f"http://127.0.0.1:{cls.server.server_port}"

    @classmethod
    def tearDownClass(cls):
        cls.server.shutdown()
        cls.server.server_close()

    def setUp(self):
        super().setUp()
        ForeignHost.requests.clear()

    def assert_no_auth_header_was_sent(self):
        self.assertTrue(ForeignHost.requests)
        for headers in ForeignHost.requests:
            self.assertEqual([name for name in AUTH_HEADERS if name in headers], [])

    def test_each_url_gets_its_own_header(self):
        for url in (FILES, TEAMS, f"{FILEVERBS}/api/v1/fileuploads", FILES + "?page=2"):
            self.assertEqual(self.get(url).status_code, 200, url)
        self.assertEqual((count("two_credentials"), count("foreign_credential"), count("missing_credential")), (0, 0, 0))

    def test_a_token_is_renewed_before_it_ends(self):
        # To make a client may take as long as a request.
        self.assertTrue(renewed_in_background(self.session, lambda: self.get(TEAMS), life=6))

    def test_strangers_get_nothing(self):
        self.assertEqual(self.get(f"{self.foreign_url}/200").status_code, 200)
        self.assertEqual(self.get(f"{self.foreign_url}/401").status_code, 401)
        self.assertEqual(len(ForeignHost.requests), 2)
        self.assert_no_auth_header_was_sent()
        self.assertEqual(self.session.list(), [])

    def test_routes_that_are_open_to_all_get_nothing(self):
        self.get(f"{MASV}/v1/subdomains/portals/sandbox")
        self.assertEqual(count("needless_credential"), 0)

    def test_a_401_rejects_the_generation_and_is_tried_once_more(self):
        first = self.session.token_for(FILES)
        control("POST", "reject", {"token": first.value})
        answer = self.get(FILES)
        self.assertEqual((answer.status_code, count("rejected_token")), (200, 1))
        self.assertGreater(self.session.token_for(FILES).generation, first.generation)

    def test_a_second_401_is_the_answer(self):
        control("POST", "fault", {"path": "/v1/packages", "kind": "status", "status": 401, "times": "forever"})
        before = count("faults_hit")
        self.assertEqual(self.get(FILES).status_code, 401)
        self.assertEqual(count("faults_hit") - before, 2)

    def test_where_there_is_no_other_token_the_401_is_the_answer(self):
        session = keyferry.Session(config(masv_email=None, masv_password=None))
        self.addCleanup(session.close)
        token = session.masv_login(*self.account)
        control("POST", "reject", {"token": token.value})
        self.assertEqual(self.get(TEAMS, session=session).status_code, 401)
        self.fails(keyferry.LoginRequired, session.token_for, TEAMS)

    def test_a_token_that_nobody_can_renew_leaves_the_401_as_the_answer(self):
        self.session.adopt("transfers/MINE", "dead")
        self.assertEqual(self.get(f"{MASV}/v1/transfers/MINE").status_code, 401)
        self.fails(keyferry.NotFound, self.session.token_for, "transfers/MINE")
        read, url = self.session.token_for(os.environ["TEST_LINK"]).value, f"{MASV}/v1/{PACKAGE}/files/F/download"
        control("POST", "reject", {"token": read})
        self.assertEqual(self.get(url).status_code, 401)
        self.fails(keyferry.InsufficientAccess, self.session.token_for, url)

    def test_a_body_is_sent_again_whole(self):
        control("POST", "reject", {"token": self.session.token_for("user").value})
        url = f"{MASV}/v1/teams/{self.team}/packages"
        self.assertIn(self.post(url, json={"name": "Again", "description": ""}).status_code, (200, 201))
        # The post, and the request that shows that the token is dead.
        self.assertEqual((count("rejected_token"), count("teams")), (2, 1))

    def test_a_redirect_takes_no_header_to_a_stranger(self):
        for status in (302, 307):
            control("POST", "fault", {"path": "/v1/packages", "kind": "redirect", "status": status, "to": f"{self.foreign_url}/200"})
            self.assertEqual(self.get(FILES).status_code, 200)
        self.assert_no_auth_header_was_sent()

    def test_a_redirect_after_a_401_takes_none_either(self):
        control("POST", "reject", {"token": self.session.token_for(FILES).value})
        control("POST", "fault", {"path": "/v1/packages", "kind": "redirect", "status": 307, "to": f"{self.foreign_url}/401", "skip": 1})
        self.assertEqual(self.get(FILES).status_code, 401)
        self.assert_no_auth_header_was_sent()

    def test_a_stranger_that_sends_us_on_gets_none_and_the_service_its_own(self):
        self.assertEqual(self.get(f"{self.foreign_url}/to/{FILES}").status_code, 200)
        self.assert_no_auth_header_was_sent()

    def test_a_redirect_within_the_service_is_served(self):
        control("POST", "fault", {"path": "/v1/teams", "kind": "redirect", "status": 307, "to": FILES})
        self.assertEqual(self.get(TEAMS).status_code, 200)
        self.assertEqual(count("two_credentials"), 0)

    def test_errors_on_the_way_to_a_token_are_raised(self):
        session = keyferry.Session(config(masv_email=None, masv_password=None))
        self.addCleanup(session.close)
        self.fails(keyferry.Error, self.get, TEAMS, session=session)

    @property
    def account(self):
        from support import EMAIL, PASSWORD

        return EMAIL, PASSWORD

    @property
    def team(self):
        return self.session.token_for("user").details["teams"][0]["id"]


class Requests(Clients, Case):
    def get(self, url, session=None, **more):
        with requests.Session() as client:
            client.trust_env = False
            client.auth = keyferry.requests.Auth(session or self.session)
            return client.request(more.pop("method", "GET"), url, **more)

    def post(self, url, **more):
        return self.get(url, method="POST", **more)

    def test_a_file_is_sent_again_from_where_it_stood(self):
        token = self.session.token_for("user")
        url = f"{MASV}/v1/teams/{self.team}/packages"
        one_shot = iter([b'{"name": "A"}'])
        for body, status in ((io.BytesIO(b'junk{"name": "A", "description": ""}'), 200), (one_shot, 401)):
            revoked = self.session.token_for("user").value
            control("POST", "reject", {"token": revoked})
            if status == 200:
                body.read(4)
            answer = self.post(url, data=body, headers={"Content-Type": "application/json"})
            self.assertEqual(answer.status_code // 100, status // 100)
        self.assertGreater(self.session.token_for("user").generation, token.generation)
        # The 401 of the body that can't be sent again was reported too: the next one finds another token.
        self.assertNotEqual(self.session.token_for(url).value, revoked)

    def client(self):
        client = requests.Session()
        self.addCleanup(client.close)
        client.trust_env = False
        client.auth = keyferry.requests.Auth(self.session)
        return client

    def test_a_request_to_a_stranger_stays_bare_however_often_it_is_sent(self):
        client, url = self.client(), f"{self.foreign_url}/to/{FILES}"
        prepared = client.prepare_request(requests.Request("GET", url))
        answer = client.send(prepared)
        self.assertEqual(answer.status_code, 200)
        client.send(prepared)
        client.send(answer.history[0].request)
        client.send(client.get(url, allow_redirects=False).request, allow_redirects=False)
        self.assertEqual(len(ForeignHost.requests), 5)
        self.assert_no_auth_header_was_sent()

    def test_a_redirect_that_is_not_followed_gets_no_token(self):
        answer = self.client().get(f"{self.foreign_url}/to/{FILES}", allow_redirects=False)
        self.assertEqual((answer.status_code, count("login")), (307, 0))
        self.assertEqual(self.client().send(answer.next).status_code, 200)

    def test_a_prepared_request_that_was_sent_elsewhere_keeps_its_own_headers(self):
        client = self.client()
        control("POST", "fault", {"path": "/v1/packages", "kind": "redirect", "status": 302, "to": f"{self.foreign_url}/200", "times": 1})
        prepared = client.prepare_request(requests.Request("GET", FILES))
        sent_headers = dict(prepared.headers)
        self.assertIn("X-Package-Token", sent_headers)
        answer = client.send(prepared)
        self.assertEqual((dict(prepared.headers), dict(answer.history[0].request.headers)), (sent_headers, sent_headers))
        self.assert_no_auth_header_was_sent()
        before = count("requests")
        self.assertEqual((client.send(prepared).status_code, count("requests") - before), (200, 1))

    def test_each_sending_of_a_prepared_request_has_its_own_second_try(self):
        client = self.client()
        prepared = client.prepare_request(requests.Request("GET", FILES))
        for _ in range(3):
            control("POST", "reject", {"token": prepared.headers["X-Package-Token"]})
            self.session.forget_all()
            sent = dict(prepared.headers)
            answer = client.send(prepared)
            self.assertEqual((answer.status_code, dict(answer.history[0].request.headers)), (200, sent))
            self.assertEqual(dict(prepared.headers), dict(answer.request.headers))

    def test_a_rejected_token_is_renewed_after_a_redirect_too(self):
        control("POST", "reject", {"token": self.session.token_for(FILES).value})
        self.assertEqual(self.get(f"{self.foreign_url}/to/{FILES}").status_code, 200)

    def test_an_upload_that_became_a_get_gets_its_header(self):
        control("POST", "fault", {"path": "/v1/teams", "kind": "redirect", "status": 302, "to": FILES, "times": 1})
        self.assertEqual(self.post(TEAMS, data=io.BytesIO(b"{}")).status_code, 200)

    def test_what_the_user_put_on_stays(self):
        self.get(f"{self.foreign_url}/200", headers={"Authorization": "mine"})
        self.assertEqual(ForeignHost.requests[0]["authorization"], "mine")


class Httpx(Clients):
    def test_a_stream_is_not_sent_again(self):
        control("POST", "reject", {"token": self.session.token_for("user").value})
        url = f"{MASV}/v1/teams/{self.team}/packages"
        headers = {"Content-Type": "application/json"}
        self.assertEqual(self.post(url, content=self.stream(), headers=headers).status_code, 401)
        self.assertLess(self.post(url, content=self.stream(), headers=headers).status_code, 300)
        self.assertEqual(self.get(TEAMS).status_code, 200)

    def test_a_form_in_memory_is_sent_again_and_one_of_a_file_is_not(self):
        url = f"{self.foreign_url}/401"
        for content, sent in ((b"bytes", 2), (io.BytesIO(b"file"), 1)):
            ForeignHost.requests.clear()
            with unittest.mock.patch.multiple(
                "keyferry.httpx",
                headers_after_401=unittest.mock.Mock(return_value={"x-api-key": "b"}),
                aheaders_after_401=unittest.mock.AsyncMock(return_value={"x-api-key": "b"}),
                reject_headers=unittest.mock.DEFAULT,
                areject_headers=unittest.mock.AsyncMock(),
            ):
                self.post(url, files={"part": content}, data={"name": "x"})
            self.assertEqual(len(ForeignHost.requests), sent)
            self.assertEqual({headers["content-length"] for headers in ForeignHost.requests}, {ForeignHost.requests[0]["content-length"]})

    def test_a_request_that_was_answered_wears_nothing_of_ours(self):
        control("POST", "reject", {"token": self.session.token_for(FILES).value})
        for url in (FILES, f"{self.foreign_url}/to/{FILES}"):
            answer = self.get(url)
            self.assertEqual(answer.status_code, 200)
            for one in [answer, *answer.history]:
                self.assertEqual([name for name, _ in one.request.headers.raw if name.decode().lower() in AUTH_HEADERS], [])


class HttpxSync(Httpx, Case):
    def get(self, url, session=None, **more):
        with httpx.Client(auth=keyferry.httpx.Auth(session or self.session), follow_redirects=True, trust_env=False) as client:
            return client.request(more.pop("method", "GET"), url, **more)

    def post(self, url, **more):
        return self.get(url, method="POST", **more)

    def stream(self):
        return iter([b'{"name": "A", "description": ""}'])

    def test_a_version_that_would_take_headers_along_is_refused(self):
        with unittest.mock.patch.object(httpx.Headers, "__contains__", return_value=True):
            self.fails(ImportError, keyferry.httpx.Auth)


class HttpxAsync(Httpx, Case):
    def get(self, url, session=None, **more):
        async def sent():
            async with httpx.AsyncClient(
                auth=keyferry.httpx.Auth(session or self.session), follow_redirects=True, trust_env=False
            ) as client:
                return await client.request(more.pop("method", "GET"), url, **more)

        return asyncio.run(sent())

    def post(self, url, **more):
        return self.get(url, method="POST", **more)

    async def stream(self):
        yield b'{"name": "A", "description": ""}'

    def test_64_requests_on_an_empty_cache_log_in_once(self):
        slow_login(0.3)

        async def crowd():
            async with httpx.AsyncClient(auth=keyferry.httpx.Auth(self.session), trust_env=False) as client:
                return await asyncio.gather(*(client.get(TEAMS) for _ in range(64)))

        self.assertEqual({answer.status_code for answer in asyncio.run(crowd())}, {200})
        self.assertEqual(count("login"), 1)

    def test_cancelling_the_task_cancels_a_renewal(self):
        control("POST", "reject", {"token": self.session.token_for("user").value})

        async def asking():
            async with httpx.AsyncClient(auth=keyferry.httpx.Auth(self.session), trust_env=False) as client:
                await client.get(TEAMS)

        self.assert_cancels_at_once(asking)
