"""The machine that a benchmark runs on: its name, its clock's trap, and what suits its device."""

import platform
from typing import Any, cast

import torch
import typer
from torch import nn

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def describe(device: torch.device) -> str:
    """The name to publish a figure with."""
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
    else:
        processor = platform.processor() or platform.machine()
        name = f"{device.type} ({processor}, {torch.get_num_threads()} threads)"
    return f"{name}, torch {torch.__version__}"


def choose_dtype(device: torch.device, name: str) -> torch.dtype:
    """The dtype of that name; without a name float32 on a CPU and float16 elsewhere."""
    if name and name not in DTYPES:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(DTYPES)}.")
    return DTYPES[name or ("float32" if device.type == "cpu" else "float16")]


def place(network: nn.Module, device: torch.device, dtype: torch.dtype) -> None:
    """Moves a network; channels last on a GPU, whose convolutions are fastest so."""
    # nn.Module's own `to`: diffusers' warns of modules to keep in float32 where there are none.
    nn.Module.to(network, device, dtype)
    if device.type == "cuda":
        cast(Any, network).to(memory_format=torch.channels_last)


def wait_for(device: torch.device) -> None:
    """A GPU computes behind the program's back: wait before reading the clock."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
