from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ootd_core.training.curves import TensorBoard, draw_curves, rolling_mean


def test_the_rolling_mean_begins_with_what_there_is() -> None:
    assert rolling_mean([1, 2, 3, 4, 5], window=2).tolist() == [1, 1.5, 2.5, 3.5, 4.5]
    assert rolling_mean([4], window=50).tolist() == [4]


def test_curves_become_a_picture(tmp_path: Path) -> None:
    rows = [{"step": float(n), "loss": 1 / n, "error": 2 / n} for n in range(1, 30)]
    draw_curves(tmp_path / "a.png", rows, [])
    draw_curves(tmp_path / "b.png", rows, [{"step": 10.0, "psnr": 12.0, "ssim": 0.5}])
    first, second = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in "ab")
    assert second.shape[0] > first.shape[0] > 300, "the validations have no panel"
    assert len(np.unique(first.reshape(-1, first.shape[-1]), axis=0)) > 20


def test_tensorboard_gets_the_figures(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    board = TensorBoard(tmp_path)
    board.add("training", 3, {"loss": 0.5})
    board.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    (event,) = events.Scalars("training/loss")
    assert (event.step, event.value) == (3, 0.5)


def test_without_tensorboard_nothing_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    board = TensorBoard(tmp_path)
    board.add("training", 3, {"loss": 0.5})
    board.close()
    assert not list(tmp_path.iterdir())
    assert "not installed" in caplog.text
