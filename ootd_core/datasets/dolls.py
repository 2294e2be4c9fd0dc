"""Paper dolls as a data set: each is drawn when it is asked for, without any file.

A doll wears something else in the person's picture, and its true picture in the garment exists, so
paired and unpaired are the same.
"""

from __future__ import annotations

from collections.abc import Collection
from itertools import count

from ..categories import Category
from .pairs_file import Split
from .paper_dolls.sample import category_of, draw_sample
from .sample import TryOnSample

FIRST_SEEDS: dict[Split, int] = {"train": 1_000_000, "test": 0}
"""Dolls below the first training seed are held out for tests and evaluation."""
DRAWING = 2
"""Version of the drawing: raise it when a seed draws another picture, or caches are wrong."""
DOLLS: dict[Split, int] = {"train": 20_000, "test": 64}
"""How many there are by default."""


class PaperDolls:
    """A `TryOnDataset` of the first dolls of a split that are of one of the categories."""

    def __init__(
        self,
        size: tuple[int, int],
        split: Split = "train",
        *,
        dolls: int | None = None,
        categories: Collection[Category] | None = None,
    ) -> None:
        """Raises ValueError if there are to be none, or more test dolls than are held out."""
        wanted = frozenset(Category) if categories is None else frozenset(categories)
        number = DOLLS[split] if dolls is None else dolls
        if number < 1 or not wanted:
            raise ValueError(f"A data set of {number} dolls of {len(wanted)} categories is empty.")
        self.size = size
        self.seeds: list[int] = []
        self.categories: list[Category] = []
        for seed in count(FIRST_SEEDS[split]):
            category = category_of(seed)
            if category in wanted:
                self.seeds.append(seed)
                self.categories.append(category)
            if len(self.seeds) == number:
                break
        if split == "test" and self.seeds[-1] >= FIRST_SEEDS["train"]:
            raise ValueError(
                f"There are fewer than {number} test dolls: only seeds below "
                f"{FIRST_SEEDS['train']} are held out."
            )

    def __len__(self) -> int:
        return len(self.seeds)

    def name(self, index: int) -> str:
        return f"doll-{self.seeds[index]}"

    def category(self, index: int) -> Category:
        return self.categories[index]

    def __getitem__(self, index: int) -> TryOnSample:
        height, width = self.size
        doll = draw_sample(self.seeds[index], height=height, width=width)
        return TryOnSample(
            name=self.name(index),
            category=doll.category,
            person=doll.person,
            garment=doll.garment,
            labels=doll.labels,
            keypoints=doll.keypoints,
            truth=doll.truth,
        )
