"""A data set dressed and judged: the figures, and which samples could not be used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..checkpoints.networks import Networks
from ..datasets.dressing import DressSettings
from ..datasets.sample import TryOnDataset
from .features import FeatureNetworks
from .scores import Judged, SampleScores, Scorer, SetScores
from .try_ons import DressedSample, KeptPictures, Unusable, dress_all

OnSample = Callable[[DressedSample | Unusable], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Measurement:
    """scores: by category, and of all. kept: the number of pictures that an earlier run made."""

    scores: dict[str, SetScores]
    samples: tuple[SampleScores, ...]
    unusable: tuple[Unusable, ...]
    kept: int


def measure(
    networks: Networks,
    dataset: TryOnDataset,
    settings: DressSettings,
    features: FeatureNetworks,
    *,
    kept: KeptPictures | None = None,
    limit: int | None = None,
    on_sample: OnSample | None = None,
) -> Measurement:
    """Dress a data set and judge every picture; `on_sample` is called after each.

    Raises ValueError if the networks do not know a category of the set, or if none of its samples
    can be used.
    """
    scorer = Scorer(features)
    unusable: list[Unusable] = []
    reused = 0
    for result in dress_all(networks, dataset, settings, kept=kept, limit=limit):
        if isinstance(result, Unusable):
            unusable.append(result)
        else:
            reused += result.kept
            scorer.add(
                Judged(
                    name=result.sample.name,
                    category=result.sample.category,
                    picture=result.picture,
                    person=result.sample.person,
                    truth=result.sample.truth,
                    mask=result.mask,
                )
            )
        if on_sample is not None:
            on_sample(result)
    if not scorer.samples:
        first = f"; the first: {unusable[0].reason}" if unusable else ""
        raise ValueError(f"None of the {len(unusable)} samples can be used{first}.")
    return Measurement(
        scores=scorer.by_category(),
        samples=tuple(scorer.samples),
        unusable=tuple(unusable),
        kept=reused,
    )
