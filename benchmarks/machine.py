"""The machine that a benchmark runs on: its name, its clock's trap, and what suits its device."""

import platform
import time
from pathlib import Path
from typing import Any, cast

import torch
import typer
from torch import nn

SIZE_MULTIPLE = 64  # pixels: 8 for the VAE times 8 for the UNet
DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


CLEAR_PEAK = Path("/proc/self/clear_refs")


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


def parse_sizes(text: str) -> list[tuple[int, int]]:
    """`512x384,1024x768` -> [(512, 384), (1024, 768)], heights first."""
    sizes: list[tuple[int, int]] = []
    for word in text.split(","):
        numbers = word.strip().split("x")
        if len(numbers) != 2 or not all(number.isdigit() for number in numbers):
            raise typer.BadParameter(f"{word!r} is not a size: write HEIGHTxWIDTH, as in 512x384.")
        height, width = int(numbers[0]), int(numbers[1])
        if min(height, width) < SIZE_MULTIPLE or height % SIZE_MULTIPLE or width % SIZE_MULTIPLE:
            raise typer.BadParameter(f"{word!r}: both must be multiples of {SIZE_MULTIPLE}.")
        sizes.append((height, width))
    return sizes


def seconds(device: torch.device) -> float:
    """A clock for stages: of the wall, once a GPU has finished; a CPU's counts what this process
    computed, all threads together, so that other programs do not."""
    wait_for(device)
    return time.process_time() if device.type == "cpu" else time.perf_counter()


def reset_peak_memory(device: torch.device) -> None:
    """Begin anew with what `peak_memory` says."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif CLEAR_PEAK.exists():
        CLEAR_PEAK.write_text("5")  # Linux: the process's peak becomes what it holds now


def peak_memory(device: torch.device) -> int | None:
    """Bytes held at most since then: torch's on CUDA, the process's on Linux, else None."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    if not CLEAR_PEAK.exists():
        return None
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
