"""What is wired together: notes that travel along, and words where they do not fit.

ComfyUI's sockets know types, not meanings: a MASK of trousers fits beside a shirt's CONDITIONING,
and a sampler takes any MODEL. Silence would be a wrong picture. So our nodes leave notes on what
they hand on, and look at them where things meet. What cannot work is an error; what may be meant is
a warning.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import comfy.hooks
from comfy_execution.utils import get_executing_context
from torch import Tensor

from ..ootd_core.categories import Category

logger = logging.getLogger(__name__)
ENCODED = "ootd_encoded"  # keys of a conditioning's entries
FUSED = "ootd_fused"
_CATEGORY = "ootd_category"  # attribute of a MASK


def warn(sentence: str) -> None:
    """Log a warning, and show it on the node that is being executed."""
    logger.warning("%s", sentence)
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    context = get_executing_context()
    if server is not None and context is not None:
        # A node that another one expanded into is not on the user's canvas: that one is.
        server.send_progress_text(sentence, context.node_id.split(".")[0])


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Encoded:
    """Encode Garment's note in its conditioning.

    prompt: [G, tokens, channels], as it was encoded.
    """

    category: Category
    prompt: Tensor


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Fused:
    """Fused Denoiser's note in its conditioning: what the sampler needs beside the networks.

    person: [B, 4, h, w], latents as the sampler sees them (scaled). mask: [B, 1, h, w], 1 is
    redrawn. prompt: [G, tokens, channels]. sees_garment: the positive half.
    """

    person: Tensor
    mask: Tensor
    prompt: Tensor
    sees_garment: bool


def mark_mask(mask: Tensor, category: Category) -> Tensor:
    """The same MASK with a note of the category that it was generated for.

    What another node makes of the mask has no note, and nothing is said about it.
    """
    setattr(mask, _CATEGORY, category)
    return mask


def check_mask_category(mask: Tensor, conditioning: list[Any]) -> None:
    """Warn where a mask was generated for another category than the garment's."""
    masked: Category | None = getattr(mask, _CATEGORY, None)
    encoded: Encoded | None = conditioning[0][1].get(ENCODED)
    if masked is not None and encoded is not None and masked != encoded.category:
        warn(
            f"The mask was generated for category '{masked.value}', but the garment was encoded as "
            f"'{encoded.category.value}': choose the same category in Generate Try-On Mask and in "
            "Encode Garment."
        )


def check_prompt(conditioning: list[Any]) -> None:
    """Warn where a node after Encode Garment changed the prompt, which alone does little."""
    encoded: Encoded | None = conditioning[0][1].get(ENCODED)
    if encoded is not None and not _equal(conditioning[0][0], encoded.prompt):
        _warn_of_changed_prompt()


def check_same_garment(conditioning: list[Any], prompt: Tensor) -> None:
    """Warn where Fused Denoiser's conditioning is not the one (`prompt`) of the features."""
    if not _equal(conditioning[0][0], prompt):
        warn(
            "The conditioning is not the one that Outfitting UNet got, so it may belong to another "
            "garment: connect the same Encode Garment to both."
        )


def check_conditions(conditions: dict[str, list[dict[str, Any]]], cfg: float | None) -> Fused:
    """Fused Denoiser's note in a sampler's conditions, by their names as guiders have them.

    Raises ValueError where a condition that counts does not come from Fused Denoiser, or where
    positive and negative are swapped. Warns where the prompt was changed.
    """
    for name, entries in conditions.items():
        counts = name == "positive" or cfg != 1.0  # ComfyUI leaves the others out at cfg 1
        if counts and entries and not any(FUSED in entry for entry in entries):
            raise ValueError(
                f"The sampler's {name} conditioning does not come from Fused Denoiser: connect its "
                f"output {'negative' if name == 'negative' else 'positive'}. Encode Garment's "
                "conditioning goes to Outfitting UNet and Fused Denoiser."
            )
    seeing = [entry for entry in conditions.get("positive", []) if FUSED in entry]
    if not seeing:
        raise ValueError(
            "The sampler got no positive conditioning: connect Fused Denoiser's output positive."
        )
    fused: Fused = seeing[0][FUSED]
    if not fused.sees_garment:
        raise ValueError(
            "The sampler's positive conditioning is Fused Denoiser's negative, which sees no "
            "garment: connect positive to positive and negative to negative."
        )
    if not all(_equal(entry.get("cross_attn"), entry[FUSED].prompt) for entry in seeing):
        _warn_of_changed_prompt()
    return fused


def through_fused_denoiser(kind: str, key: str) -> comfy.hooks.HookGroup:
    """Hooks for a conditioning that refuse a MODEL without the wrapper of this kind and key.

    ComfyUI asks every hook of a conditioning, before it samples, whether to register with the
    model. This one never does, so that sampling goes on as if there were none.
    """

    def look(
        _hook: object,
        _model: object,
        model_options: dict[str, Any],
        _target: object,
        _registered: object,
    ) -> bool:
        wrappers = model_options.get("transformer_options", {}).get("wrappers", {})
        if not wrappers.get(kind, {}).get(key):
            raise ValueError(
                "The sampler's MODEL did not go through Fused Denoiser, so it would not see the "
                "garment: connect Fused Denoiser's output model to the sampler."
            )
        return False

    hook = comfy.hooks.TransformerOptionsHook({})
    hook.custom_should_register = look
    hooks = comfy.hooks.HookGroup()
    hooks.add(hook)
    return hooks


def _equal(found: Tensor | None, wanted: Tensor) -> bool:
    return found is wanted or (
        found is not None and found.shape == wanted.shape and bool((found == wanted).all())
    )


def _warn_of_changed_prompt() -> None:
    warn(
        "A node changed the conditioning's embedding after Encode Garment (Conditioning Average?), "
        "but the garment is drawn from its latents and features, which stay those of one garment. "
        "For more or less of it use cfg, or garment_strength of Fused Denoiser."
    )
