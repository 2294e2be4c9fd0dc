"""GPU memory that a training needs, computed on tensors without content: nothing is measured.

    python -m benchmarks.training_memory --sizes 512x384,1024x768

Weights, gradients, AdamW's moments and averages are counted exactly. Activations are what autograd
keeps of one batch through both full-size UNets, in bf16 as CUDA's autocast computes (normalisation
in fp32), each storage once. With gradient checkpointing they are what enters each stretch, what is
kept outside of them, and the largest stretch while it is computed again. Not in it: the allocator's
slack, workspaces of the libraries and the CUDA context; leave a tenth and 1 GiB for them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from benchmarks.random_networks import (
    FULL,
    TINY,
    NetworkLayout,
    make_image_encoder,
    make_outfitting_unet,
    make_text_encoder,
    make_tryon_unet,
    make_vae,
)
from ootd_core.fusion import Fusion, prepare, record
from ootd_core.training.lora import Adapters

GIB = 2**30
FP32, BF16 = 4, 2


@dataclass(slots=True)
class Kept:
    """Storages that autograd holds, counted once; the networks' own weights are left out."""

    known: set[int] = field(default_factory=set[int])
    held: list[Tensor] = field(default_factory=list[Tensor])
    bytes: int = 0

    def add(self, tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage_number(tensor) not in self.known:
            self.known.add(storage_number(tensor))
            self.held.append(tensor)  # its number may not be given to another one
            self.bytes += storage.nbytes()
        return tensor


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """Bytes. fixed: weights, gradients, moments, averages, encoders. activations: of one batch."""

    fixed: int
    activations: int

    @property
    def total(self) -> int:
        return self.fixed + self.activations


def training_need(
    layout: NetworkLayout,
    height: int,
    width: int,
    batch: int,
    *,
    checkpointing: bool,
    lora_rank: int = 0,
) -> Need:
    """Return what a step of `batch` samples of height x width pixels needs."""
    with FakeTensorMode():
        outfitting, tryon = make_outfitting_unet(layout), make_tryon_unet(layout)
        encoders = (make_vae(layout), make_text_encoder(layout), make_image_encoder(layout))
        frozen = sum(map(count, encoders))
        trained = count(outfitting) + count(tryon)
        if lora_rank:
            networks: Any = Unets(outfitting, tryon)
            adapters = Adapters(networks, rank=lora_rank, alpha=1.0).inject()
            for unet in (outfitting, tryon):
                unet.requires_grad_(False)
            frozen += trained
            trained = sum(map(count, adapters.modules.values()))
        activations = activation_bytes(
            outfitting, tryon, (batch, height // 8, width // 8), layout.text_width, checkpointing
        )
    # weights, gradients, two moments, averages
    return Need(fixed=FP32 * (5 * trained + frozen), activations=activations)


@dataclass(frozen=True, slots=True)
class Unets:
    outfitting_unet: Any
    tryon_unet: Any


def activation_bytes(
    outfitting: Any, tryon: Any, shape: tuple[int, int, int], width: int, checkpointing: bool
) -> int:
    """Run both UNets forward; shape: batch and latents (b, h, w)."""
    kept = Kept()
    for unet in (outfitting, tryon):
        kept.known |= set(map(storage_number, unet.parameters()))
        normalise_in_fp32(unet)
    largest = 0

    def stretch(module: nn.Module, *arguments: Any) -> Any:
        nonlocal largest
        for argument in arguments:
            if isinstance(argument, Tensor):
                kept.add(argument)
        inner = Kept(known=set(kept.known))
        with saved_tensors_hooks(inner.add, lambda tensor: tensor):
            result = module(*arguments)
        largest = max(largest, inner.bytes)
        return result

    for unet in (outfitting, tryon):
        if checkpointing:
            unet.enable_gradient_checkpointing(gradient_checkpointing_func=stretch)
    forward(outfitting, tryon, shape, width, kept.add)
    # While the forward pass lasts, autocast keeps a bf16 copy of every weight that is trained.
    copies = sum(p.numel() for u in (outfitting, tryon) for p in u.parameters() if p.requires_grad)
    return kept.bytes + (max(largest, BF16 * copies) if checkpointing else 0)


def forward(
    outfitting: Any,
    tryon: Any,
    shape: tuple[int, int, int],
    width: int,
    keep: Callable[[Tensor], Tensor],
) -> None:
    """One pass of a training step, up to the predicted noise."""
    batch, rows, columns = shape
    garment, person = (torch.randn(batch, count, rows, columns) for count in (4, 8))
    prompt, timesteps = torch.randn(batch, 4, width), torch.ones(batch, dtype=torch.long)
    hooks = saved_tensors_hooks(keep, lambda tensor: tensor)
    with torch.autocast("cpu", torch.bfloat16), hooks, Fusion(tryon) as fusion:
        fusion.set(prepare(tryon, record(outfitting, garment, prompt)))
        tryon(person, timesteps, prompt, return_dict=False)


def normalise_in_fp32(unet: nn.Module) -> None:
    """Do as CUDA's autocast does, which computes group and layer norms in fp32."""
    for module in unet.modules():
        if isinstance(module, nn.GroupNorm | nn.LayerNorm):
            module.register_forward_pre_hook(lambda _module, inputs: (inputs[0].float(),))


def storage_number(tensor: Tensor) -> int:
    """Return what tells storages apart; they have no addresses here."""
    return tensor.untyped_storage()._cdata  # pyright: ignore[reportPrivateUsage]


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def main(
    sizes: Annotated[str, typer.Option(help="height x width, several with commas")] = (
        "512x384,1024x768"
    ),
    batches: Annotated[str, typer.Option(help="samples at once, several with commas")] = "1,4,16",
    lora_rank: Annotated[int, typer.Option(min=0, help="of a LoRA; 0 trains all weights")] = 0,
    tiny: Annotated[bool, typer.Option(help="small networks, to see that it runs")] = False,
) -> None:
    """Print a table of the memory needed."""
    layout = TINY if tiny else FULL
    typer.echo("computed, not measured; GiB")
    typer.echo(f"{'size':>10}{'batch':>7}{'checkpointing':>15}{'fixed':>8}{'batch':>8}{'sum':>8}")
    for size in sizes.split(","):
        height, width = map(int, size.split("x"))
        for checkpointing in (True, False):
            for batch in map(int, batches.split(",")):
                need = training_need(
                    layout,
                    height,
                    width,
                    batch,
                    checkpointing=checkpointing,
                    lora_rank=lora_rank,
                )
                figures = (need.fixed, need.activations, need.total)
                row = "".join(f"{figure / GIB:8.1f}" for figure in figures)
                typer.echo(f"{size:>10}{batch:7}{'on' if checkpointing else 'off':>15}{row}")


if __name__ == "__main__":
    typer.run(main)
