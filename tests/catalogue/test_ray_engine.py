"""The Ray engine on a real cluster of two workers on this machine: results as those of the local
engine to the bit, workers killed, records lost, rows that kill."""

from __future__ import annotations

import os
import re
import signal
import socket
import threading
from collections import Counter
from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from catalogue.engine import Finished, RowState, RowTask
from catalogue.ledger import read_ledger
from catalogue.local import LocalEngine
from catalogue.plan import make_plan, weights_stamp
from catalogue.ray_engine import RayEngine, in_groups, workers_range
from catalogue.ray_worker import Desk, check_machine, mark_of
from catalogue.results import Results
from catalogue.run import run_plan
from catalogue.storage import remove_leftovers
from tests.catalogue.drawn_catalogue import rows_of, settings_for, small_catalogue
from tests.catalogue.stub_worker import StubDresser

pytest.importorskip("ray", reason="Ray is not installed")
on_a_cluster = pytest.mark.skipif(
    "OOTD_NIGHTLY" not in os.environ,
    reason="seven minutes with a cluster: OOTD_NIGHTLY=1, as the nightly checks have it",
)


def test_the_number_of_workers() -> None:
    assert (workers_range("8"), workers_range("2-8")) == ((8, 8), (2, 8))
    for wrong in ("0", "8-2", "two", "", "-1"):
        with pytest.raises(ValueError, match=f"--workers is '{wrong}', but must be a number"):
            workers_range(wrong)


def tasks_of(tmp_path: Path, *names: str) -> list[RowTask]:
    (row,) = rows_of(small_catalogue(tmp_path / "in", 1, 1))
    return [
        RowTask(row=replace(row, name=name, number=number), key=f"{number:032}", digests={})
        for number, name in enumerate(names, 1)
    ]


def test_groups_are_small_enough_for_all_workers(tmp_path: Path) -> None:
    tasks = tasks_of(tmp_path, *map(str, range(100)))
    for workers, sizes in ((1, [16] * 6 + [4]), (5, [5] * 20), (99, [1] * 100)):
        groups = in_groups(tasks, workers)
        assert [len(group) for group in groups] == sizes
        assert [task for group in groups for task in group] == tasks
    assert in_groups([], 3) == []


def test_what_was_under_way_in_a_kill_goes_alone() -> None:
    desk = Desk(3)
    assert desk.begin(["a", "b", "c"]) == (3, 0)
    assert desk.begin(["a", "b", "c"]) == (1, 1), "a worker died over the three"
    desk.end(["a"])
    assert desk.begin(["b", "c"]) == (1, 1)
    assert desk.begin(["b", "c"]) == (1, 2)
    assert desk.begin(["d"]) == (1, 0)
    desk.stop()
    assert desk.begin(["e"]) == (0, 0)


def test_workers_that_only_ever_start_are_told_to_give_up() -> None:
    desk = Desk(3)
    assert [desk.start() for _ in range(3)] == [None] * 3
    desk.end(["a"])
    assert [desk.start() for _ in range(3)] == [None] * 3
    assert (desk.start() or "").startswith("3 workers were started with no row done in between")
    assert desk.starts() == 7


def test_no_rows_need_no_cluster(tmp_path: Path) -> None:
    engine = RayEngine(settings=settings_for(tmp_path), address="no:1")
    assert list(engine.run(iter(()), threading.Event())) == []


def test_a_machine_must_have_the_same_results_and_weights(tmp_path: Path) -> None:
    settings = settings_for(tmp_path, home="elsewhere")
    with pytest.raises(ValueError, match=r"does not see the folder .* it must be shared by all"):
        check_machine(settings, "0123")
    mark = mark_of(settings.out)
    with pytest.raises(ValueError, match="does not see the folder"):
        check_machine(settings, mark_of(str(tmp_path / "another")))
    with pytest.raises(ValueError, match="has other weights in"):
        check_machine(settings, mark)
    stamp = weights_stamp(settings.model, settings.variant, None)
    check_machine(replace(settings, weights=stamp), mark)
    check_machine(settings_for("memory://out"), mark_of("memory://out"))


def test_a_long_run_s_folder_is_known_though_others_tidy_up_there(tmp_path: Path) -> None:
    mark = mark_of(str(tmp_path))
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    remove_leftovers(str(tmp_path))
    check_machine(settings_for(tmp_path), mark)
    assert mark_of(str(tmp_path)) == mark, "a run beside it has the same one"


def ray_processes() -> list[psutil.Process]:
    children = psutil.Process().children(recursive=True)
    return [each for each in children if "ray::MapWorker" in " ".join(each.cmdline())]


@on_a_cluster
@pytest.mark.skipif(os.name == "nt", reason="there is no SIGKILL")
def test_results_are_those_of_the_local_engine_though_a_worker_is_killed(tmp_path: Path) -> None:
    manifest = small_catalogue(tmp_path / "in", 4, 4)
    (tmp_path / "in/persons/person02.png").write_bytes(b"no picture")
    rows, good = rows_of(manifest), 12
    expected, results = Results(str(tmp_path / "local")), Results(str(tmp_path / "ray"))
    settings = settings_for(expected.out, threads=1)
    plan = make_plan(rows, settings, expected)
    run_plan(plan, LocalEngine(settings), expected, threading.Event())
    settings = replace(settings, out=results.out, cache=tmp_path / "cache")
    plan = make_plan(rows, settings, results)
    killed: list[int] = []

    def kill_one(_finished: Finished, summary: object) -> None:
        if not killed and _finished.state is RowState.DONE:
            victim = ray_processes()[0]
            victim.send_signal(signal.SIGKILL)
            killed.append(victim.pid)

    engine = RayEngine(settings=settings, workers=(2, 2))
    summary = run_plan(plan, engine, results, threading.Event(), kill_one)
    assert killed and (summary.done, summary.failed) == (good, 4)
    lines = Counter((line["name"], line["state"]) for line in read_ledger(results.out))
    assert set(lines.values()) == {1}, "each row once"
    written = sorted(path for path in Path(results.out).rglob("*.png"))
    assert len(written) == 2 * good
    for path in written:
        twin = Path(expected.out, path.relative_to(results.out))
        assert path.read_bytes() == twin.read_bytes(), path
    assert not list(Path(results.out).rglob("*.part"))
    assert not ray_processes()


@pytest.fixture(scope="module")
def address() -> Generator[str]:
    """A cluster of three CPUs that is there already."""
    import ray
    from ray.cluster_utils import Cluster

    options = {"num_cpus": 3, "include_dashboard": False, "object_store_memory": 128 * 2**20}
    running: Any = Cluster(initialize_head=True, head_node_args=options)
    yield running.address
    ray.shutdown()  # of a test that failed
    running.shutdown()


@on_a_cluster
def test_rows_that_kill_or_lose_their_record(
    tmp_path: Path, address: str, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["a", "kill once", "b", "kill always", "lost once", "lost written", "c", "d"]
    tasks = tasks_of(tmp_path, *names)
    engine = RayEngine(
        settings=settings_for(tmp_path), address=address, workers=(2, 2), dresser=StubDresser
    )
    finished = list(engine.run(iter(tasks), threading.Event()))
    states = {each.task.row.name: each.state for each in finished}
    assert len(finished) == len(names) == len(states), "each once"
    assert states.pop("kill always") is RowState.FAILED
    assert set(states.values()) == {RowState.DONE}
    (failed,) = [each for each in finished if each.state is RowState.FAILED]
    assert failed.error == "3 workers died over this row: is there enough memory?"
    assert capsys.readouterr().out == "", "Ray's lines would stand among those of --json-lines"


@on_a_cluster
def test_a_stop_ends_after_the_rows_under_way_and_errors_end_the_run(
    tmp_path: Path, address: str
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    stop = threading.Event()
    settings = settings_for(tmp_path)
    tasks = tasks_of(tmp_path, *(f"slow {n}" for n in range(200)))
    engine = RayEngine(settings=settings, address=address, workers=(1, 1), dresser=StubDresser)
    done: list[str] = []
    for finished in engine.run(iter(tasks), stop):
        done.append(finished.task.row.name)
        stop.set()
    assert 1 <= len(done) < 50 and len(set(done)) == len(done)
    assert signal.getsignal(signal.SIGTERM) is before, "the command's own, not Ray's"
    with pytest.raises(OSError, match="The disk is full"):
        list(engine.run(iter(tasks_of(tmp_path, "a", "full", "b")), threading.Event()))
    bad = replace(engine, settings=replace(settings, weights="bad"))
    with pytest.raises(ValueError, match="The networks are bad"):
        list(bad.run(iter(tasks_of(tmp_path, "a")), threading.Event()))
    with pytest.raises(RuntimeError, match=r"^RuntimeError: CUDA error: an illegal memory access"):
        list(engine.run(iter(tasks_of(tmp_path, "a", "defect", "b")), threading.Event()))
    large = replace(engine, settings=replace(settings, weights="too large"))
    with pytest.raises(MemoryError, match="out of memory: no room for the networks"):
        list(large.run(iter(tasks_of(tmp_path, "a")), threading.Event()))


def test_a_cluster_that_is_not_there(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        for scheme in ("", "ray://"):
            address = f"{scheme}127.0.0.1:{taken.getsockname()[1]}"
            engine = RayEngine(settings=settings_for(tmp_path), address=address)
            sentence = re.escape(f"There is no Ray cluster at {address} ")
            with pytest.raises(ConnectionError, match=sentence):
                list(engine.run(iter(tasks_of(tmp_path, "a")), threading.Event()))
