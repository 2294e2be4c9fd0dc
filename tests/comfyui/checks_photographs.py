# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""People in photographs: BlazePose in Detect Body Pose, and masks from a person mask."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from worker import Inside

MINI = "mini (built in)"


def _refused(call: Any, *parts: str) -> None:
    try:
        call()
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        assert all(part in text for part in parts) and "\n" not in text, text
        return
    raise AssertionError(f"was not refused: {parts}")


def check_a_person_mask_stands_in_for_the_label_map(inside: Inside) -> str:
    person, *_ = inside.dressed_doll()
    labels, _ = inside.call("OOTD_HumanParser", image=person, checkpoint=MINI)
    pose, _, empty = inside.call("OOTD_OpenPose", image=person, checkpoint=MINI)
    assert empty.shape == person.shape[:3] and not empty.any()
    outline = torch.from_numpy((labels[0] > 0).astype(np.float32))[None]
    mask, _, warnings = inside.mask(person, pose_keypoint=pose, person_mask=outline)
    by_labels, _, _ = inside.mask(person, pose_keypoint=pose, label_map=labels)
    both, _, _ = inside.mask(person, pose_keypoint=pose, label_map=labels, person_mask=outline)
    assert torch.equal(both, by_labels)
    overlap = float((mask * by_labels).sum() / torch.maximum(mask, by_labels).sum())
    assert overlap > 0.5 and "keep_hair" not in warnings, overlap
    _, _, warnings = inside.mask(person, pose_keypoint=pose, person_mask=outline, keep_arms=True)
    assert "need a label map" in warnings
    _refused(
        lambda: inside.mask(person, pose_keypoint=pose, person_mask=empty), "person_mask is black"
    )
    _refused(lambda: inside.mask(person, pose_keypoint=pose), "nothing to make a mask from")
    _refused(lambda: inside.mask(person, person_mask=outline), "No person was found")
    return f"intersection over union with the label map's mask {overlap:.2f}"


def check_a_person_mask_is_made_only_where_it_is_needed(inside: Inside) -> None:
    node = inside.nodes["OOTD_MaskGenerator"]
    image, painted = torch.zeros(1, 8, 6, 3), torch.ones(1, 8, 6)
    wanted = {"label_map": None, "pose_keypoint": None, "person_mask": None}
    ask = node.check_lazy_status
    assert ask(image=image, mask_use="replace", mask=painted, **wanted) == []
    assert set(ask(image=image, mask_use="add", mask=painted, **wanted)) == set(wanted)
    assert ask(image=image, mask_use="replace", pose_keypoint=None) == ["pose_keypoint"]


def check_blazepose_is_offered_where_it_is(inside: Inside) -> str:
    """Its files are BlazePose's own where OOTD_BLAZEPOSE names them, else made up."""
    folders = inside.module("nodes.model_folders")
    node = inside.nodes["OOTD_OpenPose"]
    assert "blazepose" not in folders.pose_networks()
    _refused(lambda: node.validate_inputs(checkpoint="blazepose"), "download --part blazepose --to")
    assert node.validate_inputs(checkpoint="blazepose", openpose_json="{}")
    assert node.fingerprint_inputs(checkpoint="blazepose") == "[]"
    place = inside.folder / "models" / "ootdiffusion" / "blazepose"
    place.mkdir(parents=True)
    given = os.environ.get("OOTD_BLAZEPOSE")
    try:
        for name in ("pose_detection.tflite", "pose_landmark_full.tflite"):
            if given:
                shutil.copy(Path(given) / "blazepose" / name, place)
            else:
                (place / name).write_bytes(b"network")
        assert folders.pose_networks()[-1] == "blazepose"
        assert "blazepose" not in folders.names()
        options = next(each for each in node.define_schema().inputs if each.id == "checkpoint")
        assert options.options == folders.pose_networks()
        assert node.validate_inputs(checkpoint="blazepose")
        assert node.fingerprint_inputs(checkpoint="blazepose") != "[]"
        nobody = torch.full((1, 64, 48, 3), 0.5)
        if importlib.util.find_spec("ai_edge_litert") is None:
            try:
                inside.call("OOTD_OpenPose", image=nobody, checkpoint="blazepose")
            except ModuleNotFoundError as error:
                assert "pip install" in str(error) and "ai-edge-litert" in str(error), error
                return "LiteRT is not installed, which is said"
            raise AssertionError("ran without its runtime")
        if not given:
            _refused(
                lambda: inside.call("OOTD_OpenPose", image=nobody, checkpoint="blazepose"),
                "is no .tflite network",
            )
            return "made-up files are refused"
        frames, preview, mask = inside.call("OOTD_OpenPose", image=nobody, checkpoint="blazepose")
        assert frames[0]["people"] == [] and not mask.any() and preview.shape == nobody.shape
        return "nobody in an empty picture"
    finally:
        shutil.rmtree(place)
