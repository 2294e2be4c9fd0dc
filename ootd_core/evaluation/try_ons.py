"""Dresses every sample of a data set, and keeps the pictures, so that a second run only measures.

A kept picture is used again only if everything that made it is the same: the model's files, the
data set and the settings, whose hash names the folder. Samples that cannot be read or masked are
left out and handed to the caller with the reason.
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

from ..categories import check_category
from ..checkpoints.integrity import file_stamp
from ..checkpoints.locating import locate
from ..checkpoints.networks import Networks
from ..checkpoints.writing import save_json, write_whole
from ..datasets.dressing import DressSettings, dress
from ..datasets.photographs import Photographs
from ..datasets.sample import TryOnDataset, TryOnSample, UnusableSample
from ..images.files import load_image
from ..masks.morphology import BoolMask
from ..pipeline import TryOnPipeline

HASH_DIGITS = 12


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class DressedSample:
    """A sample and its try-on.

    mask: bool [H, W], what was repainted. picture: uint8 RGB [H, W, 3]. kept: an earlier run made
    it.
    """

    sample: TryOnSample
    mask: BoolMask
    picture: NDArray[np.uint8]
    kept: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """A sample that was left out, and why."""

    name: str
    reason: str


class KeptPictures:
    """Pictures by sample name, in a folder of their own for each set of inputs."""

    def __init__(self, folder: Path, made_by: Mapping[str, Any]) -> None:
        """made_by: everything that a picture depends on, as JSON values."""
        self.folder = folder / fingerprint(made_by)
        save_json(self.folder / "made-by.json", made_by)

    def path(self, name: str) -> Path:
        return self.folder / f"{quote(name, safe='')}.png"

    def get(self, name: str) -> NDArray[np.uint8] | None:
        """Return the picture of a sample, None if it is missing or damaged."""
        try:
            return load_image(self.path(name))
        except (FileNotFoundError, ValueError):
            return None

    def put(self, name: str, picture: NDArray[np.uint8]) -> None:
        write_whole(self.path(name), lambda path: Image.fromarray(picture).save(path, "PNG"))


def fingerprint(content: Mapping[str, Any]) -> str:
    """Return a short hash of JSON values that does not depend on their order."""
    text = json.dumps(content, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_DIGITS]


def made_by(
    settings: DressSettings,
    model: Path,
    networks: Networks,
    dataset: TryOnDataset,
    source: Mapping[str, Any],
) -> dict[str, Any]:
    """Return everything that a data set's pictures depend on, as JSON values.

    model: the folder that `networks` come from. source: where the data set comes from. Weights are
    recognised by size and time of change, samples by name: a picture that is replaced under the
    same name is not noticed.
    """
    paths = locate(model, networks.variant)
    parts = (paths.vae, paths.text_encoder, paths.image_encoder)
    parts = (*parts, paths.outfitting_unet, paths.tryon_unet)
    files = [file for part in parts for file in part.files]
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
) -> Iterator[DressedSample | Unusable]:
    """Dress the first `limit` samples of a data set (None: all), in its order.

    Raises ValueError if the networks do not know a category of the set, before the first picture.
    """
    numbers = range(len(dataset) if limit is None else min(limit, len(dataset)))
    for category in {dataset.category(index) for index in numbers}:
        check_category(networks.variant, category)
    pipeline = TryOnPipeline(networks)
    for index in numbers:
        name = dataset.name(index)
        try:
            sample = dataset[index]
            mask = settings.mask(sample, networks.variant)
        except UnusableSample as error:
            yield Unusable(name=name, reason=str(error))
            continue
        picture = kept.get(name) if kept else None
        found = picture is not None and picture.shape == sample.person.shape
        if picture is None or not found:
            picture = dress(pipeline, sample, mask, settings, seed=settings.seed + index)
            if kept:
                kept.put(name, picture)
        yield DressedSample(sample=sample, mask=mask, picture=picture, kept=found)
