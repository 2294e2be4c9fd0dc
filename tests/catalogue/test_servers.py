"""Rows through ComfyUI servers that die, hang, refuse, forget and run full: every good row is there
exactly once at the end, whatever happened."""

from __future__ import annotations

import _thread
import base64
import hashlib
import io
import json
import logging
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from catalogue import comfyui_client, servers
from catalogue.api_workflow import ApiWorkflow, read_workflow
from catalogue.comfyui_client import HEADERS, ComfyUIClient, proxy_for, read_addresses, read_headers
from catalogue.engine import Finished, WorkerSettings
from catalogue.exchange import seconds_of
from catalogue.ledger import read_ledger
from catalogue.manifest import ManifestRow, read_manifest
from catalogue.plan import Plan, make_plan
from catalogue.results import Results
from catalogue.run import Summary, run_plan
from catalogue.server_state import ServerSettings, ServerState, WatchedPrompt, hear
from catalogue.servers import ServersEngine
from ootd_core.categories import Variant
from ootd_core.images.files import load_image
from ootd_core.requirements import ROOT
from tests.catalogue.comfyui_stub import StubServer, stub_servers, until
from tests.catalogue.drawn_catalogue import small_catalogue
from tests.cli.test_tryon import run

PATIENCE: dict[str, Any] = {"silence": 5.0, "absence": 20.0, "answer": 2.0, "poll": 0.5}


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comfyui_client, "WAITS", (0.02, 0.05))
    monkeypatch.setattr(servers, "FIRST_WAIT", 0.05)
    monkeypatch.setattr(servers, "LONGEST_WAIT", 0.2)


class Catalogue:
    """Rows, where their results go, and what has become of them."""

    def __init__(self, folder: Path, persons: int = 3, garments: int = 4) -> None:
        self.workflow = read_workflow()
        self.manifest = small_catalogue(folder / "in", persons, garments)
        self.results = Results(str(folder / "out"))
        self.persons = folder / "in/persons"

    def rows(self) -> list[ManifestRow]:
        options = self.workflow.own_options()
        asked = read_manifest(str(self.manifest), options, Variant.FULL_BODY)
        return self.workflow.checked(asked).checked()

    def plan(self, rows: Sequence[ManifestRow] | None = None) -> Plan:
        settings = WorkerSettings(
            model=Path(),
            variant=Variant.FULL_BODY,
            weights=self.workflow.stamp,
            out=self.results.out,
        )
        return make_plan(rows or self.rows(), settings, self.results)

    def run(
        self,
        stubs: Sequence[StubServer],
        on_finished: Callable[[Finished, Summary], None] | None = None,
        stop: threading.Event | None = None,
        rows: Sequence[ManifestRow] | None = None,
        workflow: ApiWorkflow | None = None,
        headers: dict[str, str] | None = None,
        **patience: Any,
    ) -> Summary:
        addresses = read_addresses(",".join(each.address for each in stubs), headers or {})
        settings = ServerSettings(addresses=tuple(addresses), **(PATIENCE | patience))
        engine = ServersEngine(workflow or self.workflow, self.results, settings)
        stop = stop or threading.Event()
        return run_plan(self.plan(rows), engine, self.results, stop, on_finished)

    def lines(self) -> list[dict[str, Any]]:
        return list(read_ledger(self.results.out))

    def check(self, *without: str) -> None:
        """All rows are done once, each with its own picture, but for those named."""
        lines = self.lines()
        done = Counter(line["name"] for line in lines if line["state"] == "done")
        good = [row for row in self.rows() if row.name not in without]
        assert done == Counter(row.name for row in good)
        files = {line["name"]: line["files"] for line in lines if line["state"] == "done"}
        for row in good:
            (file,) = files[row.name]
            pixels = load_image(Path(self.results.out, file))
            person, garment = (
                load_image(Path(address)) for address in (row.person, row.garments[0][0])
            )
            assert list(pixels[0, 1]) == [row.options.seed, garment[0, 0, 0], 0], row.name
            assert np.array_equal(pixels[1:], person[1:]), row.name
            assert pixels[0, 0, 0] == person[0, 0, 0], row.name
        found = [path for path in Path(self.results.out, "results").rglob("*") if path.is_file()]
        assert len(found) == len(good), "no half file, none too many"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return Catalogue(tmp_path)


def test_rows_are_shared_and_pictures_go_up_once(catalogue: Catalogue) -> None:
    with stub_servers(2) as (quick, slow):
        slow.seconds = 0.3
        summary = catalogue.run([quick, slow])
        assert (summary.done, summary.failed) == (12, 0)
        catalogue.check()
        hosts = Counter(line["host"] for line in catalogue.lines())
        assert hosts[quick.address] > hosts[slow.address] >= 1
        for stub in (quick, slow):
            assert len(stub.uploads) == len(set(stub.uploads)) <= 3 + 4 + 1
            assert stub.most_waiting <= 2 and not stub.deleted and not stub.interrupted
            assert not stub.pending
        for line in catalogue.lines():
            assert line["seconds"] > (0.29 if line["host"] == slow.address else 0.01)
        asked = quick.asked["/prompt"]
        summary = catalogue.run([quick, slow])
        assert (summary.done, summary.kept, quick.asked["/prompt"]) == (0, 12, asked)


def test_seconds_are_those_of_the_servers_work() -> None:
    messages: list[Any] = [["execution_start", {"timestamp": 1000, "prompt_id": "a"}],
                           ["execution_success", {"timestamp": 3500}]]  # fmt: skip
    assert seconds_of({"status": {"messages": messages}}) == 2.5
    assert seconds_of({"status": {"messages": messages[:1]}}) is None
    assert seconds_of({}) is None


def test_names_of_uploads_stand_for_their_content(catalogue: Catalogue) -> None:
    row = catalogue.rows()[0]
    jpeg, turned = catalogue.persons / "a.jpg", catalogue.persons / "b.jpg"
    picture = Image.open(row.person)
    picture.save(jpeg)
    exif = Image.Exif()
    exif[0x0112] = 6
    picture.save(turned, exif=exif)
    rows = [replace(row, person=str(path), mask=None) for path in (jpeg, turned)]
    with stub_servers(1) as (stub,):
        assert catalogue.run([stub], rows=rows).done == 2
        by_ending = {Path(name).suffix: content for name, content in stub.inputs.items()
                     if Path(name).stem in {digest(jpeg), digest(turned)}}  # fmt: skip
    assert by_ending[".jpg"] == jpeg.read_bytes(), "what ComfyUI reads as we do goes as it is"
    upright = np.asarray(Image.open(io.BytesIO(by_ending[".png"])))
    assert np.array_equal(upright, load_image(turned)), "a rotated one goes upright"


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_address_of_a_result_stands_for_the_workflow(
    catalogue: Catalogue, tmp_path: Path
) -> None:
    graph = json.loads(json.dumps(catalogue.workflow.graph))
    graph["2"]["_meta"] = {"title": "Another title"}
    path = tmp_path / "titled.json"
    path.write_text(json.dumps(graph))
    assert read_workflow(str(path)).stamp == catalogue.workflow.stamp
    graph["2"]["inputs"]["cfg"] = 2.5
    path.write_text(json.dumps(graph))
    changed = read_workflow(str(path))
    path.write_text(json.dumps(catalogue.workflow.graph))
    named = read_workflow(str(path), ["name=3.filename_prefix"])
    assert len({catalogue.workflow.stamp, changed.stamp, named.stamp}) == 3


def test_a_server_that_dies_and_begins_anew(catalogue: Catalogue) -> None:
    """Killed with prompts in its queue; it comes back with an empty one and takes rows again."""
    with stub_servers(2, seconds=0.1) as (stub, other):

        def kill() -> None:
            until(lambda: len(stub.done) >= 2)
            stub.die()
            time.sleep(0.4)
            stub.start()

        killing = threading.Thread(target=kill)
        killing.start()
        assert catalogue.run([stub, other]).done == 12
        killing.join()
        catalogue.check()
        assert len(stub.done) > 2


def test_the_only_server_is_waited_for(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    with stub_servers(1, seconds=0.1) as (stub,):

        def kill() -> None:
            for count in (2, 5):
                until(lambda count=count: len(stub.done) >= count)
                said = caplog.text.count("does not answer")
                stub.die()
                until(lambda said=said: caplog.text.count("does not answer") > said)
                stub.start()

        killing = threading.Thread(target=kill)
        killing.start()
        assert catalogue.run([stub]).done == 12
        killing.join()
        catalogue.check()
    assert caplog.text.count("does not answer") == 2
    assert caplog.text.count("is back") == 2


def test_a_server_that_works_is_not_given_up_for_blinks(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """Far from one another, over a single long row."""
    caplog.set_level(logging.WARNING)
    with stub_servers(1, seconds=5.0, steps=50) as (stub,):

        def blink() -> None:
            for count in (1, 2):
                until(lambda: stub.running is not None)
                time.sleep(1.5)
                stub.statuses["/queue"] = [502] * 6
                until(lambda count=count: caplog.text.count("is back") >= count)

        blinking = threading.Thread(target=blink)
        blinking.start()
        rows = catalogue.rows()[:1]
        assert catalogue.run([stub], rows=rows, absence=1.2, poll=0.1).done == 1
        blinking.join()
        assert len(stub.done) == 1 and stub.asked["/prompt"] == 1


def test_a_server_that_stays_full_is_given_up(catalogue: Catalogue) -> None:
    """Though its queue moves and prompts begin on it."""
    with stub_servers(1, disk_full=True) as (stub,):
        with pytest.raises(OSError, match=r"No server is left to go on with\. The disk of .* full"):
            catalogue.run([stub], absence=1.0)
        assert len(stub.history) > 1


def test_a_prompt_that_a_cut_off_server_still_has_is_not_sent_anew(catalogue: Catalogue) -> None:
    with stub_servers(1, seconds=0.6) as (stub,):

        def cut() -> None:
            until(lambda: stub.running is not None and bool(stub.pending))
            stub.statuses = {path: [502] * 6 for path in ("/history", "/queue", "/prompt")}

        cutting = threading.Thread(target=cut)
        cutting.start()
        assert catalogue.run([stub], rows=catalogue.rows()[:4], poll=0.1).done == 4
        cutting.join()
        assert len(stub.done) == 4 and stub.asked["/prompt"] < 4 + 7
    assert len(catalogue.lines()) == 4


@pytest.mark.parametrize(
    "path", ["/prompt", "/history", "/queue", "/view", "/upload", "/system_stats"]
)
@pytest.mark.parametrize("trouble", ["drops", "answers 500", "delays"])
def test_a_network_that_loses_things(catalogue: Catalogue, path: str, trouble: str) -> None:
    rows = catalogue.rows()[:6]
    with stub_servers(1) as (stub,):
        if trouble == "drops":
            stub.drops[path] = 7
        elif trouble == "answers 500":
            stub.statuses[path] = [500, 502, 503, 500, 500, 500, 500]
        else:
            stub.delays[path] = 0.1
        summary = catalogue.run([stub], rows=rows)
        assert (summary.done, summary.failed) == (6, 0)
        assert len(stub.done) == 6, "none was computed twice"
    assert Counter(line["name"] for line in catalogue.lines()) == Counter(r.name for r in rows)


def test_a_picture_on_a_slow_line_takes_its_time(catalogue: Catalogue) -> None:
    with stub_servers(1, trickle=2.0) as (stub,):
        assert catalogue.run([stub], rows=catalogue.rows()[:1], answer=1.0).done == 1
        assert stub.asked["/view"] == 1


def test_a_server_without_websocket_is_asked(catalogue: Catalogue) -> None:
    with stub_servers(1, has_websocket=False, chooses_ids=True) as (stub,):
        assert catalogue.run([stub], rows=catalogue.rows()[:3]).done == 3
        assert len(stub.done) == 3


def test_a_server_that_forgets_what_it_takes_is_left(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    """As where a balancer sends every request to another ComfyUI."""
    with stub_servers(2) as (forgetful, good):
        forgetful.forgets = True
        good.seconds = 0.1
        assert catalogue.run([forgetful, good]).done == 12
        catalogue.check()
        assert len(good.done) == 12 and 5 <= forgetful.asked["/prompt"] <= 6
        assert caplog.text.count(f"{forgetful.address} forgets prompts that it has taken") == 1


def test_a_server_that_hangs_loses_its_rows(catalogue: Catalogue) -> None:
    with stub_servers(2) as (hanging, good):
        hanging.hangs = True
        assert catalogue.run([hanging, good], silence=1.0).done == 12
        catalogue.check()
        assert not hanging.done and len(good.done) == 12
        assert hanging.interrupted, "what runs there is ours, and is ended"
        assert not hanging.pending
        hanging.hangs = False


def test_a_long_sampling_does_not_hang(catalogue: Catalogue) -> None:
    with stub_servers(1, seconds=4.0, steps=40) as (stub,):
        assert catalogue.run([stub], rows=catalogue.rows()[:1], silence=3.0, poll=0.2).done == 1
        assert not stub.interrupted and stub.asked["/prompt"] == 1


def test_a_row_that_hangs_every_server_fails(catalogue: Catalogue) -> None:
    with stub_servers(1, hangs=True) as (stub,):
        rows = catalogue.rows()[:1]
        summary = catalogue.run([stub], rows=rows, silence=0.5, poll=0.1)
        assert (summary.done, summary.failed) == (0, 1)
        (line,) = catalogue.lines()
        assert line["error"].startswith("3 times this row came to nothing on a server that hung")
        stub.hangs = False


def test_out_of_memory_is_freed_and_tried_again(catalogue: Catalogue) -> None:
    with stub_servers(1, out_of_memory=1) as (stub,):
        assert catalogue.run([stub]).done == 12
        catalogue.check()
        assert stub.frees == 1


def test_a_row_that_is_too_large_fails_alone(catalogue: Catalogue) -> None:
    with stub_servers(1, out_of_memory=2, frees_nothing=True) as (stub,):
        summary = catalogue.run([stub], rows=catalogue.rows()[:1])
        assert (summary.done, summary.failed) == (0, 1)
        (line,) = catalogue.lines()
        assert "node 2 (OOTD_TryOn) failed: CUDA out of memory." in line["error"]
        assert catalogue.run([stub]).done == 12
        catalogue.check()


@pytest.mark.parametrize(
    "trouble",
    [
        {"fails": ("RuntimeError", "Error(s) in loading state_dict for UNet")},
        {"out_of_memory": 1000, "frees_nothing": True},
        {"statuses": {"/upload": [413] * 1000}},
    ],
)
def test_a_server_on_which_all_rows_fail_costs_none(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture, trouble: dict[str, Any]
) -> None:
    """It fails them faster than others do them."""
    with stub_servers(2, seconds=0.2) as (sick, slow):
        for name, value in ({"seconds": 0.0} | trouble).items():
            setattr(sick, name, value)
        summary = catalogue.run([sick, slow])
        assert (summary.done, summary.failed) == (12, 0)
        catalogue.check()
        assert not sick.done
    said = f"{sick.address} is not used any more: 5 rows one after the other failed there"
    assert caplog.text.count(said) == 1


@pytest.mark.parametrize("count", [1, 2, 4])
def test_a_row_that_fails_on_all_servers_fails(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture, count: int
) -> None:
    """And is held against none, however many such rows there are."""
    bad = {10, 11, 12, 13, 20, 21, 22, 23}
    with stub_servers(count, fails=("ValueError", "Nobody is seen."), fails_for=bad) as stubs:
        summary = catalogue.run(stubs)
        assert (summary.done, summary.failed) == (4, 8)
        tries = sum(stub.asked["/prompt"] for stub in stubs)
        assert tries == 4 + min(count, 3) * 8, "on three servers at most"
    catalogue.check(*(f"p{person}g{garment}" for person in (1, 2) for garment in range(4)))
    assert "is not used any more" not in caplog.text


def test_a_server_that_has_lost_its_device_is_waited_for(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(servers, "FIRST_WAIT", 0.5)
    lost = ("torch.AcceleratorError", "CUDA error: an illegal memory access was encountered")
    with stub_servers(1, fails=lost) as (stub,):

        def start_again() -> None:
            until(lambda: f"{stub.address} must be started again: node 2" in caplog.text)
            stub.fails = None

        starting = threading.Thread(target=start_again)
        starting.start()
        assert catalogue.run([stub]).done == 12
        starting.join()
        catalogue.check()


def test_a_server_whose_disk_is_full_is_waited_for(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with stub_servers(2, seconds=0.1) as (full, other):
        full.disk_full = True

        def make_room() -> None:
            until(lambda: len(other.done) > 3)
            full.disk_full = False

        making = threading.Thread(target=make_room)
        making.start()
        assert catalogue.run([full, other]).done == 12
        making.join()
        catalogue.check()
        assert full.done
    assert f"The disk of {full.address} is full" in caplog.text


def test_the_only_server_with_a_full_disk_goes_on_when_there_is_room(catalogue: Catalogue) -> None:
    with stub_servers(1, disk_full=True) as (stub,):

        def make_room() -> None:
            until(lambda: len(stub.history) > 3)
            stub.disk_full = False

        making = threading.Thread(target=make_room)
        making.start()
        assert catalogue.run([stub]).done == 12
        making.join()
        catalogue.check()


def test_a_row_that_ends_every_server_fails(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with stub_servers(2, poison=11) as stubs:
        summary = catalogue.run(stubs)
        assert (summary.done, summary.failed) == (11, 1)
        catalogue.check("p1g1")
    (failed,) = [line for line in catalogue.lines() if line["state"] == "failed"]
    assert failed["error"].startswith("3 times this row came to nothing on a server")
    assert caplog.text.count("does not answer") <= 8, "whichever server it goes to"


def test_a_workflow_that_all_reject_ends_the_run(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with stub_servers(2, checkpoint="another") as stubs:
        with pytest.raises(OSError, match="No server is left") as raised:
            catalogue.run(stubs)
        sentence = "checkpoint is 'mini (built in)', not another."
        assert str(raised.value).count(sentence) == 2, "once for each server"
        assert caplog.text.count(sentence) == 2
        assert sum(stub.asked["/prompt"] for stub in stubs) <= 8
        assert not catalogue.lines() and not any(stub.done for stub in stubs)
        for stub in stubs:
            stub.checkpoint = "mini (built in)"
        assert catalogue.run(stubs).done == 12
    catalogue.check()


def test_a_node_that_one_server_lacks_leaves_the_rows_to_others(catalogue: Catalogue) -> None:
    with stub_servers(3) as (good, bare, other):
        bare.classes = {"LoadImage"}
        other.checkpoint = "another"
        summary = catalogue.run([bare, other, good])
        assert (summary.done, summary.failed) == (12, 0)
        catalogue.check()
        assert len(good.done) == 12


def test_a_value_that_is_rejected_is_its_rows_fault(catalogue: Catalogue) -> None:
    rows = catalogue.rows()
    for number in (0, 5):
        rows[number] = replace(rows[number], options=replace(rows[number].options, seed=5000))
    with stub_servers(2) as stubs:
        summary = catalogue.run(stubs, rows=rows)
        assert (summary.done, summary.failed) == (10, 2)
    errors = [line["error"] for line in catalogue.lines() if line["state"] == "failed"]
    assert len(errors) == 2
    for error in errors:
        assert "rejects the row: node 2 (OOTD_TryOn): Value 5000 bigger than max of 1000" in error


def test_a_server_is_asked_whether_the_row_or_the_workflow_is_at_fault(
    catalogue: Catalogue,
) -> None:
    """Of a node's own check it cannot be told, when the very first row meets it."""
    rows = catalogue.rows()[:3]
    clothes = ((rows[0].garments[0][0], "dress"),)
    rows[0] = replace(rows[0], garments=clothes)  # pyright: ignore[reportArgumentType]
    with stub_servers(1, categories=("upper",), seconds=1.0, steps=50) as (stub,):
        summary = catalogue.run([stub], rows=rows)
        assert (summary.done, summary.failed) == (2, 1)
        until(lambda: not stub.pending and stub.running is None)
        assert len(stub.done) == 2, "what it was asked with was taken back"
    (failed,) = [line for line in catalogue.lines() if line["state"] == "failed"]
    assert "category is 'dress'." in failed["error"]


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("/system_stats", '{"system": null}'),
        ("/system_stats", DEEP),
        ("/queue", '{"queue_running": [5], "queue_pending": []}'),
        ("/prompt", '{"prompt_id": 5}'),
        ("/prompt", '{"node_errors": {"2": 5}}'),
        ("/prompt", '{"node_errors": {"2": {"errors": [{"extra_info": {"input_name": []}}]}}}'),
        ("/history", '{"ID": 5}'),
        ("/history", '{"ID": {"status": "success"}}'),
        ("/history", '{"ID": {"status": {"status_str": "error", "messages": [5]}}}'),
        ("/history", '{"ID": {"outputs": [5]}}'),
        ("/history", DEEP),
        ("/upload", '{"name": 5}'),
    ],
    ids=lambda text: text[:60],
)
def test_a_server_that_answers_otherwise_than_a_comfyui_is_given_up(
    catalogue: Catalogue, path: str, answer: str
) -> None:
    """In one sentence, whichever field it is; the rows are done by another one."""
    with stub_servers(2) as (strange, good):
        strange.garbage[path] = answer
        with pytest.raises(OSError, match=r"No server is left to go on with\. http"):
            catalogue.run([strange], absence=0.3)
        assert catalogue.run([strange, good], absence=0.3).done == 12
        assert len(good.done) == 12


@pytest.mark.parametrize("images", [5, "x", [5], [{"filename": None}], {"filename": "x"}])
def test_a_node_that_puts_out_no_pictures_fails_its_rows(
    catalogue: Catalogue, images: object
) -> None:
    with stub_servers(1) as (stub,):
        stub.garbage["/history"] = json.dumps({"ID": {"outputs": {"3": {"images": images}}}})
        assert catalogue.run([stub], rows=catalogue.rows()[:1]).failed == 1
    (line,) = catalogue.lines()
    assert "gives no pictures that it can be asked for at node 3 of quick_start" in line["error"]


def test_refusals_of_what_is_no_rows_are_the_servers(catalogue: Catalogue) -> None:
    with stub_servers(1) as (stub,):
        stub.statuses["/system_stats"] = [422] * 9
        assert catalogue.run([stub]).done == 12


@pytest.mark.parametrize("end", [10**400, float("inf"), float("nan"), -1, "x"])
def test_seconds_that_cannot_be_are_none(end: object) -> None:
    messages = [["execution_start", {"timestamp": 0}], ["execution_success", {"timestamp": end}]]
    assert seconds_of({"status": {"messages": messages}}) is None


@pytest.mark.parametrize("data", [5, None, [], {"prompt_id": []}, {"prompt_id": {}}])
def test_messages_of_another_form_say_nothing(data: object) -> None:
    (address,) = read_addresses("http://a", {})
    server = ServerState(client=ComfyUIClient(address, "me"))
    server.prompts["p"] = prompt = WatchedPrompt(id="p", seen=0.0)
    hear(server, {"type": [], "data": data})
    assert prompt.seen == 0.0
    hear(server, {"type": [], "data": {"prompt_id": "p", "node": 1}})
    assert prompt.seen > 0 and not prompt.woken.is_set()


def test_rows_that_all_fail_end_the_run_soon(catalogue: Catalogue) -> None:
    rows = [replace(row, options=replace(row.options, seed=5000 + row.number))
            for row in catalogue.rows()]  # fmt: skip
    with stub_servers(1) as (stub,):
        with pytest.raises(ValueError, match="The first 10 rows that went to servers all failed"):
            catalogue.run([stub], rows=rows)
        assert stub.asked["/prompt"] <= 12
    assert 10 <= len(catalogue.lines()) <= 11, "two are under way at a time"


def test_pictures_that_were_removed_go_up_again(catalogue: Catalogue) -> None:
    with stub_servers(1) as (stub,):

        def empty(_: Finished, summary: Summary) -> None:
            if summary.rows == 4:
                stub.inputs.clear()

        assert catalogue.run([stub], on_finished=empty).done == 12
        catalogue.check()


def test_torn_and_missing_results_are_fetched_anew(catalogue: Catalogue) -> None:
    with stub_servers(1, torn=2) as (stub,):
        assert catalogue.run([stub]).done == 12
        catalogue.check()
        assert stub.frees == 2, "what ComfyUI remembers would only name the torn file again"


def test_a_corrupt_picture_fails_its_rows_alone(catalogue: Catalogue) -> None:
    (catalogue.persons / "person01.png").write_bytes(b"no picture")
    with stub_servers(2) as stubs:
        summary = catalogue.run(stubs)
    assert (summary.done, summary.failed, summary.failures) == (8, 4, 4)
    catalogue.check("p1g0", "p1g1", "p1g2", "p1g3")


def test_another_number_of_pictures_is_said(catalogue: Catalogue) -> None:
    row = catalogue.rows()[0]
    row = replace(row, options=replace(row.options, num_images_per_prompt=2))
    with stub_servers(1) as stubs:
        assert catalogue.run(stubs, rows=[row]).failed == 1
    (line,) = catalogue.lines()
    assert "Node 3 of quick_start gave 1 pictures" in line["error"]


def test_a_full_disk_here_ends_the_run_and_the_next_one_goes_on(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, left = Path.write_bytes, [5]

    def almost_full(path: Path, content: bytes) -> int:
        if "results" in path.parts:
            left[0] -= 1
            if left[0] < 0:
                write(path, content[: len(content) // 2])
                raise OSError(28, "No space left on device", str(path))
        return write(path, content)

    with stub_servers(1) as stubs:
        with monkeypatch.context() as context:
            context.setattr(Path, "write_bytes", almost_full)
            with pytest.raises(OSError, match="cannot be written: the disk is full"):
                catalogue.run(stubs)
        assert len(list(Path(catalogue.results.out, "results").rglob("*.png"))) == 5
        summary = catalogue.run(stubs)
        assert summary.kept + summary.done == 12 and summary.kept == 5


def test_a_row_that_is_being_written_is_done(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though its server goes away meanwhile."""
    write, written = catalogue.results.write, list[str]()
    with stub_servers(1, seconds=0.1) as (stub,):

        def write_slowly(key: str, *content: Any) -> None:
            written.append(key)
            if len(written) == 1:
                stub.die()
                time.sleep(0.5)
                stub.start()
            write(key, *content)

        monkeypatch.setattr(catalogue.results, "write", write_slowly)
        assert catalogue.run([stub]).done == 12
    assert len(written) == len(set(written)) == 12
    catalogue.check()


def test_a_store_that_stops_answering_ends_the_run(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, tried = Results._write, list[str]()  # pyright: ignore[reportPrivateUsage]

    def fail_half(results: Results, name: str, *content: Any) -> None:
        tried.append(name)
        if len(tried) % 2:
            raise OSError("The store answers now and then.")
        write(results, name, *content)

    def fail(*_: Any) -> None:
        raise OSError("The store does not answer at all.")

    with stub_servers(1) as stubs:
        monkeypatch.setattr(Results, "_write", fail_half)
        summary = catalogue.run(stubs)
        assert (summary.done, summary.failed) == (6, 6)
        monkeypatch.setattr(Results, "_write", fail)
        with pytest.raises(OSError, match="does not answer at all"):
            catalogue.run(stubs)
        assert sum("at all" in line.get("error", "") for line in catalogue.lines()) == 2
        monkeypatch.setattr(Results, "_write", write)
        summary = catalogue.run(stubs)
        assert (summary.kept, summary.done) == (6, 6)
    catalogue.check()


def test_a_killed_driver_is_gone_on_with(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its prompts that are out are lost, at most two on each server."""
    out = Path(catalogue.results.out)
    with stub_servers(2, seconds=0.2) as stubs:
        servers = ",".join(stub.address for stub in stubs)
        asked = ["batch", "--servers", servers, "--manifest", str(catalogue.manifest)]
        asked += ["--out", str(out), "--json-lines", "--quiet"]
        command = [sys.executable, "-m", "cli", *asked]
        driver = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        with driver:
            assert driver.stdout is not None
            for _ in range(3):
                assert json.loads(driver.stdout.readline())["state"] == "done"
            driver.kill()
        there = len(list(out.rglob("results/*/*.png")))
        assert 3 <= there < 12
        assert run(monkeypatch, *asked) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        assert Counter(line["state"] for line in lines) == {"done": 12 - there, "kept": there}
        until(lambda: not any(stub.pending or stub.running for stub in stubs))
        assert sum(len(stub.done) for stub in stubs) <= 12 + 2 * 2
    assert {line["name"] for line in catalogue.lines()} == {row.name for row in catalogue.rows()}
    assert len(list(out.rglob("results/*/*.png"))) == 12


def test_a_stop_ends_after_the_rows_under_way(catalogue: Catalogue) -> None:
    stop = threading.Event()
    with stub_servers(2) as stubs:
        summary = catalogue.run(stubs, lambda *_: stop.set(), stop)
        assert summary.stopped and 1 <= summary.done < 12
        assert not any(stub.pending or stub.interrupted or stub.deleted for stub in stubs)
        assert catalogue.run(stubs).done == 12 - summary.done
    catalogue.check()


@pytest.mark.parametrize("version", ["0.3.64", "0.3.40"])
def test_an_end_at_once_takes_back_our_prompts_alone(catalogue: Catalogue, version: str) -> None:
    """An older server would end whatever runs, so there ours runs to its end."""
    with stub_servers(1, seconds=3.0, steps=60, version=version) as (stub,):
        theirs: list[str] = []

        def interrupt() -> None:
            until(lambda: stub.running is not None and len(stub.pending) == 1)
            theirs.extend([stub.add_foreign(), stub.add_foreign()])
            until(lambda: len(stub.pending) == 3)
            _thread.interrupt_main()  # as the second Ctrl-C

        interrupting = threading.Thread(target=interrupt)
        # A process that tests run in beside others may ignore the signal.
        handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            interrupting.start()
            with pytest.raises(KeyboardInterrupt):
                catalogue.run([stub])
            interrupting.join()
        finally:
            signal.signal(signal.SIGINT, handler)
        assert len(stub.deleted) == 1 and not set(theirs) & set(stub.deleted)
        assert len(stub.interrupted) == (1 if version == "0.3.64" else 0)
        assert None not in stub.interrupted, "never whatever runs"
        until(lambda: all(each in stub.history for each in theirs))
        assert len(stub.done) == (0 if version == "0.3.64" else 1)


def test_prompts_of_others_are_waited_for(catalogue: Catalogue) -> None:
    with stub_servers(1) as (stub,):
        others = [stub.add_foreign(0.7) for _ in range(3)]
        rows = catalogue.rows()[:2]
        assert catalogue.run([stub], rows=rows, silence=1.0, poll=0.1).done == 2
        assert all(each in stub.history for each in others), "a queue that moves does not hang"


def test_a_long_prompt_of_somebody_else_is_no_hanging(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with stub_servers(1) as (stub,):
        other = stub.add_foreign(2.0)
        until(lambda: stub.running is not None)
        rows = catalogue.rows()[:2]
        assert catalogue.run([stub], rows=rows, silence=0.5, poll=0.1).done == 2
        assert other in stub.history and stub.asked["/prompt"] == 2 and not stub.deleted
    assert "hangs" not in caplog.text


def test_rows_behind_a_long_prompt_of_somebody_else_go_to_others(catalogue: Catalogue) -> None:
    with stub_servers(2) as (busy, free):
        busy.add_foreign(60.0)
        until(lambda: busy.running is not None)
        assert catalogue.run([busy, free], silence=0.5, poll=0.1).done == 12
        assert len(free.done) == 12 and not busy.pending
        assert not busy.interrupted
    catalogue.check()


def test_servers_that_stay_away_end_the_run_with_a_sentence(catalogue: Catalogue) -> None:
    with stub_servers(2) as stubs:

        def kill(_: Finished, summary: Summary) -> None:
            if summary.done == 4:
                for stub in stubs:
                    stub.die()

        with pytest.raises(OSError, match="No server is left to go on with") as raised:
            catalogue.run(stubs, on_finished=kill, absence=0.5)
        for stub in stubs:
            assert f"{stub.address} does not answer" in str(raised.value)
        done = len(catalogue.lines())
        assert 4 <= done < 12
        for stub in stubs:
            stub.start()
        assert catalogue.run(stubs).done == 12 - done
    catalogue.check()


def test_credentials_are_sent_and_never_shown(
    catalogue: Catalogue, caplog: pytest.LogCaptureFixture
) -> None:
    with stub_servers(1, secret=("X-Key", "s3cr3t")) as (stub,):
        with pytest.raises(OSError, match="wants credentials, with --header-file") as raised:
            catalogue.run([stub], headers={"X-Key": "wr0ng"})
        assert catalogue.run([stub], headers={"X-Key": "s3cr3t"}).done == 12
        stub.statuses["/prompt"] = [500] * 5
        row = catalogue.rows()[0]
        rows = [replace(row, options=replace(row.options, seed=999))]
        assert catalogue.run([stub], headers={"X-Key": "s3cr3t"}, rows=rows).done == 1
        assert not stub.statuses["/prompt"] and "answers 500 to /prompt" in caplog.text
    said = str(raised.value) + caplog.text + json.dumps(catalogue.lines())
    assert "s3cr3t" not in said and "wr0ng" not in said


def test_a_name_and_password_in_the_address(catalogue: Catalogue) -> None:
    encoded = base64.b64encode(b"me@home:pa/ss").decode()
    with stub_servers(1, secret=("Authorization", f"Basic {encoded}")) as (stub,):
        address = stub.address.replace("://", "://me%40home:pa%2Fss@")
        (server,) = read_addresses(address, {"authorization": "Bearer other"})
        assert server.name == stub.address and "pa" not in repr(server)
        settings = ServerSettings(addresses=(server,), **PATIENCE)
        engine = ServersEngine(catalogue.workflow, catalogue.results, settings)
        summary = run_plan(catalogue.plan(), engine, catalogue.results, threading.Event())
        assert summary.done == 12
    assert {line["host"] for line in catalogue.lines()} == {stub.address}


def test_passwords_of_netrc_stay_here(
    catalogue: Catalogue, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("default login me password s3cr3t\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    rows = catalogue.rows()
    with stub_servers(1) as (stub,):
        assert catalogue.run([stub], rows=rows[:1]).done == 1
        assert stub.authorizations == {None}
        own = {"Authorization": "Bearer own"}
        assert catalogue.run([stub], rows=rows[1:2], headers=own).done == 1
        assert stub.authorizations == {None, "Bearer own"}


def test_a_proxy_of_the_environment_is_taken(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "no_proxy", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
    (behind,) = read_addresses("http://comfyui.invalid:8188", {})
    settings = ServerSettings(addresses=(behind,), **PATIENCE)
    engine = ServersEngine(catalogue.workflow, catalogue.results, settings)
    with stub_servers(1) as (stub,):
        monkeypatch.setenv("http_proxy", stub.address)
        summary = run_plan(catalogue.plan(), engine, catalogue.results, threading.Event())
        assert summary.done == 12 and stub.asked["/ws"]


@pytest.mark.parametrize(
    ("proxy", "direct", "found"),
    [
        ("http://proxy:3128", "", "http://proxy:3128"),
        ("proxy:3128", "", "http://proxy:3128"),
        ("socks5://proxy:1080", "", None),
        ("http://proxy:3128", "a", None),
        ("http://proxy:3128", "a:8188", None),
        ("http://proxy:3128", "b,.example", "http://proxy:3128"),
    ],
)
def test_which_proxy_is_taken(
    monkeypatch: pytest.MonkeyPatch, proxy: str, direct: str, found: str | None
) -> None:
    environment = {"http_proxy": proxy, "no_proxy": direct}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
        monkeypatch.delenv(name.upper(), raising=False)
    assert proxy_for("http://a:8188") == found


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
def test_a_certificate_of_ones_own_has_to_be_named(catalogue: Catalogue, tmp_path: Path) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        check=True,
        capture_output=True,
    )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    with stub_servers(1, tls=tls) as stubs:
        with pytest.raises(OSError, match="not trusted: name that of its authority with --ca-file"):
            catalogue.run(stubs)
        assert catalogue.run(stubs, ca_file=certificate).done == 12
    with pytest.raises(ValueError, match="holds no certificates"):
        catalogue.run(stubs, ca_file=key, rows=[replace(catalogue.rows()[0], name="new")])


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("a:8188", "Server 1 of --servers must be an address such as"),
        ("http://a:8188,ftp://b", "Server 2 of --servers must be an address such as"),
        ("http://a,http://a/", "http://a is named twice"),
        (
            "http://me:secret@a?token=hidden",
            "http://a is given with . or #: give a key as a header",
        ),
        (" , ", "--servers names no server"),
    ],
)
def test_addresses_that_cannot_be_used(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as raised:
        read_addresses(text, {})
    assert "secret" not in str(raised.value) and "hidden" not in str(raised.value)


def test_headers_come_from_the_environment_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HEADERS, "X-Key: one\nX-More: two")
    file = tmp_path / "headers"
    file.write_text("X-Key: three:four\n\n")
    assert read_headers(file) == {"X-Key": "three:four", "X-More": "two"}
    file.write_text("X-Key: a\ns3cr3t without a colon\n")
    with pytest.raises(ValueError, match=r"Line 2 of .*headers is not of the form") as raised:
        read_headers(file)
    assert "s3cr3t" not in str(raised.value)
    with pytest.raises(FileNotFoundError, match="There is no header file"):
        read_headers(tmp_path / "none")
