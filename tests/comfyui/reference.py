"""What the headless pipeline computes, for the checks inside ComfyUI to compare with.

For each model folder: one forward of the fused try-on UNet at several timesteps, both halves of the
guidance, on random latents; for the mini also whole runs of 20 steps on a demo person, with the
noise levels that each sampler went through, and one with guidance for a part of them.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from safetensors.torch import save_file
from torch import Tensor

from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES
from ootd_core.checkpoints.locating import locate
from ootd_core.checkpoints.networks import load_networks, load_unet
from ootd_core.fusion import Fusion, prepare, record
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import Scheduler, make_scheduler
from tests.model_folder import make_model_folder
from tryon import TryOn

PACK = Path(__file__).resolve().parents[2]
TIMESTEPS = (1, 261, 981)
INTERVAL = (0.2, 0.65)  # of the run with guidance for a part of the sampling
RUNS = {"uni_pc": Scheduler.UNIPC, "euler": Scheduler.EULER, "dpmpp_2m": Scheduler.DPMPP_2M}


def make_random_model(folder: Path) -> None:
    """Write a model folder with both variants: random UNets with Stable Diffusion's proportions.

    The golden checkpoint's UNets have 8 groups and widths of 16 and 24, which ComfyUI's UNet cannot
    have; its other parts are kept.
    """
    make_model_folder(folder)
    torch.manual_seed(0)
    for variant in ("hd", "dc"):
        for name, channels in (("unet_garm", 4), ("unet_vton", 8)):
            unet = UNet2DConditionModel(
                in_channels=channels,
                block_out_channels=(64, 64, 128, 128),  # groups of two: one may be constant
                attention_head_dim=8,
                cross_attention_dim=32,
                sample_size=16,
            )
            unet.save_pretrained(folder / "ootd" / f"ootd_{variant}" / "checkpoint-36000" / name)


def write_reference(path: Path, random: Path) -> None:
    """random: the folder of `make_random_model`."""
    tensors: dict[str, Tensor] = {}
    for name, folder, variant in (
        ("mini", PACK / "demo" / "checkpoints", Variant.FULL_BODY),
        ("random_dc", random, Variant.FULL_BODY),
        ("random_hd", random, Variant.HALF_BODY),
    ):
        tensors |= {f"{name}.{key}": value for key, value in _forward(folder, variant).items()}
    tensors |= _runs(PACK / "demo" / "checkpoints")
    tensors |= _two_people()
    save_file({key: value.contiguous() for key, value in tensors.items()}, path)


@torch.inference_mode()
def _forward(folder: Path, variant: Variant) -> dict[str, Tensor]:
    paths = locate(folder, variant)
    cpu = torch.device("cpu")
    outfitting, tryon = load_unet(paths.outfitting_unet, cpu), load_unet(paths.tryon_unet, cpu)
    generator = torch.Generator().manual_seed(5)
    garment = torch.randn(1, 4, 16, 12, generator=generator)
    person = torch.randn(1, 8, 16, 12, generator=generator)
    channels = tryon.config["cross_attention_dim"]
    prompt = torch.randn(1, 4, channels, generator=generator)
    result = {"garment": garment, "person": person, "prompt": prompt}
    halves = torch.cat([garment, torch.zeros_like(garment)])
    features = record(outfitting, halves, prompt.expand(2, -1, -1))
    with Fusion(tryon) as fusion:
        fusion.set(prepare(tryon, features))
        for timestep in TIMESTEPS:
            both = tryon(
                person.expand(2, -1, -1, -1), timestep, prompt.expand(2, -1, -1), return_dict=False
            )[0]
            result[f"positive.{timestep}"], result[f"negative.{timestep}"] = both.split(1)
    return {key: value.clone() for key, value in result.items()}


def _two_people() -> dict[str, Tensor]:
    """A bystander, smaller, on the left of the subject: the picture, and what `TryOn` repaints."""
    subject, bystander = (
        Image.open(DEMO_SAMPLES / f"{number}-upper-person.png").convert("RGB") for number in (1, 2)
    )
    picture = np.full((256, 340, 3), 225, np.uint8)
    picture[128:, 4:100] = np.asarray(bystander.resize((96, 128)))
    picture[:, 148:] = np.asarray(subject)
    tryon = TryOn.from_pretrained()
    garment = DEMO_SAMPLES / "1-upper-garment.png"
    result = {"people.picture": torch.from_numpy(picture)}
    for index in (0, 1):
        dressed = tryon(picture, garment, "upper", num_inference_steps=1, person_index=index)
        result[f"people.mask.{index}"] = torch.from_numpy(np.array(dressed.mask))
    return result


def _runs(folder: Path) -> dict[str, Tensor]:
    samples = PACK / "demo" / "samples"
    person, garment = (
        np.asarray(Image.open(samples / f"1-upper-{name}.png").convert("RGB"))
        for name in ("person", "garment")
    )
    mask = np.zeros((256, 192), np.bool_)
    mask[60:180, 40:150] = True
    person, garment, mask = person[::2, ::2], garment[::2, ::2], mask[::2, ::2]  # `small_doll`
    networks = load_networks(folder, Variant.FULL_BODY)
    pipeline = TryOnPipeline(networks)
    result: dict[str, Tensor] = {}
    for name, sampler in RUNS.items():
        request = TryOnRequest(
            person=person, garment=garment, mask=mask, category=Category.UPPER, scheduler=sampler
        )
        result[f"run.{name}"] = torch.from_numpy(pipeline(request)[0])
        if name == "uni_pc":
            start, end = INTERVAL
            partly = replace(request, guidance_start=start, guidance_end=end)
            result[f"interval.{name}"] = torch.from_numpy(pipeline(partly)[0])
        scheduler = make_scheduler(sampler, networks.scheduler_config)
        scheduler.set_timesteps(request.num_inference_steps)
        result[f"sigmas.{name}"] = scheduler.sigmas.float()
    return result
