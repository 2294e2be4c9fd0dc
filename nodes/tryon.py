"""Try On Garment: the whole pipeline as one node that expands into the separate ones.

Its pictures are taken as links, not as values: the nodes it expands into then depend on where the
pictures come from, and ComfyUI keeps what does not change. A new seed samples anew and no more.
"""

from __future__ import annotations

from typing import Any

import comfy.samplers
from comfy_api.latest import io
from comfy_execution.graph_utils import GraphBuilder

from ..ootd_core.categories import Category, check_category
from ..ootd_core.checkpoints.catalogue import Part
from ..ootd_core.conditioning import guidance_bounds
from ..ootd_core.images.restoring import Restore
from ..ootd_core.images.worn_garment import GarmentPhoto
from ..ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ..tryon.preparation import PoseNetwork, choose_networks
from . import model_folders
from .decode import restore_input
from .fit import garment_photo_input, person_index_input, size_input
from .guidance_interval import interval_inputs
from .inputs import check_choices
from .loader import VARIANTS, WEIGHT_DTYPES, check_variant
from .mask import MODES, check_reach, length_input, sleeves_input
from .search_words import GARMENT, searched_as
from .sockets import MENU, PoseKeypoint

LINK = {"rawLink": True}
Link = list[Any]
"""[node id, number of its output]: what an input with LINK gets in place of a value."""


def _seen_by(checkpoint: str, pose_network: str) -> tuple[str, bool]:
    """Whose pose network finds people (Detect Body Pose's input), and whether anything parses."""
    network, parses = choose_networks(
        PoseNetwork(pose_network),
        has_parser=model_folders.has_files(checkpoint, (Part.PARSER,)),
        has_pose=model_folders.has_files(checkpoint, (Part.POSE,)),
        has_blazepose=model_folders.BLAZEPOSE in model_folders.pose_networks(),
        is_mini=checkpoint == model_folders.MINI,
    )
    special = {
        PoseNetwork.BLAZEPOSE: model_folders.BLAZEPOSE,
        PoseNetwork.MINI: model_folders.MINI,
    }
    return special.get(network, checkpoint), parses


class TryOnGarment(io.ComfyNode):
    """No logic of its own: what each input does, the node of that stage says."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        checkpoints = model_folders.names()
        return io.Schema(
            node_id="OOTD_TryOn",
            display_name="Try On Garment (VTON, Virtual Clothes Try-On)",
            category=MENU,
            **searched_as("try on clothes", "dress up", "一键试穿", *GARMENT),
            description="Puts a garment on a person, with everything set to what usually works. It "
            "stands for the separate nodes; use those to change a stage.",
            inputs=[
                io.Image.Input(
                    "person", tooltip="A person's picture of any size.", extra_dict=LINK
                ),
                io.Image.Input(
                    "garment",
                    tooltip="A garment, of any size: lying flat, or see garment_photo.",
                    extra_dict=LINK,
                ),
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoints,
                    default=checkpoints[0],
                    tooltip="A folder in models/ootdiffusion, or the small built-in one, which "
                    "dresses drawn dolls only.",
                ),
                io.Combo.Input(
                    "variant",
                    options=list(VARIANTS),
                    default="full body (dc)",
                    tooltip="Half body dresses upper garments only.",
                ),
                io.Combo.Input(
                    "category",
                    options=[category.value for category in Category],
                    default=Category.UPPER.value,
                    tooltip="The part of the body that the garment covers.",
                ),
                size_input(),
                io.Combo.Input(
                    "mask_mode",
                    options=list(MODES),
                    default="auto",
                    tooltip="auto: the old garment, and where the new one will lie, by its "
                    "picture. The others look at the old one alone.",
                ),
                io.Int.Input(
                    "seed",
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    control_after_generate=True,
                    tooltip="Of the noise: another seed, another try.",
                ),
                io.Int.Input(
                    "steps", default=20, min=1, max=1000, tooltip="Of the sampler, 20 as published."
                ),
                io.Float.Input(
                    "cfg",
                    default=2.0,
                    min=0.0,
                    max=20.0,
                    step=0.1,
                    tooltip="How strongly the garment counts: 2 as published, 1 to 5.",
                ),
                io.Combo.Input(
                    "sampler_name",
                    options=list(comfy.samplers.KSampler.SAMPLERS),
                    default="uni_pc",
                    tooltip="Any of KSampler's; uni_pc as published.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=list(comfy.samplers.KSampler.SCHEDULERS),
                    default="normal",
                    tooltip="Any of KSampler's.",
                ),
                io.Combo.Input(
                    "weight_dtype",
                    options=list(WEIGHT_DTYPES),
                    default="auto",
                    tooltip="Precision of the UNets' weights. 'auto' leaves it to ComfyUI.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Your own mask of the person's picture, in place of the generated one. "
                    "A black one means none.",
                    extra_dict=LINK,
                ),
                PoseKeypoint.Input(
                    "pose_keypoint",
                    optional=True,
                    tooltip="Joints of the person's picture from another pack, in place of the "
                    "detected ones.",
                    extra_dict=LINK,
                ),
                person_index_input(),
                length_input(),
                sleeves_input(),
                *interval_inputs(),
                io.Combo.Input(
                    "pose_network",
                    options=[network.value for network in PoseNetwork],
                    default=PoseNetwork.AUTO.value,
                    optional=True,
                    tooltip="What finds the person. auto: the checkpoint's networks, or blazepose "
                    "where they are missing and it is downloaded. blazepose: for photographs; the "
                    "built-in parser, which knows drawn dolls only, is then left out.",
                ),
                garment_photo_input(GarmentPhoto.FLAT),
                restore_input(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="The person in the garment."),
                io.Mask.Output(display_name="mask", tooltip="What was redrawn."),
            ],
            enable_expand=True,
        )

    @classmethod
    def validate_inputs(
        cls,
        checkpoint: str | None,
        variant: str | None,
        category: str | None,
        size: str | None,
        mask_mode: str | None,
        sampler_name: str | None,
        scheduler: str | None,
        weight_dtype: str | None,
        mask: Link | None = None,
        length: str | None = None,
        sleeves: str | None = None,
        guidance_start: float | None = None,
        guidance_end: float | None = None,
        pose_network: str | None = None,
        garment_photo: str | None = None,
        restore: str | None = None,
    ) -> bool:
        check_choices(
            cls,
            variant=variant,
            category=category,
            size=size,
            mask_mode=mask_mode,
            sampler_name=sampler_name,
            scheduler=scheduler,
            weight_dtype=weight_dtype,
            length=length,
            sleeves=sleeves,
            pose_network=pose_network,
            garment_photo=garment_photo,
            restore=restore,
        )
        check_reach(mask_mode, length, sleeves, category)
        if guidance_start is not None and guidance_end is not None:
            guidance_bounds(guidance_start, guidance_end)
        check_variant(checkpoint, variant)
        if variant is not None and category is not None:
            check_category(VARIANTS[variant], Category(category))
        if checkpoint is None:
            return True
        pose, has_parser = _seen_by(checkpoint, pose_network or PoseNetwork.AUTO)
        usual = {"garment_photo": GarmentPhoto.FLAT, "restore": Restore.NONE}
        parsing = {"garment_photo": garment_photo, "restore": restore}
        parsing = {n: value for n, value in parsing.items() if value not in (None, usual[n])}
        if parsing and not has_parser:
            name, value = next(iter(parsing.items()))
            raise ValueError(
                f"{name} is '{value}', but the checkpoint has no parser for photographs, which it "
                f"needs: leave it at '{usual[name]}'. Prepare Garment Image cuts a worn garment "
                "out with a mask."
            )
        # A mask takes the place of what is seen of the person, not of the garment or the result.
        if has_parser and (parsing or mask is None):
            model_folders.check_files(checkpoint, parts=(Part.PARSER,))
        if mask is None or "garment_photo" in parsing:
            if pose == model_folders.BLAZEPOSE:
                model_folders.blazepose_files()
            else:
                model_folders.check_files(pose, parts=(Part.POSE,))
        return True

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None = None, **_others: object) -> str:
        stamp = model_folders.stamp(checkpoint)
        return stamp and stamp + model_folders.stamp(model_folders.BLAZEPOSE)

    @classmethod
    def execute(
        cls,
        person: Link,
        garment: Link,
        checkpoint: str,
        variant: str,
        category: str,
        size: str,
        mask_mode: str,
        seed: int,
        steps: int,
        cfg: float,
        sampler_name: str,
        scheduler: str,
        weight_dtype: str,
        mask: Link | None = None,
        pose_keypoint: Link | None = None,
        person_index: int = 0,
        length: str = MaskLength.AUTO,
        sleeves: str = MaskSleeves.AUTO,
        guidance_start: float = 0.0,
        guidance_end: float = 1.0,
        pose_network: str = PoseNetwork.AUTO,
        garment_photo: str = GarmentPhoto.FLAT,
        restore: str = Restore.NONE,
    ) -> io.NodeOutput:
        graph = GraphBuilder()
        loader = graph.node(
            "OOTD_ModelLoader", checkpoint=checkpoint, variant=variant, weight_dtype=weight_dtype
        )
        model = loader.out(0)
        pose_checkpoint, has_parser = _seen_by(checkpoint, pose_network)
        worn: dict[str, Any] = {}
        if garment_photo != GarmentPhoto.FLAT:
            of_garment = graph.node("OOTD_HumanParser", image=garment, checkpoint=checkpoint)
            joints = graph.node("OOTD_OpenPose", image=garment, checkpoint=pose_checkpoint)
            worn = {
                "label_map": of_garment.out(0),
                "pose_keypoint": joints.out(0),
                "category": category,
                "garment_photo": garment_photo,
            }
        prepared = graph.node("OOTD_PrepareGarment", image=garment, size=size, model=model, **worn)
        encoded = graph.node(
            "OOTD_GarmentEncoder",
            garment=prepared.out(0),
            vae=loader.out(3),
            garment_encoder=loader.out(2),
            category=category,
        )
        features = graph.node(
            "OOTD_OutfittingUNet",
            outfitting_unet=loader.out(1),
            conditioning=encoded.out(0),
            garment_latent=encoded.out(1),
        )

        def seen(image: Link) -> tuple[dict[str, Link], Link, dict[str, Link]]:
            """The label map as far as something parses, the joints, else a person mask."""
            pose = graph.node("OOTD_OpenPose", image=image, checkpoint=pose_checkpoint)
            if not has_parser:
                return {}, pose.out(0), {"person_mask": pose.out(2)}
            parsed = graph.node("OOTD_HumanParser", image=image, checkpoint=checkpoint)
            return {"label_map": parsed.out(0)}, pose.out(0), {}

        own = {} if mask is None else {"mask": mask}
        labels, pose, _ = seen(person)
        fit = graph.node(
            "OOTD_FitPerson",
            image=person,
            size=size,
            mode="auto",
            pose_keypoint=pose if pose_keypoint is None else pose_keypoint,
            person_index=person_index,
            model=model,
            **labels,
            **own,
        )
        labels, pose, outline = seen(fit.out(0))
        region = graph.node(
            "OOTD_MaskGenerator",
            image=fit.out(0),
            category=category,
            variant=variant,
            mode=mask_mode,
            grow=0,
            feather=0.0,
            keep_hair=False,
            keep_arms=False,
            keep_legs=False,
            keep_scarf=False,
            mask_use="replace",
            pose_keypoint=pose if pose_keypoint is None else fit.out(3),
            person_index=fit.out(4),
            mask=fit.out(1),
            garment=prepared.out(0) if worn else garment,
            length=length,
            sleeves=sleeves,
            **labels,
            **outline,
        ).out(0)
        fused = graph.node(
            "OOTD_FusedDenoiser",
            denoiser=model,
            garment_features=features.out(0),
            conditioning=encoded.out(0),
            vae=loader.out(3),
            person=fit.out(0),
            mask=region,
            garment_strength=1.0,
            start_percent=0.0,
            end_percent=1.0,
            guidance_start=guidance_start,
            guidance_end=guidance_end,
        )
        sampled = graph.node(
            "KSampler",
            model=fused.out(0),
            positive=fused.out(1),
            negative=fused.out(2),
            latent_image=fused.out(3),
            seed=seed,
            steps=steps,
            cfg=cfg,
            sampler_name=sampler_name,
            scheduler=scheduler,
            denoise=1.0,
        )
        restored: dict[str, Any] = {}
        if restore != Restore.NONE:
            restored = {"restore": restore, "checkpoint": checkpoint, **labels}
        decoded = graph.node(
            "OOTD_VAEDecode",
            latent=sampled.out(0),
            vae=loader.out(3),
            original=person,
            mask=region,
            fit=fit.out(2),
            feather=2.0,
            **restored,
        )
        return io.NodeOutput(decoded.out(0), decoded.out(1), expand=graph.finalize())
