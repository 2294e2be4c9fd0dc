"""What makes networks faster or smaller on a device: half precision, memory format, torch.compile.

Pictures stay what they are but for rounding. The rules for GPUs are those of torch's and diffusers'
documentation; what was measured stands in docs/performance.md.
"""

import os
import shutil
from importlib.util import find_spec
from typing import Any

import torch

from .networks import DTYPES, Networks

AUTO = "auto"
CPP_COMPILERS = ("g++", "clang++", "cl")


def choose_dtype(name: str, device: str) -> str:
    """A name in DTYPES; "auto" is float32 on a CPU, float16 on all that compute it faster.

    Raises ValueError for an unknown name.
    """
    if name == AUTO:
        return "fp32" if torch.device(device).type == "cpu" else "fp16"
    if name not in DTYPES:
        raise ValueError(f"dtype is '{name}', but must be one of {', '.join((AUTO, *DTYPES))}.")
    return name


def use_channels_last(networks: Networks) -> None:
    """Lay convolutions' weights out as CUDA's fastest kernels want them; nothing elsewhere."""
    if networks.device.type == "cuda":
        for network in (networks.vae, networks.outfitting_unet, networks.tryon_unet):
            network.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def check_offload(device: str) -> None:
    """Raises ValueError, one sentence, where there is no memory to free."""
    if torch.device(device).type == "cpu":
        raise ValueError(
            "Offloading frees a GPU's memory, but the networks are to run on the CPU: name the GPU "
            "first (--device cuda; in Python .to('cuda')), or leave it out."
        )


def check_compile(device: str) -> None:
    """Raises ValueError, one sentence, where torch.compile has nothing to compile with."""
    kind = torch.device(device).type
    if kind not in ("cuda", "cpu"):
        raise ValueError(f"torch.compile is for CUDA and CPUs, not for {kind}: leave it out.")
    if kind == "cuda" and find_spec("triton") is None:
        raise ValueError(
            "torch.compile needs Triton on a GPU, which is not installed here: install triton "
            "(triton-windows on Windows), or leave it out."
        )
    if kind == "cpu" and not any(
        shutil.which(name) for name in (os.environ.get("CXX", ""), *CPP_COMPILERS) if name
    ):
        raise ValueError(
            f"torch.compile needs a C++ compiler on a CPU, and none of {', '.join(CPP_COMPILERS)} "
            "is found here: install one, or leave it out."
        )


def compile_denoiser(networks: Networks, backend: Any = "inductor") -> None:
    """Compile the try-on UNet in place; the first step of each size then takes minutes.

    The outfitting UNet runs once for a garment and ends in its last block: it stays as it is.
    Raises ValueError as `check_compile`.
    """
    if backend == "inductor":
        check_compile(str(networks.device))
    networks.tryon_unet.compile(backend=backend)
