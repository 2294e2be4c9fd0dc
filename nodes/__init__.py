"""The nodes: thin, typed, each a stage of the paper's figure 2 on ComfyUI's own types.

    loader      Load OOTDiffusion Model
    perceive    Parse Human, Detect Body Pose
    mask        Generate Try-On Mask
    fit         Fit Person, Prepare Garment Image
    encode      Encode Garment, Outfitting UNet
    denoise     Fused Denoiser
    decode      Decode Try-On
    tryon       Try On Garment: all of the above and KSampler
    demo        Demo Pictures

Under them: sockets (types of our own), pictures (layouts and batches), inputs (what is said about a
wrong one), search_words, template_order, model_folders, file_cache, native_networks (ComfyUI's UNet
and VAE from a checkpoint), garment_encoder, garment_attention (the fusion as hooks of ComfyUI). The
only package that imports ComfyUI.
"""

from __future__ import annotations

import logging

from comfy_api.latest import ComfyExtension, io

from ..ootd_core.requirements import what_is_missing
from . import model_folders, template_order
from .decode import DecodeTryOn
from .demo import DemoPictures
from .denoise import FusedDenoiser
from .encode import EncodeGarment, OutfittingUNet
from .fit import FitPerson, PrepareGarment
from .loader import LoadModel
from .mask import GenerateMask
from .perceive import DetectBodyPose, ParseHuman
from .tryon import TryOnGarment

logger = logging.getLogger(__name__)

NODES: list[type[io.ComfyNode]] = [
    LoadModel,
    ParseHuman,
    DetectBodyPose,
    GenerateMask,
    PrepareGarment,
    FitPerson,
    EncodeGarment,
    OutfittingUNet,
    FusedDenoiser,
    DecodeTryOn,
    TryOnGarment,
    DemoPictures,
]


class TryOnExtension(ComfyExtension):
    """What ComfyUI loads: the models' folder is made known, then the nodes are handed over.

    What is not installed is said here, once, and by the nodes that need it.
    """

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        absent = what_is_missing()
        if absent is not None:
            logger.warning("OOTDiffusion Virtual Try-On: %s", absent)
        model_folders.register()
        template_order.register()
        return NODES
