"""Builds the library with cargo and puts it into the wheel, so that installing the wheel needs no
Rust.

Set `KEYFERRY_LIBRARY=/path/libkeyferry.so` to use a library that is already built.
"""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# pip builds in place, so this file is still inside the repository.
REPOSITORY = Path(__file__).resolve().parent.parent.parent
NOT_IN_REPOSITORY = (
    "cannot build keyferry: a copy of bindings/python or a source archive lacks the library's source; "
    "build a wheel from bindings/python inside keyferry's repository"
)


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
            sys.exit("cannot install keyferry as editable: the wheel contains a compiled library; run `pip install bindings/python`")
        library = Path(os.environ.get("KEYFERRY_LIBRARY") or built())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform(library)}"
        build_data["force_include"][str(library)] = "keyferry/libkeyferry.so"


def built():
    """Builds the release library and returns its path, which cargo prints."""
    command = ["cargo", "build", "--release", "--locked", "--package", "keyferry", "--lib", "--message-format", "json-render-diagnostics"]
    try:
        output = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        sys.exit("cannot build keyferry's library: cargo is not installed; install Rust, or install a wheel of keyferry")
    except subprocess.CalledProcessError as error:
        sys.exit(f"cannot build keyferry's library: cargo failed with status {error.returncode}; see its output above")
    return re.findall(r'"([^"]+/libkeyferry\.so)"', output)[-1]


def platform(library):
    """Returns the platform tag for the oldest system that the library runs on.

    The highest glibc version that the library requires determines the tag.
    """
    here = re.sub(r"[-.]", "_", sysconfig.get_platform())
    versions = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", library.read_bytes())]
    if not here.startswith("linux_") or not versions:
        return here
    return here.replace("linux", f"manylinux_2_{max(versions)}", 1)
