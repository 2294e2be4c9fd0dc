"""A run from plan to failures.jsonl, on an engine in place of the networks."""

from __future__ import annotations

import json
import threading
import tracemalloc
from collections import Counter
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from catalogue.engine import Finished, RowState, RowTask
from catalogue.ledger import read_ledger
from catalogue.manifest import ManifestRow
from catalogue.plan import Plan, make_plan
from catalogue.results import Results
from catalogue.run import Summary, only_failed, run_plan
from ootd_core.images.files import load_image
from tests.catalogue.drawn_catalogue import rows_of, settings_for, small_catalogue


class Killed(BaseException):
    """As sudden as SIGKILL, as far as one process can be."""


class StubEngine:
    """Writes the person as the result; what is no picture fails."""

    def __init__(self, results: Results, *, dies_after: int | None = None) -> None:
        self.results = results
        self.dies_after = dies_after
        self.done: list[str] = []

    def run(self, tasks: Iterator[RowTask], stop: threading.Event) -> Generator[Finished]:
        while not stop.is_set() and (task := next(tasks, None)):
            try:
                picture = Image.fromarray(load_image(Path(task.row.person)))
            except ValueError as error:
                yield Finished(task=task, state=RowState.FAILED, error=str(error))
                continue
            self.results.write(task.key, [picture], picture.convert("L"))
            self.done.append(task.row.name)
            if self.dies_after is not None and len(self.done) > self.dies_after:
                raise Killed  # the result is there, the ledger's line is not
            yield Finished(task=task, state=RowState.DONE, warnings=("Warned.",))


def plan_of(manifest: Path, results: Results) -> Plan:
    return make_plan(rows_of(manifest), settings_for(results.out), results)


def run(
    manifest: Path, results: Results, stop: threading.Event | None = None, **kind: int
) -> tuple[Summary, StubEngine]:
    engine = StubEngine(results, **kind)
    plan = plan_of(manifest, results)
    return run_plan(plan, engine, results, stop or threading.Event()), engine


def states(out: str) -> list[tuple[str, str]]:
    return [(line["name"], line["state"]) for line in read_ledger(out)]


def test_a_run_and_its_second(tmp_path: Path) -> None:
    manifest, results = small_catalogue(tmp_path / "in"), Results(str(tmp_path / "out"))
    summary, engine = run(manifest, results)
    assert (summary.done, summary.kept, summary.failed, summary.stopped) == (4, 0, 0, False)
    assert engine.done == ["p0g0", "p1g0", "p0g1", "p1g1"], "garment by garment"
    lines = list(read_ledger(results.out))
    for line in lines:
        assert line["warnings"] == ["Warned."]
        (file,) = line["files"]
        person = load_image(Path(line["person"]))
        assert np.array_equal(load_image(Path(results.out, file)), person)
    summary, engine = run(manifest, results)
    assert (summary.done, summary.kept, engine.done) == (0, 4, [])
    assert len(list(read_ledger(results.out))) == 4, "what the ledger knows is not said again"


def test_results_that_the_ledger_does_not_know_are_entered(tmp_path: Path) -> None:
    manifest, results = small_catalogue(tmp_path / "in"), Results(str(tmp_path / "out"))
    run(manifest, results)
    for path in (tmp_path / "out" / "ledger").iterdir():
        path.unlink()
    summary, engine = run(manifest, results)
    assert summary.kept == 4 and not engine.done
    assert {state for _, state in states(results.out)} == {"kept"}
    renamed = tmp_path / "renamed.jsonl"
    renamed.write_text(manifest.read_text().replace('"p0g0"', '"new name"'))
    run(renamed, results)
    assert [state for name, state in states(results.out) if name == "new name"] == ["kept"]


def test_what_fails_is_named_and_tried_again_when_asked(tmp_path: Path) -> None:
    manifest, results = small_catalogue(tmp_path / "in", 4, 1), Results(str(tmp_path / "out"))
    good = (tmp_path / "in/persons/person01.png").read_bytes()
    (tmp_path / "in/persons/person01.png").write_bytes(b"no picture")
    (tmp_path / "in/persons/person02.png").unlink()
    summary, _ = run(manifest, results)
    assert (summary.done, summary.failed, summary.failures) == (2, 2, 2)
    failures = [
        json.loads(line) for line in (tmp_path / "out/failures.jsonl").read_text().splitlines()
    ]
    assert [line["name"] for line in failures] == ["p1g0", "p2g0"]
    assert "is not an image" in failures[0]["error"]
    assert failures[1]["error"].startswith("There is no file at")
    rows = only_failed(rows_of(manifest), results.out)
    assert [row.name for row in rows] == ["p1g0", "p2g0"]
    (tmp_path / "in/persons/person01.png").write_bytes(good)
    summary, engine = run(manifest, results)
    assert engine.done == ["p1g0"] and (summary.failed, summary.failures) == (1, 1)
    assert [row.name for row in only_failed(rows_of(manifest), results.out)] == ["p2g0"]


def test_twins_share_one_result(tmp_path: Path) -> None:
    manifest, results = small_catalogue(tmp_path / "in", 1, 1), Results(str(tmp_path / "out"))
    (row,) = rows_of(manifest)
    rows = [row, replace(row, number=2, name="twin"), replace(row, number=3, name="third")]
    plan = make_plan(rows, settings_for(results.out), results)
    engine = StubEngine(results)
    summary = run_plan(plan, engine, results, threading.Event())
    assert len(engine.done) == 1 and (summary.done, summary.kept, summary.stopped) == (1, 2, False)
    assert dict(states(results.out)) == {"p0g0": "done", "twin": "kept", "third": "kept"}
    assert len({line["key"] for line in read_ledger(results.out)}) == 1


def test_a_stop_ends_after_the_row_under_way(tmp_path: Path) -> None:
    manifest, results = small_catalogue(tmp_path / "in", 3, 3), Results(str(tmp_path / "out"))
    stop = threading.Event()
    plan = plan_of(manifest, results)

    def on_finished(_finished: Finished, summary: Summary) -> None:
        if summary.rows == 4:
            stop.set()

    summary = run_plan(plan, StubEngine(results), results, stop, on_finished)
    assert summary.stopped and summary.done == 4
    summary, _ = run(manifest, results)
    assert (summary.kept, summary.done, summary.stopped) == (4, 5, False)


def test_killed_again_and_again_every_row_is_done_once(tmp_path: Path) -> None:
    """Killed five times between a result and its line, which is torn besides; every third person
    is no picture."""
    manifest, results = small_catalogue(tmp_path / "in", 6, 5), Results(str(tmp_path / "out"))
    for number in (1, 4):
        (tmp_path / f"in/persons/person{number:02}.png").write_bytes(b"no picture")
    done: Counter[str] = Counter()
    random = np.random.default_rng(0)
    for _ in range(5):
        engine = StubEngine(results, dies_after=int(random.integers(0, 4)))
        with pytest.raises(Killed):
            run_plan(plan_of(manifest, results), engine, results, threading.Event())
        done.update(engine.done)
        newest = max((tmp_path / "out/ledger").iterdir())
        newest.write_bytes(newest.read_bytes()[: -int(random.integers(0, 9))] or b"")
    summary, engine = run(manifest, results)
    done.update(engine.done)
    good = [row.name for row in rows_of(manifest) if not row.name.startswith(("p1", "p4"))]
    assert done == Counter(good), "each good row once"
    assert (summary.failed, summary.failures) == (10, 10)
    last = {line["name"]: line["state"] for line in read_ledger(results.out)}
    assert {name for name, state in last.items() if state != "failed"} == set(good)
    pictures = list((tmp_path / "out/results").rglob("*.*"))
    assert len(pictures) == len(good)
    for path in pictures:
        assert load_image(path).shape == (64, 48, 3)


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest, results = small_catalogue(tmp_path / "in"), Results(str(tmp_path / "out"))
    write = Path.write_bytes
    left = [5]  # two rows with their masks, and half of a third

    def almost_full(path: Path, content: bytes) -> int:
        if "out" in path.parts:
            left[0] -= 1
            if left[0] < 0:
                write(path, content[: len(content) // 2])
                raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    monkeypatch.setattr(Path, "write_bytes", almost_full)
    with pytest.raises(OSError, match="cannot be written: the disk is full"):
        run(manifest, results)
    assert len(list((tmp_path / "out/results").rglob("*.*"))) == 2, "whole ones, and no half"
    monkeypatch.undo()
    assert dict(states(results.out)) == {"p0g0": "done", "p1g0": "done"}
    summary, _ = run(manifest, results)
    assert (summary.kept, summary.done, summary.failures) == (2, 2, 0)


class Nothing:
    """Does nothing, quickly."""

    def run(self, tasks: Iterator[RowTask], stop: threading.Event) -> Generator[Finished]:
        for number, task in enumerate(tasks):
            failed = number % 100 == 0
            yield Finished(
                task=task,
                state=RowState.FAILED if failed else RowState.DONE,
                error="It does not work." if failed else None,
                warnings=("One.", "Two."),
            )


def many_rows(tmp_path: Path, count: int) -> list[ManifestRow]:
    (row,) = rows_of(small_catalogue(tmp_path / "in", 1, 1))
    options = [replace(row.options, seed=number) for number in range(count)]
    return [
        replace(row, number=number, options=options[number], name=f"r{number}")
        for number in range(count)
    ]


@pytest.mark.slow
def test_ten_thousand_rows_take_no_more_memory_than_their_plan(tmp_path: Path) -> None:
    results = Results(str(tmp_path / "out"))
    plan = make_plan(many_rows(tmp_path, 10_000), settings_for(results.out), results)
    seen: list[int] = []

    def on_finished(_finished: Finished, summary: Summary) -> None:
        if summary.rows in (1_000, 10_000):
            seen.append(tracemalloc.get_traced_memory()[0])

    tracemalloc.start()
    try:
        summary = run_plan(plan, Nothing(), results, threading.Event(), on_finished)
    finally:
        tracemalloc.stop()
    assert (summary.done, summary.failed, summary.failures) == (9_900, 100, 100)
    # A row keeps its identity (16 digits), once that was asked for.
    assert seen[1] - seen[0] < 9_000 * 500
    assert sum(1 for _ in read_ledger(results.out)) == 10_000
