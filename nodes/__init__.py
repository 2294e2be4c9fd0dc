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

Under them: sockets (types of our own), pictures (layouts and batches), model_folders, file_cache,
native_networks (ComfyUI's UNet and VAE from a checkpoint), garment_encoder, garment_attention (the
fusion as hooks of ComfyUI). The only package that imports ComfyUI.
"""

from __future__ import annotations

from comfy_api.latest import ComfyExtension, io

from . import model_folders
from .decode import DecodeTryOn
from .demo import DemoPictures
from .denoise import FusedDenoiser
from .encode import EncodeGarment, OutfittingUNet
from .fit import FitPerson, PrepareGarment
from .loader import LoadModel
from .mask import GenerateMask
from .perceive import DetectBodyPose, ParseHuman
from .tryon import TryOnGarment

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
    """What ComfyUI loads: the models' folder is made known, then the nodes are handed over."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        model_folders.register()
        return NODES
