"""`python -m cli train-mini`: makes a mini checkpoint from nothing but drawn people.

Four trainings, each in a folder of its own under WORK, each resumed where it was left: the
autoencoder, the parser pair, the pose network, and, over the finished autoencoder, both UNets. The
result is a model folder in the published layout that `tryon` and the nodes load like any other.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from tqdm import tqdm

from humanparse.preprocess import network_input as parser_input
from mini.autoencoder import (
    AutoencoderTask,
    build_autoencoder,
    latent_scale,
    picture_batch,
    reconstruction_psnr,
    start_as_colour_map,
)
from mini.doll_latents import TRAINING_SEEDS, DollLatents, Phase
from mini.networks import (
    SCHEDULER_CONFIG,
    build_clip_towers,
    build_unets,
    save_image_processor,
    save_tokenizer,
)
from mini.parser import (
    ParsingBatch,
    ParsingTask,
    SmallParser,
    export_parsers,
    measure_statistics,
    target_labels,
)
from mini.pose import PoseBatch, PoseTask, target_maps
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.catalogue import Part
from ootd_core.checkpoints.networks import load_networks
from ootd_core.checkpoints.writing import (
    part_folder,
    save_json,
    save_part,
    unet_folder,
    write_whole,
)
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_nobody, draw_sample
from ootd_core.requirements import require
from ootd_core.training.loop import LoopSettings, Task, Training
from ootd_core.training.publishing import publish, published_steps
from ootd_core.training.tryon import TryOnTask
from openpose import BodyChannels, BodyNetwork, network_input, published_state_dict
from openpose.geometry import PoseGeometry

HEIGHT, WIDTH = 256, 192
PARSER_SIZE = (192, 192)
POSE_CHANNELS = BodyChannels(
    trunk=(8, 16, 32, 48), squeeze=32, features=16, stage=8, first_stage=48
)
SMALL_BATCH = 10
DEMO_SEEDS = (
    (Category.UPPER, 109),
    (Category.UPPER, 104),
    (Category.LOWER, 102),
    (Category.LOWER, 107),
    (Category.DRESS, 103),
    (Category.DRESS, 106),
)
"""Held out, as all seeds below TRAINING_SEEDS."""
STORED = torch.float16


class Stage(StrEnum):
    """What to train; ALL is everything in this order."""

    VAE = "vae"
    PARSER = "parser"
    POSE = "pose"
    UNETS = "unets"
    SAMPLES = "samples"
    ALL = "all"


def train_mini_command(
    out: Annotated[Path, typer.Option(help="model folder to write")],
    work: Annotated[Path, typer.Option(help="folder for logs and states to resume from")],
    stage: Stage = Stage.ALL,
    scale: Annotated[
        float, typer.Option(min=0.001, help="length of the training relative to the bundled one")
    ] = 1.0,
    go_on: Annotated[
        bool, typer.Option("--go-on", help="train the UNets that the folder holds further")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
) -> None:
    """Train a mini checkpoint on drawn people; the UNets, the longest stage, take hours."""
    require("onnx")  # torch asks for it when the parser is trained and to be written
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    trainers: dict[Stage, Callable[[Path, Path, float], None]] = {
        Stage.VAE: train_autoencoder,
        Stage.PARSER: train_parser,
        Stage.POSE: train_pose,
        Stage.UNETS: partial(train_unets, go_on=go_on),
        Stage.SAMPLES: write_samples,
    }
    for name, train in trainers.items():
        if stage in (Stage.ALL, name):
            train(out, work / name, scale)


def train_autoencoder(out: Path, work: Path, scale: float) -> None:
    """Train the autoencoder and write it with a scaling factor that gives latents unit spread."""
    autoencoder = build_autoencoder()
    start_as_colour_map(autoencoder)
    autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    phases = (
        Phase(steps=_scaled(700, scale), batch=8, height=HEIGHT // 2, width=WIDTH // 2),
        Phase(steps=_scaled(200, scale), batch=3, height=HEIGHT, width=WIDTH),
    )
    settings = LoopSettings(
        steps=_total(phases),
        learning_rate=1.5e-3,
        average=0.98,
        weight_decay=0.0,
        optimizer="muon",
        precision="bf16",
    )
    train_shown(AutoencoderTask(autoencoder, phases), settings, work)
    factor = latent_scale(
        autoencoder, picture_batch(7, Phase(steps=1, batch=12, height=HEIGHT, width=WIDTH))
    )
    autoencoder.register_to_config(scaling_factor=factor)
    save_part(part_folder(out, Part.VAE), autoencoder, dtype=STORED)
    typer.echo(f"autoencoder: {_held_out_psnr(autoencoder):.2f} dB on 64 held-out dolls")


def train_parser(out: Path, work: Path, scale: float) -> None:
    """Train the parser pair and export it as two ONNX files."""
    parser = SmallParser()
    settings = LoopSettings(steps=_scaled(1500, scale), learning_rate=4e-3, average=0.98)
    train_shown(ParsingTask(parser, draw_parsing_batch), settings, work)
    measure_statistics(parser, (draw_parsing_batch(settings.steps + n)[0] for n in range(20)))
    folder = part_folder(out, Part.PARSER)
    atr, lip = folder / "parsing_atr.onnx", folder / "parsing_lip.onnx"
    export_parsers(parser, atr, lip, size=PARSER_SIZE)


def train_pose(out: Path, work: Path, scale: float) -> None:
    """Train the pose network and write it under the published keys."""
    network = BodyNetwork(channels=POSE_CHANNELS)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = LoopSettings(
        steps=_scaled(3000, scale),
        learning_rate=3e-3,
        average=0.98,
        clip=5.0,
        optimizer="muon",
        precision="bf16",
    )
    train_shown(PoseTask(network, draw_pose_batch), settings, work)
    path = part_folder(out, Part.POSE) / "body_pose_model.safetensors"
    weights = {key: value.to(STORED) for key, value in published_state_dict(network).items()}
    write_whole(path, lambda temporary: save_file(weights, temporary))


def train_unets(out: Path, work: Path, scale: float, *, go_on: bool) -> None:
    """Train both UNets over the folder's autoencoder, new ones or those that the folder holds."""
    variant = Variant.FULL_BODY
    parts = (Part.OUTFITTING_UNET, Part.TRYON_UNET)
    if not go_on:
        write_frozen_parts(out)
        shutil.rmtree(unet_folder(out, parts[0], variant, 0).parents[1], ignore_errors=True)
        for part, unet in zip(parts, build_unets(), strict=True):
            save_part(unet_folder(out, part, variant, 0), unet, dtype=torch.float32)
    networks = load_networks(out, variant)
    (begun,) = published_steps(out, variant)[-1:]
    phases = (
        Phase(steps=_scaled(1600, scale), batch=8, height=HEIGHT // 2, width=WIDTH // 2),
        Phase(steps=_scaled(3000, scale), batch=4, height=HEIGHT, width=WIDTH),
    )
    dolls = DollLatents(networks, phases, first=48, growth=2, limit=4000)
    settings = LoopSettings(
        steps=_total(phases),
        learning_rate=2e-3,
        schedule="linear",
        average=0.995,
        optimizer="muon",
        precision="bf16",
    )
    task = TryOnTask(networks, dolls, most_weight=20.0, noises_per_garment=2)
    train_shown(task, settings, work)
    task.release()
    publish(out, networks, begun + settings.steps, dtype=STORED, keep=1)


def write_frozen_parts(out: Path) -> None:
    """Write what is not trained: CLIP towers, tokenizer, image processor, noise schedule."""
    text, vision = build_clip_towers()
    save_part(part_folder(out, Part.TEXT_ENCODER), text, dtype=STORED)
    save_part(part_folder(out, Part.IMAGE_ENCODER), vision, dtype=STORED)
    save_image_processor(part_folder(out, Part.IMAGE_ENCODER))
    save_tokenizer(part_folder(out, Part.TOKENIZER))
    save_json(part_folder(out, Part.SCHEDULER) / "scheduler_config.json", SCHEDULER_CONFIG)


def write_samples(out: Path, _work: Path, _scale: float) -> None:
    """Draw the demo's people, beside the model folder."""
    folder = out.parent / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (category, seed) in enumerate(DEMO_SEEDS, start=1):
        doll = draw_sample(seed, height=HEIGHT, width=WIDTH, category=category)
        for name in ("person", "garment", "truth"):
            picture = Image.fromarray(getattr(doll, name))
            path = folder / f"{number}-{category}-{name}.png"
            write_whole(path, partial(picture.save, format="PNG"))


def draw_parsing_batch(step: int) -> ParsingBatch:
    """Return a step's dolls, and two pictures of nobody, as the parser sees them; label maps."""
    pairs = [(doll.person, doll.labels) for doll in _dolls(step)]
    pairs += [(nobody, np.zeros_like(nobody[..., 0])) for nobody in _nobodies(step)]
    images = np.concatenate([parser_input(picture, PARSER_SIZE) for picture, _ in pairs])
    labels = np.stack([target_labels(labels, PARSER_SIZE) for _, labels in pairs])
    return torch.from_numpy(images), torch.from_numpy(labels)


def draw_pose_batch(step: int) -> PoseBatch:
    """Return a step's dolls, and two pictures of nobody, as the pose network sees them; maps."""
    geometry = PoseGeometry.of_image(height=HEIGHT, width=WIDTH)
    scale = geometry.height / HEIGHT
    images, limbs, joints = [], [], []
    pairs = [(doll.person, doll.keypoints) for doll in _dolls(step)]
    pairs += [(nobody, np.zeros((18, 3), np.float32)) for nobody in _nobodies(step)]
    for person, joints_in_picture in pairs:
        picture = Image.fromarray(person).resize((geometry.width, geometry.height))
        images.append(network_input(np.asarray(picture), geometry))
        keypoints = joints_in_picture.copy()
        keypoints[:, :2] = (keypoints[:, :2] + 0.5) * scale - 0.5
        affinity, heatmap = target_maps(keypoints, geometry)
        limbs.append(affinity)
        joints.append(heatmap)
    images, limbs, joints = (torch.from_numpy(np.stack(maps)) for maps in (images, limbs, joints))
    return images, limbs, joints


def _dolls(step: int) -> list[DollSample]:
    first = TRAINING_SEEDS + step * SMALL_BATCH
    return [draw_sample(first + i, height=HEIGHT, width=WIDTH) for i in range(SMALL_BATCH)]


def _nobodies(step: int) -> list[NDArray[np.uint8]]:
    first = TRAINING_SEEDS + 2 * step
    return [draw_nobody(first + i, height=HEIGHT, width=WIDTH) for i in range(2)]


def train_shown(task: Task, settings: LoopSettings, work: Path, name: str | None = None) -> None:
    """Train in a folder under a progress bar, and leave the averaged weights in the modules."""
    training = Training(task, settings, work)
    with tqdm(
        total=settings.steps,
        initial=training.step,
        desc=name or work.name,
        unit="step",
        disable=None,
    ) as bar:

        def on_step(_step: int, _total: int, figures: dict[str, float]) -> None:
            bar.set_postfix(loss=f"{figures['loss']:.4f}", refresh=False)
            bar.update()

        training.run(on_step)
    training.load_averages()


def _held_out_psnr(autoencoder: AutoencoderKL) -> float:
    dolls = [draw_sample(seed, height=HEIGHT, width=WIDTH) for seed in range(64)]
    pictures = torch.from_numpy(np.stack([doll.truth for doll in dolls])).permute(0, 3, 1, 2)
    return reconstruction_psnr(autoencoder, pictures.float() / 127.5 - 1)


def _scaled(steps: int, scale: float) -> int:
    return max(1, round(steps * scale))


def _total(phases: tuple[Phase, ...]) -> int:
    return sum(phase.steps for phase in phases)
