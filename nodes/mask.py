"""The mask generator: what is redrawn, from what is seen, from what the user painted, or both."""

from __future__ import annotations

from typing import Any

import comfy.model_management
import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from ..ootd_core.categories import Category, check_category
from ..ootd_core.images.compositing import overlay_mask
from ..ootd_core.images.fitting import Size, size_of
from ..ootd_core.latents import binary_mask
from ..ootd_core.masks.agnostic import MaskMode, agnostic_mask, check_by_hand
from ..ootd_core.masks.labels import Label
from ..ootd_core.masks.morphology import BoolMask, SoftMask, feather_mask
from ..ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ..ootd_core.masks.old_garment import label_map_of_old_garment
from ..ootd_core.masks.person_region import person_region_mask
from ..ootd_core.requirements import require
from ..openpose import Person
from ..tryon.preparation import ChosenPerson, choose_person
from .fit import person_index_input
from .inputs import check_choices, frames_in, painted_masks, people_in
from .loader import VARIANTS
from .pictures import common_batch, repeated, to_image, to_mask, to_pictures
from .search_words import GARMENT, searched_as
from .sockets import MENU, LabelMaps, PoseKeypoint
from .wiring import mark_mask, warn

MODES = {
    "auto": MaskMode.AUTO,
    "robust": MaskMode.ROBUST,
    "hide old garment": MaskMode.HIDE_OLD_GARMENT,
    "faithful": MaskMode.FAITHFUL,
}
KEEPABLE = {
    "keep_hair": (Label.HAIR,),
    "keep_arms": (Label.LEFT_ARM, Label.RIGHT_ARM),
    "keep_legs": (Label.LEFT_LEG, Label.RIGHT_LEG),
    "keep_scarf": (Label.SCARF,),
}
"""Beside face, hat, glasses, shoes, bag and hands, which always stay."""
OLD_GARMENT = "old garment"
USES = ("replace", "add", "remove", OLD_GARMENT)
NO_LABELS = "keep_hair, keep_arms, keep_legs and keep_scarf need a label map, and were passed over."


def length_input() -> io.Combo.Input:
    return io.Combo.Input(
        "length",
        options=[length.value for length in MaskLength],
        default=MaskLength.AUTO.value,
        optional=True,
        tooltip="Where the new garment ends, for mode auto. auto: by the garment's picture.",
    )


def sleeves_input() -> io.Combo.Input:
    return io.Combo.Input(
        "sleeves",
        options=[sleeves.value for sleeves in MaskSleeves],
        default=MaskSleeves.AUTO.value,
        optional=True,
        tooltip="How far along the arms the new sleeves go, for mode auto; bare arms beyond them "
        "stay as they are. auto: by the garment's picture, and whole arms are redrawn.",
    )


class GenerateMask(io.ComfyNode):
    """See `agnostic_mask`. Never fails for want of keypoints; it says what it did without."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        keep = {
            "keep_hair": "Long hair over the garment stays as it is.",
            "keep_arms": "Bare arms stay as they are: for a garment whose sleeves end alike.",
            "keep_legs": "Bare legs stay as they are: for a skirt or dress as long as the old one.",
            "keep_scarf": "A scarf stays as it is.",
        }
        return io.Schema(
            node_id="OOTD_MaskGenerator",
            display_name="Generate Try-On Mask",
            category=MENU,
            **searched_as("agnostic mask", "inpaint mask", "遮罩", "蒙版", *GARMENT),
            description="Decides which pixels are redrawn for a garment of a category. Takes "
            "joints from Detect Body Pose or any node that gives POSE_KEYPOINT, and your own mask.",
            inputs=[
                io.Image.Input("image", tooltip="The person as it goes to Fused Denoiser."),
                io.Combo.Input(
                    "category",
                    options=[category.value for category in Category],
                    default=Category.UPPER.value,
                    tooltip="The part of the body that the garment covers.",
                ),
                io.Combo.Input(
                    "variant",
                    options=list(VARIANTS),
                    default="full body (dc)",
                    tooltip="As in the loader: the two were trained with arms of different width.",
                ),
                io.Combo.Input(
                    "mode",
                    options=list(MODES),
                    default="auto",
                    tooltip="auto: the old garment, and where the new one will lie, by its picture "
                    "in garment. robust: the old garment alone, the reference mask without its "
                    "flaws. hide old garment: whole limbs, so that long sleeves or trousers leave "
                    "no trace. faithful: the reference mask, flaws included.",
                ),
                io.Int.Input(
                    "grow",
                    default=0,
                    min=-64,
                    max=64,
                    tooltip="Pixels by which the mask grows (never over what is kept), or shrinks.",
                ),
                io.Float.Input(
                    "feather",
                    default=0.0,
                    min=0.0,
                    max=64.0,
                    step=0.5,
                    tooltip="Pixels over which the mask rises from 0 to 1, inside its edge. Fused "
                    "Denoiser redraws where it is 0.5 or more; Decode Try-On has its own seam.",
                ),
                *(
                    io.Boolean.Input(name, default=False, tooltip=tooltip)
                    for name, tooltip in keep.items()
                ),
                LabelMaps.Input(
                    "label_map",
                    optional=True,
                    lazy=True,
                    tooltip="From Parse Human, of the same picture. Needed unless your own mask "
                    "replaces the generated one or is of the old garment, or a person mask stands "
                    "in for it.",
                ),
                PoseKeypoint.Input(
                    "pose_keypoint",
                    optional=True,
                    lazy=True,
                    tooltip="From Detect Body Pose or another pack. Without it the mask follows "
                    "the label map alone.",
                ),
                io.Mask.Input("mask", optional=True, tooltip="Your own mask, white is redrawn."),
                io.Combo.Input(
                    "mask_use",
                    options=list(USES),
                    default="replace",
                    tooltip="What your own mask does: replace the generated one, be added to it, "
                    "or be removed from it. old garment: it shows what the person wears, from any "
                    "segmentation node, and stands in for the label map.",
                ),
                person_index_input(),
                io.Image.Input(
                    "garment",
                    optional=True,
                    tooltip="The new garment lying flat on a plain ground, for mode auto: its "
                    "outline tells how far the mask has to reach.",
                ),
                length_input(),
                sleeves_input(),
                io.Mask.Input(
                    "person_mask",
                    optional=True,
                    lazy=True,
                    tooltip="Where the person is, from Detect Body Pose with blazepose or any node "
                    "that cuts people out. Stands in for the label map where there is none: limbs "
                    "and torso are then redrawn whole. With mask_use 'old garment', limbs are "
                    "looked for inside it only.",
                ),
            ],
            outputs=[
                io.Mask.Output(display_name="mask", tooltip="White is redrawn."),
                io.Image.Output(
                    display_name="overlay",
                    tooltip="The mask over the picture: pink for the old garment, blue for what "
                    "only the new one needs.",
                ),
                io.String.Output(
                    display_name="warnings", tooltip="What had to be done without, a line each."
                ),
            ],
        )

    @classmethod
    def validate_inputs(
        cls,
        category: str | None,
        variant: str | None,
        mode: str | None,
        mask_use: str | None,
        length: str | None = None,
        sleeves: str | None = None,
    ) -> bool:
        check_choices(
            cls,
            category=category,
            variant=variant,
            mode=mode,
            mask_use=mask_use,
            length=length,
            sleeves=sleeves,
        )
        check_reach(mode, length, sleeves, category)
        if category is not None and variant is not None:
            check_category(VARIANTS[variant], Category(category))
        return True

    @classmethod
    def check_lazy_status(
        cls, image: torch.Tensor, mask_use: str, mask: torch.Tensor | None = None, **others: Any
    ) -> list[str]:
        """Label map and joints are made only where a mask of one's own does not stand for them."""
        masks = painted_masks(mask, (image.shape[1], image.shape[2]))
        painted = all(each is not None for each in masks)
        if painted and mask_use == "replace":
            return []
        needed = ("label_map", "pose_keypoint", "person_mask")
        if painted and mask_use == OLD_GARMENT:
            needed = ("pose_keypoint", "person_mask")
        return [name for name in needed if others.get(name, 0) is None]

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        category: str,
        variant: str,
        mode: str,
        grow: int,
        feather: float,
        keep_hair: bool,
        keep_arms: bool,
        keep_legs: bool,
        keep_scarf: bool,
        mask_use: str,
        label_map: list[NDArray[np.uint8]] | None = None,
        pose_keypoint: list[Any] | None = None,
        mask: torch.Tensor | None = None,
        person_index: int = 0,
        garment: torch.Tensor | None = None,
        length: str = MaskLength.AUTO,
        sleeves: str = MaskSleeves.AUTO,
        person_mask: torch.Tensor | None = None,
    ) -> io.NodeOutput:
        require("cv2")
        # Once more: what is linked is not known before.
        cls.validate_inputs(category, variant, mode, mask_use, length, sleeves)
        wanted = (keep_hair, keep_arms, keep_legs, keep_scarf)
        kept = zip(KEEPABLE.values(), wanted, strict=True)
        keep = [label for labels, chosen in kept if chosen for label in labels]
        pictures = to_pictures(image)
        size = size_of(pictures[0])
        own, given = painted_masks(mask, size), frames_in(pose_keypoint)
        whole = painted_masks(person_mask, size, "person_mask")
        garments = [None] if garment is None else to_pictures(garment)
        batch = common_batch(
            image=len(pictures),
            label_map=len(label_map or [0]),
            pose_keypoint=len(given),
            mask=len(own),
            garment=len(garments),
            person_mask=len(whole),
        )
        masks: list[NDArray[np.float32]] = []
        new_parts: list[BoolMask | None] = []
        warnings: list[str] = []
        for picture, labels, frame, painted, flat, body in zip(
            repeated(pictures, batch),
            repeated(label_map or [None], batch),
            repeated(given, batch),
            repeated(own, batch),
            repeated(garments, batch),
            repeated(whole, batch),
            strict=True,
        ):
            comfy.model_management.throw_exception_if_processing_interrupted()
            drawn = None if painted is None else binary_mask(painted)
            if drawn is not None and mask_use == "replace":
                masks.append(feather_mask(drawn, feather))
                new_parts.append(None)
                continue
            person, seen_person = _chosen(frame, size, person_index)
            keep_mask = drawn if mask_use == "remove" else None
            if labels is None and mask_use != OLD_GARMENT and person_mask is not None:
                generated = person_region_mask(
                    _outline(body),
                    person.keypoints,
                    category=Category(category),
                    picture=picture,
                    hands=None if seen_person is None else seen_person.hands,
                    feet=None if seen_person is None else seen_person.feet,
                    garment=flat if MODES[mode] is MaskMode.AUTO else None,
                    length=MaskLength(length),
                    sleeves=MaskSleeves(sleeves),
                    grow=grow,
                    keep_mask=keep_mask,
                    bystanders=person.bystanders,
                )
                if keep and NO_LABELS not in warnings:
                    warnings.append(NO_LABELS)
            else:
                if mask_use == OLD_GARMENT:
                    seen = _old_garment(drawn, person, Category(category), body)
                else:
                    seen = _of_picture(labels, picture)
                generated = agnostic_mask(
                    seen,
                    person.keypoints,
                    category=Category(category),
                    variant=VARIANTS[variant],
                    mode=MODES[mode],
                    garment=flat,
                    length=MaskLength(length),
                    sleeves=MaskSleeves(sleeves),
                    grow=grow,
                    keep=keep,
                    keep_mask=keep_mask,
                    bystanders=person.bystanders,
                )
            said = (*person.warnings, *generated.warnings)
            warnings += [warning for warning in said if warning not in warnings]
            region = generated.mask
            if drawn is not None and mask_use == "add":
                region = region | drawn
            masks.append(feather_mask(region, feather))
            new_parts.append(generated.new_garment)
        for warning in warnings:
            warn(warning)
        overlays = [
            overlay_mask(picture, weight, new)
            for picture, weight, new in zip(
                repeated(pictures, batch), masks, new_parts, strict=True
            )
        ]
        result = to_mask(masks)
        if mask_use != "replace" or all(painted is None for painted in own):
            mark_mask(result, Category(category))
        return io.NodeOutput(result, to_image(overlays), "\n".join(warnings))


def _chosen(frame: Any, size: Size, person_index: int) -> tuple[ChosenPerson, Person | None]:
    """Who is meant, and the same with hands and feet where the frame has them."""
    people = people_in(frame, size)
    person = choose_person([each.keypoints for each in people], size, person_index=person_index)
    return person, next((each for each in people if each.keypoints is person.keypoints), None)


def check_reach(
    mode: str | None, length: str | None, sleeves: str | None, category: str | None
) -> None:
    """Refuse a length or sleeves that the mode or the category does not use; see `check_by_hand`.

    None (linked, not known yet, or absent) is passed over.
    """
    if mode is not None:
        check_by_hand(
            MODES[mode],
            MaskLength(length or MaskLength.AUTO),
            MaskSleeves(sleeves or MaskSleeves.AUTO),
            None if category is None else Category(category),
        )


def _old_garment(
    drawn: BoolMask | None, person: ChosenPerson, category: Category, body: SoftMask | None
) -> NDArray[np.uint8]:
    if drawn is None:
        raise ValueError(
            "mask_use is 'old garment', but no mask is painted: connect a mask of what the person "
            "wears, from a segmentation node or Load Image (as Mask)."
        )
    return label_map_of_old_garment(
        drawn,
        person.keypoints,
        category,
        person=None if body is None else binary_mask(body),
    )


def _outline(body: SoftMask | None) -> SoftMask:
    if body is None:
        raise ValueError(
            "person_mask is black: nobody was found in the picture, or Detect Body Pose uses a "
            "network that gives none; choose blazepose there, or connect Parse Human to label_map."
        )
    return body


def _of_picture(labels: NDArray[np.uint8] | None, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if labels is None:
        raise ValueError(
            "There is nothing to make a mask from: connect Parse Human to label_map, or Detect "
            "Body Pose with blazepose to pose_keypoint and person_mask, or a mask of your own with "
            "mask_use 'replace'."
        )
    if labels.shape != picture.shape[:2]:
        raise ValueError(
            f"The label map is of a picture of {labels.shape[0]}x{labels.shape[1]} (height x "
            f"width), but the image is {picture.shape[0]}x{picture.shape[1]}: parse the very image "
            "that is connected here."
        )
    return labels
