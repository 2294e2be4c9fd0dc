from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ootd_core.training.loop import LoopSettings, Training


class Line:
    """Fits y = 2x + 1; the batch depends on the step alone."""

    def __init__(self, scale: float = 1.0) -> None:
        torch.manual_seed(0)
        self.layer = nn.Linear(1, 1)
        self.modules: dict[str, nn.Module] = {"line": self.layer}
        self.scale = scale

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        x = torch.randn(8, 1, generator=torch.Generator().manual_seed(step))
        error = (self.layer(x) - (2 * x + 1)).square().mean() * self.scale
        return error, {"double": 2 * error.item()}


def settings(**changes: float) -> LoopSettings:
    values = {"steps": 30, "learning_rate": 0.05, "warmup": 3, "save_every": 10, "log_every": 5}
    return LoopSettings(**{**values, **changes})  # type: ignore[arg-type]


def test_it_learns_and_logs(tmp_path: Path) -> None:
    task = Line()
    before = task.loss(999)[0].item()
    Training(task, settings(steps=120), tmp_path).run()
    assert task.loss(999)[0].item() < before / 20
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert rows[0].startswith("step,seconds_per_step,loss") and rows[0].endswith("double")
    assert len(rows) == 1 + 120 // 5


def test_resuming_is_bit_identical(tmp_path: Path) -> None:
    whole, parts = Line(), Line()
    Training(whole, settings(), tmp_path / "whole").run()
    Training(parts, settings(), tmp_path / "parts").run(until=10)
    resumed = Line()
    training = Training(resumed, settings(), tmp_path / "parts")
    assert training.step == 10
    training.run()
    for a, b in zip(whole.layer.parameters(), resumed.layer.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_stop_loses_at_most_the_steps_since_the_last_save(tmp_path: Path) -> None:
    def stop(step: int, _total: int, _figures: dict[str, float]) -> None:
        if step == 17:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Training(Line(), settings(), tmp_path).run(stop)
    assert Training(Line(), settings(), tmp_path).step == 10


def test_averages_lag_behind_and_can_be_loaded(tmp_path: Path) -> None:
    task = Line()
    training = Training(task, settings(average=0.9), tmp_path)
    training.run()
    last = task.layer.weight.detach().clone()
    training.load_averages()
    assert not torch.equal(last, task.layer.weight)
    assert torch.equal(task.layer.weight, training.averages["line.weight"])


def test_the_rate_rises_and_falls() -> None:
    rates = [settings().rate(step) for step in range(31)]
    assert rates[0] == pytest.approx(0.05 / 3)
    assert max(rates) <= 0.05 and rates[30] == pytest.approx(0.0, abs=1e-12)
    constant = settings(schedule="constant")  # type: ignore[arg-type]
    assert constant.rate(25) == 0.05


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="loss is nan at step 0"):
        Training(Line(scale=float("nan")), settings(), tmp_path).run()


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"steps": 0}, "at least 1, got 0"), ({"schedule": "steep"}, "'steep'")],
)
def test_bad_settings(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**changes)
