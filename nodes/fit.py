"""Bringing pictures of any shape to the networks' 3:4, never stretched: persons and garments."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import comfy.model_patcher
import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from ..ootd_core.categories import Category
from ..ootd_core.images.fitting import (
    Fit,
    fit_mask,
    fit_onto,
    fit_points,
    prepare_garment,
    size_of,
    whole_fit,
)
from ..ootd_core.images.worn_garment import (
    GarmentPhoto,
    has_a_body,
    lay_worn_garment,
    shows_a_person,
)
from ..ootd_core.masks.morphology import SoftMask
from ..ootd_core.requirements import require
from ..openpose import Person, frame_of
from ..tryon.preparation import (
    ChosenPerson,
    FitChoice,
    choose_fit,
    choose_person,
    crops,
    fitted_person,
    person_box,
)
from .inputs import check_choices, frames_in, painted_masks, people_in
from .native_networks import trained_height
from .pictures import common_batch, repeated, to_image, to_mask, to_pictures
from .search_words import GARMENT, searched_as
from .sockets import MENU, Fits, LabelMaps, PoseKeypoint
from .wiring import warn

AUTO = "auto"
SIZES = {
    "1024x768": (1024, 768),
    "768x576": (768, 576),
    "512x384": (512, 384),
    "256x192": (256, 192),
}
"""Height x width: the published checkpoints were trained at 1024x768, the built-in one at 256x192.
"""
PUBLISHED_HEIGHT = 1024
FARTHEST_BELOW, FARTHEST_ABOVE = 0.5, 1.5
"""Heights over the trained one within which a checkpoint still draws well: the published ones are
used at 512x384 as well."""


def size_input() -> io.Combo.Input:
    return io.Combo.Input(
        "size",
        options=[AUTO, *SIZES],
        default=AUTO,
        tooltip="Height x width that the networks see. auto: what the connected checkpoint was "
        "trained at, 1024x768 without one. The published checkpoints were trained at 1024x768 "
        "(512x384 is quicker), the built-in one at 256x192.",
    )


def size_model_input() -> io.Model.Input:
    return io.Model.Input(
        "model",
        optional=True,
        tooltip="The output denoiser of Load OOTDiffusion Model: size auto follows it.",
    )


def person_index_input() -> io.Int.Input:
    return io.Int.Input(
        "person_index",
        default=0,
        min=0,
        max=99,
        optional=True,
        tooltip="Which of several people is meant: 0 is the most prominent one (large, complete, "
        "central), 1 the next.",
    )


def garment_photo_input(default: GarmentPhoto) -> io.Combo.Input:
    return io.Combo.Input(
        "garment_photo",
        options=[photo.value for photo in GarmentPhoto],
        default=default.value,
        optional=True,
        tooltip="flat: the picture shows the garment alone. worn: somebody wears it, and it is cut "
        "out. auto: worn if label map and joints both show somebody; without them as flat.",
    )


def canvas_size(size: str, model: comfy.model_patcher.ModelPatcher | None) -> tuple[int, int]:
    """Height and width of the networks' picture."""
    if size != AUTO:
        return SIZES[size]
    height = (None if model is None else trained_height(model)) or PUBLISHED_HEIGHT
    return height, height * 3 // 4


def size_warning(person: torch.Tensor, model: comfy.model_patcher.ModelPatcher) -> str:
    """Say where a person's picture is far from the height that a MODEL was trained at.

    person: IMAGE [B, H, W, C]. model: the try-on UNet. Returns a sentence, "" where all is well.
    """
    trained, height, width = trained_height(model), person.shape[1], person.shape[2]
    if trained is None or FARTHEST_BELOW <= height / trained <= FARTHEST_ABOVE:
        return ""
    return (
        f"The person's picture is {height}x{width} (height x width), but this checkpoint was "
        f"trained at {trained}x{trained * 3 // 4} and draws such a size badly: choose size 'auto' "
        "in Fit Person and Prepare Garment Image, and connect their input model to Load "
        "OOTDiffusion Model."
    )


class FitPerson(io.ComfyNode):
    """See `tryon.preparation`; the fit that comes out is undone exactly by Decode Try-On."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_FitPerson",
            display_name="Fit Person",
            category=MENU,
            **searched_as("crop person", "resize", "适配", "裁剪人物"),
            description="Brings a person's picture of any size and shape to 3:4 without stretching "
            "it, and remembers how, so that Decode Try-On can paste the result back.",
            inputs=[
                io.Image.Input("image", tooltip="A person, or a batch of persons, of any size."),
                size_input(),
                io.Combo.Input(
                    "mode",
                    options=[choice.value for choice in FitChoice],
                    default=FitChoice.AUTO.value,
                    tooltip="pad: the whole picture, white around it. crop: only the person, from "
                    "the mask, the label map or the keypoints. auto: crop where the picture is not "
                    "3:4 and one of them is connected, else pad.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="Your own mask of the picture: it is brought along, and says in which "
                    "columns the person is. A black one means none.",
                ),
                LabelMaps.Input(
                    "label_map",
                    optional=True,
                    lazy=True,
                    tooltip="From Parse Human, of the same picture: says where the person is. Not "
                    "asked for where the whole picture is shown, or a mask says it.",
                ),
                PoseKeypoint.Input(
                    "pose_keypoint",
                    optional=True,
                    lazy=True,
                    tooltip="From Detect Body Pose, of the same picture: tells several people "
                    "apart, and is brought along.",
                ),
                person_index_input(),
                size_model_input(),
            ],
            outputs=[
                io.Image.Output(display_name="image", tooltip="3:4, as large as chosen."),
                io.Mask.Output(
                    display_name="mask", tooltip="Your own mask at that size; black without one."
                ),
                Fits.Output(display_name="fit", tooltip="For Decode Try-On."),
                PoseKeypoint.Output(
                    display_name="pose_keypoint",
                    tooltip="The joints on the image, the chosen person first.",
                ),
                io.Int.Output(
                    display_name="person_index",
                    tooltip="For Generate Try-On Mask: 0 once the image is cropped to the person, "
                    "else as above.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, size: str | None, mode: str | None) -> bool:
        check_choices(cls, size=size, mode=mode)
        return True

    @classmethod
    def check_lazy_status(
        cls,
        image: torch.Tensor,
        size: str,
        mode: str,
        mask: torch.Tensor | None = None,
        model: comfy.model_patcher.ModelPatcher | None = None,
        **others: Any,
    ) -> list[str]:
        """A painted mask says where the person is; a picture shown whole needs no label map."""
        check_choices(cls, size=size, mode=mode)
        shape = (image.shape[1], image.shape[2])
        painted = all(each is not None for each in painted_masks(mask, shape))
        cropped = crops(shape, canvas_size(size, model), FitChoice(mode))
        wanted = (
            () if painted else ("label_map", "pose_keypoint") if cropped else ("pose_keypoint",)
        )
        return [name for name in wanted if others.get(name, 0) is None]

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        size: str,
        mode: str,
        mask: torch.Tensor | None = None,
        label_map: list[NDArray[np.uint8]] | None = None,
        pose_keypoint: list[Any] | None = None,
        person_index: int = 0,
        model: comfy.model_patcher.ModelPatcher | None = None,
    ) -> io.NodeOutput:
        require("cv2")
        check_choices(cls, size=size, mode=mode)
        canvas = canvas_size(size, model)
        pictures = to_pictures(image)
        shape = size_of(pictures[0])
        own, given = painted_masks(mask, shape), frames_in(pose_keypoint)
        batch = common_batch(
            image=len(pictures),
            mask=len(own),
            label_map=len(label_map or [0]),
            pose_keypoint=len(given),
        )
        canvases: list[NDArray[np.uint8]] = []
        masks: list[NDArray[np.float32]] = []
        fits: list[Fit] = []
        frames: list[Any] = []
        cropped = False
        for picture, painted, labels, frame in zip(
            repeated(pictures, batch),
            repeated(own, batch),
            repeated(label_map or [None], batch),
            repeated(given, batch),
            strict=True,
        ):
            people = people_in(frame, shape)
            keypoints = [each.keypoints for each in people]
            person = choose_person(keypoints, shape, person_index=person_index)
            box = person_box(shape, label_map=labels, person=person, mask=painted)
            fit = choose_fit(shape, canvas, choice=FitChoice(mode), box=box)
            if fit != whole_fit(shape, canvas):
                cropped = True
                # Else Generate Try-On Mask sees them all, and says so.
                for warning in person.warnings:
                    warn(warning)
            canvases.append(fit_onto(picture, fit))
            fits.append(fit)
            frames.append(_frame(person, people, fit))
            empty = np.zeros(canvas, np.float32)
            masks.append(empty if painted is None else fit_mask(painted, fit))
        index = 0 if cropped else person_index
        return io.NodeOutput(to_image(canvases), to_mask(masks), fits, frames, index)


MAP = ("label_map",)
MAYBE_WORN = (
    "The garment's picture seems to show a person, and no label map or mask says where the garment "
    "is: the picture is taken as it is. Connect Parse Human to label_map, or a mask of the garment."
)


class PrepareGarment(io.ComfyNode):
    """See `prepare_garment` and `lay_worn_garment`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_PrepareGarment",
            display_name="Prepare Garment Image",
            category=MENU,
            **searched_as(*GARMENT),
            description="Lays a garment's picture on a white 3:4 ground without stretching it. "
            "Best is a garment lying flat, from the front, on a plain ground. A garment that "
            "somebody wears is cut out by a mask or a label map.",
            inputs=[
                io.Image.Input("image", tooltip="A garment, or a batch of garments, of any size."),
                size_input(),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The garment in its picture: all else becomes white, and the garment "
                    "is centred and fills the picture. A black one means none.",
                ),
                size_model_input(),
                LabelMaps.Input(
                    "label_map",
                    optional=True,
                    lazy=True,
                    tooltip="From Parse Human, of the garment's picture, where somebody wears the "
                    "garment: it is cut out and laid on white. A mask wins over it.",
                ),
                PoseKeypoint.Input(
                    "pose_keypoint",
                    optional=True,
                    lazy=True,
                    tooltip="From Detect Body Pose, of the garment's picture: garment_photo 'auto' "
                    "takes the garment for worn only if joints are found as well.",
                ),
                io.Combo.Input(
                    "category",
                    options=[category.value for category in Category],
                    default=Category.UPPER.value,
                    optional=True,
                    tooltip="Which of the clothes that somebody wears is cut out.",
                ),
                garment_photo_input(GarmentPhoto.AUTO),
            ],
            outputs=[
                io.Image.Output(display_name="garment", tooltip="3:4 on white, as large as chosen.")
            ],
        )

    @classmethod
    def validate_inputs(
        cls, size: str | None, category: str | None = None, garment_photo: str | None = None
    ) -> bool:
        check_choices(cls, size=size, category=category, garment_photo=garment_photo)
        return True

    @classmethod
    def check_lazy_status(
        cls,
        image: torch.Tensor,
        mask: torch.Tensor | None = None,
        garment_photo: str = GarmentPhoto.AUTO,
        **others: Any,
    ) -> list[str]:
        """A flat garment, and one that is cut out by a mask, need no label map."""
        masks = painted_masks(mask, (image.shape[1], image.shape[2]))
        wanted = any(each is None for each in masks) and garment_photo != GarmentPhoto.FLAT
        needed = ("label_map", "pose_keypoint") if garment_photo == GarmentPhoto.AUTO else MAP
        return [name for name in needed if wanted and others.get(name, 0) is None]

    @classmethod
    def execute(
        cls,
        image: torch.Tensor,
        size: str,
        mask: torch.Tensor | None = None,
        model: comfy.model_patcher.ModelPatcher | None = None,
        label_map: list[NDArray[np.uint8]] | None = None,
        pose_keypoint: list[Any] | None = None,
        category: str = Category.UPPER,
        garment_photo: str = GarmentPhoto.AUTO,
    ) -> io.NodeOutput:
        require("cv2")
        check_choices(cls, size=size, category=category, garment_photo=garment_photo)
        canvas = canvas_size(size, model)
        pictures = to_pictures(image)
        own = painted_masks(mask, size_of(pictures[0]))
        maps, frames = label_map or [None], frames_in(pose_keypoint)
        batch = common_batch(
            image=len(pictures), mask=len(own), label_map=len(maps), pose_keypoint=len(frames)
        )
        prepared = [
            _laid_flat(picture, canvas, painted, labels, frame, Category(category), garment_photo)
            for picture, painted, labels, frame in zip(
                repeated(pictures, batch),
                repeated(own, batch),
                repeated(maps, batch),
                repeated(frames, batch),
                strict=True,
            )
        ]
        return io.NodeOutput(to_image(prepared))


def _laid_flat(
    picture: NDArray[np.uint8],
    canvas: tuple[int, int],
    painted: SoftMask | None,
    labels: NDArray[np.uint8] | None,
    frame: Any,
    category: Category,
    garment_photo: str,
) -> NDArray[np.uint8]:
    if painted is not None or garment_photo == GarmentPhoto.FLAT:
        return prepare_garment(picture, *canvas, mask=painted)
    if labels is None:
        if garment_photo == GarmentPhoto.WORN:
            raise ValueError(
                "garment_photo is 'worn', but nothing says where the garment is: connect Parse "
                "Human of the same picture to label_map, or a mask of the garment from any "
                "segmentation node to mask."
            )
        joints = [each.keypoints for each in people_in(frame, size_of(picture))]
        if has_a_body(joints):
            warn(MAYBE_WORN)
        return prepare_garment(picture, *canvas)
    if garment_photo == GarmentPhoto.AUTO:
        if frame is None:
            raise ValueError(
                "garment_photo is 'auto', which needs joints beside the label map, for parsers "
                "take some cloth for skin: connect Detect Body Pose of the same picture to "
                "pose_keypoint, or choose 'worn' or 'flat'."
            )
        people = [each.keypoints for each in people_in(frame, size_of(picture))]
        if not shows_a_person(labels, people):
            return prepare_garment(picture, *canvas)
    return lay_worn_garment(picture, labels, category, *canvas)


def _frame(person: ChosenPerson, people: Sequence[Person], fit: Fit) -> Any:
    """On the canvas: the person who is meant, with hands and feet, then the bystanders on it."""
    fitted = fitted_person(person, fit)
    everybody = [] if fitted.keypoints is None else [fitted.keypoints, *fitted.bystanders]
    moved = [
        Person(keypoints=keypoints.astype(np.float32), score=float(keypoints[:, 2].mean()))
        for keypoints in everybody
    ]
    meant = next((each for each in people if each.keypoints is person.keypoints), None)
    if meant is not None:
        moved[0] = replace(moved[0], hands=_fitted(meant.hands, fit), feet=_fitted(meant.feet, fit))
    return frame_of(moved, height=fit.height, width=fit.width)


def _fitted(points: NDArray[np.float32] | None, fit: Fit) -> NDArray[np.float32] | None:
    """Points [..., 3] on the canvas; those that are missing stay 0 0 0."""
    if points is None:
        return None
    moved = fit_points(points.reshape(-1, 3), fit)
    return np.where(moved[:, 2:] > 0, moved, 0).astype(np.float32).reshape(points.shape)
