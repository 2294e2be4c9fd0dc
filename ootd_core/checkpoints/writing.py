"""Writes networks into a model folder in the published layout, for the trainers.

Every file is written whole or not at all. The weights come before config.json: a part whose config
is there is a part that can be loaded.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from ..categories import Variant
from .catalogue import CLIP_FOLDER, TEXT_PREFIX, UNET_FOLDERS, Part
from .whole_files import write_whole

PART_FOLDERS: dict[Part, str] = {
    Part.VAE: "ootd/vae",
    Part.TEXT_ENCODER: "ootd/text_encoder",
    Part.TOKENIZER: "ootd/tokenizer",
    Part.SCHEDULER: "ootd/scheduler",
    Part.IMAGE_ENCODER: CLIP_FOLDER,
    Part.PARSER: "humanparsing",
    Part.POSE: "openpose/ckpts",
}


def part_folder(folder: Path, part: Part) -> Path:
    """Where a part other than the UNets lies in a model folder."""
    return folder / PART_FOLDERS[part]


def unet_folder(folder: Path, part: Part, variant: Variant, step: int) -> Path:
    """Where a UNet of `variant`, trained for `step` steps, lies in a model folder."""
    return folder / "ootd" / f"ootd_{variant}" / f"checkpoint-{step}" / UNET_FOLDERS[part]


def save_part(folder: Path, module: nn.Module, *, dtype: torch.dtype) -> None:
    """Writes a diffusers or transformers network: config.json and one safetensors in `dtype`.

    folder: the part's own, such as `part_folder(model, Part.VAE)`; made if it is not there.
    Tensors that are not floating-point keep their type. The module stays as it is.
    Raises TypeError for a module without a config.
    """
    config = getattr(module, "config", None)
    if config is None:
        raise TypeError(f"{type(module).__name__} has no config, so it cannot be loaded again.")
    class_name = type(module).__name__
    if hasattr(config, "to_dict"):
        name, content = "model.safetensors", config.to_dict()
        content |= {"architectures": [class_name], "dtype": _json_name(dtype)}
    else:
        name, content = "diffusion_pytorch_model.safetensors", dict(config)
        content = {key: value for key, value in content.items() if not key.startswith("_")}
        content["_class_name"] = class_name
    state = {
        _published_key(class_name, key): value.detach()
        .to("cpu", dtype if value.is_floating_point() else None)
        .contiguous()
        for key, value in module.state_dict().items()
    }
    write_whole(folder / name, lambda path: save_file(state, path, metadata={"format": "pt"}))
    save_json(folder / "config.json", content)


def save_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a JSON object, such as a scheduler's config; dtypes in it become their names."""
    text = json.dumps(content, indent=2, sort_keys=True, default=_json_name) + "\n"
    write_whole(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def _published_key(class_name: str, key: str) -> str:
    """transformers 5 dropped the text tower's prefix, which published files have."""
    if class_name != "CLIPTextModel" or key.startswith(TEXT_PREFIX):
        return key
    return TEXT_PREFIX + key


def _json_name(value: object) -> str:
    return str(value).removeprefix("torch.")
