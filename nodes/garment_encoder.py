"""The garment encoder: both CLIP towers in a ModelPatcher, so that ComfyUI places them.

The towers are small beside the UNets and of stock transformers, so they are moved as a whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import comfy.model_management
import comfy.model_patcher
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..ootd_core.categories import Category, Variant, check_category
from ..ootd_core.checkpoints.locating import CheckpointPaths
from ..ootd_core.conditioning import encode_prompt

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor, CLIPTokenizer


class GarmentEncoder:
    """Garment pictures and their category -> the prompt of both UNets."""

    def __init__(
        self,
        variant: Variant,
        towers: nn.ModuleDict,
        tokenizer: CLIPTokenizer,
        image_processor: CLIPImageProcessor,
    ) -> None:
        management = comfy.model_management
        self.variant = variant
        self.tokenizer = tokenizer
        self.image_processor = image_processor
        self.patcher = comfy.model_patcher.ModelPatcher(
            towers,
            load_device=management.text_encoder_device(),
            offload_device=management.text_encoder_offload_device(),
        )

    def encode(self, garments: Sequence[NDArray[np.uint8]], category: Category) -> Tensor:
        """uint8 RGB [H,W,3] each -> float32 [G, tokens, channels] on the CPU.

        Raises ValueError if the variant does not take the category.
        """
        check_category(self.variant, category)
        comfy.model_management.load_models_gpu([self.patcher])
        towers: Any = self.patcher.model
        prompts: list[Tensor] = []
        with torch.no_grad():
            for garment in garments:
                comfy.model_management.throw_exception_if_processing_interrupted()
                prompt = encode_prompt(
                    self.variant,
                    category,
                    garment,
                    text_encoder=towers["text"],
                    tokenizer=self.tokenizer,
                    image_encoder=towers["vision"],
                    image_processor=self.image_processor,
                )
                prompts.append(prompt.float().cpu())
        return torch.cat(prompts)


def load_garment_encoder(
    paths: CheckpointPaths, prompt_channels: int, dtype: torch.dtype
) -> GarmentEncoder:
    """The encoder of a located checkpoint whose UNets take prompts of `prompt_channels`.

    Raises ValueError or FileNotFoundError, one sentence, for a file that cannot be used.
    """
    from ..ootd_core.checkpoints import clip_towers

    cpu = torch.device("cpu")
    text = clip_towers.load_text_encoder(paths.text_encoder, cpu, dtype)
    vision = clip_towers.load_image_encoder(paths.image_encoder, cpu, dtype)
    clip_towers.check_widths(paths, text, vision, prompt_channels)
    return GarmentEncoder(
        paths.variant,
        nn.ModuleDict({"text": text, "vision": vision}),
        clip_towers.load_tokenizer(paths.tokenizer, paths.text_encoder.remedy),
        clip_towers.load_image_processor(paths.image_processor, paths.image_encoder.remedy),
    )
