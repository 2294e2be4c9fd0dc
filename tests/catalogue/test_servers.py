"""Rows through ComfyUI servers that die, hang, refuse, forget and run full: every good row is there
exactly once at the end, whatever happened."""

from __future__ import annotations

import json
import logging
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
from catalogue.comfyui_client import read_addresses
from catalogue.engine import Finished, WorkerSettings
from catalogue.ledger import read_ledger
from catalogue.manifest import ManifestRow, read_manifest
from catalogue.plan import Plan, make_plan
from catalogue.results import Results
from catalogue.run import Summary, run_plan
from catalogue.server_rows import ServerSettings
from catalogue.servers import ServersEngine
from ootd_core.categories import Variant
from ootd_core.images.files import load_image
from tests.catalogue.comfyui_stub import StubServer, stub_servers, until
from tests.catalogue.drawn_catalogue import small_catalogue

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
            assert line["seconds"] < (0.25 if line["host"] == quick.address else 5)
        asked = quick.asked["/prompt"]
        summary = catalogue.run([quick, slow])
        assert (summary.done, summary.kept, quick.asked["/prompt"]) == (0, 12, asked)


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
                     if Path(name).stem in {plan_digest(jpeg), plan_digest(turned)}}  # fmt: skip
    assert by_ending[".jpg"] == jpeg.read_bytes(), "what ComfyUI reads as we do goes as it is"
    assert np.array_equal(
        np.asarray(Image.open(__import__("io").BytesIO(by_ending[".png"]))), load_image(turned)
    ), "a rotated one goes upright"


def plan_digest(path: Path) -> str:
    import hashlib

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
                stub.die()
                time.sleep(0.5)
                stub.start()

        killing = threading.Thread(target=kill)
        killing.start()
        assert catalogue.run([stub]).done == 12
        killing.join()
        catalogue.check()
    assert caplog.text.count("does not answer") == 2
    assert caplog.text.count("is back") == 2


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


def test_a_server_without_websocket_is_asked(catalogue: Catalogue) -> None:
    with stub_servers(1, has_websocket=False, chooses_ids=True) as (stub,):
        assert catalogue.run([stub], rows=catalogue.rows()[:3]).done == 3
        assert len(stub.done) == 3


def test_a_server_that_hangs_loses_its_rows(catalogue: Catalogue) -> None:
    with stub_servers(2) as (hanging, good):
        hanging.hangs = True
        assert catalogue.run([hanging, good], silence=1.0).done == 12
        catalogue.check()
        assert not hanging.done and len(good.done) == 12
        assert hanging.interrupted, "what runs there is ours, and is ended"
        hanging.hangs = False


def test_a_long_sampling_does_not_hang(catalogue: Catalogue) -> None:
    with stub_servers(1, seconds=2.5, steps=10) as (stub,):
        assert catalogue.run([stub], rows=catalogue.rows()[:1], silence=1.0, poll=0.2).done == 1
        assert not stub.interrupted and stub.asked["/prompt"] == 1


def test_a_row_that_hangs_every_server_fails(catalogue: Catalogue) -> None:
    with stub_servers(1, hangs=True) as (stub,):
        rows = catalogue.rows()[:1]
        threading.Thread(target=lambda: None).start()
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


def test_a_row_that_is_too_large_fails_alone(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    with stub_servers(1) as (stub,):
        monkeypatch.setattr(stub, "_free", None, raising=False)
        summary = catalogue.run([stub], rows=catalogue.rows()[:2])
        assert summary.done == 2
