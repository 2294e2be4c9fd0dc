"""CLIP's two towers with tokenizer and image processor, from a model folder's files.

The half of network loading that needs transformers but not diffusers, so that both hosts use it.
Names that older library versions wrote (the published text encoder is that old) are translated.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import transformers
from torch import Tensor
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from .locating import CheckpointPaths, PartFiles, check_tokenizer
from .modules import Module, fill_module, known_entries, unfit
from .reading import read_json

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor


def load_text_encoder(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> CLIPTextModel:
    """CLIP's text tower."""
    config = read_json(files.config, remedy=files.remedy)
    text_encoder = _build_clip(CLIPTextModel, CLIPTextConfig, config, files)
    return fill_module(text_encoder, files.read_state_dict(), files, device, dtype)


def load_image_encoder(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> CLIPVisionModelWithProjection:
    """CLIP's vision tower with its projection, from a file of both towers or of this one alone."""
    config = read_json(files.config, remedy=files.remedy)
    if "vision_config" in config:
        width = {k: v for k, v in config.items() if k == "projection_dim"}
        config = config["vision_config"] | width
    image_encoder = _build_clip(CLIPVisionModelWithProjection, CLIPVisionConfig, config, files)
    state = {
        key: value
        for key, value in files.read_state_dict().items()
        if key.startswith(("vision_model.", "visual_projection."))
    }
    return fill_module(image_encoder, state, files, device, dtype)


def load_tokenizer(folder: Path, remedy: str) -> CLIPTokenizer:
    """CLIP's tokenizer; errors as in `check_tokenizer`, also for settings that it cannot take."""
    check_tokenizer(folder, remedy)
    try:
        return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)
    except Exception as error:  # the Rust library under it raises Exception itself
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"The tokenizer in {folder} cannot be used ({reason}): {remedy}."
        ) from error


def load_image_processor(path: Path, remedy: str) -> "CLIPImageProcessor":
    """The processor that works with Pillow, whose pixels the networks were trained on.

    transformers 5 gave its name to one that resizes with torchvision; before that there was one.
    """
    name = "CLIPImageProcessorPil"
    factory = getattr(transformers, name if hasattr(transformers, name) else name[:-3])
    return factory.from_dict(read_json(path, remedy=remedy))


def check_widths(
    paths: CheckpointPaths,
    text_encoder: CLIPTextModel,
    image_encoder: CLIPVisionModelWithProjection,
    expected: int,
) -> None:
    """Raises ValueError unless both towers give the `expected` channels of the UNets' prompt.

    A CLIP of another size than the UNets were trained with loads, and would fail in use.
    """
    widths = (text_encoder.config.hidden_size, image_encoder.config.projection_dim)
    for files, width in zip((paths.text_encoder, paths.image_encoder), widths, strict=True):
        if width != expected:
            raise unfit(
                files, f"gives {width} channels where the UNets take {expected}", files.weights
            )


def _build_clip(
    factory: Callable[[Any], Module],
    config_factory: Callable[..., Any],
    config: Mapping[str, Any],
    files: PartFiles,
) -> Module:
    try:
        clip_config = config_factory(**known_entries(config_factory, config))
        with torch.device("meta"):
            tower = factory(clip_config)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise unfit(files, f"builds no {files.part} ({error})", files.config) from error
    # Not part of any file since transformers 4.31, and so left on the meta device by the filling.
    for module in tower.modules():
        ids = getattr(module, "position_ids", None)
        if isinstance(ids, Tensor):
            module.position_ids = torch.arange(ids.shape[-1], device="cpu").expand(ids.shape)
    return tower
