"""The loop that every trainer of this project shares: optimise, average, log, save, resume.

A task turns a step number into a loss and draws its data from that number alone, so a resumed run
sees the batches that the uninterrupted one would have seen. The state (weights, averages, optimizer
moments, step) is one safetensors file, written under another name and moved: a kill leaves the
previous state whole. Buffers are no part of it: a network with running statistics measures them
over its final weights.
"""

from __future__ import annotations

import csv
import json
import logging
import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

logger = logging.getLogger(__name__)
OnStep = Callable[[int, int, dict[str, float]], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class LoopSettings:
    """How long and how fast to train.

    learning_rate rises linearly over `warmup` steps and then stays ("constant") or falls to zero
    along a cosine. average: decay of the running average of the weights, which is what is saved as
    the result; clip: largest gradient norm. precision: "bf16" computes products in bfloat16, over
    weights kept in float32; worth it where the processor has bfloat16 units.
    """

    steps: int
    learning_rate: float
    warmup: int = 50
    schedule: str = "cosine"
    weight_decay: float = 1e-2
    average: float = 0.999
    clip: float = 1.0
    precision: str = "fp32"
    save_every: int = 200
    log_every: int = 10

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}.")
        if self.schedule not in ("cosine", "constant"):
            raise ValueError(f"schedule must be 'cosine' or 'constant', got '{self.schedule}'.")
        if self.precision not in ("fp32", "bf16"):
            raise ValueError(f"precision must be 'fp32' or 'bf16', got '{self.precision}'.")

    def rate(self, step: int) -> float:
        """Return the learning rate of a step (0-based)."""
        rising = min(1.0, (step + 1) / max(1, self.warmup))
        if self.schedule == "constant":
            return self.learning_rate * rising
        falling = 0.5 + 0.5 * math.cos(math.pi * min(1.0, step / self.steps))
        return self.learning_rate * rising * falling


class Task(Protocol):
    """What is trained: named modules and the loss of a step."""

    modules: dict[str, nn.Module]

    def loss(self, step: int) -> tuple[Tensor, dict[str, float]]:
        """Return the loss of this step's batch and figures to log."""
        ...


class Training:
    """A task being trained in a folder, from its last saved step if there is one."""

    def __init__(self, task: Task, settings: LoopSettings, folder: Path) -> None:
        self.task = task
        self.settings = settings
        self.folder = folder
        self.step = 0
        self.parameters = {
            f"{name}.{key}": parameter
            for name, module in task.modules.items()
            for key, parameter in module.named_parameters()
            if parameter.requires_grad
        }
        self.averages = {key: value.detach().clone() for key, value in self.parameters.items()}
        self.optimizer = torch.optim.AdamW(
            self.parameters.values(),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
            betas=(0.9, 0.99),
            fused=True,
        )
        if self.state_file.is_file():
            self._resume()

    @property
    def state_file(self) -> Path:
        return self.folder / "training-state.safetensors"

    def run(self, on_step: OnStep | None = None, *, until: int | None = None) -> None:
        """Train to the settings' last step, or to `until`; `on_step` may raise to stop."""
        self.folder.mkdir(parents=True, exist_ok=True)
        last = min(until or self.settings.steps, self.settings.steps)
        started, first = time.monotonic(), self.step
        while self.step < last:
            figures = self._one_step()
            self.step += 1
            seconds = (time.monotonic() - started) / (self.step - first)
            if self.step % self.settings.log_every == 0 or self.step == last:
                self._log({"step": self.step, "seconds_per_step": seconds, **figures})
            if self.step % self.settings.save_every == 0 or self.step == last:
                self.save()
            if on_step is not None:
                on_step(self.step, self.settings.steps, figures)

    def _one_step(self) -> dict[str, float]:
        rate = self.settings.rate(self.step)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        device = next(iter(self.parameters.values())).device.type
        with torch.autocast(device, torch.bfloat16, enabled=self.settings.precision == "bf16"):
            loss, figures = self.task.loss(self.step)
        if not torch.isfinite(loss):
            raise FloatingPointError(
                f"The loss is {loss.item()} at step {self.step}; lower the learning rate "
                f"({rate:.1e}) and resume from {self.state_file}."
            )
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.parameters.values(), self.settings.clip)
        self.optimizer.step()
        keep = min(self.settings.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            for key, parameter in self.parameters.items():
                self.averages[key].lerp_(parameter, 1 - keep)
        return {"loss": loss.item(), "gradient_norm": float(norm), "rate": rate, **figures}

    def load_averages(self) -> None:
        """Put the averaged weights into the modules, as the result of the training."""
        with torch.no_grad():
            for key, parameter in self.parameters.items():
                parameter.copy_(self.averages[key])

    def save(self) -> None:
        """Write the state; an interrupted write leaves the previous one."""
        tensors = {f"weight/{key}": value.detach() for key, value in self.parameters.items()}
        tensors |= {f"average/{key}": value for key, value in self.averages.items()}
        for key, parameter in self.parameters.items():
            for name, value in self.optimizer.state.get(parameter, {}).items():
                tensors[f"optimizer/{name}/{key}"] = value
        tensors = {key: value.contiguous() for key, value in tensors.items()}
        unfinished = self.state_file.with_suffix(".unfinished")
        save_file(tensors, unfinished, metadata={"progress": json.dumps({"step": self.step})})
        os.replace(unfinished, self.state_file)

    def _resume(self) -> None:
        with safe_open(self.state_file, framework="pt") as state:
            self.step = json.loads(state.metadata()["progress"])["step"]
            stored = {key: state.get_tensor(key) for key in state.keys()}  # noqa: SIM118
        with torch.no_grad():
            for key, parameter in self.parameters.items():
                parameter.copy_(stored[f"weight/{key}"])
                self.averages[key].copy_(stored[f"average/{key}"])
                self.optimizer.state[parameter] = {
                    name: stored[f"optimizer/{name}/{key}"]
                    for name in ("step", "exp_avg", "exp_avg_sq")
                    if f"optimizer/{name}/{key}" in stored
                }
        logger.info("Resumed %s at step %d.", self.folder, self.step)

    def _log(self, row: dict[str, float]) -> None:
        path = self.folder / "log.csv"
        fresh = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if fresh:
                writer.writerow(row)
            writer.writerow([f"{value:.6g}" for value in row.values()])
