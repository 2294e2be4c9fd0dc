"""Outfitting fusion: the garment's tokens, recorded in one UNet, are attended to in another.

Two UNets of the same layout take part. The *outfitting* UNet reads the garment once, at timestep
0, and the tokens that enter each of its transformer blocks are kept (`record`). In every
self-attention of the *try-on* UNet the person then looks at its own tokens and at the garment's.
Whatever does not depend on the person - norm1 and the key and value projections of the garment's
tokens - is computed once (`prepare`) and reused in every step; the garment never asks a question
itself, so it needs no queries. Source: arXiv 2403.01779, sections 3.2 and 3.3.

Works on any UNet that is built like diffusers' UNet2DConditionModel. `Fusion` changes a UNet from
outside, and `eject` undoes it without a trace.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol, Self

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn


class UNet(Protocol):
    """What this module needs of diffusers' UNet2DConditionModel."""

    @property
    def down_blocks(self) -> Iterable[Any]: ...
    @property
    def mid_block(self) -> Any: ...
    @property
    def up_blocks(self) -> Iterable[Any]: ...
    def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


@dataclass(frozen=True, slots=True)
class KeysAndValues:
    """The garment's share in one self-attention of the try-on UNet: [G, tokens, channels] each."""

    keys: Tensor
    values: Tensor


def transformer_blocks(unet: UNet) -> list[Any]:
    """The transformer blocks in the order in which a forward pass runs them: down, mid, up.

    Not the order of `named_modules()`, which lists the middle last. 16 blocks in the SD1.5 layout.
    """
    stages = [*unet.down_blocks, unet.mid_block, *unet.up_blocks]
    return [
        block
        for stage in stages
        for attention in getattr(stage, "attentions", ())
        for block in attention.transformer_blocks
    ]


class _LastBlockReached(Exception):  # noqa: N818 - not an error
    """Unwinds the outfitting UNet: what follows its last recorded block is of no use."""


def record(outfitting_unet: UNet, latents: Tensor, prompt: Tensor) -> list[Tensor]:
    """Reads the garment: the tokens that enter each transformer block, before its norm1.

    Args:
        outfitting_unet: stays as it is; gradients flow if they are enabled. With gradient
            checkpointing each block is still recorded once: what is recorded enters the
            checkpointed stretch from outside, and no hook is left when it is computed again.
        latents: garment latents [G, 4, h, w], not multiplied by the VAE's scaling factor. A garment
            of zeros is the unconditional one.
        prompt: prompt embedding [G, tokens, channels].

    Returns one tensor [G, h' * w', channels] for each block, in execution order.
    """
    timestep = torch.zeros((), dtype=torch.long, device=latents.device)
    with _last_block_uncheckpointed(outfitting_unet):
        return record_tokens(
            transformer_blocks(outfitting_unet),
            lambda: outfitting_unet(latents, timestep, encoder_hidden_states=prompt),
        )


@contextmanager
def _last_block_uncheckpointed(unet: UNet) -> Generator[None]:
    """The last block only stops the pass, and must not do so from within a checkpoint."""
    last = list(unet.up_blocks)[-1].attentions[-1]
    checkpointing = getattr(last, "gradient_checkpointing", False)
    last.gradient_checkpointing = False
    try:
        yield
    finally:
        last.gradient_checkpointing = checkpointing


def record_tokens(
    blocks: Sequence[nn.Module],
    forward: Callable[[], object],
    on_block: Callable[[], None] | None = None,
) -> list[Tensor]:
    """Runs `forward` as far as the last of `blocks` and returns what enters each of them.

    blocks: in the order in which `forward` runs them. on_block is called at each and may raise to
    cancel. Returns [G, tokens, channels] for each block; the blocks stay as they were.
    """
    features: list[Tensor] = []

    def keep(_block: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        features.append(inputs[0])
        if on_block is not None:
            on_block()
        if len(features) == len(blocks):
            raise _LastBlockReached

    hooks = [block.register_forward_pre_hook(keep) for block in blocks]
    try:
        with suppress(_LastBlockReached):
            forward()
    finally:
        for hook in hooks:
            hook.remove()
    return features


def prepare(tryon_unet: UNet, features: Sequence[Tensor]) -> list[KeysAndValues]:
    """Turns recorded tokens into keys and values for every self-attention of the try-on UNet.

    Args:
        features: what `record` returned, one [G, tokens, channels] for each transformer block.

    Raises ValueError if the two UNets do not have the same number of transformer blocks.
    """
    blocks = transformer_blocks(tryon_unet)
    if len(blocks) != len(features):
        raise ValueError(
            f"{len(features)} transformer blocks were recorded, but the try-on UNet has "
            f"{len(blocks)}: load both UNets from the same checkpoint."
        )
    garment: list[KeysAndValues] = []
    for block, tokens in zip(blocks, features, strict=True):
        tokens = block.norm1(tokens)
        garment.append(KeysAndValues(block.attn1.to_k(tokens), block.attn1.to_v(tokens)))
    return garment


class FusedAttention:
    """A diffusers attention processor: self-attention of the person over person and garment.

    The person's batch B may be a multiple of the garment's batch G: B // G consecutive samples
    share one garment. Without a garment it is plain self-attention.
    """

    def __init__(self) -> None:
        self.garment: KeysAndValues | None = None

    def __call__(self, attn: Any, hidden_states: Tensor, **_: object) -> Tensor:
        """hidden_states: the person's tokens after norm1 [B, tokens, channels]; returns the same.

        diffusers also passes an encoder's states and a mask; self-attention has neither.
        """
        heads: int = attn.heads
        query = attn.to_q(hidden_states)
        key = attn.to_k(hidden_states)
        value = attn.to_v(hidden_states)
        if self.garment is not None:
            key = append_garment(key, self.garment.keys)
            value = append_garment(value, self.garment.values)
        query, key, value = (
            rearrange(states, "batch tokens (heads width) -> batch heads tokens width", heads=heads)
            for states in (query, key, value)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        attended = rearrange(attended, "batch heads tokens width -> batch tokens (heads width)")
        projection, dropout = attn.to_out
        return dropout(projection(attended))


def append_garment(person: Tensor, garment: Tensor) -> Tensor:
    """[B, p, c] and [G, g, c] -> [B, p + g, c], each garment repeated for its B // G samples.

    Raises ValueError if B is no multiple of G.
    """
    samples, remainder = divmod(len(person), len(garment))
    if remainder:
        raise ValueError(
            f"A batch of {len(person)} cannot share {len(garment)} garments evenly: "
            "make it a multiple of their number."
        )
    if samples > 1:
        garment = garment.repeat_interleave(samples, dim=0)
    return torch.cat([person, garment], dim=1)


class Fusion:
    """Lets a try-on UNet attend to a garment for as long as it is injected.

        with Fusion(tryon_unet) as fusion:
            fusion.set(prepare(tryon_unet, record(outfitting_unet, latents, prompt)))
            ...

    Only the self-attention processors are exchanged; `eject` puts the very same objects back.
    """

    def __init__(self, tryon_unet: UNet) -> None:
        self._attentions = [block.attn1 for block in transformer_blocks(tryon_unet)]
        self._processors = [FusedAttention() for _ in self._attentions]
        self._originals: list[Any] = []

    def inject(self) -> Self:
        """Raises RuntimeError if this UNet is fused already."""
        if any(isinstance(attention.processor, FusedAttention) for attention in self._attentions):
            raise RuntimeError("This UNet is fused already: eject the other Fusion first.")
        self._originals = [attention.processor for attention in self._attentions]
        for attention, processor in zip(self._attentions, self._processors, strict=True):
            attention.set_processor(processor)
        return self

    def eject(self) -> None:
        """Restores the UNet and lets go of the garment. Does nothing if not injected."""
        if self._originals:
            for attention, original in zip(self._attentions, self._originals, strict=True):
                attention.set_processor(original)
            self._originals = []
            self.set(None)

    def set(self, garment: Sequence[KeysAndValues] | None) -> None:
        """Loads a garment from `prepare`; None leaves plain self-attention (no garment at all)."""
        shares = [None] * len(self._processors) if garment is None else garment
        for processor, share in zip(self._processors, shares, strict=True):
            processor.garment = share

    def __enter__(self) -> Self:
        return self.inject()

    def __exit__(self, *_: object) -> None:
        self.eject()
