"""The public face: a person's picture and a garment's picture in, the person wearing it out.

    from tryon import TryOn

    tryon = TryOn.from_pretrained("checkpoints", variant="dc").to("cuda")
    result = tryon("me.jpg", "dress.jpg", "dress", guidance_scale=2.0)
    result.images[0].save("me-in-the-dress.png")

try_on        `TryOn`: fit, look, mask, dress, paste back
result        `TryOnResult`; seconds and steps
arguments     pictures, masks, people and outfits in the forms that a caller may give
options       `TryOnOptions`: how to sample, to mask and to fit, checked when it is made
preparation   which person is meant, how a picture comes to 3:4, what a mask of one's own means;
              the ComfyUI nodes call it, too
perception    the human parser and the pose network of a model folder

The names below are imported when they are first used: the nodes take `preparation` alone, and that
needs no diffusers.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .options import TryOnOptions
    from .result import TryOnResult
    from .try_on import TryOn

__all__ = ["TryOn", "TryOnOptions", "TryOnResult"]

_MODULES = {"TryOn": "try_on", "TryOnOptions": "options", "TryOnResult": "result"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
