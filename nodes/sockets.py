"""What flows between our nodes beside ComfyUI's own types, and where the nodes lie in its menu.

OOTD_LABEL_MAP: list of uint8 [H,W], ATR labels. OOTD_GARMENT_ENCODER: a `GarmentEncoder`.
OOTD_GARMENT_FEATURES: a `GarmentFeatures`. OOTD_FIT: list of `Fit`. POSE_KEYPOINT: list of OpenPose
frames, as other packs make them.
"""

from __future__ import annotations

from dataclasses import dataclass

from comfy_api.latest import io
from torch import Tensor

MENU = "virtual try-on"

LabelMaps = io.Custom("OOTD_LABEL_MAP")
GarmentEncoderSocket = io.Custom("OOTD_GARMENT_ENCODER")
GarmentFeaturesSocket = io.Custom("OOTD_GARMENT_FEATURES")
Fits = io.Custom("OOTD_FIT")
PoseKeypoint = io.Custom("POSE_KEYPOINT")


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class GarmentFeatures:
    """What the outfitting UNet read: one [G, tokens, channels] for each transformer block.

    conditional: of the garments. unconditional: of nothing, under the same prompts; it belongs to
    the negative conditioning, which makes cfg the paper's guidance. prompt: of the garments.
    """

    conditional: list[Tensor]
    unconditional: list[Tensor]
    prompt: Tensor

    @property
    def garments(self) -> int:
        return len(self.conditional[0])
