"""OOTDiffusion (arXiv 2403.01779): networks, fusion, conditioning, sampling, masks and pictures.

Never imports ComfyUI, humanparse or openpose. The paper, in reading order:

categories    what can be put on, and which variant of the networks does it
fusion        the garment's tokens, recorded in one UNet and attended to in the other
conditioning  the prompt: a label and the garment as CLIP sees it
latents       what the VAE encodes and decodes, and the agnostic person
sampling      the schedulers and the denoising loop
request       person, garment, mask and settings of one try-on, checked
pipeline      all of it in order: a request in, pictures out

requirements  what is not installed here, and the commands that messages print

Around it: `masks`, `images`, `checkpoints`; above these `datasets`, and above that `training` and
`evaluation`, which do not know each other. `tryon` is what takes pictures of any size.

The names below are imported when they are first used, so that who needs masks alone waits for no
network library.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .categories import Category, Variant
    from .checkpoints.networks import Networks, load_networks
    from .fusion import Fusion, prepare, record
    from .images.files import load_image, read_mask
    from .masks.agnostic import MaskMode, agnostic_mask
    from .pipeline import TryOnPipeline
    from .request import TryOnRequest
    from .sampling import Scheduler, Speed, denoise, sampling_of

__all__ = [
    "Category",
    "Fusion",
    "MaskMode",
    "Networks",
    "Scheduler",
    "Speed",
    "TryOnPipeline",
    "TryOnRequest",
    "Variant",
    "agnostic_mask",
    "denoise",
    "load_image",
    "load_networks",
    "prepare",
    "read_mask",
    "record",
    "sampling_of",
]

_MODULES = {
    "Category": "categories",
    "Fusion": "fusion",
    "MaskMode": "masks.agnostic",
    "Networks": "checkpoints.networks",
    "Scheduler": "sampling",
    "Speed": "sampling",
    "TryOnPipeline": "pipeline",
    "TryOnRequest": "request",
    "Variant": "categories",
    "agnostic_mask": "masks.agnostic",
    "denoise": "sampling",
    "load_image": "images.files",
    "read_mask": "images.files",
    "load_networks": "checkpoints.networks",
    "prepare": "fusion",
    "record": "fusion",
    "sampling_of": "sampling",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_MODULES[name]}", __name__), name)
