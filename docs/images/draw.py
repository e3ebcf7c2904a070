#!/usr/bin/env python3
"""Draws the pictures of the documentation. Python's standard library is enough.

    docs/images/draw.py [--check]                # freshness.svg, layers.svg, and the charts and tables of performance.md
    docs/images/draw.py demo PROGRAM [--check]   # demo.svg: runs `PROGRAM demo` in a terminal

layers.svg is drawn from the table in src/lib.rs, and the charts from the output of the benchmarks
in docs/measurements. With --check, they write nothing, and fail if a picture or table differs from the
committed one; times in demo.svg may differ. Tests run both commands with --check.
"""

import fcntl
import html
import os
import pty
import re
import struct
import sys
import termios
from pathlib import Path

CHECK = sys.argv[-1] == "--check"
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"
MONO = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
INK, SOFT, LINE, PAPER = "#1f2328", "#59636e", "#d1d9e0", "#ffffff"
BLUE, ORANGE, GREEN, RED = "#0969da", "#bc4c00", "#1a7f37", "#cf222e"


class Svg:
    """A picture on a white sheet of paper, so that it can be read on dark pages too."""

    def __init__(self, width, height, title):
        self.parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}" '
            f'role="img" font-family="{FONT}" font-size="13">',
            f"<title>{html.escape(title)}</title>",
        ]
        self.rect(0.5, 0.5, width - 1, height - 1, PAPER, stroke=LINE, radius=6)

    def rect(self, x, y, width, height, fill, stroke="none", radius=0):
        self.parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="{radius}" fill="{fill}" stroke="{stroke}"/>'
        )

    def text(self, x, y, words, fill=INK, anchor="start", extra=""):
        self.parts.append(f'<text x="{x:g}" y="{y:g}" fill="{fill}" text-anchor="{anchor}"{extra}>{html.escape(words)}</text>')

    def line(self, x1, y1, x2, y2, stroke=LINE, extra=""):
        self.parts.append(f'<line x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}" stroke="{stroke}"{extra}/>')

    def save(self, name):
        picture = "\n".join(self.parts) + "\n</svg>\n"
        if CHECK and (HERE / name).read_text(encoding="utf-8") != picture:
            sys.exit(f"docs/images/{name} is out of date: run docs/images/draw.py")
        if not CHECK:
            (HERE / name).write_text(picture, encoding="utf-8")


BOLD = ' font-weight="600"'
SMALL = ' font-size="12"'


def freshness():
    """The life of a token of one hour. Not to scale: the last windows are short."""
    picture = Svg(820, 214, "The four windows in the life of a token of one hour")
    windows = [  # color, from, to, heading, what callers get
        (GREEN, 40, 330, "Fresh", ["the cached token", "no lock, no I/O"]),
        (BLUE, 330, 510, "Advisory", ["the cached token;", "one thread refreshes"]),
        (ORANGE, 510, 670, "Mandatory", ["callers wait for", "the one refresh"]),
        (RED, 670, 790, "Expired", ["never", "handed out"]),
    ]
    picture.text(40, 30, "A token that lives one hour (not to scale)", extra=BOLD)
    for color, start, end, heading, lines in windows:
        picture.rect(start, 76, end - start - 2, 26, color, radius=3)
        middle = (start + end) / 2
        picture.text(middle, 66, heading, color, "middle", BOLD)
        for row, words in enumerate(lines):
            picture.text(middle, 156 + 17 * row, words, SOFT, "middle", SMALL)
    for x, words in [(40, "0 min"), (330, "48 min"), (510, "59 min"), (670, "60 min")]:
        picture.line(x - 1, 102, x - 1, 112, SOFT)
        picture.text(x, 127, words, INK, "middle", SMALL)
    picture.text(40, 202, "The start of the advisory window varies by up to a tenth of its length, so that processes don't refresh at once.", SOFT, "start", SMALL)
    picture.save("freshness.svg")


def layers():
    """The layers of the library, from the table in src/lib.rs; the newest at the top uses those below it."""
    rows = re.findall(r"^//! \| (\w[\w ]*) \| (`.*`) \|$", (ROOT / "src/lib.rs").read_text(encoding="utf-8"), re.M)
    rows = [(name, re.findall(r"`(\w+)`", modules)) for name, modules in rows]
    meaning = {
        "foundations": "operating system, data types, settings, and the traits between the layers",
        "adapters": "one module for each service, store, source of secrets, transport and plugin",
        "core": "cache, freshness, single flight, backoff, persistence",
        "API": "the Rust API, and the C ABI on top of it",
    }
    top = 92
    picture = Svg(820, top + 78 * len(rows) + 14, "The layers of keyferry: each uses only the layers below it")
    users = ["C, C++, Python, Node", "keyferry", "git-credential-keyferry", "Rust programs"]
    for column, user in enumerate(users):
        picture.rect(24 + 196 * column, 20, 184, 34, "#f6f8fa", LINE, 4)
        picture.text(116 + 196 * column, 42, user, INK, "middle")
    picture.text(410, 76, "▼", SOFT, "middle")
    for row, (name, modules) in enumerate(reversed(rows)):
        y = top + 78 * row
        picture.rect(24, y, 772, 62, "#ddf4ff" if name == "core" else "#f6f8fa", LINE, 4)
        picture.text(40, y + 24, name, INK, "start", BOLD)
        picture.text(140, y + 24, "   ".join(modules), INK, "start", f' font-family="{MONO}" xml:space="preserve"')
        picture.text(140, y + 46, meaning[name], SOFT, "start", SMALL)
    picture.save("layers.svg")


def bars(name, title, unit, rows):
    """One horizontal bar a row: (label, value, color)."""
    left, right, height = 300, 740, 26
    picture = Svg(820, 66 + height * len(rows) + 14, title)
    picture.text(24, 32, title, extra=BOLD)
    picture.text(24, 50, unit, SOFT, "start", SMALL)
    most = max(value for _, value, _ in rows)
    for row, (label, value, color) in enumerate(rows):
        y = 66 + height * row
        picture.text(left - 10, y + 16, label, INK, "end")
        picture.rect(left, y + 3, (right - left) * value / most, height - 8, color, radius=2)
        picture.text(left + (right - left) * value / most + 8, y + 16, f"{value:g}", INK, "start", SMALL)
    picture.save(name)


def measured(name):
    """The lines of a benchmark's output."""
    return (ROOT / "docs/measurements" / name).read_text(encoding="utf-8").splitlines()


def hits():
    """The rows of the benchmark `cached` about hits: (row, tokens) to (ns, times the limit, throughput of two threads)."""
    rows = [line.split("\t") for line in measured("hit.txt")]
    return {(row[0], row[1]): (row[2], row[3], row[6]) for row in rows if len(row) == 7 and row[1].isdigit()}


def programs(name, heading, count):
    """The rows below a heading in the output of `turns`: program to (median us, times the C program, peak KiB)."""
    lines = measured(name)
    rows = [re.split(r"\s{2,}", line) for line in lines[lines.index(heading) + 2 :][:count]]
    return {row[0]: (row[1], row[4], row[5]) for row in rows}


def misses():
    """The rows of the benchmark `misses`: (row, client) to its values, by the names of their columns."""
    rows, columns = {}, []
    for cells in (line.split("\t") for line in measured("misses.txt")):
        if cells[0] == "row":
            columns = cells[2:]
        else:
            rows[cells[0], cells[1]] = dict(zip(columns, cells[2:]))
    return rows


def helpers():
    """The rows of benches/helper.sh with 10 stored records."""
    return programs("helper.txt", "10 records stored", 4)


def calls(rows):
    """A table of programs, each measured from start to exit."""
    lines = ["| one call, from start to exit | times the C program | peak memory |", "|---|---|---|"]
    return lines + [f"| {name} | {row[1]} | {int(row[2]) / 1024:.1f} MiB |" for name, row in rows.items()]


def charts():
    """The charts of docs/performance.md."""
    labels = {
        "limit": "limit: a C program without keyferry",
        "peek, short form": "keyferry_session_peek, short form",
        "peek, URL": "keyferry_session_peek, URL",
        "token_for, short form": "masv_token_for, short form",
        "token_for, URL": "masv_token_for, URL",
    }
    rows = hits()
    found = [(label, float(rows[row, "1000"][0]), SOFT if row == "limit" else BLUE) for row, label in labels.items()]
    bars("hit.svg", "A hit with 1,000 cached tokens", "nanoseconds a call, one thread; shorter is better", found)
    found = [(name, float(row[0]), BLUE if "keyferry" in name else SOFT) for name, row in helpers().items()]
    bars("helper.svg", "A credential helper that answers from its store", "microseconds from start to exit; shorter is better", found)


def tables():
    """The tables of docs/performance.md: each stands between two comments with its name."""
    rows = hits()
    names = {
        "peek, short form": "`keyferry_session_peek`, short form",
        "peek, URL": "`keyferry_session_peek`, URL",
        "peek, write token": "the same, the *write* token of a package",
        "peek, URL of a new file": "the same, the URL of another file of a package",
        "peek, plugin token": "the same, a plugin's token, short form",
        "peek, miss": "the same, nothing is cached",
        "token_for, short form": "`masv_token_for` and `keyferry_token_free`, short form",
        "token_for, URL": "the same, URL",
    }
    counts = ["10", "1000", "100000"]
    lines = ["| times the limit, with this many cached tokens | 10 | 1,000 | 100,000 |", "|---|---|---|---|"]
    for row, name in names.items():
        cells = [rows.get((row, count), ("", "", ""))[1] for count in counts]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    limit = [f"{rows['limit', count][0]} ns" for count in counts]
    lines.append(f"| the limit itself | {' | '.join(limit)} |")
    helper, status = calls(helpers()), calls(programs("status.txt", "100000 tokens stored", 3))

    rows = misses()
    kinds = [  # heading, unit, column, row, the only client to show
        ("a package, round trip of 40 ms", "round trips", "round trips", "warm", ""),
        ("the first package of a new process that logs in, round trip of 40 ms", "round trips", "round trips", "first", "keyferry"),
        ("the same, and the login does not tell the team", "round trips", "round trips", "first", "keyferry, team unknown"),
        ("a package, on the same machine", "times reqwest", "times reqwest", "loopback", ""),
        ("10,000 packages, 64 threads, round trip of 40 ms, store in memory", "tokens per second", "tokens/s", "crowd", ""),
        ("the same, store on disk", "tokens per second", "tokens/s", "crowd-file", ""),
        ("the first package of a new process with an API key, on the same machine", "times reqwest", "times reqwest", "tls", ""),
    ]
    clients = [["libcurl, kept", "libcurl, 64 kept"], ["reqwest, kept", "reqwest"], ["keyferry"]]
    fetched = ["| a token that is not cached | unit | libcurl | reqwest | keyferry |", "|---|---|---|---|---|"]
    for heading, unit, column, row, only in kinds:
        names = [[], [], [only]] if only else clients
        cells = [next((rows[row, name][column] for name in found if (row, name) in rows), "") for found in names]
        fetched.append(f"| {heading} | {unit} | {' | '.join(cells)} |")

    page = ROOT / "docs/performance.md"
    text = page.read_text(encoding="utf-8")
    for name, table in [("hit", lines), ("misses", fetched), ("helper", helper), ("status", status)]:
        between = re.compile(f"(<!-- table: {name} -->\n).*?(\n<!-- end -->)", re.S)
        text = between.sub(lambda found: found.group(1) + "\n" + "\n".join(table) + "\n" + found.group(2), text)
    if CHECK and text != page.read_text(encoding="utf-8"):
        sys.exit("docs/performance.md is out of date: run docs/images/draw.py")
    if not CHECK:
        page.write_text(text, encoding="utf-8")


def demo(program):
    """The output of `keyferry demo` in a terminal of 96 columns."""
    child, terminal = pty.fork()
    if child == 0:
        environment = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PATH": os.environ["PATH"], "HOME": "/nonexistent"}
        os.execvpe(program, [program, "demo"], environment)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 70, 96, 0, 0))
    output = b""
    while True:
        try:
            read = os.read(terminal, 65536)
        except OSError:  # the program has closed its side of the terminal
            break
        if not read:
            break
        output += read
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) != 0:
        sys.exit(f"`{program} demo` failed:\n{output.decode(errors='replace')}")
    lines = ["$ cargo run --release -- demo", *output.decode().replace("\r", "").rstrip("\n").split("\n")]
    width, height = 96 * 7.8 + 40, 17 * len(lines) + 34
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:g}" height="{height}" viewBox="0 0 {width:g} {height}" role="img" '
        f'font-family="{MONO}" font-size="13">',
        "<title>The output of keyferry demo</title>",
        f'<rect width="{width:g}" height="{height}" rx="8" fill="#0d1117"/>',
    ]
    styles = {"1": 'fill="#f0f6fc" font-weight="600"', "2": 'fill="#9198a1"', "31": 'fill="#ff7b72"', "32": 'fill="#3fb950"', "33": 'fill="#d29922"'}
    for row, line in enumerate(lines):
        style, spans, column = "0", [], 0
        for piece in re.split(r"(\x1b\[[\d;]*m)", line):
            code = re.fullmatch(r"\x1b\[([\d;]*)m", piece)
            if code:
                style = code.group(1) or "0"
            elif piece:
                look = styles.get(style, 'fill="#d1d7e0"')
                length = len(piece) * 7.8
                spans.append(
                    f'<tspan x="{20 + column * 7.8:g}" textLength="{length:g}" lengthAdjust="spacingAndGlyphs" {look}>{html.escape(piece)}</tspan>'
                )
                column += len(piece)
        parts.append(f'<text y="{30 + 17 * row}" xml:space="preserve">{"".join(spans)}</text>')
    picture = "\n".join(parts) + "\n</svg>\n"
    if CHECK and words(picture) != words((HERE / "demo.svg").read_text(encoding="utf-8")):
        sys.exit("docs/images/demo.svg is out of date: run docs/images/draw.py demo PROGRAM")
    if not CHECK:
        (HERE / "demo.svg").write_text(picture, encoding="utf-8")


def words(picture):
    """The text of a picture of a terminal, without what differs from run to run: times, and how much of a resource is shown."""
    lines = re.findall(r"<text [^>]*>(.*)</text>", picture)
    plain = [re.sub(r"<[^>]*>", "", line) for line in lines]
    return re.sub(r"\S*…\S*|[\d.]+\s*(µs|ms|s)?|\s", "", "".join(plain))


if __name__ == "__main__":
    if sys.argv[1:2] == ["demo"]:
        demo(sys.argv[2])
    else:
        freshness()
        layers()
        charts()
        tables()
