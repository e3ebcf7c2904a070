"""What a hit and an import cost, beside bare calls in the same run. Rounds of both alternate and the fastest round of each counts, so that
other work on the machine takes no part.
"""

import ctypes
import sys
import timeit

import keyferry
import keyferry.session
import keyferry.token
from support import FILES, Case, run, run_in_threads

ROUNDS = 80


def fastest(number, calls, rounds=ROUNDS, best=None):
    """Seconds a call, of each; `best` is what earlier rounds gave."""
    best = {} if best is None else best
    for _ in range(rounds):
        for name, call in calls.items():
            best[name] = min(best.get(name, 1.0), timeit.timeit(call, number=number) / number)
    return best


def bare(session):
    """The calls of the C ABI as one writes them with ctypes: `peek` with a buffer, `cached` with what frees its token."""
    session.token_for(FILES)
    request = keyferry.Request(FILES)
    key, address, request_address = FILES.encode(), session._handle.address, request._address
    buffer, length, token = ctypes.create_string_buffer(2048), ctypes.c_size_t(), ctypes.c_void_p()
    length_out, token_out = ctypes.byref(length), ctypes.byref(token)
    bind, free = keyferry._library.bind_gil, keyferry.token._free
    peek, cached = bind("keyferry_session_peek"), bind("keyferry_session_cached")

    def one():
        peek(address, key, buffer, 2048, length_out)

    def two(request=request):
        cached(address, request_address, token_out, None)
        free(token.value)

    return one, two


class Speed(Case):
    def test_a_header_costs_no_more_than_two_bare_calls_and_a_token_than_four(self):
        peek, cached = bare(self.session)
        header, token_for = self.session.header, self.session.token_for
        calls = {"peek": peek, "cached": cached, "header": lambda: header(FILES), "token": lambda: token_for(FILES)}
        best = fastest(500, calls)
        self.assertLessEqual(best["header"], 2 * best["peek"], best)
        self.assertLessEqual(best["token"], 4 * best["cached"], best)

    def test_8_threads_get_as_much_done_as_one(self):
        header = self.session.header
        header(FILES)

        def work(number):
            for _ in range(number):
                header(FILES)

        calls = {"one": lambda: run_in_threads(1, lambda _: work(20_000)), "eight": lambda: run_in_threads(8, lambda _: work(2_500))}
        best = fastest(1, calls, rounds=8)
        for _ in range(4):
            if best["eight"] > 1.3 * best["one"]:
                # Something else had the other core all the time: a few rounds more.
                fastest(1, calls, rounds=8, best=best)
        self.assertLessEqual(best["eight"], 1.3 * best["one"], best)

    def test_an_import_costs_no_more_than_three_of_ctypes_with_the_library(self):
        library = keyferry._library._nogil_library._name
        timed = "import sys, time; start = time.perf_counter(); {}; print(time.perf_counter() - start)"
        programs = {"bare": f"import ctypes; ctypes.CDLL({library!r})", "keyferry": "import keyferry"}
        best = {}
        for _ in range(12):
            for name, program in programs.items():
                best[name] = min(best.get(name, 9.0), float(run(timed.format(program))))
        self.assertLessEqual(best["keyferry"], 3 * best["bare"], best)
        self.assertIn("keyferry", sys.modules)
