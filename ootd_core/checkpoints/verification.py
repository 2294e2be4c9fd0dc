"""What is wrong with the files of a part: the one look that `doctor` lists and a try-on refuses by.

Headers, structure and the tokenizer only: costs a tenth of a second for a whole model folder. The
files people confuse are all called diffusion_pytorch_model.safetensors: the outfitting UNet
(unet_garm) and the try-on UNet (unet_vton) differ by the input channels of conv_in, 4 and 8. The
two variants (hd, dc) have equal shapes, so they are told apart only where both are there and hold
the same network. Needs torch for a UNet in a .bin file and nothing but the standard library else.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from ..categories import Variant
from ..requirements import is_installed
from .catalogue import UNET_FOLDERS, Part, files_for, find, missing
from .integrity import (
    damage,
    is_safetensors,
    read_bytes,
    read_shapes,
    tokenizer_damage,
)

IN_CHANNELS: dict[Part, int] = {Part.OUTFITTING_UNET: 4, Part.TRYON_UNET: 8}
"""conv_in: garment latents alone, or noisy latents beside the masked person's."""
CONV_IN = "conv_in.weight"
TENSOR_OF: dict[Part, str] = {
    Part.VAE: "decoder.conv_in.weight",
    Part.TEXT_ENCODER: "embeddings.token_embedding.weight",
    Part.IMAGE_ENCODER: "vision_model.embeddings.class_embedding",
}
"""The end of a name that every file of a part has, and no other part's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """A file that cannot be used. text: what is wrong with it, as the end of a sentence."""

    path: Path
    text: str

    def __str__(self) -> str:
        return f"{self.path.name} in {self.path.parent} {self.text}"


def fault_of(folder: Path, variant: Variant, part: Part) -> Fault | None:
    """The first thing that is wrong with a part's files in a model folder; None if all is well.

    Looks at what is there: what is missing, `catalogue.missing` says.
    """
    for file in files_for(variant, (part,)):
        path = find(folder, file)
        wrong = None if path is None else damage(path)
        if path is not None and wrong is not None:
            return Fault(path=path, text=wrong)
    if part is Part.TOKENIZER and not missing(folder, variant, (part,)):
        return _tokenizer_fault(folder / "ootd" / "tokenizer")
    weights = weights_of(folder, variant, part)
    if weights is None:
        return None
    if part in UNET_FOLDERS:
        return (
            _channels_fault(weights, part)
            or _config_fault(weights, part)
            or _other_variant_fault(folder, variant, part, weights)
        )
    return _part_fault(weights, part)


def trained_size(config: Mapping[str, Any]) -> int | None:
    """The height that a UNet's config.json says it was trained at, in latents; None if it does not.

    diffusers allows a number or a pair (height, width) as sample_size.
    """
    size = config.get("sample_size")
    if isinstance(size, list) and size:
        size = cast("list[object]", size)[0]
    return size if isinstance(size, int) and not isinstance(size, bool) and size > 0 else None


def _config_fault(weights: Path, part: Part) -> Fault | None:
    """What a UNet's config.json says that cannot be; what it says of widths is seen in loading."""
    path = weights.parent / "config.json"
    if not path.is_file():
        return None
    config: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if trained_size(config) is None:
        size = config.get("sample_size")
        return Fault(
            path=path, text=f"has sample_size {size!r}, but it must be a whole number above 0"
        )
    channels = config.get("in_channels", IN_CHANNELS[part])
    if channels != IN_CHANNELS[part]:
        return Fault(
            path=path,
            text=f"says in_channels {channels!r}, but the {part} has {IN_CHANNELS[part]}",
        )
    return None


def weights_of(folder: Path, variant: Variant, part: Part) -> Path | None:
    """The weights of a part that is one network, None if they are not there or it is none."""
    found = [
        find(folder, file)
        for file in files_for(variant, (part,))
        if part in UNET_FOLDERS or part in TENSOR_OF
        if not file.path.endswith(".json")
    ]
    return found[0] if found else None


def _tokenizer_fault(folder: Path) -> Fault | None:
    for path in sorted(folder.glob("*.json")):
        wrong = damage(path)
        if wrong is not None:
            return Fault(path=path, text=wrong)
    found = tokenizer_damage(folder)
    return None if found is None else Fault(path=found[0], text=found[1])


def _part_fault(weights: Path, part: Part) -> Fault | None:
    if not is_safetensors(weights):
        return None
    names = read_shapes(weights)
    if any(name.endswith(TENSOR_OF[part]) for name in names):
        return None
    other = next((p for p, end in TENSOR_OF.items() if any(n.endswith(end) for n in names)), None)
    what = f"is the {other}" if other else f"is no {part}"
    return Fault(path=weights, text=f"{what}: it has no tensor {TENSOR_OF[part]}")


def _channels_fault(weights: Path, part: Part) -> Fault | None:
    shape = _conv_in_shape(weights)
    if shape is None:
        return None
    expected = IN_CHANNELS[part]
    found = shape[1] if len(shape) == 4 else None
    if found == expected:
        return None
    for other, channels in IN_CHANNELS.items():
        if channels == found:
            return Fault(
                path=weights,
                text=f"is the {other} (conv_in takes {found} channels, that of the {part} "
                f"{expected}), so the files of unet_garm and unet_vton were swapped",
            )
    return Fault(
        path=weights,
        text=f"is no {part}, whose conv_in takes {expected} channels (here: "
        f"{found if found is not None else 'none'})",
    )


def _other_variant_fault(folder: Path, variant: Variant, part: Part, weights: Path) -> Fault | None:
    """Fine-tuned on different pictures, no two variants share their first layer.

    A link from one folder to the other is taken for intent.
    """
    (other,) = set(Variant) - {variant}
    twin = weights_of(folder, other, part)
    if twin is None or twin.resolve() == weights.resolve() or damage(twin):
        return None
    mine, theirs = _conv_in(weights), _conv_in(twin)
    if mine is None or mine != theirs:
        return None
    return Fault(
        path=weights,
        text=f"is the same network as in {twin.parent}, so one of the variants hd and dc lies in "
        "the wrong folder",
    )


def _conv_in_shape(weights: Path) -> tuple[int, ...] | None:
    """Its shape, empty if there is none; None if the file cannot be looked into here."""
    if is_safetensors(weights):
        return read_shapes(weights).get(CONV_IN, ())
    if not is_installed("torch"):
        return None
    from .reading import read_state_dict

    tensor = read_state_dict(weights).get(CONV_IN)
    return () if tensor is None else tuple(tensor.shape)


def _conv_in(weights: Path) -> bytes | None:
    """What identifies the first layer: its numbers in float32."""
    if is_safetensors(weights) and not is_installed("torch"):
        return read_bytes(weights, CONV_IN)
    if not is_installed("torch"):
        return None
    from .reading import read_tensor

    tensor = read_tensor(weights, CONV_IN)
    return None if tensor is None else tensor.float().contiguous().numpy().tobytes()
