"""Programs that carry the package along (PyInstaller, zip files), and pickles of what an HTTP client holds."""

import copy
import multiprocessing
import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import tempfile
import zipapp

import httpx
import keyferry
import keyferry.httpx
import keyferry.requests
import requests
from support import FILES, TEAMS, Case, count

PROGRAM = "import sys, keyferry\nprint(keyferry.__version__, keyferry.header(sys.argv[1])[0])\n"
PACKAGE = pathlib.Path(keyferry.__file__).parent


def run_program(command, **variables):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, env={**os.environ, **variables})


class Bundles(Case):
    def setUp(self):
        super().setUp()
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def assert_prints_its_header(self, command, **variables):
        ended = run_program([*command, FILES], **variables)
        self.assertEqual((ended.returncode, ended.stdout), (0, f"{keyferry.__version__} X-Package-Token\n"))
        self.assertEqual(count("login"), 1)

    def app(self):
        """A folder with the program and the package, as `pip install --target` makes it."""
        app = self.folder / "app"
        shutil.copytree(PACKAGE, app / "keyferry", ignore=shutil.ignore_patterns("__pycache__"))
        (app / "__main__.py").write_text(PROGRAM)
        return app

    def test_pyinstaller_takes_the_library_along(self):
        program = self.folder / "program.py"
        program.write_text(PROGRAM)
        options = [f"--{name}path={self.folder / name}" for name in ("dist", "work", "spec")]
        built = run_program(
            [sys.executable, "-m", "PyInstaller", "--log-level=WARN", *options, str(program)],
            HOME=str(self.folder),
            PYINSTALLER_CONFIG_DIR=str(self.folder),
        )
        self.assertEqual(built.returncode, 0, built.stdout)
        self.assertEqual(len(list((self.folder / "dist").rglob("libkeyferry.so"))), 1)
        # The package is not found in this Python's own folder, but in the program's.
        self.assert_prints_its_header([str(self.folder / "dist/program/program")])

    def test_a_zipapp_loads_its_library_and_leaves_no_file(self):
        archive, temporary = self.folder / "app.pyz", self.folder / "temporary"
        temporary.mkdir()
        zipapp.create_archive(self.app(), archive, compressed=True)
        self.assert_prints_its_header([sys.executable, "-I", str(archive)], TMPDIR=str(temporary))
        self.assertEqual(list(temporary.iterdir()), [])

    def test_a_package_in_a_zip_file_is_imported(self):
        archive = shutil.make_archive(str(self.folder / "packages"), "zip", self.app())
        self.assert_prints_its_header([sys.executable, "-c", PROGRAM], PYTHONPATH=archive)

    def test_a_zip_file_whose_library_can_not_be_loaded_says_what_helps(self):
        app = self.app()
        (app / "keyferry/libkeyferry.so").write_bytes(b"not a library")
        zipapp.create_archive(app, self.folder / "app.pyz")
        said = run_program([sys.executable, "-I", str(self.folder / "app.pyz")], TMPDIR=str(self.folder)).stdout
        self.assertIn(f"set TMPDIR to a directory that allows programs, because {self.folder} may not, or unpack the zip file", said)


def get_status(client):
    return client.get(TEAMS).status_code


def client_of(auth):
    client = requests.Session()
    client.trust_env = False
    client.auth = auth
    return client


class Pickles(Case):
    def test_a_client_with_the_default_session_works_in_another_process(self):
        with client_of(keyferry.requests.Auth()) as client:
            self.assertEqual(get_status(pickle.loads(pickle.dumps(client))), 200)
            for method in ("spawn", "forkserver", "fork"):
                with self.subTest(method), multiprocessing.get_context(method).Pool(1) as pool:
                    self.assertEqual(pool.apply(get_status, (client,)), 200)

    def test_a_session_of_its_own_is_refused_with_the_reason(self):
        for module in (keyferry.requests, keyferry.httpx):
            message = str(self.fails(TypeError, pickle.dumps, module.Auth(self.session)))
            self.assertEqual(
                message,
                f"cannot pickle a {module.__name__}.Auth: its session contains secrets; use `Auth()`, which has the default session, "
                "or create the Auth again where it is needed",
            )
            self.assertIs(type(pickle.loads(pickle.dumps(module.Auth()))), module.Auth)
        self.fails(TypeError, pickle.dumps, client_of(keyferry.requests.Auth(self.session)))

    def test_copies_use_the_same_session(self):
        for module in (keyferry.requests, keyferry.httpx):
            auth = module.Auth(self.session)
            for copied in (copy.copy(auth), copy.deepcopy(auth), copy.deepcopy({"auth": auth})["auth"]):
                self.assertIsNot(copied, auth)
                self.assertIs(copied._session, self.session)
        client = copy.deepcopy(client_of(keyferry.requests.Auth(self.session)))
        self.assertEqual(get_status(client), 200)

    def test_a_response_is_pickled_without_the_token(self):
        with client_of(keyferry.requests.Auth(self.session)) as client:
            answer = client.get(TEAMS)
        self.assertIn("X-User-Token", answer.request.headers)
        with httpx.Client(auth=keyferry.httpx.Auth(self.session), trust_env=False) as client:
            other = client.get(TEAMS)
        token = self.session.token_for(TEAMS).value
        for one in (answer, other):
            pickled = pickle.dumps(one)
            self.assertNotIn(token.encode(), pickled)
            again = pickle.loads(pickled)
            self.assertEqual((again.status_code, again.text), (200, one.text))
            self.assertEqual(str(again.request.url), TEAMS)
        # The request can be sent again, by a client of that process.
        with client_of(keyferry.requests.Auth(self.session)) as client:
            again = pickle.loads(pickle.dumps(answer)).request
            self.assertEqual(client.send(client.auth(again)).status_code, 200)
