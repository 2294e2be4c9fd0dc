"""A guided step of the try-on UNet: this project's fused attention against the literal one.

    python -m benchmarks.fusion [--device cuda] [--sizes 512x384,1024x768] [--repeats 3]

The literal form does what the paper draws: in every self-attention the garment's tokens are
appended to the person's, the whole is normalised and attends to itself, and the garment's half is
thrown away. The fused form asks with the person's tokens only and keeps the garment's keys and
values from step to step. Both run interleaved in one process on the same weights and inputs.

FLOPs are those of torch's counter (2 for a multiply-add) for one step of batch 2, one sample with
guidance. The garment's own pass and its keys and values are not part of a step: they are computed
once. They are counted on the meta device, hence in no time and for any size.
"""

import statistics
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated

import torch
import typer
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks import machine, random_networks, whole_run
from benchmarks.literal import literal_fusion
from benchmarks.random_networks import NetworkLayout
from ootd_core.fusion import Fusion, prepare, record

PROMPT_TOKENS = 2  # of the half-body variant
TIMESTEP = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """Seconds (medians over the repeats) of a step, and how far the two outputs are apart."""

    literal_seconds: float
    fused_seconds: float
    difference: float
    """Largest absolute difference, relative to the largest absolute value."""


@contextmanager
def fused(unet: UNet2DConditionModel, features: Sequence[Tensor]) -> Generator[None]:
    """The same with this project's fusion."""
    with Fusion(unet) as fusion:
        fusion.set(prepare(unet, features))
        yield


def read_garment(unet: UNet2DConditionModel, height: int, width: int) -> list[Tensor]:
    """Features of a random garment and of an empty one: batch 2, as guidance wants them."""
    latents = _random(unet, 1, 4, height // 8, width // 8)
    return record(unet, torch.cat([latents, torch.zeros_like(latents)]), _prompt(unet))


def step(unet: UNet2DConditionModel, height: int, width: int) -> Tensor:
    """The prediction of one guided step, the same input at every call."""
    latents = _random(unet, 2, 8, height // 8, width // 8)
    timestep = torch.tensor(TIMESTEP, device=unet.device)
    return unet(latents, timestep, _prompt(unet), return_dict=False)[0]


def _prompt(unet: UNet2DConditionModel) -> Tensor:
    return _random(unet, 2, PROMPT_TOKENS, unet.config["cross_attention_dim"])


def _random(unet: UNet2DConditionModel, *shape: int) -> Tensor:
    if unet.device.type == "meta":
        return torch.empty(shape, device="meta")
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator).to(unet.device, unet.dtype)


def count_flops(layout: NetworkLayout, height: int, width: int) -> tuple[int, int]:
    """FLOPs of a literal and of a fused step."""
    with torch.device("meta"):
        outfitting_unet = random_networks.make_outfitting_unet(layout)
        tryon_unet = random_networks.make_tryon_unet(layout)
    features = read_garment(outfitting_unet, height, width)
    counts: list[int] = []
    for form in (literal_fusion, fused):
        with form(tryon_unet, features), FlopCounterMode(display=False) as counter:
            step(tryon_unet, height, width)
        counts.append(counter.get_total_flops())
    return counts[0], counts[1]


def compare(
    unet: UNet2DConditionModel, features: Sequence[Tensor], height: int, width: int, repeats: int
) -> Comparison:
    """Runs both forms in turns: literal, fused, literal, fused, after one of each to warm up."""
    seconds: dict[str, list[float]] = {"literal": [], "fused": []}
    outputs: dict[str, Tensor] = {}
    for _ in range(1 + repeats):
        for name, form in (("literal", literal_fusion), ("fused", fused)):
            with form(unet, features):
                machine.wait_for(unet.device)
                start = time.perf_counter()
                outputs[name] = step(unet, height, width)
                machine.wait_for(unet.device)
                seconds[name].append(time.perf_counter() - start)
    literal = outputs["literal"].float()
    difference = (outputs["fused"].float() - literal).abs().max() / literal.abs().max()
    return Comparison(
        literal_seconds=statistics.median(seconds["literal"][1:]),
        fused_seconds=statistics.median(seconds["fused"][1:]),
        difference=float(difference),
    )


def print_flops(layout: NetworkLayout, height: int, width: int) -> tuple[int, int]:
    literal, fused_count = count_flops(layout, height, width)
    print(
        f"{height}x{width} TFLOP a step: literal {literal / 1e12:.3f}, "
        f"fused {fused_count / 1e12:.3f}, ratio {fused_count / literal:.3f}",
        flush=True,
    )
    return literal, fused_count


def print_comparison(result: Comparison, flops: tuple[int, int], size: tuple[int, int]) -> None:
    height, width = size
    speeds = [
        count / seconds / 1e12
        for count, seconds in zip(
            flops, (result.literal_seconds, result.fused_seconds), strict=True
        )
    ]
    print(
        f"{height}x{width} seconds a step: literal {result.literal_seconds:.4f}, "
        f"fused {result.fused_seconds:.4f}, "
        f"ratio {result.fused_seconds / result.literal_seconds:.3f}; "
        f"TFLOP/s: literal {speeds[0]:.2f}, fused {speeds[1]:.2f}; "
        f"largest difference {result.difference:.1e}",
        flush=True,
    )


@torch.inference_mode()
def main(
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, ...")] = "cpu",
    dtype: Annotated[
        str, typer.Option(help="float32, float16 or bfloat16; float16 on a GPU by default")
    ] = "",
    sizes: Annotated[str, typer.Option(help="HEIGHTxWIDTH of the picture, with commas")] = (
        "512x384,1024x768"
    ),
    repeats: Annotated[int, typer.Option(min=0, help="0 counts FLOPs and times nothing")] = 3,
    tiny: Annotated[bool, typer.Option(help="small networks, to see that all runs")] = False,
    whole: Annotated[
        bool | None,
        typer.Option(help="also time whole try-ons of 20 steps; by default on a GPU only"),
    ] = None,
) -> None:
    """Compares fused with literal attention, in FLOPs, seconds and output."""
    layout = random_networks.TINY if tiny else random_networks.FULL
    wanted = machine.parse_sizes(sizes)
    target = torch.device(device)
    precision = machine.choose_dtype(target, dtype)
    print(f"{machine.describe(target)}, {str(precision).removeprefix('torch.')}")
    flops = [print_flops(layout, height, width) for height, width in wanted]
    if repeats:
        # One UNet after the other, so that only one of them is in memory.
        outfitting_unet = random_networks.make_outfitting_unet(layout)
        machine.place(outfitting_unet, target, precision)
        features = [read_garment(outfitting_unet, *size) for size in wanted]
        del outfitting_unet
        tryon_unet = random_networks.make_tryon_unet(layout)
        machine.place(tryon_unet, target, precision)
        for size, garment, counts in zip(wanted, features, flops, strict=True):
            print_comparison(compare(tryon_unet, garment, *size, repeats), counts, size)
        del tryon_unet, features
    if target.type == "cuda" if whole is None else whole:
        networks = whole_run.make_networks(layout, target, precision)
        for size in wanted:
            print(whole_run.compare(networks, size, repeats, layout=layout).table(), flush=True)


if __name__ == "__main__":
    typer.run(main)
