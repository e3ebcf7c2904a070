"""Measures cache hits from Python, and compares them with other credential libraries and with bare calls of the C functions.

    cargo build --release
    python -m venv target/bench && target/bench/bin/pip install ./bindings/python msal google-auth botocore requests
    target/bench/bin/python benches/python.py

A bare call is a call of `keyferry_session_peek` as one writes it with ctypes: the argument types are declared, and the buffer and the
encoded resource are reused. It makes no `str`. With arguments that were converted before, ctypes takes about half the time of that call, so
`session.header` may take less than the double of it.

Each library has one cached token, and the benchmark reads it through the function that users of the library call. All libraries run in
the same process and take turns. The result is the fastest round of each. Compare the ratios rather than the times. Fails unless keyferry
is at least 4 times as fast as the fastest other library.
"""

import datetime
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
URL = "https://example.com/resource"


def google():
    import google.oauth2.credentials

    expiry = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None) + datetime.timedelta(hours=5)
    credentials = google.oauth2.credentials.Credentials(token="t" * 600, expiry=expiry)
    return lambda: credentials.before_request(None, "GET", URL, {})


def botocore():
    import botocore.credentials
    from dateutil.tz import tzlocal

    expiry = datetime.datetime.now(tzlocal()) + datetime.timedelta(hours=5)
    credentials = botocore.credentials.RefreshableCredentials("a", "s", "t" * 600, expiry, lambda: {}, "bench")
    return credentials.get_frozen_credentials


class Answer:
    """A response in the form that msal expects from its HTTP client."""

    def __init__(self, **document):
        self.status_code, self.text, self.headers = 200, json.dumps(document), {}

    def raise_for_status(self):
        pass


class Http:
    """An HTTP client for msal that returns fixed responses."""

    def get(self, url, **_):
        return Answer(authorization_endpoint=URL, token_endpoint=URL, issuer=URL)

    def post(self, url, **_):
        return Answer(access_token="t" * 600, expires_in=18_000, token_type="Bearer")

    def close(self):
        pass


def msal():
    import msal

    client = msal.ConfidentialClientApplication(
        "id", client_credential="secret", authority="https://login.example.com/t", instance_discovery=False, validate_authority=False,
        http_client=Http(),
    )
    scopes = ["https://example.com/.default"]
    client.acquire_token_for_client(scopes)
    return lambda: client.acquire_token_for_client(scopes)


def main():
    started = subprocess.Popen([ROOT / "target/release/keyferry", "sandbox"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        environment = {}
        for line in iter(started.stdout.readline, ""):
            name, value = re.fullmatch(r"export (\w+)='(.*)'\n", line).groups()
            environment[name] = value
            if name == "KEYFERRY_SANDBOX_PID":
                break
        os.environ.update(environment, HOME=tempfile.gettempdir(), KEYFERRY_STORE="memory", TEST_PACKAGE="packages/01J0SANDB0XPACKAGE00000001")
        return measure()
    finally:
        started.terminate()


def converted_peek(session, url):
    """The fastest call of `peek` that ctypes can make."""
    from ctypes import byref, c_size_t, create_string_buffer

    import keyferry.session

    key, buffer = url.encode(), create_string_buffer(2048)
    address, reference, capacity, peek = session._handle.argument, byref(buffer), c_size_t.from_param(2048), keyferry.session._peek
    return lambda: peek(address, key, reference, capacity, None)


def measure():
    sys.path.insert(0, str(ROOT / "bindings/python/tests"))
    import keyferry
    from support import FILES
    from test_speed import bare, fastest

    session = keyferry.Session()
    session.token_for(FILES)
    peek, cached = bare(session)
    # The sandbox's tokens are shorter than 600 bytes, so this stores one of that length.
    session.adopt("transfers/BENCH", "t" * 600)
    session.token_for("transfers/BENCH")
    request = keyferry.Request(FILES)
    ours = {
        "bare peek": peek,
        "bare peek, converted arguments": converted_peek(session, FILES),
        "bare cached and free": cached,
        "keyferry session.header(url)": lambda: session.header(FILES),
        "keyferry session.headers(url)": lambda: session.headers(FILES),
        "keyferry session.header, 600 bytes": lambda: session.header("transfers/BENCH"),
        "keyferry session.token_for(url)": lambda: session.token_for(FILES),
        "keyferry session.token_for(request)": lambda: session.token_for(request),
        "keyferry session.cached(request)": lambda: session.cached(request),
    }
    theirs = {"google-auth": google(), "botocore": botocore(), "msal": msal()}
    best = fastest(500, {**ours, **theirs}, rounds=60)
    for name, seconds in best.items():
        print(f"{name:36} {seconds * 1e9:8.0f} ns   {seconds / best['bare peek']:6.2f}")
    rival = min(best[name] for name in theirs)
    for name in ("keyferry session.header(url)", "keyferry session.header, 600 bytes"):
        print(f"{name}: {rival / best[name]:.1f} times as fast as the fastest other library")
    return 0 if rival >= 4 * best["keyferry session.header(url)"] else 1


if __name__ == "__main__":
    sys.exit(main())
