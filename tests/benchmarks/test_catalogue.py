"""Each way to dress a catalogue dresses every pair, and is measured."""

import os
import sys
from pathlib import Path

import pytest

from benchmarks import catalogue
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT

SETTINGS = ("--steps", "1", "--model", str(MINI_CHECKPOINT))


def test_pictures_are_drawn_and_paired(tmp_path: Path) -> None:
    pictures = catalogue.draw_pictures(tmp_path, 2, 3, 128)
    pairs = [(person.name, garment.name) for person, garment in pictures.pairs()]
    assert len(set(pairs)) == 6
    ways = catalogue.commands(pictures, tmp_path / "out", SETTINGS, "cpu", 2)
    assert [len(processes) for processes in ways.values()] == [6, 1, 1, 1]
    assert "cpu,cpu" in ways["batch, 2 workers"][0]
    assert "batch, 2 workers" not in catalogue.commands(
        pictures, tmp_path / "out", SETTINGS, "cpu", 1
    )


def test_processes_are_timed() -> None:
    busy = [sys.executable, "-c", "import time; time.sleep(0.2); sum(range(10**6))"]
    found = catalogue.measure("busy", 4, [busy, busy])
    assert found.rows == 4 and found.seconds > 0.4 and found.processor_seconds > 0
    assert "busy" in found.line() and f"{4 * 3600 / found.seconds:.1f} rows" in found.line()


def test_a_way_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match=r"broken failed: .*out of paper"):
        catalogue.measure("broken", 1, [[sys.executable, "-c", "raise SystemExit('out of paper')"]])


@pytest.mark.slow
@pytest.mark.skipif(
    "OOTD_NIGHTLY" not in os.environ,
    reason="a minute and a half: OOTD_NIGHTLY=1, as the nightly checks have it",
)
def test_every_way_dresses_every_pair(tmp_path: Path) -> None:
    pictures = catalogue.draw_pictures(tmp_path, 1, 2, 128)
    out = tmp_path / "out"
    ways = catalogue.commands(pictures, out, SETTINGS, "cpu", 2)
    for name, processes in ways.items():
        catalogue.measure(name, 2, processes)
    for kind in ("tryon-*.png", "loop-*.png", "batch-1/results/*/*.png", "batch-2/results/*/*.png"):
        assert len(list(out.glob(kind))) == 2, kind
