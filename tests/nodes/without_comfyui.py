"""Modules of `nodes` where there is no ComfyUI: those whose own arithmetic needs little of it."""

import importlib
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

from torch import Tensor

ROOT = Path(__file__).resolve().parents[2]
PACK = "pack_without_comfyui"
COMFYUI = (
    "comfy", "comfy.diffusers_convert", "comfy.hooks", "comfy.model_management",
    "comfy.model_patcher", "comfy.patcher_extension", "comfy.sd", "comfy.supported_models",
    "comfy.utils", "comfy_api", "comfy_api.latest",
)  # fmt: skip


@contextmanager
def node_module(name: str) -> Generator[Any]:
    """The module `nodes.NAME`, imported as ComfyUI imports it: as part of one package.

    ComfyUI's own modules are stand-ins meanwhile; afterwards nothing of both is left.
    """
    before = set(sys.modules)
    try:
        for module in COMFYUI:
            parent, _, child = module.rpartition(".")
            sys.modules[module] = stand_in = MagicMock(name=module)
            if parent:
                setattr(sys.modules[parent], child, stand_in)
        sys.modules["comfy.utils"].repeat_to_batch_size = _repeat  # type: ignore[attr-defined]
        for module, folder in ((PACK, ROOT), (f"{PACK}.nodes", ROOT / "nodes")):
            package = ModuleType(module)
            package.__path__ = [str(folder)]
            sys.modules[module] = package
        yield importlib.import_module(f"{PACK}.nodes.{name}")
    finally:
        for module in set(sys.modules) - before:
            if module.split(".")[0] in (PACK, "comfy", "comfy_api"):
                del sys.modules[module]


def _repeat(tensor: Tensor, batch: int) -> Tensor:
    """As ComfyUI's function of this name: over and over, then cut."""
    times = -(-batch // len(tensor))
    return tensor.repeat(times, *[1] * (tensor.ndim - 1))[:batch]
