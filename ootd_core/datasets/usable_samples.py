"""Reading on past samples that cannot be used, and owning up to it.

An unusable sample is left out; nothing is read twice in its place. Which ones were left out is
known afterwards, by name and reason, whoever read first: several threads may share a reader.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator

from .sample import TryOnDataset, TryOnSample, UnusableSample

logger = logging.getLogger(__name__)


class Skipping:
    """Reads samples of a data set; `skipped` says why which number was left out."""

    def __init__(self, dataset: TryOnDataset) -> None:
        self.dataset = dataset
        self.skipped: dict[int, str] = {}

    def read(self, index: int) -> TryOnSample | None:
        """Return a sample, or None if it cannot be used; that is said once, as a warning."""
        if index in self.skipped:
            return None
        try:
            return self.dataset[index]
        except UnusableSample as error:
            self.skip(index, str(error))
            return None

    def skip(self, index: int, reason: str) -> None:
        """Leave a sample out from now on, for what only its user could find out.

        Raises ValueError once no sample of the data set is left.
        """
        if self.skipped.setdefault(index, reason) is reason:
            logger.warning("%s is skipped: %s", self.dataset.name(index), reason)
        if len(self.skipped) == len(self.dataset):
            raise ValueError(
                f"None of the {len(self.dataset)} samples can be used; the last one: {reason}"
            )

    def samples(self, order: Iterable[int]) -> Iterator[tuple[int, TryOnSample]]:
        """Yield (number, sample) of those in `order` that can be used."""
        for index in order:
            sample = self.read(index)
            if sample is not None:
                yield index, sample

    def report(self, most: int = 5) -> str:
        """Return one line that counts what was skipped, and one each for the first `most`."""
        lines = [f"{len(self.skipped)} of {len(self.dataset)} samples were skipped."]
        for index, reason in sorted(self.skipped.items())[:most]:
            lines.append(f"  {self.dataset.name(index)}: {reason}")
        if len(self.skipped) > most:
            lines.append(f"  and {len(self.skipped) - most} more")
        return "\n".join(lines)
