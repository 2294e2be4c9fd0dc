"""A catalogue through two real ComfyUI servers, one of which is killed in the middle and started
again with an empty queue; the other one stands still meanwhile, so that both are needed."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from benchmarks.comfyui_server import ComfyUIServer, comfyui_server, free_port
from catalogue.api_workflow import read_workflow
from catalogue.comfyui_client import read_addresses
from catalogue.engine import WorkerSettings
from catalogue.ledger import read_ledger
from catalogue.manifest import Pairing, pair_folders
from catalogue.plan import make_plan
from catalogue.results import Results
from catalogue.run import run_plan
from catalogue.server_state import ServerSettings
from catalogue.servers import ServersEngine
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES
from ootd_core.images.files import load_image
from tests.catalogue.comfyui_stub import until

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]


def test_a_server_killed_in_the_middle_costs_no_row(
    tested_comfyui: tuple[Path, Path], tmp_path: Path
) -> None:
    folders = {kind: tmp_path / kind for kind in ("person", "garment")}
    for kind, folder in folders.items():
        folder.mkdir()
        for number, path in enumerate(sorted(DEMO_SAMPLES.glob(f"*upper-{kind}.png"))[:2]):
            (folder / f"{number}.png").write_bytes(path.read_bytes())
    workflow, results = read_workflow(), Results(str(tmp_path / "out"))
    own = replace(workflow.own_options(), num_inference_steps=2)
    rows = pair_folders(
        str(folders["person"]), str(folders["garment"]), Category.UPPER, Pairing.PRODUCT, own,
        Variant.FULL_BODY,
    ).checked()  # fmt: skip
    rows = [
        replace(row, number=4 * seed + row.number, options=replace(own, seed=seed))
        for seed in (0, 1)
        for row in rows
    ]
    settings = WorkerSettings(
        model=Path(), variant=Variant.FULL_BODY, weights=workflow.stamp, out=results.out
    )
    plan = make_plan(rows, settings, results)
    port = free_port()
    with ExitStack() as stack:

        def start(name: str, **more: Any) -> ComfyUIServer:
            return stack.enter_context(comfyui_server(*tested_comfyui, tmp_path / name, **more))

        first, second = start("first", port=port), start("second")
        addresses = read_addresses(f"{first.address},{second.address}", {})
        engine = ServersEngine(workflow, results, ServerSettings(addresses=tuple(addresses)))
        again: list[ComfyUIServer] = []

        def kill_and_start() -> None:
            until(lambda: first.get("/queue")["queue_running"] and first.get("/history"), 120)
            first.process.kill()
            first.process.wait()
            other = psutil.Process(second.process.pid)
            other.suspend()
            try:
                again.append(start("first", port=port))
            finally:
                other.resume()

        killing = threading.Thread(target=kill_and_start, daemon=True)
        killing.start()
        summary = run_plan(plan, engine, results, threading.Event())
        killing.join(120)
        assert not killing.is_alive()
        assert (summary.done, summary.failed, summary.failures) == (8, 0, 0)
        assert again[0].get("/history"), "it has done rows since"
        for server in (again[0], second):
            queue = server.get("/queue")
            assert not queue["queue_running"] and not queue["queue_pending"]
        kept = make_plan(rows, settings, results)
        assert len(kept.kept) == 8 and not kept.todo
    lines = list(read_ledger(results.out))
    assert Counter(line["row"] for line in lines) == Counter(range(1, 9))
    pictures = {Path(results.out, file) for line in lines for file in line["files"]}
    assert pictures == set(Path(results.out, "results").rglob("*.*"))
    assert len({load_image(path).tobytes() for path in pictures}) == 8, "each row has its own"
    for path in pictures:
        assert load_image(path).shape == (256, 192, 3)
