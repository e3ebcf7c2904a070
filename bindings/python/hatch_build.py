"""Builds the library and the programs with cargo and puts them into the wheel, so that installing the
wheel needs no Rust.

To use files that are already built, set `KEYFERRY_LIBRARY` to the path of the library, and
`KEYFERRY_PROGRAMS` to the directory of the programs.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# pip builds in place, so this file is still inside the repository.
REPOSITORY = Path(__file__).resolve().parent.parent.parent
NOT_IN_REPOSITORY = (
    "cannot build keyferry: a copy of bindings/python or a source archive lacks the library's source; "
    "build a wheel from bindings/python inside keyferry's repository"
)
# The small program is installed under both names. It starts the full program, which it finds in libexec beside its own directory.
PROGRAMS = ("keyferry", "git-credential-keyferry")
FULL_PROGRAM = "libexec/keyferry/keyferry"


def version():
    """Returns the version in Cargo.toml."""
    if not (REPOSITORY / "src" / "ffi").is_dir():
        sys.exit(NOT_IN_REPOSITORY)
    manifest = (REPOSITORY / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^version = "([^"]+)"', manifest, re.MULTILINE).group(1)


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if self.target_name != "wheel":
            sys.exit(NOT_IN_REPOSITORY)
        if version == "editable":
            sys.exit("cannot install keyferry as editable: the wheel contains compiled files; run `pip install bindings/python`")
        library = Path(os.environ.get("KEYFERRY_LIBRARY") or built("libkeyferry.so"))
        small, full = programs()
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform([library, small, full])}"
        build_data["force_include"][str(library)] = "keyferry/libkeyferry.so"
        build_data["shared_data"][str(full)] = FULL_PROGRAM
        # Each script has a source file of its own. The directory is removed when this object is.
        self.copies = tempfile.TemporaryDirectory()
        for name in PROGRAMS:
            copy = shutil.copy(small, Path(self.copies.name, name))
            build_data["shared_scripts"][str(copy)] = name


def programs():
    """Returns the small program and the full one: installed ones, or as cargo builds them."""
    directory = os.environ.get("KEYFERRY_PROGRAMS")
    if not directory:
        return Path(built("git-credential-keyferry")), Path(built("keyferry"))
    full = Path(directory).parent / FULL_PROGRAM
    return Path(directory, "git-credential-keyferry"), full if full.is_file() else Path(directory, "keyferry")


def build_command(name):
    """Returns the cargo command that builds a file. The options are those of the Makefile."""
    release = ["--release", "--locked", "--message-format", "json-render-diagnostics", "--package"]
    if name == "libkeyferry.so":
        return ["cargo", "build", *release, "keyferry", "--lib"]
    if name == "keyferry":
        return ["cargo", "build", *release, "keyferry-cli", "--bin", name]
    return ["cargo", "rustc", *release, "keyferry-cli", "--bin", name, "--", *static_flags()]


def static_flags():
    """Returns the flags that link a program statically, if the C library can be linked so.

    Git starts the small program for each fetch, and a static program starts faster.
    """
    try:
        found = subprocess.run(["cc", "-print-file-name=libc.a"], stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        return []
    return ["-C", "target-feature=+crt-static"] if os.path.isabs(found) else []


def built(name):
    """Builds a file of the release and returns its path, which cargo prints."""
    try:
        output = subprocess.run(build_command(name), cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        sys.exit(f"cannot build {name}: cargo is not installed; install Rust, or install a wheel of keyferry")
    except subprocess.CalledProcessError as error:
        sys.exit(f"cannot build {name}: cargo failed with status {error.returncode}; see its output above")
    return re.findall(rf'"([^"]+/{re.escape(name)})"', output)[-1]


def platform(files):
    """Returns the platform tag for the oldest system that all files run on.

    The highest glibc version that a file requires determines the tag. A static program requires none.
    """
    here = re.sub(r"[-.]", "_", sysconfig.get_platform())
    versions = [int(minor) for file in files for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", file.read_bytes())]
    if not here.startswith("linux_") or not versions:
        return here
    return here.replace("linux", f"manylinux_2_{max(versions)}", 1)
