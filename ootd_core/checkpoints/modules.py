"""Modules from config.json and weights: built without memory, then filled by name.

Every key and shape is accounted for: `from_pretrained` would take a random layer for a missing one
and go to the network for a missing file. Keys of a config that a network does not know are left
out; what they leave undetermined, the shapes of the weights decide. Needs torch alone, so that both
hosts use it.
"""

import inspect
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from .catalogue import TEXT_PREFIX
from .locating import PartFiles

Module = TypeVar("Module", bound=nn.Module)

logger = logging.getLogger(__name__)


def build_module(factory: type[Module], config: Mapping[str, Any], files: PartFiles) -> Module:
    """The module on the meta device: no memory, and no time spent on random numbers."""
    try:
        with torch.device("meta"):
            return factory(**known_entries(factory, config))
    except (TypeError, ValueError, IndexError, KeyError, RuntimeError) as error:
        raise unfit(files, f"builds no {files.part} ({error})", files.config) from error


def known_entries(factory: Callable[..., Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a config that `factory` takes; the others are about files and versions."""
    parameters = inspect.signature(factory).parameters
    left_out = sorted(key for key in config if key not in parameters)
    logger.debug("Config keys left out: %s", left_out)
    return {key: value for key, value in config.items() if key in parameters}


def fill_module(
    module: Module,
    state: Mapping[str, Tensor],
    files: PartFiles,
    device: torch.device,
    dtype: torch.dtype,
) -> Module:
    """Gives the module the tensors as its own, in `dtype` on `device`; frozen, for evaluation.

    Raises ValueError unless `state` holds every tensor of the module in its shape and no other.
    """
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    state = _aligned(state, wanted)
    check_state(state, wanted, files)
    converted = {key: value.to(device, dtype, copy=True) for key, value in state.items()}
    module.load_state_dict(converted, strict=True, assign=True)
    return module.to(device).requires_grad_(False).eval()


def _aligned(state: Mapping[str, Tensor], wanted: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors under the names of the installed library version.

    transformers 5 dropped the text tower's prefix; before 4.31 position ids were saved.
    """
    aligned = {key: value for key, value in state.items() if not key.endswith("position_ids")}
    has = any(key.startswith(TEXT_PREFIX) for key in aligned)
    wants = any(key.startswith(TEXT_PREFIX) for key in wanted)
    if has and not wants:
        return {key.removeprefix(TEXT_PREFIX): value for key, value in aligned.items()}
    if wants and not has:
        return {TEXT_PREFIX + key: value for key, value in aligned.items()}
    return aligned


def check_state(
    state: Mapping[str, Tensor], wanted: Mapping[str, tuple[int, ...]], files: PartFiles
) -> None:
    """Raises ValueError unless `state` holds every `wanted` tensor in its shape and no other."""
    absent = [key for key in wanted if key not in state]
    unknown = [key for key in state if key not in wanted]
    reshaped = [key for key in wanted if key in state and wanted[key] != tuple(state[key].shape)]
    found: list[str] = []
    if absent:
        found.append(f"lacks {len(absent)} of {len(wanted)} tensors (first {absent[0]})")
    if unknown:
        found.append(f"has {len(unknown)} that do not belong (first {unknown[0]})")
    if reshaped:
        key = reshaped[0]
        found.append(
            f"has {len(reshaped)} of another shape (first {key}: {tuple(state[key].shape)}, "
            f"expected {wanted[key]})"
        )
    if found:
        what = "does not fit its config.json: it " + " and ".join(found)
        raise unfit(files, what, files.weights)


def unfit(files: PartFiles, what: str, path: Path) -> ValueError:
    """The error for a file of a part that cannot be used: what is wrong, and the remedy."""
    return ValueError(f"{path.name} in {path.parent} {what}: {files.remedy}.")
