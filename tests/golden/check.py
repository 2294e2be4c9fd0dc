"""Runs every case of a folder of reference data: python -m tests.golden.check FOLDER

The folder holds one or more of the sets A (networks, pipeline), B (masks), C (human parsing) and
D (pose), each described by its own manifest.json. One line a case, one line at the end. Exit code:
0 all within tolerance, 1 some beyond it, 2 nothing to check.
"""

import importlib
import math
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.golden.case import CaseResult, failed_case

SETS = {
    "A": "tests.golden.set_a",
    "B": "tests.golden.set_b",
    "C": "tests.golden.set_c",
    "D": "tests.golden.set_d",
}


def present_sets(folder: Path) -> list[str]:
    """The names of the sets that `folder` holds."""
    return [name for name in SETS if (folder / name).is_dir()]


def check_set(folder: Path, name: str) -> Iterator[CaseResult]:
    """Runs one set of `folder`.

    A set that stops with an exception, or has no case, yields a failed case that says so.
    """
    finished = 0
    try:
        # Imported here: each set brings its own networks and libraries.
        check: Callable[[Path], Iterator[CaseResult]] = importlib.import_module(SETS[name]).check
        for result in check(folder / name):
            finished += 1
            yield result
    except Exception as problem:  # one broken set must not hide the others
        yield failed_case(f"(stopped after {finished} cases)", problem)
        return
    if finished == 0:
        yield failed_case("(no case)", ValueError("the manifest lists no case"))


def describe(name: str, result: CaseResult) -> str:
    """The line that is printed for a case of set `name`."""
    verdict = "FAILED" if result.failed else "ok"
    line = f"{name} {result.name:<44} error {result.error:.2e} of {result.tolerance:.2e}  {verdict}"
    return f"{line}  {result.note}" if result.note else line


def summary(results: dict[str, list[CaseResult]]) -> str:
    """The last line: the number of cases, how many failed, each set's largest error."""
    cases = [result for of_set in results.values() for result in of_set]
    failed = sum(result.failed for result in cases)
    worst = " ".join(f"{name}={_worst(results.get(name, []))}" for name in SETS)
    return f"golden: {len(cases)} cases, {failed} failed, worst {worst}"


def _worst(results: list[CaseResult]) -> str:
    if not results:
        return "-"
    errors = [math.inf if math.isnan(result.error) else result.error for result in results]
    return f"{max(errors):.2e}"


def main(arguments: list[str]) -> int:
    if len(arguments) != 1:
        print("Usage: python -m tests.golden.check FOLDER", file=sys.stderr)
        return 2
    folder = Path(arguments[0])
    names = present_sets(folder)
    if not names:
        wanted = ", ".join(SETS)
        print(f"{folder} holds none of the folders {wanted}: nothing to check.", file=sys.stderr)
        return 2
    results: dict[str, list[CaseResult]] = {}
    for name in names:
        results[name] = []
        for result in check_set(folder, name):
            results[name].append(result)
            print(describe(name, result), flush=True)
    print(summary(results))
    return int(any(result.failed for of_set in results.values() for result in of_set))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
