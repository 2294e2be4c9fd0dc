# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Garments out of pictures of people who wear them, the original back where nothing changed, and
which networks Try On Garment sees with."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

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


def check_a_worn_garment_is_cut_out(inside: Inside) -> str:
    person, _, flat = inside.dressed_doll()

    def prepared(image: Any, **inputs: Any) -> Any:
        (garment,) = inside.call("OOTD_PrepareGarment", image=image, size="256x192", **inputs)
        return garment

    def labels(image: Any) -> Any:
        return inside.call("OOTD_HumanParser", image=image, checkpoint=MINI)[0]

    def joints(image: Any) -> Any:
        return inside.call("OOTD_OpenPose", image=image, checkpoint=MINI)[0]

    worn = labels(person)
    seen = {"label_map": worn, "pose_keypoint": joints(person)}
    cut = prepared(person, category="upper", **seen)
    assert torch.equal(cut[:, [0, 0, -1, -1], [0, -1, 0, -1]], torch.ones(1, 4, 3)), "white ground"
    assert 0.1 < float((cut < 0.98).any(-1).float().mean()) < 0.9
    assert torch.equal(cut, prepared(person, label_map=worn, garment_photo="worn"))
    # Nothing changes for what is flat, or without a label map, or where a mask cuts.
    both = {"label_map": labels(flat), "pose_keypoint": joints(flat)}
    assert torch.equal(prepared(flat), prepared(flat, **both))
    assert torch.equal(prepared(flat), prepared(flat, label_map=worn, pose_keypoint=joints(flat)))
    assert torch.equal(prepared(person), prepared(person, label_map=worn, garment_photo="flat"))
    mask = torch.zeros(1, 256, 192)
    mask[:, 80:160, 70:120] = 1
    assert torch.equal(
        prepared(person, mask=mask),
        prepared(person, mask=mask, label_map=worn, garment_photo="worn"),
    )
    _refused(lambda: prepared(person, garment_photo="worn"), "Parse Human", "mask")
    alone = prepared(person, pose_keypoint=seen["pose_keypoint"])  # said, and taken as it is
    assert torch.equal(alone, prepared(person))
    _refused(lambda: prepared(person, label_map=worn), "auto", "pose_keypoint", "worn")
    _refused(lambda: prepared(person, category="dress", **seen), "dress", "category")
    _refused(lambda: prepared(person, garment_photo="lying"), "garment_photo", "worn")
    small = [each[::2, ::2] for each in worn]
    _refused(lambda: prepared(person, label_map=small, garment_photo="worn"), "label map", "96x128")
    lazy = inside.nodes["OOTD_PrepareGarment"].check_lazy_status
    unknown = {"label_map": None, "pose_keypoint": None}
    assert lazy(image=person, **unknown) == list(unknown)
    assert lazy(image=person, garment_photo="worn", **unknown) == ["label_map"]
    assert lazy(image=person, label_map=None, garment_photo="flat") == []
    assert lazy(image=person, label_map=None, mask=mask) == [] == lazy(image=person)
    one_black = torch.cat([mask, torch.zeros_like(mask)])
    assert lazy(image=person, mask=one_black, garment_photo="worn", **unknown) == ["label_map"]
    return f"{float((cut < 0.98).any(-1).float().mean()):.2f} of the canvas is garment"


def check_the_original_comes_back_where_nothing_changed(inside: Inside) -> str:
    person, mask, garment = inside.dressed_doll()
    labels, _ = inside.call("OOTD_HumanParser", image=person, checkpoint=MINI)
    samples = inside.sample(inside.fused(person, mask, garment))

    def decoded(**inputs: Any) -> tuple[Any, Any]:
        image, redrawn = inside.call(
            "OOTD_VAEDecode",
            latent={"samples": samples},
            vae=inside.loaded()[3],
            feather=2.0,
            original=person,
            mask=mask,
            **inputs,
        )
        return image, redrawn > 0

    plain, everything = decoded()
    none, same = decoded(restore="none", label_map=labels)
    assert torch.equal(plain, none) and torch.equal(everything, same)
    background, less = decoded(restore="background", label_map=labels, checkpoint=MINI)
    skin, least = decoded(restore="background and skin", label_map=labels, checkpoint=MINI)
    assert least.sum() < less.sum() < everything.sum()
    assert not (least & ~less).any() and torch.equal(background[~less], person[~less])
    assert torch.equal(skin[~least], person[~least])
    back = everything & ~less
    assert (torch.tensor(labels[0])[None][back] == 0).all()
    _refused(lambda: decoded(restore="background", checkpoint=MINI), "restore", "label_map")
    _refused(lambda: decoded(restore="background", label_map=labels), "restore", "checkpoint")
    _refused(lambda: decoded(restore="everything"), "restore", "background")
    lazy = inside.nodes["OOTD_VAEDecode"].check_lazy_status
    assert lazy(label_map=None) == [] and lazy(restore="background") == []
    assert lazy(restore="background", label_map=None) == ["label_map"]
    return f"{int(everything.sum())}, {int(less.sum())}, {int(least.sum())} pixels redrawn"


def _expanded(inside: Inside, **inputs: Any) -> dict[str, dict[str, Any]]:
    """The nodes that Try On Garment expands into: their inputs by class."""
    defaults = {
        "person": ["1", 0], "garment": ["2", 0], "checkpoint": MINI, "variant": "full body (dc)",
        "category": "upper", "size": "auto", "mask_mode": "auto", "seed": 0, "steps": 1,
        "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal", "weight_dtype": "auto",
    }  # fmt: skip
    result = inside.nodes["OOTD_TryOn"].execute(**{**defaults, **inputs})
    return {node["class_type"]: node["inputs"] for node in result.expand.values()}


def check_try_on_garment_sees_with_the_chosen_networks(inside: Inside) -> None:
    asked = {
        "checkpoint": MINI, "variant": "full body (dc)", "category": "upper", "size": "auto",
        "mask_mode": "auto", "sampler_name": "euler", "scheduler": "normal",
        "weight_dtype": "auto",
    }  # fmt: skip
    validate = inside.nodes["OOTD_TryOn"].validate_inputs
    plain = _expanded(inside)
    assert plain["OOTD_OpenPose"]["checkpoint"] == MINI and "OOTD_HumanParser" in plain
    assert set(plain["OOTD_PrepareGarment"]) == {"image", "size", "model"}
    assert "restore" not in plain["OOTD_VAEDecode"] and plain["OOTD_MaskGenerator"]["label_map"]
    worn = _expanded(inside, garment_photo="auto", restore="background", category="dress")
    prepare = worn["OOTD_PrepareGarment"]
    assert prepare["label_map"] and prepare["pose_keypoint"]
    assert (prepare["category"], prepare["garment_photo"]) == ("dress", "auto")
    assert worn["OOTD_MaskGenerator"]["garment"] != plain["OOTD_MaskGenerator"]["garment"]
    decode = worn["OOTD_VAEDecode"]
    assert decode["restore"] == "background" and decode["label_map"]
    assert decode["checkpoint"] == MINI
    _refused(lambda: validate(**asked, pose_network="blazepose"), "download --part blazepose")
    asks = {"pose_network": "blazepose", "mask": ["9", 0]}
    _refused(lambda: validate(**asked, **asks, restore="background"), "restore", "parser", "none")
    assert validate(**asked, **asks) is True
    place = inside.folder / "models" / "ootdiffusion" / "blazepose"
    place.mkdir(parents=True)
    try:
        for name in ("pose_detection.tflite", "pose_landmark_full.tflite"):
            (place / name).write_bytes(b"network")
        assert validate(**asked, pose_network="blazepose")
        _refused(
            lambda: validate(**asked, pose_network="blazepose", garment_photo="worn"),
            "no parser for photographs",
        )
        outline = _expanded(inside, pose_network="blazepose")
        assert "OOTD_HumanParser" not in outline
        assert outline["OOTD_OpenPose"]["checkpoint"] == "blazepose"
        assert "label_map" not in outline["OOTD_MaskGenerator"]
        assert outline["OOTD_MaskGenerator"]["person_mask"][1] == 2
        assert _expanded(inside)["OOTD_OpenPose"]["checkpoint"] == MINI, "auto needs it not"
    finally:
        shutil.rmtree(place)
