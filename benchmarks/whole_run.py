"""A whole try-on, this project's against the literal one: seconds, FLOPs, memory of each stage.

    python -m benchmarks.whole_run [--device cuda] [--sizes 512x384] [--steps 20] [--samples 1]

Networks of random weights in the published layout, or those of a model folder (--model), for which
parsing and pose are measured, too; the two sides share these. Both sides run in turn in one
process, first ours, on the very same networks and inputs. The literal side is `benchmarks.literal`.
FLOPs are torch's count (2 for a multiply-add). Seconds are processor-seconds on a CPU. Peak memory
includes the weights: what torch allocated on CUDA, what the process held on Linux's CPUs.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar, cast

import numpy as np
import torch
import typer
from torch.utils.flop_counter import FlopCounterMode
from transformers import CLIPImageProcessorPil, CLIPTokenizer

from benchmarks import literal, machine, random_networks
from benchmarks.random_networks import LabelTokens, NetworkLayout
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.conditioning import TEXT_TOKENS
from ootd_core.fusion import Fusion, KeysAndValues, prepare, record
from ootd_core.images.tensors import to_images
from ootd_core.latents import SCALE, decode
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from tryon.perception import PersonNetworks

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor

STEPS = 20
GIB = 2**30

Result = TypeVar("Result")


@dataclass(slots=True)
class Stages:
    """Measures stages one after the other, by their names, over several runs."""

    device: torch.device
    recording: bool = True
    flops: dict[str, int] = field(default_factory=dict[str, int])
    seconds: dict[str, list[float]] = field(default_factory=dict[str, list[float]])
    memory: dict[str, int] = field(default_factory=dict[str, int])
    """Bytes; empty where the device keeps no count."""

    def run(self, name: str, stage: Callable[[], Result]) -> Result:
        if not self.recording:
            return stage()
        machine.reset_peak_memory(self.device)
        start = machine.seconds(self.device)
        result = stage()
        self.seconds.setdefault(name, []).append(machine.seconds(self.device) - start)
        peak = machine.peak_memory(self.device)
        if peak is not None:
            self.memory[name] = max(peak, self.memory.get(name, 0))
        return result

    def medians(self) -> dict[str, float]:
        """Seconds of each stage, and of all of them as "total"."""
        found = {name: statistics.median(times) for name, times in self.seconds.items()}
        return {**found, "total": sum(found.values())}


@dataclass(frozen=True, kw_only=True, slots=True)
class StageComparison:
    """Both sides' stages, and how far their pictures are apart (levels of 255)."""

    title: str
    ours: Stages
    literal: Stages
    difference: int

    @property
    def ratio(self) -> float:
        """Seconds of ours over those of the literal one."""
        return self.ours.medians()["total"] / self.literal.medians()["total"]

    def table(self) -> str:
        """A line for each stage, one for all of them, and the ratio."""
        lines = [f"{self.title}, largest difference of the pictures {self.difference} of 255"]
        for name, stages in (("ours", self.ours), ("literal", self.literal)):
            flops = {**stages.flops, "total": sum(stages.flops.values())}
            memory = {**stages.memory, "total": max(stages.memory.values(), default=0)}
            for stage, seconds in stages.medians().items():
                line = f"  {name:<8} {stage:<8} {seconds:9.3f} s"
                if flops["total"]:
                    line += f"  {flops[stage] / 1e12:9.3f} TFLOP"
                    line += f"  {flops[stage] / seconds / 1e12:8.3f} TFLOP/s"
                if memory.get(stage):
                    line += f"  {memory[stage] / GIB:6.2f} GiB"
                lines.append(line)
        ours, other = (sum(each.flops.values()) for each in (self.ours, self.literal))
        counted = f", of the operations {ours / other:.3f}" if other else ""
        return "\n".join([*lines, f"  ratio of the seconds {self.ratio:.3f}{counted}"])


def make_networks(layout: NetworkLayout, device: torch.device, dtype: torch.dtype) -> Networks:
    """Half-body networks of random weights, the same ones in every run."""
    torch.manual_seed(0)
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


def make_request(height: int, width: int, steps: int = STEPS, samples: int = 1) -> TryOnRequest:
    """Pictures of noise; the mask covers the middle."""
    random = np.random.default_rng(0)
    mask = np.zeros((height, width), np.bool_)
    mask[height // 4 : -height // 4, width // 4 : -width // 4] = True
    return TryOnRequest(
        person=random.integers(0, 256, (height, width, 3), np.uint8),
        garment=random.integers(0, 256, (height, width, 3), np.uint8),
        mask=mask,
        category=Category.UPPER,
        num_inference_steps=steps,
        num_images_per_prompt=samples,
    )


def run_ours(
    pipeline: TryOnPipeline, request: TryOnRequest, stages: Stages, see: Callable[[], object] | None
) -> np.ndarray:
    """One try-on: what `TryOnPipeline.__call__` does, with a clock around every stage."""
    if see is not None:
        stages.run("see", see)
    prompt = stages.run("prompt", lambda: pipeline.encode_prompt(request))
    garment = stages.run("garment", lambda: pipeline.read_garment(request, prompt))
    person = stages.run("person", lambda: pipeline.encode_person(request))
    latents = stages.run("denoise", lambda: pipeline.denoise(request, prompt, garment, person))

    def pictures() -> np.ndarray:
        vae = pipeline.networks.vae
        return np.concatenate([to_images(decode(vae, each)) for each in latents.split(1)])

    return stages.run("decode", pictures)


def run_literal(
    pipeline: TryOnPipeline, request: TryOnRequest, stages: Stages, see: Callable[[], object] | None
) -> np.ndarray:
    """The same stages of the literal try-on; prompt and person are what ours are."""
    networks = pipeline.networks
    if see is not None:
        stages.run("see", see)
    prompt = stages.run("prompt", lambda: pipeline.encode_prompt(request))
    garment = stages.run("garment", lambda: literal.read_garment(networks, request, prompt))
    person = stages.run("person", lambda: pipeline.encode_person(request))
    latents = stages.run(
        "denoise", lambda: literal.dress(networks, request, prompt, garment, person)
    )
    return stages.run("decode", lambda: to_images(decode(networks.vae, latents)))


def compare(
    networks: Networks,
    size: tuple[int, int],
    repeats: int,
    *,
    steps: int = STEPS,
    samples: int = 1,
    warm_up: bool = True,
    person_networks: PersonNetworks | None = None,
    layout: NetworkLayout | None = None,
) -> StageComparison:
    """Runs both sides in turn. warm_up: a run of each before, whose times are not taken. layout:
    of random networks, whose FLOPs are then counted."""
    pipeline, request = TryOnPipeline(networks), make_request(*size, steps, samples)
    see = None
    if person_networks is not None:
        seen = person_networks

        def look() -> object:
            return seen.people(request.person), seen.labels(request.person)

        see = look
    sides = [(run_ours, Stages(networks.device)), (run_literal, Stages(networks.device))]
    if layout is not None:
        for (_, stages), flops in zip(sides, count(layout, size, steps, samples), strict=True):
            stages.flops |= flops
    pictures: list[np.ndarray] = []
    for number in range(max(1, repeats) + warm_up):
        pictures = []
        for run, stages in sides:
            stages.recording = not (warm_up and number == 0)
            pictures.append(run(pipeline, request, stages, see))
    one, other = (each.astype(int) for each in pictures)
    (_, ours), (_, theirs) = sides
    title = f"{size[0]}x{size[1]}, {steps} steps, {samples} sample{'s' if samples > 1 else ''}"
    return StageComparison(
        title=title, ours=ours, literal=theirs, difference=int(np.abs(one - other).max())
    )


def count(
    layout: NetworkLayout, size: tuple[int, int], steps: int, samples: int
) -> tuple[dict[str, int], dict[str, int]]:
    """FLOPs of each stage, ours and literal: on the meta device, hence in no time."""
    meta = torch.device("meta")
    with meta:
        networks = make_networks(layout, meta, torch.float32)
        picture = torch.empty(1, 3, *size)
        latents = torch.empty(1, 4, size[0] // SCALE, size[1] // SCALE)
        tokens = torch.zeros(1, TEXT_TOKENS[networks.variant], dtype=torch.long)
        small = torch.empty(1, 3, 224, 224)
        prompt = torch.empty(1, 2, layout.text_width)
    vae, outfitting, tryon = networks.vae, networks.outfitting_unet, networks.tryon_unet
    garment = torch.cat([latents, latents])
    many = garment.repeat(samples, 1, 1, 1)

    def step() -> None:
        inputs = torch.cat([many, many], dim=1)
        tryon(inputs, 0, encoder_hidden_states=prompt.expand(len(inputs), -1, -1))

    encode = _counted(lambda: vae.encode(picture))[0]
    decoding = _counted(lambda: vae.decode(latents))[0]  # pyright: ignore[reportArgumentType]
    shared = {
        "prompt": _counted(lambda: networks.text_encoder(tokens))[0]
        + _counted(lambda: networks.image_encoder(small))[0],
        "person": 2 * encode,
        "decode": samples * decoding,
    }

    def read() -> list[KeysAndValues]:
        return prepare(tryon, record(outfitting, garment, prompt.expand(2, -1, -1)))

    reading, kept = _counted(read)
    with Fusion(tryon) as fusion:
        fusion.set(kept)
        stepping = _counted(step)[0]
    ours = {**shared, "garment": encode + reading, "denoise": steps * stepping}
    reading, features = _counted(lambda: literal.record(outfitting, many, prompt))
    with literal.literal_fusion(tryon, features):
        stepping = _counted(step)[0]
    return ours, {**shared, "garment": encode + reading, "denoise": steps * stepping}


def _counted(act: Callable[[], Result]) -> tuple[int, Result]:
    with FlopCounterMode(display=False) as counter:
        result = act()
    return counter.get_total_flops(), result


@torch.inference_mode()
def main(
    device: Annotated[str, typer.Option(help="cpu, cuda, mps, ...")] = "cpu",
    dtype: Annotated[
        str, typer.Option(help="float32, float16 or bfloat16; float16 on a GPU by default")
    ] = "",
    sizes: Annotated[
        str, typer.Option(help="HEIGHTxWIDTH of the picture, with commas")
    ] = "512x384",
    steps: Annotated[int, typer.Option(min=1)] = STEPS,
    samples: Annotated[int, typer.Option(min=1)] = 1,
    repeats: Annotated[int, typer.Option(min=1, help="timed runs of each side")] = 3,
    warm_up: Annotated[
        bool, typer.Option(help="a run of each before, whose times are not taken")
    ] = True,
    tiny: Annotated[bool, typer.Option(help="small networks, to see that all runs")] = False,
    model: Annotated[Path | None, typer.Option(help="a full-body model folder, instead")] = None,
) -> None:
    """Compares whole try-ons, ours and the literal one."""
    target = torch.device(device)
    precision = machine.choose_dtype(target, dtype)
    print(f"{machine.describe(target)}, {str(precision).removeprefix('torch.')}", flush=True)
    seeing = layout = None
    if model is None:
        layout = random_networks.TINY if tiny else random_networks.FULL
        networks = make_networks(layout, target, precision)
    else:
        networks = load_networks(model, Variant.FULL_BODY, device=target, dtype=precision)
        seeing = PersonNetworks(model, Variant.FULL_BODY, device=device)
    for size in machine.parse_sizes(sizes):
        result = compare(
            networks,
            size,
            repeats,
            steps=steps,
            samples=samples,
            warm_up=warm_up,
            person_networks=seeing,
            layout=layout,
        )
        print(result.table(), flush=True)


if __name__ == "__main__":
    typer.run(main)
