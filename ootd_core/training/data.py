"""Batches of latents from any data set, read ahead and kept on disk.

A batch's number decides which samples it has: every pass over the set is shuffled anew, and with
augmentation each sample comes in a few versions that take turns. What cannot be read becomes a
blank that does not count; it is reported once, and no other sample takes its place.
"""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..categories import CATEGORIES
from ..checkpoints.integrity import file_stamp
from ..checkpoints.networks import Networks
from ..datasets.augmentation import Augmentation, augment
from ..datasets.dolls import DRAWING, PaperDolls
from ..datasets.photographs import Photographs
from ..datasets.sample import TryOnDataset, TryOnSample, UnusableSample
from ..datasets.sample_masks import TrainingMaskOptions, training_mask
from ..datasets.usable_samples import UsableSamples
from ..masks.morphology import BoolMask
from .latent_cache import LatentCache, encoders_fingerprint, key_of
from .latents import TryOnLatents, blank_latents, encode_pictures
from .tryon import Draw

FORMAT = 1
"""Of the cached latents: raise it when a sample is encoded in another way."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DataOptions:
    """How a data set becomes batches.

    Args:
        batch_size: samples of one process.
        versions_per_sample: how many augmented and masked versions of a sample take turns.
        processes: how many processes share the batches.
        num_workers: threads that read ahead; 0 reads when asked.
    """

    batch_size: int
    seed: int = 0
    versions_per_sample: int = 1
    augmentation: Augmentation = field(default_factory=Augmentation)
    masks: TrainingMaskOptions = field(default_factory=TrainingMaskOptions)
    processes: int = 1
    num_workers: int = 0

    def __post_init__(self) -> None:
        for name in ("batch_size", "versions_per_sample", "processes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}.")


@dataclass(frozen=True, slots=True)
class MaskedSample:
    """A sample that was read, and what of it is hidden, bool [H, W]."""

    sample: TryOnSample
    mask: BoolMask


class DatasetLatents:
    """A `LatentSource` over a data set whose samples are height x width pixels large."""

    def __init__(
        self,
        networks: Networks,
        dataset: TryOnDataset,
        options: DataOptions,
        *,
        size: tuple[int, int],
        cache: Path | None = None,
    ) -> None:
        """Raises ValueError if the data set has no garment of a category that the networks know."""
        self.networks = networks
        self.dataset = dataset
        self.options = options
        self.size = size
        self.cache = LatentCache(cache)
        self.reading = UsableSamples(dataset)
        self.indices = usable_indices(dataset, networks)
        self._fingerprint = encoders_fingerprint(networks)
        self._blank = blank_latents(networks, *size)
        self._workers = ThreadPoolExecutor(max(1, options.num_workers))
        self._ahead: dict[int, list[Future[TryOnLatents | MaskedSample | None]]] = {}

    def batch(self, number: int) -> list[Draw]:
        """Return a batch, the same for the same number whatever was asked for before."""
        ready = self._ahead.pop(number, None) or self._begin(number)
        following = number + self.options.processes
        self._ahead = {following: self._begin(following)} if self.options.num_workers else {}
        first = number * self.options.batch_size
        return [self._draw(first + place, future) for place, future in enumerate(ready)]

    def close(self) -> None:
        """Stop reading ahead."""
        self._workers.shutdown(cancel_futures=True)

    def _begin(self, number: int) -> list[Future[TryOnLatents | MaskedSample | None]]:
        first = number * self.options.batch_size
        return [
            self._workers.submit(self._read, first + place)
            for place in range(self.options.batch_size)
        ]

    def _draw(self, number: int, ready: Future[TryOnLatents | MaskedSample | None]) -> Draw:
        found = ready.result()
        if isinstance(found, MaskedSample):
            found = self._encoded(number, found)
        if found is None:
            return Draw(number=number, latents=self._blank, counts=False)
        return Draw(number=number, latents=found)

    def _read(self, number: int) -> TryOnLatents | MaskedSample | None:
        index, _ = self.place(number)
        key = self._key(number)
        latents = self.cache.read(key)
        if latents is not None:
            return latents
        sample = self.reading.read(index)
        if sample is None:
            return None
        rng = np.random.default_rng(list(key))  # the key says all there is to know
        try:
            sample = augment(sample, rng, self.options.augmentation)
            mask = training_mask(sample, self.networks.variant, rng, self.options.masks)
            _truth(sample)
        except UnusableSample as error:
            self.reading.skip(index, str(error))
            return None
        return MaskedSample(sample, mask)

    def _encoded(self, number: int, masked: MaskedSample) -> TryOnLatents:
        sample = masked.sample
        latents = encode_pictures(
            self.networks,
            person=sample.person,
            garment=sample.garment,
            truth=_truth(sample),
            mask=masked.mask,
            category=sample.category,
        )
        return self.cache.keep(self._key(number), latents)

    def place(self, number: int) -> tuple[int, int]:
        """Return the data set's index and the version of the sample that draw `number` is."""
        passes, position = divmod(number, len(self.indices))
        order = _shuffled(self.options.seed, passes, len(self.indices))
        return self.indices[int(order[position])], passes % self.options.versions_per_sample

    def _key(self, number: int) -> bytes:
        index, version = self.place(number)
        return key_of(
            FORMAT,
            self._fingerprint,
            self.size,
            sample_stamp(self.dataset, index),
            asdict(self.options.augmentation),
            asdict(self.options.masks),
            self.options.seed,
            version,
        )


def usable_indices(dataset: TryOnDataset, networks: Networks) -> list[int]:
    """Return the samples whose category the networks know. Raises ValueError if there are none."""
    allowed = CATEGORIES[networks.variant]
    indices = [index for index in range(len(dataset)) if dataset.category(index) in allowed]
    if not indices:
        raise ValueError(
            f"The data set has no garment for variant {networks.variant} "
            f"({', '.join(sorted(allowed))}): train the other variant."
        )
    return indices


def sample_stamp(dataset: TryOnDataset, index: int) -> list[Any]:
    """Return what identifies a sample's content without reading it, as JSON values.

    That is its name and, of a photograph, the stamps of its files and of the networks that see what
    no file says; of a doll, the version of the drawing.
    """
    stamp: list[Any] = [type(dataset).__name__, dataset.name(index)]
    if isinstance(dataset, PaperDolls):
        stamp.append(DRAWING)
    if isinstance(dataset, Photographs):
        pair = dataset.pairs[index]
        for path in (pair.person, pair.garment, pair.labels, pair.keypoints):
            stamp.append(file_stamp(path) if path is not None and path.is_file() else None)
        if None in (pair.labels, pair.keypoints):
            stamp.append(dataset.seen_by)
    return stamp


@lru_cache(maxsize=4)
def _shuffled(seed: int, passes: int, length: int) -> NDArray[np.int64]:
    return np.random.default_rng((seed, passes)).permutation(length)


def _truth(sample: TryOnSample) -> NDArray[np.uint8]:
    if sample.truth is None:
        raise UnusableSample(f"{sample.name} has no picture of the person in the garment.")
    return sample.truth
