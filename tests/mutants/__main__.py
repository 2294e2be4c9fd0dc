"""Applies the faults of `faults.py` one by one to a copy of the tree and runs their tests there.

    python -m tests.mutants [NAME ...] [--list] [--jobs N] [--timeout SECONDS]

NAME is a fault's, or part of its file's path. A fault that no test notices survives: its kind lacks
a test. Exits with 1 if one does, with 2 if a fault cannot be applied or the tests fail without any.
The working tree is only read.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue

from tests.mutants.faults import FAULTS, Fault
from tests.mutants.trial import FAILED, PASSED, ROOT, STUCK, output_of, process_context, run_tests

LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "output")


def main(arguments: list[str] | None = None) -> int:
    """Return the exit code."""
    given = _parsed(arguments)
    chosen = [fault for fault in FAULTS if _is_meant(fault, given.names)]
    if not chosen:
        return _refused(f"No fault is called {' '.join(given.names)}: see --list.")
    if given.list:
        for fault in chosen:
            print(f"{fault.name}: {fault.file}\n    {', '.join(fault.tests)}")
        return 0
    problems = [problem for fault in chosen if (problem := fault.problem(ROOT))]
    if problems:
        return _refused("\n".join(problems))
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    context = process_context()
    with tempfile.TemporaryDirectory() as folder:
        trees: SimpleQueue[Path] = SimpleQueue()
        for number in range(given.jobs):
            trees.put(Path(shutil.copytree(ROOT, Path(folder, str(number)), ignore=LEFT_OUT)))

        def tried(fault: Fault) -> tuple[Fault, int, float]:
            tree = trees.get()
            begun = time.monotonic()
            try:
                with fault.applied(tree):
                    code = run_tests(context, tree, fault.tests, given.timeout)
            finally:
                trees.put(tree)
            return fault, code, time.monotonic() - begun

        tree = trees.get()
        named = sorted({test for fault in chosen for test in fault.tests})
        code = run_tests(context, tree, named, given.timeout * len(chosen))
        trees.put(tree)
        if code != PASSED:
            said = output_of(tree).read_text("utf-8", "replace").splitlines()[-15:]
            return _refused("\n".join([*said, f"The tests fail without any fault (code {code})."]))
        with ThreadPoolExecutor(given.jobs) as pool:
            return _reported(pool.map(tried, chosen), len(chosen))


def _reported(results: Iterable[tuple[Fault, int, float]], count: int) -> int:
    survivors: list[str] = []
    unclear: list[str] = []
    for number, (fault, code, seconds) in enumerate(results, start=1):
        said = {PASSED: "SURVIVED", FAILED: "noticed", 2: "noticed", STUCK: "stuck, so noticed"}
        print(f"{number}/{count} {said.get(code, 'NO TEST RAN')}: {fault.name} ({seconds:.0f} s)")
        sys.stdout.flush()
        if code == PASSED:
            survivors.append(fault.name)
        elif code not in said:
            unclear.append(fault.name)
    print(f"{count} faults, {len(survivors)} survived: {', '.join(survivors) or 'none'}")
    if unclear:
        return _refused(f"No test ran for {', '.join(unclear)}: mend their row in faults.py.")
    return 1 if survivors else 0


def _is_meant(fault: Fault, names: list[str]) -> bool:
    return not names or any(name == fault.name or name in fault.file for name in names)


def _refused(sentence: str) -> int:
    print(sentence, file=sys.stderr)
    return 2


def _parsed(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants")
    parser.add_argument("names", nargs="*", metavar="NAME", help="a fault, or part of a path")
    parser.add_argument("--list", action="store_true", help="show the faults and their tests")
    parser.add_argument("--jobs", type=int, default=1, help="how many at once")
    parser.add_argument("--timeout", type=float, default=600.0, help="seconds for one fault")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
