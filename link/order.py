#!/usr/bin/env python3
"""Writes order.txt: the sections of code that a host runs up to its first hit, for the linker to put them side by side.

    cargo build --release && link/order.py target/release/libkeyferry.so

Needs valgrind, a C compiler and binutils. What a compiler names differently later is no error: it stays where it would be without.
"""

import bisect
import fnmatch
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The bytes that a pattern may bring along: a generic function's copies differ in their hashes alone. Left where they are, the page that
# the function is on and its fifteen neighbours would be mapped for it.
WASTE = 32 * 1024


def symbols(library):
    """(address, size, name) of each function, by address."""
    lines = subprocess.run(["nm", "-S", "-n", library], check=True, capture_output=True, text=True).stdout.splitlines()
    rows = [line.split() for line in lines]
    return [(int(row[0], 16), int(row[1], 16), row[3]) for row in rows if len(row) == 4 and row[2] in "tT"]


def addresses_run(library, folder, *words):
    """Addresses of the library's instructions that benches/load.c runs."""
    program, trace = os.path.join(folder, "load"), os.path.join(folder, "trace")
    subprocess.run(["cc", f"-I{ROOT}/include", f"{ROOT}/benches/load.c", "-o", program, "-ldl"], check=True)
    settings = {"HOME": folder, "KEYFERRY_MASV_API_KEY": "made-up"}
    loader = subprocess.run(
        ["valgrind", "--tool=lackey", "--trace-mem=yes", f"--log-file={trace}", program, library, *words],
        check=True,
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "LD_DEBUG": "files", **settings},
    ).stderr
    base = int(re.search(re.escape(library) + r".*\n.*base: 0x([0-9a-f]+)", loader)[1], 16)
    with open(trace, encoding="utf-8") as lines:
        return {int(line[3:].split(",")[0], 16) - base for line in lines if line.startswith("I  ")}


def pattern(name):
    """The name for every build: without the hash of one compiler and one path."""
    name = re.sub(r"17h[0-9a-f]{16}E.*", "17h*", name)
    name = re.sub(r"Cs[0-9A-Za-z]+_", "Cs*_", name)
    return re.sub(r"ring_core_[0-9_]+__", "ring_core_*__", name)


def functions_run(table, addresses):
    """The functions that these addresses are in."""
    starts, used = [start for start, _, _ in table], set()
    for address in addresses:
        at = bisect.bisect_right(starts, address) - 1
        if at >= 0 and address < table[at][0] + table[at][1]:
            used.add(table[at])
    return used


def patterns(table, used):
    """What names these functions. What brings most along stands last, where its copies separate none of the others."""
    waste = {}
    for wanted in {pattern(name) for _, _, name in used}:
        brought = sum(size for _, size, name in table if fnmatch.fnmatchcase(name, wanted))
        waste[wanted] = brought - sum(size for _, size, name in used if pattern(name) == wanted)
    return sorted((wanted for wanted in waste if waste[wanted] <= WASTE), key=lambda wanted: (waste[wanted], wanted))


def main():
    library = os.path.abspath(sys.argv[1])
    table, chosen = symbols(library), []
    # First a session in memory; behind it what is added where there are files.
    for words in [], ["files"]:
        with tempfile.TemporaryDirectory() as folder:
            used = functions_run(table, addresses_run(library, folder, *words))
        chosen += [wanted for wanted in patterns(table, used) if wanted not in chosen]
        print(f"{len(used)} functions, {sum(size for _, size, _ in used)} bytes; {len(chosen)} patterns")
    with open(os.path.join(ROOT, "link", "order.txt"), "w", encoding="utf-8") as out:
        out.writelines(f"{line}\n" for line in chosen)


main()
