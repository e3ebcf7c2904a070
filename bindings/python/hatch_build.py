"""Builds the library with cargo and puts it into the wheel, which then works where there is no Rust.

`KEYFERRY_LIBRARY=/path/libkeyferry.so` takes one that is built already.
"""

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

# pip builds in place, where the repository is.
REPOSITORY = Path(__file__).resolve().parent.parent.parent
ELSEWHERE = "keyferry is built from its repository, as a wheel: bindings/python alone, copied or as a source archive, lacks the library"


def version():
    """The version that Cargo.toml says."""
    if not (REPOSITORY / "src" / "ffi").is_dir():
        sys.exit(ELSEWHERE)
    manifest = (REPOSITORY / "Cargo.toml").read_text(encoding="utf-8")
    return re.search(r'^version = "([^"]+)"', manifest, re.MULTILINE).group(1)


class CustomBuildHook(BuildHookInterface):
    def initialize(self, version, build_data):
        if self.target_name != "wheel":
            sys.exit(ELSEWHERE)
        if version == "editable":
            sys.exit("keyferry can't be installed as editable: pip install bindings/python")
        library = Path(os.environ.get("KEYFERRY_LIBRARY") or built())
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-{platform(library)}"
        build_data["force_include"][str(library)] = "keyferry/libkeyferry.so"


def built():
    """The release library of this repository; cargo says where it put it."""
    command = ["cargo", "build", "--release", "--locked", "--package", "keyferry", "--lib", "--message-format", "json-render-diagnostics"]
    try:
        told = subprocess.run(command, cwd=REPOSITORY, check=True, stdout=subprocess.PIPE, text=True).stdout
    except FileNotFoundError:
        sys.exit("keyferry's library is built with cargo, which is not there: install Rust, or a wheel")
    except subprocess.CalledProcessError as error:
        sys.exit(f"cargo could not build keyferry's library (status {error.returncode}): see above")
    return re.findall(r'"([^"]+/libkeyferry\.so)"', told)[-1]


def platform(library):
    """The oldest system that the library runs on: the highest version of glibc that it asks for says which."""
    here = re.sub(r"[-.]", "_", sysconfig.get_platform())
    versions = [int(minor) for minor in re.findall(rb"\0GLIBC_2\.(\d+)(?:\.\d+)?(?=\0)", library.read_bytes())]
    if not here.startswith("linux_") or not versions:
        return here
    return here.replace("linux", f"manylinux_2_{max(versions)}", 1)
