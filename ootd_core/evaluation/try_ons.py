"""Dresses every sample of a data set, and keeps the pictures, so that a second run only measures.

A kept picture is used again only if everything that made it is the same: the model's files, the
data set and the settings, whose hash names the folder. Samples that cannot be read or masked are
passed over and handed to the caller with the reason.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..categories import Variant, check_category
from ..checkpoints.integrity import file_stamp
from ..checkpoints.locating import locate
from ..checkpoints.networks import Networks
from ..checkpoints.writing import save_json, write_whole
from ..datasets.photographs import Photographs
from ..datasets.sample import TryOnDataset, TryOnSample, UnusableSample
from ..images.compositing import paste_back
from ..images.files import load_image
from ..images.fitting import fit_image
from ..masks.agnostic import MaskMode, agnostic_mask
from ..masks.morphology import BoolMask
from ..pipeline import TryOnPipeline
from ..request import TryOnRequest
from ..sampling import Scheduler

HASH_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class DressSettings:
    """How every sample is dressed. seed: of the first sample's noise, one more for each that
    follows. grow: pixels added to the mask. feather: width of the seam in pixels where the result
    is pasted into the person's picture; None leaves the denoiser's picture whole, decoded
    surroundings included."""

    steps: int = 20
    guidance: float = 2.0
    seed: int = 0
    sampler: Scheduler = Scheduler.UNIPC
    mask_mode: MaskMode = MaskMode.ROBUST
    grow: int = 0
    feather: float | None = 2.0


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class TryOn:
    """A dressed sample. mask: [H,W], what was repainted. picture: uint8 RGB [H,W,3]. kept: it was
    made by an earlier run."""

    sample: TryOnSample
    mask: BoolMask
    picture: NDArray[np.uint8]
    kept: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """A sample that was passed over, and why."""

    name: str
    reason: str


class KeptPictures:
    """Pictures by sample name in a folder of their own for everything that made them."""

    def __init__(self, folder: Path, made_by: Mapping[str, Any]) -> None:
        """made_by: whatever a picture depends on; JSON values."""
        self.folder = folder / fingerprint(made_by)
        save_json(self.folder / "made-by.json", made_by)

    def path(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe='')}.png"

    def get(self, name: str) -> NDArray[np.uint8] | None:
        """The picture of a sample, None if it is not there or damaged."""
        try:
            return load_image(self.path(name))
        except (FileNotFoundError, ValueError):
            return None

    def put(self, name: str, picture: NDArray[np.uint8]) -> None:
        write_whole(self.path(name), lambda path: Image.fromarray(picture).save(path, "PNG"))


def fingerprint(content: Mapping[str, Any]) -> str:
    """A short hash of JSON values, the same whatever their order."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def made_by(
    settings: DressSettings,
    model: Path,
    networks: Networks,
    dataset: TryOnDataset,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Everything that a data set's pictures depend on, as JSON values.

    model: the folder that `networks` come from. source: where the data set comes from. Files are
    known by size and time of change, samples by name: content that is exchanged without either is
    not noticed.
    """
    paths = locate(model, networks.variant)
    parts = (paths.vae, paths.text_encoder, paths.image_encoder)
    files = [part.weights for part in (*parts, paths.outfitting_unet, paths.tryon_unet)]
    names = [dataset.name(index) for index in range(len(dataset))]
    return {
        "settings": asdict(settings),
        "networks": [str(networks.variant), str(networks.dtype)],
        "weights": [[str(file.relative_to(model)), *file_stamp(file)[1:]] for file in files],
        "data": dict(source),
        "perception": dataset.seen_by if isinstance(dataset, Photographs) else None,
        "names": hashlib.sha256("\n".join(names).encode()).hexdigest(),
    }


def dress_all(
    networks: Networks,
    dataset: TryOnDataset,
    settings: DressSettings,
    *,
    kept: KeptPictures | None = None,
    limit: int | None = None,
) -> Iterator[TryOn | Unusable]:
    """Dress the first `limit` samples of a data set (None: all), in its order.

    Raises ValueError if the networks do not take a category of the set, before anything is made.
    """
    numbers = range(len(dataset) if limit is None else min(limit, len(dataset)))
    for category in {dataset.category(index) for index in numbers}:
        check_category(networks.variant, category)
    pipeline = TryOnPipeline(networks)
    for index in numbers:
        name = dataset.name(index)
        try:
            sample = dataset[index]
            mask = mask_of(sample, networks.variant, settings)
        except UnusableSample as error:
            yield Unusable(name=name, reason=str(error))
            continue
        picture = kept.get(name) if kept else None
        found = picture is not None and picture.shape == sample.person.shape
        if picture is None or not found:
            picture = dress(pipeline, sample, mask, settings, seed=settings.seed + index)
            if kept:
                kept.put(name, picture)
        yield TryOn(sample=sample, mask=mask, picture=picture, kept=found)


def mask_of(sample: TryOnSample, variant: Variant, settings: DressSettings) -> BoolMask:
    """The mask of inference [H,W]. Raises UnusableSample if the sample allows none."""
    try:
        return agnostic_mask(
            sample.labels,
            sample.keypoints,
            category=sample.category,
            variant=variant,
            mode=settings.mask_mode,
            grow=settings.grow,
        ).mask
    except ValueError as error:
        raise UnusableSample(f"{sample.name}: {error}") from error


def dress(
    pipeline: TryOnPipeline,
    sample: TryOnSample,
    mask: BoolMask,
    settings: DressSettings,
    *,
    seed: int,
) -> NDArray[np.uint8]:
    """Return the person in the garment, uint8 RGB [H,W,3]. Raises ValueError as TryOnRequest."""
    request = TryOnRequest(
        person=sample.person,
        garment=sample.garment,
        mask=mask,
        category=sample.category,
        num_inference_steps=settings.steps,
        guidance_scale=settings.guidance,
        seed=seed,
        scheduler=settings.sampler,
    )
    result = pipeline(request)[0]
    if settings.feather is None:
        return result
    _, fit = fit_image(sample.person, *sample.person.shape[:2])
    return paste_back(sample.person, result, mask, fit, settings.feather)
