"""A few small drawn people as a data set, one of which can be made unreadable or empty."""

from dataclasses import replace

import numpy as np

from ootd_core.categories import Category
from ootd_core.datasets.paper_dolls.sample import draw_sample
from ootd_core.datasets.sample import TryOnSample, UnusableSample

HEIGHT, WIDTH = 128, 96
CATEGORIES = (Category.UPPER, Category.LOWER, Category.DRESS, Category.UPPER)


class DrawnSet:
    """`TryOnDataset`; paired: the person wears the garment already, as in photographs.

    unreadable: raises UnusableSample. nobody: the label map and the joints are empty. reads counts
    samples read.
    """

    def __init__(
        self,
        *,
        paired: bool = True,
        unreadable: tuple[int, ...] = (),
        nobody: tuple[int, ...] = (),
        categories: tuple[Category, ...] = CATEGORIES,
    ) -> None:
        self.paired = paired
        self.unreadable = unreadable
        self.nobody = nobody
        self.categories = categories
        self.reads = 0

    def __len__(self) -> int:
        return len(self.categories)

    def name(self, index: int) -> str:
        return f"people/{index}.jpg"

    def category(self, index: int) -> Category:
        return self.categories[index]

    def __getitem__(self, index: int) -> TryOnSample:
        self.reads += 1
        if index in self.unreadable:
            raise UnusableSample(f"{self.name(index)} is damaged.")
        doll = draw_sample(index, height=HEIGHT, width=WIDTH, category=self.categories[index])
        sample = TryOnSample(
            name=self.name(index),
            category=doll.category,
            person=doll.truth if self.paired else doll.person,
            garment=doll.garment,
            labels=doll.truth_labels if self.paired else doll.labels,
            keypoints=doll.keypoints,
            truth=doll.truth if self.paired else None,
        )
        if index in self.nobody:
            return replace(
                sample,
                labels=np.zeros_like(sample.labels),
                keypoints=np.zeros_like(sample.keypoints),
            )
        return sample
