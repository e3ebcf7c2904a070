"""The example that a user would start from, as it is, against the sandbox."""

import os
import pathlib
import subprocess
import sys
import tempfile

from support import Case, control, count

EXAMPLE = pathlib.Path(__file__).parent.parent / "examples" / "upload_folder.py"


class Example(Case):
    def start(self, *arguments, **environment):
        with tempfile.TemporaryDirectory() as folder:
            place = pathlib.Path(folder, "Reel")
            (place / "day 1").mkdir(parents=True)
            (place / "a.mov").write_bytes(b"a" * 300)
            (place / "day 1" / "b.mov").write_bytes(b"b" * 700)
            command = [sys.executable, str(EXAMPLE), str(place), *arguments]
            return subprocess.run(command, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_a_folder_is_uploaded_and_jobs_are_listed(self):
        job = os.environ["TEST_JOB"]
        ended = self.start("--job", job)
        self.assertEqual(ended.stderr, "")
        lines = ended.stdout.splitlines()
        self.assertRegex(lines[0], "^  0 %  ")
        self.assertEqual(lines[1:3], [" 30 %  a.mov", "100 %  b.mov"])
        self.assertEqual(lines[-1], f"job {job} is Done: contract.pdf")
        self.assertEqual((count("login"), count("package_create"), count("fileverbs_login")), (1, 1, 1))
        finalized = [one for one in control("GET", "requests") if one["path"].endswith("/finalize")]
        self.assertEqual(len(finalized), 3)

    def test_a_wrong_password_is_one_sentence(self):
        ended = self.start(KEYFERRY_MASV_PASSWORD="wrong")
        self.assertEqual((ended.returncode, ended.stdout), (1, ""))
        self.assertRegex(ended.stderr, "^BadCredentials: MASV rejected the e-mail and password; .*\n$")
