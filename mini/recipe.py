"""The recipe of the mini checkpoint: what is trained, on which dolls, for how long and how fast.

Each stage is a function (out, work, scale, run): it trains in the folder `work`, from which it
resumes, and writes its part of the model folder `out` in the published layout. `scale` multiplies
the number of steps of each stage. `run` trains a task and leaves the averaged weights in its
modules; the command line has one with a progress bar. The bundled checkpoint's UNets went on from
here with `cli train --preset mini` (docs/training.md).
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from enum import StrEnum
from functools import partial
from pathlib import Path

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file

from humanparse.preprocess import network_input as parser_input
from mini.autoencoder import (
    AutoencoderTask,
    build_autoencoder,
    latent_scale,
    picture_batch,
    reconstruction_psnr,
    start_as_colour_map,
)
from mini.decoder import DecoderTask
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
from ootd_core.checkpoints.catalogue import Part, missing
from ootd_core.checkpoints.networks import load_networks
from ootd_core.checkpoints.writing import (
    part_folder,
    save_json,
    save_part,
    unet_folder,
    write_whole,
)
from ootd_core.datasets.paper_dolls.garments import random_garment
from ootd_core.datasets.paper_dolls.picture import Drawing, draw_person
from ootd_core.datasets.paper_dolls.sample import draw_nobody, draw_sample, random_person
from ootd_core.masks.labels import Label
from ootd_core.training.loop import LoopSettings, Task
from ootd_core.training.publishing import publish, published_steps
from ootd_core.training.tryon import TryOnTask
from openpose import BodyChannels, BodyNetwork, network_input, published_state_dict
from openpose.geometry import PoseGeometry

HEIGHT, WIDTH = 256, 192
PARSER_SIZE = (HEIGHT, WIDTH)
POSE_CHANNELS = BodyChannels(
    trunk=(8, 16, 32, 48), squeeze=48, features=23, stage=16, first_stage=64, later_stages=48
)
"""With its 57 maps the trunk's features make a multiple of 8, which a processor computes fastest.
38 affinity maps mixed from 8 channels had next to nothing along the forearms, whose direction
varies most; 24 are as good as any number."""
POSE_DOLLS = 3
"""Dolls of a step, each in both of its outfits; a picture without a person comes with them."""
PARSER_DOLLS = 2
"""Dolls of a step, each in a dress, in a skirt and in trousers; and one without a person."""
LOWEST = (Label.DRESS, Label.SKIRT, Label.PANTS)
DEMO_SEEDS = (
    (Category.UPPER, 109),
    (Category.UPPER, 104),
    (Category.LOWER, 102),
    (Category.LOWER, 107),
    (Category.DRESS, 103),
    (Category.DRESS, 106),
)
"""No training sees them: they lie below TRAINING_SEEDS."""
HELD_OUT_SEEDS = range(64)
"""Of the dolls that the finished autoencoder is measured on."""
STATISTICS_BATCHES = 20
"""Over which the parser's batch normalisation is measured."""
STORED = torch.float16

RunTraining = Callable[[Task, LoopSettings, Path], None]
"""Trains a task in a folder, and leaves the averaged weights in its modules."""
TrainStage = Callable[[Path, Path, float, RunTraining], None]
"""Called with out, work, scale and run, as described above."""


class Stage(StrEnum):
    """What to train; ALL is everything in this order."""

    VAE = "vae"
    PARSER = "parser"
    POSE = "pose"
    UNETS = "unets"
    DECODER = "decoder"
    SAMPLES = "samples"
    ALL = "all"


def stages(*, resume_unets: bool = False) -> dict[Stage, TrainStage]:
    """Return the stages in their order. resume_unets: go on from the UNets that the folder has."""
    return {
        Stage.VAE: train_autoencoder,
        Stage.PARSER: train_parser,
        Stage.POSE: train_pose,
        Stage.UNETS: partial(train_unets, resume_unets=resume_unets),
        Stage.DECODER: train_decoder,
        Stage.SAMPLES: write_samples,
    }


def train_autoencoder(out: Path, work: Path, scale: float, run: RunTraining) -> None:
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
        ema_decay=0.98,
        weight_decay=0.0,
        optimizer="muon",
        mixed_precision="bf16",
    )
    run(AutoencoderTask(autoencoder, phases), settings, work)
    factor = latent_scale(
        autoencoder, picture_batch(7, Phase(steps=1, batch=12, height=HEIGHT, width=WIDTH))
    )
    autoencoder.register_to_config(scaling_factor=factor)
    save_part(part_folder(out, Part.VAE), autoencoder, dtype=STORED)
    save_json(work / "held-out.json", {"psnr": held_out_psnr(autoencoder)})


def train_parser(out: Path, work: Path, scale: float, run: RunTraining) -> None:
    """Train the parser pair and export it as two ONNX files."""
    parser = SmallParser()
    parser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = LoopSettings(
        steps=_scaled(7600, scale),
        learning_rate=4e-3,
        lr_scheduler="linear",
        ema_decay=0.98,
        optimizer="muon",
    )
    run(ParsingTask(parser, draw_parsing_batch), settings, work)
    later = range(settings.steps, settings.steps + STATISTICS_BATCHES)
    measure_statistics(parser, (draw_parsing_batch(step)[0] for step in later))
    folder = part_folder(out, Part.PARSER)
    atr, lip = folder / "parsing_atr.onnx", folder / "parsing_lip.onnx"
    export_parsers(parser, atr, lip, size=PARSER_SIZE)


def train_pose(out: Path, work: Path, scale: float, run: RunTraining) -> None:
    """Train the pose network and write it under the published keys."""
    network = BodyNetwork(channels=POSE_CHANNELS)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    settings = LoopSettings(
        steps=_scaled(10000, scale),
        learning_rate=3e-3,
        lr_scheduler="linear",
        ema_decay=0.98,
        max_grad_norm=5.0,
        optimizer="muon",
    )
    run(PoseTask(network, draw_pose_batch), settings, work)
    path = part_folder(out, Part.POSE) / "body_pose_model.safetensors"
    weights = {key: value.to(STORED) for key, value in published_state_dict(network).items()}
    write_whole(path, lambda temporary: save_file(weights, temporary))


def train_unets(
    out: Path, work: Path, scale: float, run: RunTraining, *, resume_unets: bool
) -> None:
    """Train both UNets over the folder's autoencoder, new ones or those that the folder has."""
    if missing(out, Variant.FULL_BODY, (Part.VAE,)):
        raise FileNotFoundError(f"{out} has no autoencoder yet: train it first, with --stage vae.")
    variant = Variant.FULL_BODY
    parts = (Part.OUTFITTING_UNET, Part.TRYON_UNET)
    if not resume_unets:
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
        lr_scheduler="linear",
        ema_decay=0.995,
        optimizer="muon",
        mixed_precision="bf16",
    )
    task = TryOnTask(networks, dolls, snr_weight_max=20.0, noises_per_garment=2)
    run(task, settings, work)
    task.release()
    step = begun + settings.steps
    publish(out, networks, step, dtype=STORED, total_limit=1)


def train_decoder(out: Path, work: Path, scale: float, run: RunTraining) -> None:
    """Train the folder's decoder on, with latents that its UNets make."""
    if missing(out, Variant.FULL_BODY, (Part.OUTFITTING_UNET, Part.TRYON_UNET)):
        raise FileNotFoundError(f"{out} has no UNets yet: train them first, with --stage unets.")
    networks = load_networks(out, Variant.FULL_BODY)
    task = DecoderTask(networks, batch=4, dolls=300, height=HEIGHT, width=WIDTH)
    settings = LoopSettings(
        steps=_scaled(600, scale),
        learning_rate=1e-3,
        lr_scheduler="linear",
        ema_decay=0.98,
        weight_decay=0.0,
        optimizer="muon",
    )
    run(task, settings, work)
    save_part(part_folder(out, Part.VAE), networks.vae, dtype=STORED)
    save_json(work / "held-out.json", {"psnr": held_out_psnr(networks.vae)})


def write_frozen_parts(out: Path) -> None:
    """Write what is not trained: CLIP towers, tokenizer, image processor, noise schedule."""
    text, vision = build_clip_towers()
    save_part(part_folder(out, Part.TEXT_ENCODER), text, dtype=STORED)
    save_part(part_folder(out, Part.IMAGE_ENCODER), vision, dtype=STORED)
    save_image_processor(part_folder(out, Part.IMAGE_ENCODER))
    save_tokenizer(part_folder(out, Part.TOKENIZER))
    save_json(part_folder(out, Part.SCHEDULER) / "scheduler_config.json", SCHEDULER_CONFIG)


def write_samples(out: Path, _work: Path, _scale: float, _run: RunTraining) -> None:
    """Draw the demo's people, in a folder beside the model folder."""
    folder = out.parent / "samples"
    folder.mkdir(parents=True, exist_ok=True)
    for number, (category, seed) in enumerate(DEMO_SEEDS, start=1):
        doll = draw_sample(seed, height=HEIGHT, width=WIDTH, category=category)
        for name in ("person", "garment", "truth"):
            picture = Image.fromarray(getattr(doll, name))
            path = folder / f"{number}-{category}-{name}.png"
            write_whole(path, partial(picture.save, format="PNG"))


def draw_parsing_batch(step: int) -> ParsingBatch:
    """Return a step's pictures, the last one without a person, and label maps for the parser."""
    first, empty = TRAINING_SEEDS + step * PARSER_DOLLS, _picture_without_person(step)
    drawings = [one for seed in range(first, first + PARSER_DOLLS) for one in outfits(seed)]
    pairs = [(drawing.image, drawing.labels) for drawing in drawings]
    pairs.append((empty, np.zeros_like(empty[..., 0])))
    for number in (step % 3, 3 + step % 3):  # of each doll one picture
        pairs[number] = in_wider_picture(*pairs[number], np.random.default_rng((step, number)))
    images = np.concatenate([parser_input(picture, PARSER_SIZE) for picture, _ in pairs])
    labels = np.stack([target_labels(labels, PARSER_SIZE) for _, labels in pairs])
    return torch.from_numpy(images), torch.from_numpy(labels)


def draw_pose_batch(step: int) -> PoseBatch:
    """Return a step's pictures, the last one without a person, and maps for the pose network."""
    geometry = PoseGeometry.of_image(height=HEIGHT, width=WIDTH)
    scale = geometry.height / HEIGHT
    images, limbs, joints = [], [], []
    first = TRAINING_SEEDS + step * POSE_DOLLS
    seeds = range(first, first + POSE_DOLLS)
    dolls = [draw_sample(seed, height=HEIGHT, width=WIDTH) for seed in seeds]
    pairs = [(doll.person, doll.keypoints) for doll in dolls]
    pairs += [(doll.truth, doll.keypoints) for doll in dolls]
    pairs.append((_picture_without_person(step), np.zeros((18, 3), np.float32)))
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


def in_wider_picture(
    image: NDArray[np.uint8], labels: NDArray[np.uint8], rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Put a picture [H, W, 3] and its label map into a wider or higher one, which continues it.

    The parser's frame is black beside a picture of another shape than its own.
    """
    height, width = labels.shape
    more = rng.uniform(0, 1.2) * width if rng.random() < 0.8 else 0.0
    beside = (0, 0) if more else (rng.uniform(0, 0.3) * height, rng.uniform(0, 0.3) * height)
    left = rng.uniform(0, more)
    rows, columns = ((round(a), round(b)) for a, b in (beside, (left, more - left)))
    around = (rows, columns, (0, 0))
    if rng.random() < 0.5:
        padded = np.pad(image, around, mode="edge")
    else:
        padded = np.pad(image, around, constant_values=int(rng.integers(256)))
    return padded, np.pad(labels, (rows, columns))


def held_out_psnr(autoencoder: AutoencoderKL) -> float:
    """Return the reconstruction's mean PSNR in dB on dolls that no training sees."""
    dolls = [draw_sample(seed, height=HEIGHT, width=WIDTH) for seed in HELD_OUT_SEEDS]
    pictures = torch.from_numpy(np.stack([doll.truth for doll in dolls])).permute(0, 3, 1, 2)
    return reconstruction_psnr(autoencoder, pictures.float() / 127.5 - 1)


def outfits(seed: int) -> list[Drawing]:
    """Draw one person in a dress, in a skirt and in trousers: what differs is what names them."""
    rng = np.random.default_rng(seed)
    person = random_person(rng, list(Category)[int(rng.integers(len(Category)))])
    drawings: list[Drawing] = []
    for lowest in LOWEST:
        category = Category.DRESS if lowest is Label.DRESS else Category.LOWER
        garment = random_garment(rng, category)
        while garment.label is not lowest:
            garment = random_garment(rng, category)
        upper = () if lowest is Label.DRESS else (random_garment(rng, Category.UPPER),)
        drawings.append(draw_person(person, (garment, *upper), height=HEIGHT, width=WIDTH))
    return drawings


def _picture_without_person(step: int) -> NDArray[np.uint8]:
    return draw_nobody(TRAINING_SEEDS + step, height=HEIGHT, width=WIDTH)


def _scaled(steps: int, scale: float) -> int:
    return max(1, round(steps * scale))


def _total(phases: tuple[Phase, ...]) -> int:
    return sum(phase.steps for phase in phases)
