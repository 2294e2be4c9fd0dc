"""The samples of a data set that can be used: the others are left out, counted and reported.

Nothing is read twice in the place of a sample that was left out. Which ones were is known
afterwards, by name and reason, whoever read first: several threads may share a reader.
"""

from __future__ import annotations

import logging

from .sample import TryOnDataset, TryOnSample, UnusableSample

logger = logging.getLogger(__name__)


class UsableSamples:
    """Reads samples of a data set; `skipped` says why which number was left out."""

    def __init__(self, dataset: TryOnDataset) -> None:
        self.dataset = dataset
        self.skipped: dict[int, str] = {}

    def read(self, index: int) -> TryOnSample | None:
        """Return a sample, or None if it cannot be used, which is logged once as a warning."""
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

    def report(self, lines: int = 5) -> str:
        """Return a line that counts what was skipped, and one each for the first `lines`."""
        report = [f"{len(self.skipped)} of {len(self.dataset)} samples were skipped."]
        for index, reason in sorted(self.skipped.items())[:lines]:
            report.append(f"  {self.dataset.name(index)}: {reason}")
        if len(self.skipped) > lines:
            report.append(f"  and {len(self.skipped) - lines} more")
        return "\n".join(report)
