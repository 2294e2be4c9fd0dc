"""Outfitting fusion as hooks of ComfyUI's UNet: the person attends to itself and to the garment.

The recorded tokens travel in the conditioning (`GarmentCondition`), the positive with the
garment's, the negative with those of no garment, so that cfg is the paper's guidance. A wrapper of
the diffusion model (`GarmentAttention`) takes them, normalises them with the try-on block's own
norm1, once for a whole sampling, and hands them to every self-attention as an attn1 patch for that
one call. No module is changed: what is not called leaves no trace.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import comfy.model_patcher
import comfy.patcher_extension
import comfy.utils
import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor

from ..ootd_core.fusion import append_garment
from .native_networks import native_blocks

CONDITION = "ootd_garment"
_KEPT = 4  # normalised garments: both halves in one batch, or each by itself

BlockKey = tuple[str, int, int]


class GarmentCondition:
    """Recorded tokens as an entry of `model_conds`.

    It answers the four calls that ComfyUI makes on such entries. Unlike a tensor it is handed on
    as it is, neither copied nor moved at every step.
    """

    def __init__(self, features: list[Tensor], batch: int | None = None) -> None:
        """features: one [G, tokens, channels] for each block. batch: of the samples that attend
        to them; garments are repeated to it."""
        self.features = features
        self.batch = batch or len(features[0])

    def process_cond(self, batch_size: int, **_: object) -> GarmentCondition:
        return GarmentCondition(self.features, batch_size)

    def can_concat(self, other: GarmentCondition) -> bool:
        mine, theirs = ([tokens.shape[1:] for tokens in each.features] for each in (self, other))
        return mine == theirs

    def concat(self, others: Sequence[GarmentCondition]) -> tuple[GarmentCondition, ...]:
        return (self, *others)

    def size(self) -> list[int]:
        return [self.batch, 1, sum(tokens[0].numel() for tokens in self.features)]


@dataclass(eq=False)
class GarmentAttention:
    """The wrapper of one model. strength: what the garment's share in every attention is
    multiplied with, 1 as trained, 0 none. first_sigma, last_sigma: the noise levels between which
    it takes part."""

    KIND: ClassVar[str] = comfy.patcher_extension.WrappersMP.DIFFUSION_MODEL
    KEY: ClassVar[str] = "ootd_garment_attention"

    strength: float = 1.0
    first_sigma: float = math.inf
    last_sigma: float = 0.0
    _normalised: dict[Any, tuple[Any, list[Tensor]]] = field(default_factory=dict, init=False)

    def attach(self, model: comfy.model_patcher.ModelPatcher) -> None:
        """Put this wrapper into `model` (a clone), in the place of an earlier one."""
        cleanup = comfy.patcher_extension.CallbacksMP.ON_CLEANUP
        model.remove_wrappers_with_key(self.KIND, self.KEY)
        model.add_wrapper_with_key(self.KIND, self.KEY, self)
        model.remove_callbacks_with_key(cleanup, self.KEY)
        model.add_callback_with_key(cleanup, self.KEY, lambda _model: self._normalised.clear())

    def __call__(
        self,
        executor: Any,
        x: Tensor,
        timesteps: Tensor | None = None,
        context: Tensor | None = None,
        y: Tensor | None = None,
        control: Any = None,
        transformer_options: dict[str, Any] | None = None,
        **others: Any,
    ) -> Tensor:
        options = transformer_options or {}
        conditions = others.pop(CONDITION, None)
        if conditions is not None:
            blocks = native_blocks(executor.class_obj)
            shown = self._normalise(conditions, blocks, x) if self._takes_part(options) else {}
            options = _with_garment(options, shown, self.strength)
        return executor(x, timesteps, context, y, control, options, **others)

    def _takes_part(self, options: dict[str, Any]) -> bool:
        sigmas = options.get("sigmas")
        sigma = self.first_sigma if sigmas is None else float(sigmas.max())
        return self.strength > 0 and self.last_sigma <= sigma <= self.first_sigma

    def _normalise(
        self,
        conditions: GarmentCondition | tuple[GarmentCondition, ...],
        blocks: dict[BlockKey, Any],
        x: Tensor,
    ) -> dict[BlockKey, Tensor]:
        """Each block's garment tokens after its norm1: [B, tokens, channels], as x lies."""
        if isinstance(conditions, GarmentCondition):  # a single one was not concatenated
            conditions = (conditions,)
        key = (*((id(each.features), each.batch) for each in conditions), x.device, x.dtype)
        if key not in self._normalised:
            if len(self._normalised) >= _KEPT:
                self._normalised.clear()
            tokens = [
                torch.cat(
                    [
                        comfy.utils.repeat_to_batch_size(
                            block.norm1(each.features[number].to(x.device, x.dtype)), each.batch
                        )
                        for each in conditions
                    ]
                )
                for number, block in enumerate(blocks.values())
            ]
            # The conditions are kept with them: an id stays theirs as long as they live.
            self._normalised[key] = (conditions, tokens)
        return dict(zip(blocks, self._normalised[key][1], strict=True))


def _with_garment(
    options: dict[str, Any], garment: dict[BlockKey, Tensor], strength: float
) -> dict[str, Any]:
    """Transformer options under which every self-attention also sees the garment.

    Other packs' replacements of a self-attention expect as many keys as queries: they get the
    person's alone.
    """
    patches = options.get("patches", {})
    replaced = options.get("patches_replace", {})
    foreign = {
        key: _of_person_alone(call, garment) for key, call in replaced.get("attn1", {}).items()
    }
    scaled: dict[BlockKey, Callable[..., Tensor]] = {}
    if garment and strength != 1.0:
        scaled = {key: _scaled_share(strength, tokens) for key, tokens in garment.items()}
        scaled = {key: call for key, call in scaled.items() if key[:2] not in foreign}

    def append(query: Tensor, key: Tensor, value: Tensor, extra: dict[str, Any]) -> Any:
        tokens = _tokens_of(garment, extra)
        if tokens is None:
            return query, key, value
        return query, _append(query, key, tokens), _append(query, value, tokens)

    return {
        **options,
        "patches": {**patches, "attn1_patch": [*patches.get("attn1_patch", []), append]},
        "patches_replace": {**replaced, "attn1": {**scaled, **foreign}},
    }


def _append(query: Tensor, person: Tensor, garment: Tensor) -> Tensor:
    """The person's tokens and the garment's. Where queries were cut into tiles that make a larger
    batch (HyperTile), every tile gets its part of the person and the whole garment."""
    if len(query) != len(person):
        person = person.reshape(len(query), -1, person.shape[-1])
    return append_garment(person, garment)


def _of_person_alone(
    call: Callable[..., Tensor], garment: dict[BlockKey, Tensor]
) -> Callable[..., Tensor]:
    def trimmed(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any], **named: Any) -> Tensor:
        tokens = _tokens_of(garment, extra)
        person = k.shape[1] - (0 if tokens is None else tokens.shape[1])
        return call(q, k[:, :person], v[:, :person], extra, **named)

    return trimmed


def _tokens_of(garment: dict[BlockKey, Tensor], extra: dict[str, Any]) -> Tensor | None:
    return garment.get((*extra["block"], extra.get("block_index", 0)))


def _scaled_share(strength: float, garment: Tensor) -> Callable[..., Tensor]:
    """Self-attention in which the garment's weights count `strength` times, before they are
    normalised: its logits are raised by log(strength)."""

    def attend(q: Tensor, k: Tensor, v: Tensor, extra: dict[str, Any], **_: object) -> Tensor:
        bias = torch.zeros(k.shape[1], device=q.device, dtype=q.dtype)
        bias[-garment.shape[1] :] = math.log(strength)
        heads = extra["n_heads"]
        q, k, v = (
            rearrange(states, "batch tokens (heads width) -> batch heads tokens width", heads=heads)
            for states in (q, k, v)
        )
        attended = F.scaled_dot_product_attention(q, k, v, attn_mask=bias[None, None, None])
        return rearrange(attended, "batch heads tokens width -> batch tokens (heads width)")

    return attend
