"""The local engine: this process, or several, one of which may die."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalogue import local
from catalogue.engine import Finished, RowState, RowTask
from catalogue.local import LocalEngine
from tests.catalogue.drawn_catalogue import rows_of, settings_for, small_catalogue
from tests.catalogue.stub_worker import StubWorker, serve


@pytest.fixture(autouse=True)
def stubbed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "_worker", StubWorker)
    monkeypatch.setattr(local, "_serve", serve)


def tasks_of(tmp_path: Path, *names: str) -> list[RowTask]:
    (row,) = rows_of(small_catalogue(tmp_path / "in", 1, 1))
    return [
        RowTask(row=replace(row, name=name, number=number), key=f"{number}", digests={})
        for number, name in enumerate(names, 1)
    ]


def run(tmp_path: Path, devices: tuple[str, ...], *names: str, **changes: Any) -> list[Finished]:
    engine = LocalEngine(settings_for(tmp_path, **changes), devices)
    tasks = tasks_of(tmp_path, *names)
    return list(engine.run(iter(tasks), threading.Event()))


def outcome(finished: list[Finished]) -> dict[str, str]:
    assert len({each.task.key for each in finished}) == len(finished), "each once"
    return {each.task.row.name: each.state for each in finished}


def test_this_process(tmp_path: Path) -> None:
    assert outcome(run(tmp_path, (), *"abcde")) == dict.fromkeys("abcde", "done")
    assert not run(tmp_path, ())


def test_a_stop_takes_no_further_rows(tmp_path: Path) -> None:
    stop = threading.Event()
    taken = iter(tasks_of(tmp_path, *(f"r{n}" for n in range(9))))
    done = []
    for finished in LocalEngine(settings_for(tmp_path)).run(taken, stop):
        done.append(finished.task.row.name)
        stop.set()
    assert done == ["r0", "r1"], "the batch that was under way"


@pytest.mark.slow
def test_processes_do_all_rows_even_if_some_die(tmp_path: Path) -> None:
    names = [*"abc", "kill once", *"defg", "kill always", *"hi"]
    finished = run(tmp_path, ("cpu", "cpu"), *names)
    states = outcome(finished)
    assert states.pop("kill always") == "failed"
    assert set(states.values()) == {"done"} and len(states) == len(names) - 1
    (failed,) = [each for each in finished if each.state is RowState.FAILED]
    assert failed.error is not None and failed.error.startswith("2 processes died over this row")


@pytest.mark.slow
def test_an_error_of_all_rows_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="The disk is full"):
        run(tmp_path, ("cpu", "cpu"), "a", "full", "b")
    with pytest.raises(ValueError, match="The networks are bad"):
        run(tmp_path, ("cpu", "cpu"), "a", weights="bad")
    with pytest.raises(OSError, match="4 processes died with no row done in between"):
        run(tmp_path, ("cpu", "cpu"), *(f"kill {n} always" for n in range(9)))
