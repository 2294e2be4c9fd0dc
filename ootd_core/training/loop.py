"""The loop that all trainings of this project share: optimise, average, log, save, resume.

A task turns the number of a batch into a loss and draws its data and its noise from that number
alone. There is no other random state or position in the data, so a resumed run sees what the
uninterrupted one would have seen. Batch numbers are dealt out in order to the processes and to the
batches of a gradient accumulation. Gradients are averaged over the processes once a step, which
needs no wrapper around the modules. Buffers are not part of a state: a network with running
statistics measures them over its final weights.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor, nn

from .lock import FolderLock
from .log import Log
from .muon import Muon, split
from .states import States, read_progress, read_tensors

if TYPE_CHECKING:
    from accelerate import Accelerator

logger = logging.getLogger(__name__)
OnStep = Callable[[int, int, dict[str, float]], None]
SCHEDULERS = ("cosine", "linear", "constant")
PRECISIONS = ("no", "fp16", "bf16")
OPTIMIZERS = ("adamw", "muon")
MOMENTS = ("step", "exp_avg", "exp_avg_sq", "momentum")
"""What AdamW and Muon keep for each parameter."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopSettings:
    """How long and how fast to train, in the terms of accelerate and diffusers' scripts.

    Args:
        steps: how many optimizer steps.
        learning_rate: the highest one: it rises linearly over `lr_warmup_steps`.
        lr_scheduler: after that it stays ("constant") or falls to zero ("cosine", "linear").
        gradient_accumulation_steps: batches of a process for one step.
        adam_beta2: decay of AdamW's second moment.
        ema_decay: of the running average of the weights, which is the result; 0 keeps none.
        max_grad_norm: larger gradients are scaled down to it.
        mixed_precision: "fp16" and "bf16" compute products in 16 bits, over weights kept in
            float32; worth it where the processor has units for them. "no": all in float32.
        optimizer: "adamw", or "muon" for the hidden matrices of a small network that starts from
            nothing.
        save_every: every so many steps the state is saved, to resume from.
        checkpoints_total_limit: how many states are kept.
        logging_steps: every so many steps a line is logged.
    """

    steps: int
    learning_rate: float
    lr_scheduler: str = "cosine"
    lr_warmup_steps: int = 50
    gradient_accumulation_steps: int = 1
    weight_decay: float = 1e-2
    adam_beta2: float = 0.99
    ema_decay: float = 0.999
    max_grad_norm: float = 1.0
    mixed_precision: str = "no"
    optimizer: str = "adamw"
    save_every: int = 200
    checkpoints_total_limit: int = 1
    logging_steps: int = 10

    def __post_init__(self) -> None:
        for name in (
            "steps", "gradient_accumulation_steps", "save_every",
            "checkpoints_total_limit", "logging_steps",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")
        known = {
            "lr_scheduler": SCHEDULERS,
            "mixed_precision": PRECISIONS,
            "optimizer": OPTIMIZERS,
        }
        for name, options in known.items():
            if getattr(self, name) not in options:
                raise ValueError(f"{name} must be {_either(options)}, got '{getattr(self, name)}'.")

    def learning_rate_at(self, step: int) -> float:
        """Return the learning rate of a step (0-based)."""
        rising = min(1.0, (step + 1) / max(1, self.lr_warmup_steps))
        gone = min(1.0, step / self.steps)
        falling = {
            "constant": 1.0,
            "linear": 1.0 - gone,
            "cosine": 0.5 + 0.5 * math.cos(math.pi * gone),
        }
        return self.learning_rate * rising * falling[self.lr_scheduler]


class Task(Protocol):
    """What is trained: named modules and the loss of a batch."""

    modules: dict[str, nn.Module]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of the batch with this number and figures to log; a mean over samples.

        With one process and no accumulation the number is the step.
        """
        ...


class Training:
    """A task being trained in a folder, from its last saved step if there is one."""

    def __init__(
        self,
        task: Task,
        settings: LoopSettings,
        folder: Path,
        *,
        accelerator: Accelerator | None = None,
        identity: Mapping[str, Any] | None = None,
    ) -> None:
        """accelerator: joins several processes; every one needs the same weights at the start and
        the same folder. identity: JSON values that a resumed run must share with the saved one.

        Raises ValueError, one sentence, if a saved state has another identity or other networks,
        if all states are damaged, or if another training is at work in the folder. The folder is
        this training's own until `run` ends, or `close` is called.
        """
        self.task = task
        self.settings = settings
        self.folder = folder
        self.accelerator = accelerator
        self.identity = dict(identity or {})
        self.processes = 1 if accelerator is None else accelerator.num_processes
        self.process = 0 if accelerator is None else accelerator.process_index
        self.step = 0
        self.parameters = {
            f"{name}.{key}": parameter
            for name, module in task.modules.items()
            for key, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        self.ema = {
            key: value.detach().clone()
            for key, value in self.parameters.items()
            if settings.ema_decay
        }
        self.optimizers = build_optimizers(self.parameters, settings)
        self.device = next(iter(self.parameters.values())).device
        self.scaler = torch.amp.GradScaler(
            self.device.type, enabled=settings.mixed_precision == "fp16"
        )  # small fp16 gradients would vanish
        self.states = States(folder / "states", total_limit=settings.checkpoints_total_limit)
        self.log = Log(folder / "log.csv")
        self.lock = FolderLock(folder)
        if self.process == 0:
            self.lock.acquire()
        try:
            self._resume()
        except BaseException:
            self.lock.release()
            raise

    def run(self, on_step: OnStep | None = None, *, until: int | None = None) -> None:
        """Train to the settings' last step, or to `until`; `on_step` may raise to stop.

        Raises FloatingPointError if the loss or the weights are no longer finite, and WriteError if
        the disk is full.
        """
        try:
            self._run(on_step, min(until or self.settings.steps, self.settings.steps))
        finally:
            self.close()

    def close(self) -> None:
        """Let others train in the folder."""
        self.lock.release()

    def _run(self, on_step: OnStep | None, last: int) -> None:
        started, first = time.monotonic(), self.step
        while self.step < last:
            figures = self._one_step()
            self.step += 1
            seconds = (time.monotonic() - started) / (self.step - first)
            due = self.step % self.settings.logging_steps == 0 or self.step == last
            saves = self.step % self.settings.save_every == 0 or self.step == last
            if saves and not self._is_finite():  # nothing of such weights is to be kept
                raise self._divergence("some weights are no longer finite", self.step)
            if due and self.process == 0:
                self.log.append({"step": self.step, "seconds_per_step": seconds, **figures})
            if on_step is not None:  # before the state: what a kill loses here is done again
                on_step(self.step, self.settings.steps, figures)
            if saves:
                self.save()

    def _one_step(self) -> dict[str, float]:
        learning_rate = self.settings.learning_rate_at(self.step)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = learning_rate
        figures = self.gradients()
        if not math.isfinite(figures["loss"]):
            raise self._divergence(f"the loss is {figures['loss']}", self.step + 1)
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.max_grad_norm)
        if not self.scaler.is_enabled() and not math.isfinite(norm):  # a scaler skips such a step
            raise self._divergence(f"the gradients' norm is {float(norm)}", self.step + 1)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()
        # Early weights are far from good: the average forgets them faster at first.
        decay = min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, average in self.ema.items():
                average.lerp_(self.parameters[key], 1 - decay)
        return {
            "loss": figures.pop("loss"),
            "grad_norm": float(norm),
            "learning_rate": learning_rate,
            **figures,
        }

    def _divergence(self, what: str, step: int) -> FloatingPointError:
        newest = self.states.newest()
        start = "the start" if newest is None else newest.name
        return FloatingPointError(
            f"{what} at step {step} of the training in {self.folder} (learning rate "
            f"{self.settings.learning_rate_at(step - 1):.1e}), which goes on from {start} when it "
            "is run again"
        )

    def _is_finite(self) -> bool:
        return all(bool(value.isfinite().all()) for value in self.parameters.values())

    def gradients(self) -> dict[str, float]:
        """Compute this step's gradients, the mean over all its batches; return the mean figures.

        Gradients are left in the parameters, scaled by `scaler`.
        """
        for optimizer in self.optimizers:
            optimizer.zero_grad(set_to_none=True)
        turns = self.settings.gradient_accumulation_steps
        precision = self.settings.mixed_precision
        half = torch.float16 if precision == "fp16" else torch.bfloat16
        sums: dict[str, float] = {}
        for turn in range(turns):
            number = (self.step * turns + turn) * self.processes + self.process
            with torch.autocast(self.device.type, half, enabled=precision != "no"):
                loss, figures = self.task.loss(number)
            self.scaler.scale(loss / turns).backward()
            for name, value in {"loss": loss.item(), **figures}.items():
                sums[name] = sums.get(name, 0.0) + value / turns
        if self.accelerator is None or self.processes == 1:
            return sums
        for parameter in self.parameters.values():
            if parameter.grad is not None:
                parameter.grad = self._mean(parameter.grad)
        means = self._mean(torch.tensor(list(sums.values()), device=self.device))
        return dict(zip(sums, means.tolist(), strict=True))

    def _mean(self, tensor: Tensor) -> Tensor:
        accelerator: Any = self.accelerator
        return accelerator.reduce(tensor, reduction="mean")

    def load_ema_weights(self) -> None:
        """Put the averaged weights into the modules, as the result of the training."""
        with torch.no_grad():
            for key, average in self.ema.items():
                self.parameters[key].copy_(average)

    @contextmanager
    def ema_weights(self) -> Generator[None]:
        """Let the modules have the averaged weights for a while, then their own, bit for bit."""
        self._exchange()
        try:
            yield
        finally:
            self._exchange()

    def _exchange(self) -> None:
        for key, average in self.ema.items():
            parameter = self.parameters[key]
            self.ema[key], parameter.data = parameter.data, average

    def save(self) -> None:
        """Write the state; an interrupted write leaves the previous one."""
        if self.process == 0:
            tensors: dict[str, dict[str, Tensor]] = {
                "weights": {**self.parameters},
                "ema": self.ema,
            }
            for key, parameter in self.parameters.items():
                for name, value in self._moments(parameter).items():
                    tensors.setdefault(name, {})[key] = value
            progress = {"identity": self.identity, "scaler": self.scaler.state_dict()}
            self.states.save(self.step, progress, tensors)
        if self.accelerator is not None:
            self.accelerator.wait_for_everyone()

    def _resume(self) -> None:
        state = self.states.newest()
        if state is not None:
            progress = read_progress(state)
            self._check_identity(progress["identity"])
            weights, averages = read_tensors(state, "weights"), read_tensors(state, "ema")
            self._check_networks(weights)
            self.step = progress["step"]
            with torch.no_grad():
                for key, parameter in self.parameters.items():
                    parameter.copy_(weights[key])
                for key, average in self.ema.items():
                    average.copy_(averages.get(key, weights[key]))
            for name in MOMENTS:
                for key, value in read_tensors(state, name).items():
                    # Fused AdamW counts its steps where the parameter is.
                    self._moments(self.parameters[key])[name] = value.to(self.device)
            if progress["scaler"]:
                self.scaler.load_state_dict(progress["scaler"])
            logger.info("Resumed %s at step %d.", self.folder, self.step)
        if self.process == 0:
            self.log.forget_after(self.step)

    def _moments(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """What the optimizer that trains this parameter keeps for it; to read and to change."""
        (owner,) = (
            optimizer
            for optimizer in self.optimizers
            if any(parameter is own for group in optimizer.param_groups for own in group["params"])
        )
        return owner.state[parameter]

    def _check_networks(self, saved: Mapping[str, Tensor]) -> None:
        shapes = {key: value.shape for key, value in self.parameters.items()}
        if {key: value.shape for key, value in saved.items()} != shapes:
            raise ValueError(
                f"The training in {self.folder} began with networks of other sizes: start from the "
                "same ones, or train in another folder."
            )

    def _check_identity(self, saved: Mapping[str, Any]) -> None:
        for name in sorted({*saved, *self.identity}):
            before, now = saved.get(name), self.identity.get(name)
            if before != now:
                raise ValueError(
                    f"The training in {self.folder} began with {name} = {before}, not {now}: "
                    "set it back, or train in another folder."
                )


def build_optimizers(
    parameters: Mapping[str, nn.Parameter], settings: LoopSettings
) -> list[torch.optim.Optimizer]:
    """Return the optimizers of named parameters: AdamW, or Muon and AdamW for what is left."""
    hidden, rest = (
        split(parameters) if settings.optimizer == "muon" else ([], [*parameters.values()])
    )
    optimizers: list[torch.optim.Optimizer] = []
    if hidden:
        optimizers.append(
            Muon(hidden, lr=settings.learning_rate, weight_decay=settings.weight_decay)
        )
    if rest:
        optimizers.append(
            torch.optim.AdamW(
                rest,
                lr=settings.learning_rate,
                weight_decay=settings.weight_decay,
                betas=(0.9, settings.adam_beta2),
                fused=True,
            )
        )
    return optimizers


def _either(names: tuple[str, ...]) -> str:
    quoted = [f"'{name}'" for name in names]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"
