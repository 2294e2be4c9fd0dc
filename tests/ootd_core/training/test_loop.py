import os
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from ootd_core.training.loop import LoopSettings, Training, build_optimizers


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
    values = {
        "steps": 30,
        "learning_rate": 0.05,
        "lr_warmup_steps": 3,
        "save_every": 10,
        "logging_steps": 5,
    }
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
    training = Training(task, settings(ema_decay=0.9), tmp_path)
    training.run()
    last = task.layer.weight.detach().clone()
    training.load_ema_weights()
    assert not torch.equal(last, task.layer.weight)
    assert torch.equal(task.layer.weight, training.ema["line.weight"])


def test_the_rate_rises_and_falls() -> None:
    rates = [settings().learning_rate_at(step) for step in range(31)]
    assert rates[0] == pytest.approx(0.05 / 3)
    assert max(rates) <= 0.05 and rates[30] == pytest.approx(0.0, abs=1e-12)
    constant = settings(lr_scheduler="constant")  # type: ignore[arg-type]
    assert constant.learning_rate_at(25) == 0.05
    linear = settings(lr_scheduler="linear")  # type: ignore[arg-type]
    assert linear.learning_rate_at(15) == pytest.approx(0.025)


def test_a_loss_that_is_no_number_stops_the_training(tmp_path: Path) -> None:
    with pytest.raises(
        FloatingPointError, match=r"loss is nan at step 1 .* goes on from the start"
    ):
        Training(Line(scale=float("nan")), settings(), tmp_path).run()


def test_gradients_that_are_no_numbers_stop_the_training(tmp_path: Path) -> None:
    task = Line()
    Training(task, settings(), tmp_path).run(until=10)
    training = Training(task, settings(), tmp_path)
    task.layer.weight.register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(
        FloatingPointError, match=r"norm is (inf|nan) at step 11 .* from step-00000"
    ):
        training.run()
    assert task.layer.weight.isfinite().all()


def test_weights_that_are_no_numbers_are_not_saved(tmp_path: Path) -> None:
    task = Line()

    def spoil(step: int, _total: int, _figures: dict[str, float]) -> None:
        if step == 19:  # what the loss of the last batch cannot tell
            task.loss = lambda _step: (task.layer.bias.sum() * 0, {})  # type: ignore[method-assign]
            with torch.no_grad():
                task.layer.weight.fill_(float("inf"))

    with pytest.raises(FloatingPointError, match="weights are no longer finite at step 20"):
        Training(task, settings(), tmp_path).run(spoil)
    assert [path.name for path in (tmp_path / "states").iterdir()] == ["step-00000010"]


def test_a_damaged_state_is_named_and_the_one_before_it_taken(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeps_two = settings(checkpoints_total_limit=2)
    whole = Line()
    Training(whole, keeps_two, tmp_path).run()
    newest = tmp_path / "states" / "step-00000030"
    (newest / "exp_avg.safetensors").unlink()
    resumed = Line()
    training = Training(resumed, keeps_two, tmp_path)
    assert training.step == 20
    assert "step-00000030 is damaged: its exp_avg.safetensors is missing" in caplog.text
    training.run()
    assert torch.equal(whole.layer.weight, resumed.layer.weight)
    assert (newest / "exp_avg.safetensors").is_file()


def test_two_trainings_cannot_share_a_folder(tmp_path: Path) -> None:
    first = Training(Line(), settings(), tmp_path)
    first.log.append({"step": 99})
    with pytest.raises(ValueError, match=rf"process {os.getpid()} on .* at work in {tmp_path}"):
        Training(Line(), settings(), tmp_path)
    assert first.log.rows() == [{"step": 99.0}]
    first.run(until=10)
    assert Training(Line(), settings(), tmp_path).step == 10


def test_networks_of_another_size_are_refused(tmp_path: Path) -> None:
    Training(Line(), settings(), tmp_path).run(until=10)
    with pytest.raises(ValueError, match="began with networks of other sizes"):
        Training(Layers(), settings(), tmp_path)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"steps": 0}, "at least 1, got 0"),
        (
            {"gradient_accumulation_steps": 0},
            "gradient_accumulation_steps must be at least 1, got 0",
        ),
        ({"lr_scheduler": "steep"}, "'steep'"),
        ({"mixed_precision": "fp8"}, "'no', 'fp16' or 'bf16', got 'fp8'"),
    ],
)
def test_bad_settings(changes: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        settings(**changes)


def test_accumulation_takes_the_mean_of_its_batches(tmp_path: Path) -> None:
    task, numbers = Line(), list[int]()
    loss = task.loss
    task.loss = lambda step: (numbers.append(step), loss(step))[1]  # type: ignore[method-assign]
    training = Training(task, settings(gradient_accumulation_steps=3), tmp_path)
    training.step = 4
    figures = training.gradients()
    assert numbers == [12, 13, 14]
    losses = [loss(number)[0] for number in numbers]
    wanted = torch.autograd.grad(torch.stack(losses).mean(), task.layer.weight)[0]
    assert torch.allclose(task.layer.weight.grad, wanted, rtol=1e-6)  # type: ignore[arg-type]
    assert figures["loss"] == pytest.approx(sum(one.item() for one in losses) / 3)
    assert figures["double"] == pytest.approx(2 * figures["loss"])


def test_averaged_weights_come_and_go_bit_for_bit(tmp_path: Path) -> None:
    task = Line()
    training = Training(task, settings(ema_decay=0.9), tmp_path)
    training.run(until=10)
    own, average = task.layer.weight.clone(), training.ema["line.weight"].clone()
    with pytest.raises(KeyboardInterrupt), training.ema_weights():
        assert torch.equal(task.layer.weight, average)
        raise KeyboardInterrupt
    assert torch.equal(task.layer.weight, own)
    assert torch.equal(training.ema["line.weight"], average)


def test_training_without_averages(tmp_path: Path) -> None:
    task = Line()
    training = Training(task, settings(ema_decay=0.0), tmp_path)
    training.run()
    last = task.layer.weight.clone()
    training.load_ema_weights()
    assert not training.ema and torch.equal(task.layer.weight, last)


def test_another_identity_is_refused(tmp_path: Path) -> None:
    Training(Line(), settings(), tmp_path, identity={"batch": 8}).run(until=10)
    assert Training(Line(), settings(), tmp_path, identity={"batch": 8}).step == 10
    with pytest.raises(ValueError, match="began with batch = 8, not 4"):
        Training(Line(), settings(), tmp_path, identity={"batch": 4})


def test_half_precision_products_over_float32_weights(tmp_path: Path) -> None:
    task, dtypes = Line(), set[torch.dtype]()
    task.layer.register_forward_hook(lambda _m, _i, output: dtypes.add(output.dtype))
    Training(task, settings(mixed_precision="bf16"), tmp_path).run()  # type: ignore[arg-type]
    assert dtypes == {torch.bfloat16} and task.layer.weight.dtype == torch.float32


def test_scaled_gradients_train_as_unscaled_ones(tmp_path: Path) -> None:
    plain, scaled = Line(), Line()
    Training(plain, settings(), tmp_path / "plain").run()
    training = Training(scaled, settings(), tmp_path / "scaled")
    training.scaler = torch.amp.GradScaler("cpu", enabled=True, init_scale=2.0**10)
    training.run()
    assert torch.allclose(plain.layer.weight, scaled.layer.weight, rtol=1e-5)
    again = Training(Line(), settings(), tmp_path / "scaled")
    assert again.step == 30


class Layers(Line):
    """Two layers, so that Muon has a matrix and AdamW the rest."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Sequential(nn.Linear(1, 8), nn.Tanh(), nn.Linear(8, 1))
        self.modules = {"conv_in": self.layer[0], "hidden": self.layer[2]}


def test_muon_learns_and_resumes_bit_for_bit(tmp_path: Path) -> None:
    with_muon = settings(optimizer="muon", steps=60)  # type: ignore[arg-type]
    whole, parts, resumed = Layers(), Layers(), Layers()
    before = whole.loss(999)[0].item()
    training = Training(whole, with_muon, tmp_path / "whole")
    assert [type(one).__name__ for one in training.optimizers] == ["Muon", "AdamW"]
    training.run()
    assert whole.loss(999)[0].item() < before / 2
    Training(parts, with_muon, tmp_path / "parts").run(until=20)
    Training(resumed, with_muon, tmp_path / "parts").run()
    for a, b in zip(whole.layer.parameters(), resumed.layer.parameters(), strict=True):
        assert torch.equal(a, b)


def test_an_unknown_optimizer_is_refused() -> None:
    with pytest.raises(ValueError, match="optimizer must be 'adamw' or 'muon', got 'sgd'"):
        settings(optimizer="sgd")  # type: ignore[arg-type]


class Still(Line):
    """A loss whose gradient is `gradient` at every weight."""

    def __init__(self, gradient: float, **layers: nn.Module) -> None:
        super().__init__()
        self.gradient = gradient
        self.modules = layers or self.modules

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        values = [p.sum() for module in self.modules.values() for p in module.parameters()]
        return self.gradient * torch.stack(values).sum(), {}


def test_large_gradients_are_clipped_and_small_ones_are_not(tmp_path: Path) -> None:
    for gradient, limit, wanted in ((30.0, 0.5, 0.5), (0.1, 0.5, 0.1 * 2**0.5)):
        task, norms = Still(gradient), list[float]()
        training = Training(task, settings(max_grad_norm=limit), tmp_path / str(gradient))
        training.run(lambda _s, _t, found, norms=norms: norms.append(found["grad_norm"]), until=1)
        applied = torch.cat(
            [p.grad.flatten() for p in task.layer.parameters() if p.grad is not None]
        )
        assert float(applied.norm()) == pytest.approx(wanted, rel=1e-4)
        assert norms == pytest.approx([gradient * 2**0.5]), "logged as it was before clipping"


@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_weights_decay_by_the_rate_times_the_decay(tmp_path: Path, optimizer: str) -> None:
    """Where nothing is to be learned, a step leaves 1 - rate * decay of every weight."""
    layers = {"conv_in": nn.Linear(3, 3), "hidden": nn.Linear(4, 4)}
    task = Still(0.0, **layers)
    for parameter in (p for layer in layers.values() for p in layer.parameters()):
        nn.init.constant_(parameter, 2.0)
    chosen = settings(optimizer=optimizer, weight_decay=0.1, lr_warmup_steps=0)  # type: ignore[arg-type]
    Training(task, chosen, tmp_path).run(until=1)
    for parameter in (p for layer in layers.values() for p in layer.parameters()):
        assert torch.allclose(parameter, torch.tensor(2.0 * (1 - 0.05 * 0.1)))


def test_adamw_has_the_decays_of_the_settings() -> None:
    weight = {"w": nn.Parameter(torch.zeros(2, 2))}
    (optimizer,) = build_optimizers(weight, settings(adam_beta2=0.9, weight_decay=0.3))
    assert optimizer.defaults["betas"] == (0.9, 0.9) and optimizer.defaults["weight_decay"] == 0.3
    (standard,) = build_optimizers(weight, LoopSettings(steps=1, learning_rate=1.0))
    assert standard.defaults["betas"] == (0.9, 0.99)


@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_average_follows_its_formula(tmp_path: Path, decay: float) -> None:
    """Early on (1 + step) / (10 + step) of the average stays, later the settings' share."""
    task = Line()
    training = Training(task, settings(ema_decay=decay), tmp_path)
    wanted = task.layer.weight.detach().clone()

    def follow(step: int, _total: int, _figures: dict[str, float]) -> None:
        share = min(decay, step / (9 + step))
        wanted.copy_(share * wanted + (1 - share) * task.layer.weight)

    training.run(follow)
    assert torch.allclose(training.ema["line.weight"], wanted, rtol=1e-5)
    assert not torch.allclose(wanted, task.layer.weight, rtol=1e-4)


def test_the_rate_of_every_scheduler_half_way() -> None:
    for scheduler, share in (("constant", 1.0), ("linear", 2 / 3), ("cosine", 0.75)):
        rate = settings(lr_scheduler=scheduler).learning_rate_at(10)  # type: ignore[arg-type]
        assert rate == pytest.approx(0.05 * share), scheduler
