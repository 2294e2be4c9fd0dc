"""Composition: a model folder, the parser, the pose network and the pipeline as one try-on.

A picture of any size goes through five stages: fit to the networks' 3:4, look (label map and
keypoints), mask, dress, paste back. Every network is loaded when it is first needed and kept. What
had to be done without is said in the result's warnings, not hidden.
"""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from humanparse import HumanParser
from ootd_core.categories import Category, Variant, check_category
from ootd_core.checkpoints.catalogue import Part, download_command, files_for, find, missing
from ootd_core.checkpoints.integrity import file_stamp
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.images.compositing import paste_back
from ootd_core.images.fitting import (
    Fit,
    FitMode,
    fit_image,
    fit_mask,
    fit_onto,
    fit_points,
    person_box,
    prepare_garment,
    unfit_mask,
    unfit_points,
)
from ootd_core.latents import binary_mask
from ootd_core.masks.agnostic import MaskMode, agnostic_mask
from ootd_core.masks.morphology import SoftMask, validate_mask
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import OnStep, Scheduler
from openpose import BodyNetwork, Person, detect_people, load_body_network

Picture = NDArray[np.uint8]
LOOK_HEIGHT, LOOK_WIDTH = 512, 384
"""The parser's and the mask's lengths were chosen for pictures of this size."""
WHOLE_TOLERANCE = 0.03
"""A picture whose shape differs from 3:4 by less is shown whole; else it is cropped."""


class FitChoice(StrEnum):
    """How a person's picture is brought to 3:4; auto crops only what is not 3:4 already."""

    AUTO = "auto"
    PAD = "pad"
    CROP = "crop"


@dataclass(frozen=True, kw_only=True, slots=True)
class DressOptions:
    """How to sample and to mask. height: of the networks' picture, in pixels; None is what the
    checkpoint was trained at. feather: width of the seam in the networks' pixels."""

    steps: int = 20
    guidance: float = 2.0
    seed: int = 0
    samples: int = 1
    sampler: Scheduler = Scheduler.UNIPC
    mask_mode: MaskMode = MaskMode.ROBUST
    grow: int = 0
    feather: float = 2.0
    fit: FitChoice = FitChoice.AUTO
    height: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Dressed:
    """pictures: uint8 [samples,H,W,3] at the person picture's size. mask: float32 [H,W], what was
    repainted there. warnings: sentences for the user."""

    pictures: Picture
    mask: SoftMask
    warnings: tuple[str, ...]


@dataclass(slots=True)
class Stopwatch:
    """Seconds of wall time by stage, summed over all try-ons."""

    seconds: dict[str, float] = field(default_factory=dict[str, float])

    @contextmanager
    def stage(self, name: str) -> Generator[None]:
        started = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


class Studio:
    """Everything a try-on needs from one model folder, on one device."""

    def __init__(
        self,
        folder: Path,
        variant: Variant,
        *,
        device: str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.folder = folder
        self.variant = variant
        self.device = device
        self.dtype = dtype
        self.stopwatch = Stopwatch()

    @cached_property
    def networks(self) -> Networks:
        """The denoising networks. Raises FileNotFoundError or ValueError naming what is wrong."""
        with self.stopwatch.stage("load networks"):
            return load_networks(self.folder, self.variant, device=self.device, dtype=self.dtype)

    @cached_property
    def parser(self) -> HumanParser:
        """The human parser. Raises FileNotFoundError if a file of it is missing."""
        atr, lip = self._files(Part.PARSER, "a mask (--mask) does without it")
        return HumanParser(atr, lip, device=self.device)

    @cached_property
    def body_network(self) -> BodyNetwork:
        """The pose network. Raises FileNotFoundError if its file is missing."""
        (path,) = self._files(Part.POSE, "keypoints (--keypoints) or a mask (--mask) do without it")
        return load_body_network(path, device=self.device)

    def labels(self, person: Picture) -> NDArray[np.uint8]:
        """The label map [H,W] of a 3:4 picture of a person."""
        large = _resized(person, LOOK_HEIGHT, LOOK_WIDTH, Image.Resampling.LANCZOS)
        height, width = person.shape[:2]
        return _resized(self.parser(large), height, width, Image.Resampling.NEAREST)

    def keypoints(self, person: Picture) -> NDArray[np.floating] | None:
        """The joints [18,3] of the first person of a picture, None where nobody was found."""
        found = detect_people(self.body_network, person)
        return found[0].keypoints if found else None

    def stamp(self) -> str:
        """What label maps and joints come from: another text when a file of it is another."""
        parts = files_for(self.variant, (Part.PARSER, Part.POSE))
        found = [find(self.folder, file) for file in parts]
        return repr([path and file_stamp(path) for path in found])

    def dress(
        self,
        person: Picture,
        garment: Picture,
        category: Category,
        options: DressOptions,
        *,
        mask: SoftMask | None = None,
        people: list[Person] | None = None,
        on_step: OnStep | None = None,
    ) -> Dressed:
        """Dress a person in a garment, both uint8 RGB [H,W,3] of any size.

        mask [H,W] replaces the mask generator; people replaces pose detection, the first is
        dressed. Raises ValueError for input that cannot be used.
        """
        check_category(self.variant, category)
        soft = None if mask is None else validate_mask(mask, *person.shape[:2])
        networks = self.networks
        height = options.height or 8 * networks.tryon_unet.config["sample_size"]
        width = height * 3 // 4 // 8 * 8
        with self.stopwatch.stage("see the person"):
            fit = self._choose_fit(person, soft, people, options.fit, height, width)
            canvas = fit_onto(person, fit)
            if soft is not None:
                repaint, warnings = binary_mask(fit_mask(soft, fit)), ()
            else:
                labels, keypoints = self._see(canvas, fit, people)
                generated = agnostic_mask(
                    labels,
                    keypoints,
                    category=category,
                    variant=self.variant,
                    mode=options.mask_mode,
                    grow=options.grow,
                )
                repaint, warnings = generated.mask, generated.warnings
        request = TryOnRequest(
            person=canvas,
            garment=prepare_garment(garment, height, width),
            mask=repaint,
            category=category,
            num_inference_steps=options.steps,
            guidance_scale=options.guidance,
            seed=options.seed,
            num_images_per_prompt=options.samples,
            scheduler=options.sampler,
        )
        with self.stopwatch.stage("dress"):
            results = TryOnPipeline(networks)(request, on_step)
        with self.stopwatch.stage("paste back"):
            pictures = [
                paste_back(person, result, repaint, fit, options.feather) for result in results
            ]
        return Dressed(
            pictures=np.stack(pictures), mask=unfit_mask(repaint, fit), warnings=warnings
        )

    def _see(
        self, canvas: Picture, fit: Fit, people: list[Person] | None
    ) -> tuple[NDArray[np.uint8], NDArray[np.floating] | None]:
        """Return the canvas's label map [h,w] and keypoints [18,3]; None where nobody was found."""
        labels = self.labels(canvas)
        if people is not None:
            return labels, fit_points(people[0].keypoints, fit) if people else None
        return labels, self.keypoints(canvas)

    def _choose_fit(
        self,
        person: Picture,
        mask: SoftMask | None,
        people: list[Person] | None,
        choice: FitChoice,
        height: int,
        width: int,
    ) -> Fit:
        shape_error = abs(person.shape[1] / person.shape[0] * height / width - 1)
        whole = fit_image(person, height, width)[1]
        if choice is FitChoice.PAD or (choice is FitChoice.AUTO and shape_error < WHOLE_TOLERANCE):
            return whole
        if mask is not None:
            box = person_box(mask >= 0.5)
        elif people:
            box = people[0].box
        else:
            large = _resized(fit_onto(person, whole), LOOK_HEIGHT, LOOK_WIDTH)
            labels = _resized(self.parser(large), height, width, Image.Resampling.NEAREST)
            left, top, right, bottom = person_box(labels > 0)
            corners = unfit_points(np.array([[left, top], [right, bottom]]), whole)
            limits = (person.shape[1], person.shape[0])
            (left, top), (right, bottom) = np.clip(corners, 0, limits).tolist()
            box = (left, top, right, bottom)
        return fit_image(person, height, width, mode=FitMode.CROP, box=box)[1]

    def _files(self, part: Part, otherwise: str) -> list[Path]:
        """The part's files in the model folder. Raises FileNotFoundError naming those missing."""
        absent = missing(self.folder, self.variant, (part,))
        if absent:
            names = ", ".join(file.path for file in absent)
            raise FileNotFoundError(
                f"The {part} lacks {names} in {self.folder}: get it with "
                f"'{download_command(self.folder, self.variant)}'; {otherwise}."
            )
        found = (find(self.folder, file) for file in files_for(self.variant, (part,)))
        return [path for path in found if path is not None]


def _resized(
    picture: NDArray[np.uint8],
    height: int,
    width: int,
    resampling: Image.Resampling = Image.Resampling.LANCZOS,
) -> NDArray[np.uint8]:
    if picture.shape[:2] == (height, width):
        return picture
    return np.asarray(Image.fromarray(picture).resize((width, height), resampling))
