"""A whole try-on with networks of random weights: seconds, FLOPs and TFLOP/s for each stage.

The very pipeline that dresses people runs, stage by stage, at 20 steps with guidance. The first
run, under torch's FLOP counter, warms up; the medians of the others are printed, with the peak of
the memory that torch allocated where the device keeps count (weights included).
"""

import statistics
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPImageProcessorPil, CLIPTokenizer

from benchmarks import machine, random_networks
from benchmarks.random_networks import LabelTokens, NetworkLayout
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import Networks
from ootd_core.images.tensors import to_images
from ootd_core.latents import decode
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor

STEPS = 20
GIB = 2**30

Result = TypeVar("Result")


class Stages:
    """Measures stages one after the other, by their names, over several runs."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.counting = False
        self.flops: dict[str, int] = {}
        self.seconds: dict[str, list[float]] = {}

    def run(self, name: str, stage: Callable[[], Result]) -> Result:
        if self.counting:
            with FlopCounterMode(display=False) as counter:
                result = stage()
            self.flops[name] = counter.get_total_flops()
            return result
        machine.wait_for(self.device)
        start = time.perf_counter()
        result = stage()
        machine.wait_for(self.device)
        self.seconds.setdefault(name, []).append(time.perf_counter() - start)
        return result

    def lines(self) -> list[str]:
        """A line for each stage and one for all of them."""
        medians = {name: statistics.median(times) for name, times in self.seconds.items()}
        rows = [(name, seconds, self.flops[name]) for name, seconds in medians.items()]
        rows.append(("total", sum(medians.values()), sum(self.flops.values())))
        return [
            f"  {name:<8} {seconds:9.4f} s  {flops / 1e12:9.3f} TFLOP  "
            f"{flops / seconds / 1e12:8.2f} TFLOP/s"
            for name, seconds, flops in rows
        ]


def make_networks(layout: NetworkLayout, device: torch.device, dtype: torch.dtype) -> Networks:
    """Half-body networks of random weights."""
    networks = Networks(
        variant=Variant.HALF_BODY,
        vae=random_networks.make_vae(layout),
        text_encoder=random_networks.make_text_encoder(layout),
        tokenizer=cast(CLIPTokenizer, LabelTokens()),
        image_encoder=random_networks.make_image_encoder(layout),
        image_processor=cast("CLIPImageProcessor", CLIPImageProcessorPil()),
        outfitting_unet=random_networks.make_outfitting_unet(layout),
        tryon_unet=random_networks.make_tryon_unet(layout),
        scheduler_config=random_networks.SCHEDULER_CONFIG,
        device=device,
        dtype=dtype,
    )
    for network in (
        networks.vae,
        networks.text_encoder,
        networks.image_encoder,
        networks.outfitting_unet,
        networks.tryon_unet,
    ):
        machine.place(network, device, dtype)
    return networks


def make_request(height: int, width: int) -> TryOnRequest:
    """Pictures of noise; the mask covers the middle."""
    random = np.random.default_rng(0)
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = True
    return TryOnRequest(
        person=random.integers(0, 256, (height, width, 3), np.uint8),
        garment=random.integers(0, 256, (height, width, 3), np.uint8),
        mask=mask,
        category=Category.UPPER,
        num_inference_steps=STEPS,
    )


def run_stages(pipeline: TryOnPipeline, request: TryOnRequest, stages: Stages) -> None:
    """One try-on: what `TryOnPipeline.__call__` does, with a clock around every stage."""
    prompt = stages.run("prompt", lambda: pipeline.encode_prompt(request))
    garment = stages.run("garment", lambda: pipeline.read_garment(request, prompt))
    person = stages.run("person", lambda: pipeline.encode_person(request))
    latents = stages.run("denoise", lambda: pipeline.denoise(request, prompt, garment, person))
    stages.run("decode", lambda: to_images(decode(pipeline.networks.vae, latents)))


def main(
    layout: NetworkLayout,
    sizes: Sequence[tuple[int, int]],
    device: torch.device,
    dtype: torch.dtype,
    repeats: int,
) -> None:
    """Prints the stages of a whole run at each (height, width)."""
    pipeline = TryOnPipeline(make_networks(layout, device, dtype))
    for height, width in sizes:
        request = make_request(height, width)
        stages = Stages(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        for run in range(1 + max(1, repeats)):
            stages.counting = run == 0
            run_stages(pipeline, request, stages)
        print(f"{height}x{width} whole run, {STEPS} steps:")
        print("\n".join(stages.lines()))
        if device.type == "cuda":
            peak = torch.cuda.max_memory_allocated(device) / GIB
            print(f"  peak memory {peak:.2f} GiB", flush=True)
