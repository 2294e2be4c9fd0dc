"""`python -m benchmarks.comfyui_keys`: do the garment's kept keys and values pay inside ComfyUI?

There a hook appends the garment's normalised tokens to the person's, and the UNet's own layers
project both at every step; so every hook of other packs keeps working. Keeping the projections
instead saves that work and holds twice the numbers. Both are timed in turns on self-attentions of
Stable Diffusion 1.5's sizes, one guided step (batch 2) each; on a CPU in the processor's seconds,
which other programs do not stretch.
"""

import statistics
import time
from typing import Annotated

import torch
import torch.nn.functional as F
import typer
from einops import rearrange
from torch import Tensor, nn

from benchmarks import machine
from benchmarks.machine import parse_sizes

LEVELS = ((8, 320, 5), (16, 640, 5), (32, 1280, 5), (64, 1280, 1))
"""Pixels to a token's side, channels, how many self-attentions."""
HEADS = 8
BATCH = 2


class SelfAttention(nn.Module):
    """The projections and the attention of one self-attention, as ComfyUI computes them."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (
            nn.Linear(channels, channels, bias=False) for _ in range(3)
        )
        self.out = nn.Linear(channels, channels)

    def appended(self, person: Tensor, garment: Tensor) -> Tensor:
        """person, garment: [B, tokens, channels]. Everything projected anew."""
        both = torch.cat([person, garment], dim=1)
        return self._attend(person, self.key(both), self.value(both))

    def kept(self, person: Tensor, keys: Tensor, values: Tensor) -> Tensor:
        """keys, values: of the garment, [B, tokens, channels]."""
        key = torch.cat([self.key(person), keys], dim=1)
        return self._attend(person, key, torch.cat([self.value(person), values], dim=1))

    def _attend(self, person: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key, value = (
            rearrange(each, "b n (heads c) -> b heads n c", heads=HEADS)
            for each in (self.query(person), key, value)
        )
        attended = F.scaled_dot_product_attention(query, key, value)
        return self.out(rearrange(attended, "b heads n c -> b n (heads c)"))


@torch.inference_mode()
def main(
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, ...")] = "cpu",
    dtype: Annotated[str, typer.Option(help="float16 on a GPU by default")] = "",
    sizes: Annotated[str, typer.Option(help="HEIGHTxWIDTH, with commas")] = "512x384",
    repeats: Annotated[int, typer.Option(min=1)] = 5,
) -> None:
    """Print seconds, and what is held for a garment, with and without kept keys."""
    target = torch.device(device)
    precision = machine.choose_dtype(target, dtype)
    clock = time.process_time if target.type == "cpu" else time.perf_counter
    print(f"{machine.describe(target)}, {str(precision).removeprefix('torch.')}")
    for height, width in parse_sizes(sizes):
        appended, kept, held = 0.0, 0.0, 0
        for scale, channels, count in LEVELS:
            tokens = (height // scale) * (width // scale)
            attention = SelfAttention(channels).to(target, precision)
            generator = torch.Generator().manual_seed(0)
            person, garment = (
                torch.randn(BATCH, tokens, channels, generator=generator).to(target, precision)
                for _ in range(2)
            )
            keys, values = attention.key(garment), attention.value(garment)
            seconds: dict[str, list[float]] = {"appended": [], "kept": []}
            for _ in range(1 + repeats):
                for name, inputs in (("appended", (garment,)), ("kept", (keys, values))):
                    machine.wait_for(target)
                    start = clock()
                    getattr(attention, name)(person, *inputs)
                    machine.wait_for(target)
                    seconds[name].append(clock() - start)
            appended += count * statistics.median(seconds["appended"][1:])
            kept += count * statistics.median(seconds["kept"][1:])
            held += count * garment.numel() * garment.element_size()
        print(
            f"{height}x{width} self-attentions of a guided step: appended {appended:.4f} s, "
            f"kept {kept:.4f} s, saved {appended - kept:.4f} s; held for a garment "
            f"{held / 2**20:.0f} MiB and {2 * held / 2**20:.0f} MiB",
            flush=True,
        )


if __name__ == "__main__":
    typer.run(main)
