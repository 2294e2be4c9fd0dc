"""FID and KID of two sets of feature vectors, as torchmetrics computes them.

A picture counts in its category and in the whole set, so its features are computed once beforehand,
and torchmetrics is given the vectors themselves.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .protocol import PROTOCOL

MIN_PICTURES = 2
"""Fewer have no covariance."""


class GivenFeatures(nn.Module):
    """Stands in for the feature network of torchmetrics: its input is the features already."""

    def __init__(self, num_features: int) -> None:
        super().__init__()
        self.num_features = num_features

    def forward(self, features: Tensor) -> Tensor:
        return features


@dataclass(frozen=True, kw_only=True, slots=True)
class SetDistances:
    """fid; kid and its standard deviation over subsets, both times PROTOCOL.kid_scale."""

    fid: float
    kid: float
    kid_deviation: float


def set_distances(real: Tensor, made: Tensor) -> SetDistances | None:
    """Compare features [N, F] of real pictures with [M, F] of generated ones; None below two.

    FID: Heusel et al., arXiv 1706.08500; KID: Binkowski et al., arXiv 1801.01401. With fewer
    pictures than features FID is biased upwards: compare only sets of one size.
    """
    if min(len(real), len(made)) < MIN_PICTURES:
        return None
    kid, deviation = kernel_distance(real.double(), made.double())
    return SetDistances(
        fid=frechet_distance(real.double(), made.double()), kid=kid, kid_deviation=deviation
    )


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """Return FID of features [N, F] and [M, F] float64."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=GivenFeatures(real.shape[1]))
    metric.update(real, real=True)
    metric.update(made, real=False)
    return float(metric.compute())


def kernel_distance(real: Tensor, made: Tensor) -> tuple[float, float]:
    """Return KID of features [N, F] and [M, F] and its standard deviation over subsets, scaled."""
    from torchmetrics.image.kid import KernelInceptionDistance

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about memory for the features, which are there anyway
        metric = KernelInceptionDistance(
            feature=GivenFeatures(real.shape[1]),
            subsets=PROTOCOL.kid_subsets,
            subset_size=min(PROTOCOL.kid_subset_size, len(real), len(made)),
        )
    metric.update(real, real=True)
    metric.update(made, real=False)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(PROTOCOL.seed)
        mean, deviation = metric.compute()
    return PROTOCOL.kid_scale * float(mean), PROTOCOL.kid_scale * float(deviation)
