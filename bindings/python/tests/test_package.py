"""The package as a whole: what it exports, what importing it costs, what it keeps."""

import ast
import asyncio
import gc
import importlib.metadata
import inspect
import os
import pathlib
import re
import unittest

import keyferry
from keyferry import _abi, error
from support import EMAIL, FILES, FILEVERBS, MASV, PACKAGE, PASSWORD, SETTINGS, Case, control, run

#: What no caller of Python meets: these come as a plain `Error`, if at all.
NOT_FROM_PYTHON = {
    "KEYFERRY_E_BUFFER_TOO_SMALL": "a longer line is taken from a token object",
}


def resident():
    return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Names(unittest.TestCase):
    def test_each_status_has_its_exception_or_a_reason_to_have_none(self):
        numbers = {name: number for name, number in vars(_abi).items() if name.startswith("KEYFERRY_E_")}
        without = {name for name, number in numbers.items() if number not in error.CLASS_BY_STATUS}
        self.assertEqual(without, set(NOT_FROM_PYTHON))
        self.assertEqual(len(error.CLASS_BY_STATUS), len(numbers) - len(without))

    def test_every_exception_is_exported(self):
        for kind in error.CLASS_BY_STATUS.values():
            self.assertIs(getattr(keyferry, kind.__name__), kind)
            self.assertIn(kind.__name__, keyferry.__all__)
        self.assertEqual(sorted(keyferry.__all__, key=str.lower), keyferry.__all__)

    def test_everything_public_is_documented(self):
        for name in keyferry.__all__:
            thing = getattr(keyferry, name)
            if not inspect.isclass(thing):
                continue
            self.assertTrue(thing.__doc__, name)
            if thing in error.CLASS_BY_STATUS.values():
                continue
            for member_name, member in inspect.getmembers(thing):
                if not member_name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property)):
                    self.assertTrue(member.__doc__, f"{name}.{member_name}")
        for word in ("Units:", "Errors:", "Source:"):
            self.assertIn(word, keyferry.__doc__)

    def test_the_version_is_the_librarys(self):
        self.assertEqual(keyferry.__version__, os.environ["TEST_VERSION"])


class Weight(Case):
    def test_importing_it_brings_nothing_heavy(self):
        program = "import sys, ctypes; before = set(sys.modules); import keyferry; print(*sorted(set(sys.modules) - before))"
        brought = run(program).split()
        self.assertTrue(all(name.split(".")[0] == "keyferry" for name in brought), brought)
        for name in ("keyferry.requests", "keyferry.httpx", "keyferry.log", "keyferry._auth"):
            self.assertNotIn(name, brought)

    def grows_by_less_than_a_mebibyte(self, take, warm, number):
        take(warm)
        gc.collect()
        before = resident()
        take(number)
        gc.collect()
        self.assertLess(resident() - before, 1024 * 1024)

    def test_a_million_tokens_leave_nothing_behind(self):
        def take(number):
            for _ in range(number):
                self.session.token_for(FILES)

        self.grows_by_less_than_a_mebibyte(take, 10_000, 1_000_000)

    def test_requests_errors_and_headers_leave_nothing_behind_either(self):
        def take(number):
            for index in range(number):
                self.session.header(FILES)
                try:
                    self.session.cached(f"packages/{index}")
                except keyferry.NotCached:
                    pass
                self.session.stats()

        self.grows_by_less_than_a_mebibyte(take, 2_000, 20_000)


def readme():
    """The README, and its blocks of Python."""
    message = importlib.metadata.metadata("keyferry")
    text = message.get_payload() or message["Description"]
    return text, re.findall(r"```python\n(.*?)```", text, re.DOTALL)


class Readme(Case):
    def test_its_python_runs_against_the_sandbox(self):
        replaced = {
            "https://api.massive.app": MASV,
            "https://api.fileverbs.com": FILEVERBS,
            "01EXAMPLE": PACKAGE.split("/")[1],
            "me@example.com": EMAIL,
            'account="client"': 'account="default"',
            "keyferry.Config({": "keyferry.Config({**settings, ",
        }
        control("POST", "configure", {"agent_signed_in": True})
        self.addCleanup(control, "POST", "configure", {"agent_signed_in": False})
        names = {"url": FILES, "password": PASSWORD, "token_of_a_portal_package": "made-up", "settings": SETTINGS}
        for block in readme()[1]:
            for example, made_up in replaced.items():
                block = block.replace(example, made_up)
            names["session"] = self.session
            with self.subTest(block):
                code = compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
                result = eval(code, names)
                if inspect.iscoroutine(result):
                    asyncio.run(result)

    def test_it_names_only_what_there_is(self):
        text, blocks = readme()
        self.assertGreater(len(blocks), 5)
        submodules = {"requests", "httpx", "log"}
        named = set(re.findall(r"\bkeyferry\.(\w+)", " ".join(re.findall(r"`[^`]+`", text)) + "".join(blocks))) - submodules - {"com"}
        self.assertGreater(len(named), 5)
        self.assertEqual([name for name in named if not hasattr(keyferry, name)], [])
        methods = set(re.findall(r"\bsession\.(\w+)", text))
        self.assertEqual([name for name in methods if not hasattr(keyferry.Session, name)], [])
