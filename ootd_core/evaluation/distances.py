"""FID and KID of two sets of feature vectors, as torchmetrics computes them.

A picture counts in its category and in the whole set, so its features are computed once beforehand,
and torchmetrics is given the vectors themselves. KID's deviation is our own: over subsets, as
torchmetrics has it, it is zero for every set that is no larger than a subset.
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
    """fid; kid and its standard deviation (`kernel_deviation`), both times PROTOCOL.kid_scale."""

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
    real, made = real.double(), made.double()
    return SetDistances(
        fid=frechet_distance(real, made),
        kid=kernel_distance(real, made),
        kid_deviation=kernel_deviation(real, made),
    )


def frechet_distance(real: Tensor, made: Tensor) -> float:
    """Return FID of features [N, F] and [M, F] float64."""
    from torchmetrics.image.fid import FrechetInceptionDistance

    metric = FrechetInceptionDistance(feature=GivenFeatures(real.shape[1]))
    metric.update(real, real=True)
    metric.update(made, real=False)
    return float(metric.compute())


def kernel_distance(real: Tensor, made: Tensor) -> float:
    """Return KID of features [N, F] and [M, F], scaled; the mean over subsets."""
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
        mean, _ = metric.compute()
    return PROTOCOL.kid_scale * float(mean)


def kernel_deviation(real: Tensor, made: Tensor) -> float:
    """Return the standard deviation of the unbiased KID over all pairs of [N, F], [M, F]; scaled.

    How far KID would move with other pictures of the same kinds. The variance is the sum of
    Hoeffding's terms, each estimated from the kernel matrices: what single pictures contribute,
    and, all there is between sets of one distribution, what pairs of them do. There it comes out up
    to a sixth too large in small sets, since no term is taken for negative. Source: Sutherland et
    al., arXiv 1611.04488, section 3 and appendix A.
    """
    across = _kernel(real, made)
    pairs_across = _centred(across).square().mean()
    single_pictures, picture_pairs = torch.zeros(()), 4 * pairs_across / across.numel()
    for own, other in ((real, across), (made, across.T)):
        size = len(own)
        within = _kernel(own, own).fill_diagonal_(0)
        means = within.sum(1) / (size - 1)
        # Doubly centred without the diagonal, whose values are of another kind.
        spread = within - means[:, None] - means[None] + means.mean()
        pairs = spread.fill_diagonal_(0).square().sum() / (size * (size - 1))
        noise = pairs / (size - 1) + pairs_across / other.shape[1]
        single_pictures = single_pictures + 4 * ((means - other.mean(1)).var() - noise) / size
        picture_pairs = picture_pairs + 2 * pairs / (size * (size - 1))
    return PROTOCOL.kid_scale * float((single_pictures.clamp(min=0) + picture_pairs).sqrt())


def _kernel(first: Tensor, second: Tensor) -> Tensor:
    return (first @ second.T / first.shape[1] + 1) ** 3


def _centred(kernel: Tensor) -> Tensor:
    return kernel - kernel.mean(0) - kernel.mean(1, keepdim=True) + kernel.mean()
