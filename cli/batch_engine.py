"""What carries out a `batch`: the options that say so, and the engine that they ask for."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import typer

from catalogue.engine import Engine, WorkerSettings
from catalogue.local import LocalEngine
from catalogue.ray_engine import RayEngine, workers_range
from ootd_core.checkpoints.acceleration import AUTO
from ootd_core.checkpoints.networks import choose_device
from ootd_core.requirements import require

RAY_DEVICES = (AUTO, "cpu", "cuda")
MOST_GIB = 2.0**33
"""More than any machine has."""


class EngineName(StrEnum):
    """Where the networks run."""

    LOCAL = "local"
    RAY = "ray"


EngineOption = Annotated[
    EngineName, typer.Option(help="local: this machine; ray: a Ray cluster, or one started here")
]
AddressOption = Annotated[
    str | None, typer.Option(help="of the Ray cluster: auto on one of its machines, or HOST:PORT")
]
WorkersOption = Annotated[
    str | None, typer.Option(help="of the Ray engine: N, or a least and a most such as 2-8")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(min=1, max=1024, help="of a worker on a CPU; default: as torch, with Ray 1"),
]


def bound_in_gib(param: typer.CallbackParam, value: float) -> float:
    """A bound of the cache that can be counted in bytes; inf is none. Raises ValueError."""
    if not value >= 0:  # nan, too
        raise ValueError(f"{param.opts[0]} is {value:g}, but must be 0 GiB or more; inf: no bound.")
    return min(value, MOST_GIB)


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineChoice:
    """An engine that was asked for. Raises ValueError or ModuleNotFoundError if it cannot be."""

    name: EngineName
    address: str | None
    workers: str | None

    def __post_init__(self) -> None:
        if self.name is EngineName.RAY:
            require("ray")
            if self.workers is not None:
                workers_range(self.workers)
            return
        for option in ("address", "workers"):
            if getattr(self, option) is not None:
                raise ValueError(f"--{option} is of the Ray engine: give it with --engine ray.")

    def devices(self, device: str) -> list[str]:
        """The devices to use. Raises ValueError for one that is not there."""
        if self.name is EngineName.LOCAL:
            return devices_here(device)
        if device not in RAY_DEVICES:
            raise ValueError(
                f"--device is '{device}', but Ray hands out the GPUs: {', '.join(RAY_DEVICES)}."
            )
        if device == AUTO and self.address is None and "RAY_ADDRESS" not in os.environ:
            return ["cuda" if choose_device(AUTO) == "cuda" else "cpu"]  # a cluster of this machine
        return [device]

    def make(self, settings: WorkerSettings, devices: Sequence[str]) -> Engine:
        """The engine. devices: of this machine."""
        if self.name is EngineName.LOCAL:
            return LocalEngine(settings, devices)
        workers = None if self.workers is None else workers_range(self.workers)
        return RayEngine(settings=settings, address=self.address, workers=workers)


def devices_here(names: str) -> list[str]:
    """The devices of this machine to use. Raises ValueError for one that is not here."""
    if names == AUTO:
        import torch

        found = choose_device(AUTO)
        count = torch.cuda.device_count() if found == "cuda" else 1
        return [found] if count == 1 else [f"{found}:{index}" for index in range(count)]
    return [choose_device(name.strip()) for name in names.split(",")]
