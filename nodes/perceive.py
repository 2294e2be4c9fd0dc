"""Seeing the person: which pixel shows what (Parse Human), where the joints are (Detect Body Pose).

All networks serve every checkpoint. They are loaded when first asked for, on ComfyUI's device, and
kept until ComfyUI wants their memory.
"""

from __future__ import annotations

import json
from pathlib import Path

import comfy.model_management
import comfy.utils
import numpy as np
import torch
from comfy_api.latest import io
from numpy.typing import NDArray

from ..humanparse import HumanParser, colourise
from ..ootd_core.checkpoints.catalogue import Part
from ..ootd_core.checkpoints.locating import locate_preprocessors
from ..ootd_core.images.fitting import Size, size_of
from ..ootd_core.requirements import require
from ..openpose import (
    BlazePose,
    BodyNetwork,
    Person,
    WholePerson,
    detect_people,
    draw_people,
    frame_of,
    frames_of,
    load_body_network,
    people_of,
)
from ..tryon.preparation import looked_at, prominence, seen_as
from . import model_folders
from .file_cache import FileCache, PictureCache, UnloadableNetwork
from .inputs import naming
from .pictures import common_batch, repeated, to_image, to_mask, to_pictures
from .search_words import searched_as
from .sockets import MENU, LabelMaps, PoseKeypoint

Picture = NDArray[np.uint8]

_parser: FileCache[UnloadableNetwork[HumanParser]] = FileCache()
_body_network: FileCache[UnloadableNetwork[BodyNetwork]] = FileCache()
_blazepose: FileCache[BlazePose] = FileCache()  # 9 MB of the CPU's memory
# A picture that comes again (behind another node, or beside another garment) is not seen again.
_label_maps: PictureCache[Picture] = PictureCache(kept=16)
_people: PictureCache[list[Person]] = PictureCache(kept=16)
_whole_people: PictureCache[list[WholePerson]] = PictureCache(kept=4)


def _checkpoint_input(choices: list[str], tooltip: str) -> io.Combo.Input:
    return io.Combo.Input("checkpoint", options=choices, default=choices[0], tooltip=tooltip)


class ParseHuman(io.ComfyNode):
    """Any picture size; see `HumanParser`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_HumanParser",
            display_name="Parse Human",
            category=MENU,
            **searched_as("human parsing", "segment clothes", "人体解析", "人体分割"),
            description="Finds which pixels show hair, face, arms, legs and each kind of garment.",
            inputs=[
                io.Image.Input("image", tooltip="A person, or a batch of persons, of any size."),
                _checkpoint_input(
                    model_folders.names(),
                    "Whose network to use. Those of 'mini (built in)' know drawn dolls only; for "
                    "photographs take a published checkpoint's.",
                ),
            ],
            outputs=[
                LabelMaps.Output(
                    display_name="label_map", tooltip="For Generate Try-On Mask and Fit Person."
                ),
                io.Image.Output(display_name="preview", tooltip="The labels in colours."),
            ],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None) -> bool:
        model_folders.check_files(checkpoint, parts=(Part.PARSER,))
        return True

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None = None, **_others: object) -> str:
        return model_folders.stamp(checkpoint)

    @classmethod
    def execute(cls, image: torch.Tensor, checkpoint: str) -> io.NodeOutput:
        labels = parse(to_pictures(image), checkpoint)
        return io.NodeOutput(labels, to_image([colourise(each) for each in labels]))


class DetectBodyPose(io.ComfyNode):
    """Any picture size; see `detect_people`."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="OOTD_OpenPose",
            display_name="Detect Body Pose",
            category=MENU,
            **searched_as("openpose", "pose", "keypoints", "人体姿态", "姿态"),
            description="Finds the joints of every person, the most prominent person first.",
            inputs=[
                io.Image.Input("image", tooltip="A person, or a batch of persons, of any size."),
                _checkpoint_input(
                    model_folders.pose_networks(),
                    "Whose network to use. 'mini (built in)' knows drawn dolls only; for "
                    "photographs take 'blazepose' (in the list once it is downloaded), which may "
                    "be used commercially, or a published checkpoint's.",
                ),
                io.String.Input(
                    "openpose_json",
                    default="",
                    multiline=True,
                    optional=True,
                    tooltip="Joints of your own as OpenPose JSON, a frame or a list of one for "
                    "each picture: taken in place of what would be detected.",
                ),
            ],
            outputs=[
                PoseKeypoint.Output(
                    display_name="pose_keypoint",
                    tooltip="18 joints a person, as OpenPose nodes of other packs give them.",
                ),
                io.Image.Output(display_name="preview", tooltip="The joints over the picture."),
                io.Mask.Output(
                    display_name="person_mask",
                    tooltip="Where people are, by blazepose; black by other networks. For Generate "
                    "Try-On Mask, which then needs no label map.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None, openpose_json: str | None = "") -> bool:
        needed = (Part.POSE,) if openpose_json == "" else ()
        if checkpoint != model_folders.BLAZEPOSE:
            model_folders.check_files(checkpoint, parts=needed)
        elif needed:
            model_folders.blazepose_files()
        return True

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None = None, **_others: object) -> str:
        return model_folders.stamp(checkpoint)

    @classmethod
    def execute(
        cls, image: torch.Tensor, checkpoint: str, openpose_json: str = ""
    ) -> io.NodeOutput:
        require("cv2")
        pictures = to_pictures(image)
        masks = [np.zeros(size_of(picture), np.float32) for picture in pictures]
        if openpose_json.strip():
            with naming("openpose_json"):
                given = frames_of(_parsed(openpose_json))
            batch = common_batch(image=len(pictures), openpose_json=len(given))
            pictures, given = repeated(pictures, batch), repeated(given, batch)
            with naming("openpose_json"):
                found = [
                    people_of(frame, height=picture.shape[0], width=picture.shape[1])
                    for frame, picture in zip(given, pictures, strict=True)
                ]
        elif checkpoint == model_folders.BLAZEPOSE:
            whole = _detect_whole(pictures)
            masks = [
                _everybody(people, size_of(each))
                for people, each in zip(whole, pictures, strict=True)
            ]
            found = [[each.person for each in people] for people in whole]
        else:
            found = _detect(pictures, model_folders.folder_of(checkpoint))
        frames = [
            frame_of(people, height=picture.shape[0], width=picture.shape[1])
            for people, picture in zip(found, pictures, strict=True)
        ]
        previews = [
            draw_people(picture, people) for people, picture in zip(found, pictures, strict=True)
        ]
        return io.NodeOutput(frames, to_image(previews), to_mask(masks))


def parse(pictures: list[Picture], checkpoint: str) -> list[Picture]:
    """The label maps [H, W] of pictures [H, W, 3] of any size, by the parser of a checkpoint.

    Raises ModuleNotFoundError, FileNotFoundError or ValueError, one sentence, where it cannot run.
    """
    require("cv2", "onnxruntime")
    paths = locate_preprocessors(model_folders.folder_of(checkpoint))
    device = str(comfy.model_management.get_torch_device())
    files = (paths.parser_atr, paths.parser_lip)
    parser = _parser.get(
        files, lambda: UnloadableNetwork(files, lambda: HumanParser(*files, device=device))
    )
    progress = comfy.utils.ProgressBar(len(pictures))
    labels: list[Picture] = []
    for picture in pictures:
        comfy.model_management.throw_exception_if_processing_interrupted()
        labels.append(
            _label_maps.get(
                (picture, *files), lambda picture=picture: _labels(parser.network(), picture)
            )
        )
        progress.update(1)
    return labels


def _labels(parser: HumanParser, picture: Picture) -> Picture:
    return seen_as(parser(looked_at(picture)), size_of(picture))


def _detect(pictures: list[Picture], folder: Path) -> list[list[Person]]:
    path = locate_preprocessors(folder).pose
    management = comfy.model_management
    device = management.get_torch_device()
    network = _body_network.get(
        (path,),
        lambda: UnloadableNetwork((path,), lambda: load_body_network(path, device=device)),
    )
    progress = comfy.utils.ProgressBar(len(pictures))
    found: list[list[Person]] = []
    for picture in pictures:
        management.throw_exception_if_processing_interrupted()
        found.append(
            _people.get(
                (picture, path), lambda picture=picture: _ranked(network.network(), picture)
            )
        )
        progress.update(1)
    return found


def _detect_whole(pictures: list[Picture]) -> list[list[WholePerson]]:
    """The people of each picture by BlazePose, the most prominent first."""
    require("ai_edge_litert")
    files = model_folders.blazepose_files()
    blazepose = _blazepose.get(files, lambda: BlazePose(*files))
    progress = comfy.utils.ProgressBar(len(pictures))
    found: list[list[WholePerson]] = []
    for picture in pictures:
        comfy.model_management.throw_exception_if_processing_interrupted()
        people = _whole_people.get((picture, *files), lambda picture=picture: blazepose(picture))
        size = size_of(picture)
        found.append(
            sorted(people, key=lambda each: prominence(each.person.keypoints, size), reverse=True)
        )
        progress.update(1)
    return found


def _everybody(people: list[WholePerson], size: Size) -> NDArray[np.float32]:
    """Where anybody is [H, W]: the joints tell people apart."""
    return np.maximum.reduce([np.zeros(size, np.float32), *(each.mask for each in people)])


def _ranked(network: BodyNetwork, picture: Picture) -> list[Person]:
    """The people of a picture, the most prominent first."""
    size = size_of(picture)
    return sorted(
        detect_people(network, picture),
        key=lambda person: prominence(person.keypoints, size),
        reverse=True,
    )


def _parsed(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(
            f"This is not JSON ({error}): paste a whole OpenPose frame, or leave it empty."
        ) from error
