"""The ledger of all runs: appended, read past torn lines, and what failed in it."""

from __future__ import annotations

import json
import uuid
from dataclasses import replace
from pathlib import Path

import pytest

from catalogue import ledger as ledger_module
from catalogue.engine import Finished, RowState, RowTask
from catalogue.ledger import Ledger, last_states, line_of, read_ledger, write_failures
from catalogue.manifest import ManifestRow
from catalogue.storage import files_below, join, read
from ootd_core.categories import Category
from tests.catalogue.drawn_catalogue import QUICK


def finished(number: int, state: RowState = RowState.DONE, **changes: object) -> Finished:
    row = ManifestRow(
        number=number, person="p.png", garments=(("g.png", Category.DRESS),), options=QUICK,
        name=f"r{number}",
    )  # fmt: skip
    task = RowTask(row=row, key=f"key{number}", digests={"p.png": "ab" * 32})
    error = "It is broken." if state is RowState.FAILED else None
    return replace(Finished(task=task, state=state, error=error), **changes)


@pytest.fixture(params=["local", "memory"])
def out(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "local":
        return str(tmp_path)
    pytest.importorskip("fsspec")
    return f"memory://{uuid.uuid4()}"


def append(out: str, *rows: Finished) -> None:
    with Ledger(out) as ledger:
        for each in rows:
            ledger.append(line_of(each, [f"results/{each.task.key}.png"]))


def test_a_line_says_what_became_of_a_row(out: str) -> None:
    append(out, finished(3, seconds=1.23456, warnings=("Oh.",), host="here cpu"))
    (line,) = read_ledger(out)
    assert line.pop("time").startswith("20")
    assert len(line.pop("id")) == 16
    assert line == {
        "row": 3, "name": "r3", "state": "done", "key": "key3", "person": "p.png",
        "garments": [["g.png", "dress"]], "seed": 0, "digests": ["ab" * 16], "seconds": 1.235,
        "warnings": ["Oh."], "host": "here cpu", "files": ["results/key3.png"],
    }  # fmt: skip
    append(out, finished(4, RowState.FAILED))
    *_, line = read_ledger(out)
    assert line["error"] == "It is broken." and "files" not in line


def test_every_run_has_a_file_of_its_own(out: str) -> None:
    append(out, finished(1))
    append(out, finished(2))
    assert len(list(files_below(join(out, "ledger")))) == 2
    assert sorted(line["row"] for line in read_ledger(out)) == [1, 2]


def test_the_last_line_counts_and_failures_are_those_that_still_fail(out: str) -> None:
    failed = RowState.FAILED
    append(out, finished(1, failed), finished(2, failed, error="First."), finished(3))
    append(out, finished(1), finished(2, failed, error="Second."), finished(4, failed))
    assert write_failures(out) == 2
    lines = [json.loads(line) for line in read(join(out, "failures.jsonl")).splitlines()]
    assert [(line["row"], line["error"]) for line in lines] == [
        (2, "Second."),
        (4, "It is broken."),
    ]
    assert sorted(state for _, state, _ in last_states(out).values()) == [
        "done", "done", "failed", "failed",
    ]  # fmt: skip
    append(out, finished(2), finished(4, RowState.KEPT))
    assert write_failures(out) == 0 and read(join(out, "failures.jsonl")) == b""


def test_a_line_that_a_kill_cut_off_is_passed_over(tmp_path: Path) -> None:
    append(str(tmp_path), finished(1), finished(2))
    (path,) = (tmp_path / "ledger").iterdir()
    whole = path.read_bytes()
    for length in range(len(whole) - 2, whole.index(b"\n") + 1, -7):
        path.write_bytes(whole[:length])
        assert [line["row"] for line in read_ledger(str(tmp_path))] == [1]
    append(str(tmp_path), finished(2))
    assert sorted(line["row"] for line in read_ledger(str(tmp_path))) == [1, 2]


def test_a_line_is_on_the_disk_at_once(tmp_path: Path) -> None:
    ledger = Ledger(str(tmp_path))
    ledger.append(line_of(finished(1), []))
    assert [line["row"] for line in read_ledger(str(tmp_path))] == [1]


def test_a_store_gets_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("fsspec")
    out = f"memory://{uuid.uuid4()}"
    monkeypatch.setattr(ledger_module, "PIECE_LINES", 3)
    with Ledger(out) as ledger:
        for number in range(1, 8):
            ledger.append(line_of(finished(number), []))
        assert len(list(read_ledger(out))) == 6
    assert [line["row"] for line in read_ledger(out)] == [1, 2, 3, 4, 5, 6, 7]
    monkeypatch.setattr(ledger_module, "PIECE_SECONDS", 0.0)
    with Ledger(out) as ledger:
        ledger.append(line_of(finished(8), []))
        assert len(list(read_ledger(out))) == 8


def test_a_disk_that_takes_half_a_line_is_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half:
        @staticmethod
        def write(content: bytes) -> int:
            return len(content) // 2

    monkeypatch.setattr(Ledger, "_open", lambda _self: Half())
    with pytest.raises(OSError, match="is full: free some space"):
        Ledger(str(tmp_path)).append(line_of(finished(1), []))


def test_a_name_that_is_no_utf_8_reads_back_the_same(out: str) -> None:
    odd, plain = "pl/a\udce9\ud800.png", "pl/人é.png"
    failed = finished(1, RowState.FAILED, error=f"There is no file at {odd}.")
    task = replace(failed.task, row=replace(failed.task.row, person=odd, name=odd))
    other = replace(failed.task, row=replace(failed.task.row, person=plain))
    append(out, replace(failed, task=task), replace(failed, task=other, error="No."))
    assert [line["person"] for line in read_ledger(out)] == [odd, plain]
    assert write_failures(out) == 2
    content = read(join(out, "failures.jsonl"))
    people = [json.loads(line)["person"] for line in content.splitlines()]
    assert sorted(people) == sorted([odd, plain])
    assert plain.encode() in content, "what can be read by people stays so"


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ["x"]}, {"row": "1"}, {"name": None}, {"state": "gone"}, {"key": 3}, {"time": 5},
        {"person": []}, {"garments": [["g.png"]]}, {"garments": [3]}, {"warnings": [[1]]},
        {"digests": 3}, {"error": {}}, {"files": "f"},
    ],
    ids=str,
)  # fmt: skip
def test_a_line_that_is_none_of_ours_is_passed_over(
    changes: dict[str, object], tmp_path: Path
) -> None:
    append(str(tmp_path), finished(1))
    (line,) = read_ledger(str(tmp_path))
    others = [line | changes, {"id": "a", "state": "done"}, [1], "id state"]
    text = "".join(json.dumps(each) + "\n" for each in others)
    (tmp_path / "ledger/other.jsonl").write_text(f"{text}{'[' * 100_000}\n")
    assert list(read_ledger(str(tmp_path))) == [line]
    assert len(last_states(str(tmp_path))) == 1 and write_failures(str(tmp_path)) == 0
