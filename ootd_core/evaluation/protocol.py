"""The protocol that every published figure of this project follows.

Figures of two programs can be compared only if sizes, resizing, feature network and normalisation
are the same. The name and version below are written into every report; a change of any of them is a
new version. docs/evaluation.md says the same in prose, and what other papers do otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Protocol:
    """What is measured, and how.

    feature_size: side of the feature network's input, in pixels. features: length of a picture's
    feature vector. kid_subsets, kid_subset_size: number of subsets, and the most pictures in one.
    kid_scale: what KID is multiplied by before it is reported.
    """

    name: str = "ootd-tryon"
    version: int = 3
    ssim: str = (
        "Gaussian window 11, sigma 1.5, data range 1, mean over RGB without a rim of 5 pixels"
    )
    lpips: str = "AlexNet, version 0.1 linear weights, pictures in [0, 1] (normalize=True)"
    feature_network: str = "Inception 2015-12-05 (FID weights), pool3, 2048 features"
    feature_resize: str = "Pillow bicubic with antialiasing per channel in float32, clipped"
    feature_size: int = 299
    features: int = 2048
    fid: str = "torchmetrics over float64 features, unbiased covariances"
    kid: str = "torchmetrics, polynomial kernel (x.y / features + 1)^3, unbiased, subsets from seed"
    kid_subsets: int = 100
    kid_deviation: str = "of the unbiased estimate over all pairs, by Hoeffding's terms"
    kid_subset_size: int = 1000
    kid_scale: int = 1000
    shape: str = "IoU of parsed and drawn area: top; trousers or skirt; dress, or top and skirt"
    colour_error: str = "CIE 1976 between mean sRGB colours, exact curve, D65"
    seed: int = 0


PROTOCOL = Protocol()
