# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Every node: batches, shapes, the loader's cache, what is refused and how."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

if TYPE_CHECKING:
    from worker import Inside

MINI = "mini (built in)"
FULL_BODY = "full body (dc)"


def _refused(call: Callable[[], object], *parts: str) -> str:
    """The message of the ValueError or FileNotFoundError that `call` raises, with these parts."""
    try:
        call()
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        assert all(part in text for part in parts), f"{text!r} lacks one of {parts}"
        assert "\n" not in text and text.endswith("."), f"not one sentence: {text!r}"
        return text
    raise AssertionError(f"was not refused: {parts}")


def _seen(inside: Inside, image: torch.Tensor) -> dict[str, Any]:
    labels, labels_preview = inside.call("OOTD_HumanParser", image=image, checkpoint=MINI)
    pose, pose_preview, _ = inside.call("OOTD_OpenPose", image=image, checkpoint=MINI)
    assert labels_preview.shape == pose_preview.shape == (*image.shape[:3], 3)
    return {"label_map": labels, "pose_keypoint": pose}


def check_batches_pair_up(inside: Inside) -> str:
    person, _, garment = inside.dressed_doll()
    vae = inside.loaded()[3]
    sizes = []
    for persons, garments in ((1, 1), (1, 3), (3, 1), (2, 2)):
        image = person.repeat(persons, 1, 1, 1)
        fitted, empty, fit, *_ = inside.call(
            "OOTD_FitPerson", image=image, size="256x192", mode="auto"
        )
        assert empty.shape == (persons, 256, 192) and len(fit) == persons
        mask, overlay, _ = inside.mask(fitted, **_seen(inside, fitted))
        assert overlay.shape == fitted.shape
        (prepared,) = inside.call(
            "OOTD_PrepareGarment", image=garment.repeat(garments, 1, 1, 1), size="256x192"
        )
        samples = inside.sample(inside.fused(fitted, mask, prepared), steps=1)
        picture, redrawn = inside.call(
            "OOTD_VAEDecode",
            latent={"samples": samples},
            vae=vae,
            feather=2.0,
            original=image,
            mask=mask,
            fit=fit,
        )
        batch = max(persons, garments)
        assert picture.shape == (batch, 256, 192, 3) and redrawn.shape == (batch, 256, 192)
        sizes.append(batch)
    _refused(
        lambda: inside.fused(
            person.repeat(2, 1, 1, 1), torch.ones(2, 256, 192), garment.repeat(3, 1, 1, 1)
        ),
        "2",
        "3",
        "person",
        "garment",
    )
    return str(sizes)


def check_a_batch_is_its_members(inside: Inside) -> str:
    """Two garments at once give what each gives alone, with the noise of its place."""
    person, mask, first = inside.small_doll()
    second = inside.picture("2-upper-garment.png")[:, ::2, ::2]
    both = inside.fused(person, mask, torch.cat([first, second]))
    alone = inside.fused(person, mask, second)
    together = inside.sample(both)
    alone[3]["batch_index"] = [1]
    single = inside.sample(alone)
    error = float((together[1:] - single).abs().max())
    assert error < 1e-3, error
    repeated = {
        key: torch.cat([value] * 3) for key, value in alone[3].items() if key != "batch_index"
    }
    many = inside.sample((*alone[:3], repeated))
    assert many.shape[0] == 3 and not torch.equal(many[0], many[1])
    return f"{error:.1e}"


def check_pictures_of_any_shape(inside: Inside) -> None:
    for height, width, channels in ((301, 217, 3), (123, 400, 4), (64, 64, 1), (900, 500, 3)):
        image = torch.rand(1, height, width, channels)
        fitted, _, fit, *_ = inside.call("OOTD_FitPerson", image=image, size="256x192", mode="pad")
        assert fitted.shape == (1, 256, 192, 3) and len(fit) == 1
        (garment,) = inside.call("OOTD_PrepareGarment", image=image, size="512x384")
        assert garment.shape == (1, 512, 384, 3)
    clear = torch.zeros(1, 32, 24, 4)
    (garment,) = inside.call("OOTD_PrepareGarment", image=clear, size="256x192")
    assert torch.equal(garment, torch.ones_like(garment)), "what is transparent is not white"
    person, mask, garment = inside.dressed_doll()
    _refused(
        lambda: inside.fused(person[:, :250, :190], mask[:, :250, :190], garment),
        "250x190",
        "Fit Person",
    )
    broken = person.clone()
    broken[0, 0, 0, 0] = float("nan")
    _refused(lambda: inside.fused(broken, mask, garment), "NaN")
    _refused(lambda: inside.fused(person, mask * float("nan"), garment), "NaN")
    _refused(lambda: inside.fused(person, mask * 0, garment), "empty")
    for values in (mask * 300 - 20, mask * float("inf")):
        _refused(lambda: inside.fused(person, values, garment), "mask")  # noqa: B023
    whole, half = (inside.fused(person, each, garment) for each in (mask, mask[:, ::2, ::2]))
    assert torch.equal(whole[3]["noise_mask"], half[3]["noise_mask"]), "another size"
    as_bytes = inside.fused(person, (mask * 255).to(torch.uint8), garment)
    assert torch.equal(whole[3]["noise_mask"], as_bytes[3]["noise_mask"]), "uint8"
    _refused(lambda: inside.fused(person, mask[:, :128], garment), "128x192", "256x192")


def check_masks_of_every_kind(inside: Inside) -> str:
    person, own, _ = inside.dressed_doll()
    seen = _seen(inside, person)
    plain = inside.mask(person, **seen)[0] > 0
    hiding = inside.mask(person, mode="hide old garment", **seen)[0] > 0
    faithful = inside.mask(person, mode="faithful", **seen)[0] > 0
    assert hiding.sum() > plain.sum() and faithful.any()
    assert (inside.mask(person, grow=5, **seen)[0] > 0).sum() > plain.sum()
    soft = inside.mask(person, feather=4.0, **seen)[0]
    assert 0 < float(soft[plain].min()) < 1 and not (soft[~plain] > 0).any()
    arms = inside.mask(person, keep_arms=True, **seen)[0] > 0
    assert arms.sum() < plain.sum()
    painted = torch.zeros_like(own)
    painted[:, 100:140, 80:110] = 1
    assert torch.equal(inside.mask(person, mask=painted)[0], painted)
    added = inside.mask(person, mask=own, mask_use="add", **seen)[0] > 0
    assert torch.equal(added, plain | (own > 0))
    removed = inside.mask(person, mask=painted, mask_use="remove", **seen)[0] > 0
    assert torch.equal(removed, plain & (painted == 0))
    alone, _, warnings = inside.mask(person, label_map=seen["label_map"])
    assert (alone > 0).any() and "elbow" in warnings, warnings
    nobody = [{"people": [], "canvas_width": 192, "canvas_height": 256}]
    empty, _, again = inside.mask(person, label_map=seen["label_map"], pose_keypoint=nobody)
    assert torch.equal(alone, empty) and again == warnings
    _refused(lambda: inside.mask(person), "Parse Human")
    _refused(lambda: inside.mask(person, variant="half body (hd)", category="dress", **seen), "hd")
    small = {**seen, "label_map": [labels[::2, ::2] for labels in seen["label_map"]]}
    _refused(lambda: inside.mask(person, **small), "128x96", "256x192")
    blank = torch.full((1, 256, 192, 3), 0.5)
    _refused(lambda: inside.mask(blank, label_map=[np.zeros((256, 192), np.uint8)]), "No person")
    return warnings


def check_the_mask_knows_the_new_garment(inside: Inside) -> str:
    person = inside.picture("5-dress-person.png")  # in a short one
    dress = inside.picture("5-dress-garment.png")
    seen = {**_seen(inside, person), "category": "dress"}
    robust, pink, _ = inside.mask(person, **seen)
    auto, overlay, said = inside.mask(person, mode="auto", garment=dress, **seen)
    new, crumbs = (auto > robust)[0], (robust > auto)[0]
    assert new.any() and int(crumbs.sum()) <= 5, "more is left out than crumbs of neck"
    shown = overlay[0][new] - person[0][new]
    assert (shown[:, 2] - shown[:, 0]).mean() > 0.2, "the new garment's part is blue"
    old = ~new & ~crumbs
    assert torch.equal(overlay[0][old], pink[0][old]), "the old one's part is not"
    alone, _, why = inside.mask(person, mode="auto", **seen)
    assert torch.equal(alone, robust) and "no garment picture" in why, why
    grows = [
        int((inside.mask(person, mode="auto", length=length, **seen)[0] > 0).sum())
        for length in ("waist", "ankle")
    ]
    assert grows[0] < grows[1], grows
    two, overlays, _ = inside.mask(
        person, mode="auto", garment=torch.cat([dress, torch.ones_like(dress)]), **seen
    )
    assert torch.equal(two[:1], auto) and torch.equal(two[1:], robust) and len(overlays) == 2
    _refused(lambda: inside.mask(person, length="knee", **seen), "length", "robust", "auto")
    _refused(lambda: inside.mask(person, mode="auto", length="floor", **seen), "length", "waist")
    validate = inside.nodes["OOTD_MaskGenerator"].validate_inputs
    asked = {"category": "lower", "variant": FULL_BODY, "mode": "auto", "mask_use": "replace"}
    assert validate(**asked) is True
    _refused(lambda: validate(sleeves="short", **asked), "sleeves", "lower")
    return said


def check_a_mask_of_the_old_garment_needs_no_parser(inside: Inside) -> None:
    person, _, garment = inside.dressed_doll()
    points = np.zeros((18, 3))
    points[[1, 2, 3, 4, 5, 6, 7, 8, 11]] = [
        (96, 70, 1), (70, 72, 1), (52, 110, 1), (80, 150, 1), (122, 72, 1), (140, 110, 1),
        (150, 160, 1), (80, 170, 1), (112, 170, 1),
    ]  # fmt: skip
    people = [{"pose_keypoints_2d": points.ravel().tolist()}]
    pose = [{"people": people, "canvas_width": 192, "canvas_height": 256}]
    seen = {"label_map": _seen(inside, person)["label_map"], "pose_keypoint": pose}
    clothes = torch.from_numpy(np.isin(seen["label_map"][0], (4, 7)).astype(np.float32))[None]
    body = torch.from_numpy((seen["label_map"][0] > 0).astype(np.float32))[None]
    by_parser = inside.mask(person, mode="auto", garment=garment, **seen)[0] > 0
    for more in ({}, {"person_mask": body}):
        made, overlay, _ = inside.mask(
            person,
            mode="auto",
            garment=garment,
            mask=clothes,
            mask_use="old garment",
            pose_keypoint=pose,
            **more,
        )
        both = ((made > 0) & by_parser).sum() / ((made > 0) | by_parser).sum()
        assert both > 0.75, float(both)
        assert overlay.shape == person.shape
    lazy = inside.nodes["OOTD_MaskGenerator"].check_lazy_status
    unknown = {"label_map": None, "pose_keypoint": None}
    assert lazy(person, "old garment", clothes, **unknown) == ["pose_keypoint"]
    _refused(lambda: inside.mask(person, mask_use="old garment", **seen), "old garment", "mask")
    _refused(
        lambda: inside.mask(
            person,
            mask=clothes,
            mask_use="old garment",
            person_mask=torch.ones(1, 7, 9),
            pose_keypoint=pose,
        ),
        "person_mask",
        "7x9",
    )


def check_poses_of_other_packs(inside: Inside) -> None:
    """25 points in the unit square give the mask of the same 18 in pixels."""
    person, _, _ = inside.dressed_doll()
    labels = _seen(inside, person)["label_map"]
    points = np.zeros((18, 3))
    points[[1, 2, 3, 4, 5, 6, 7, 8, 11]] = [
        (96, 70, 1), (70, 72, 1), (52, 110, 1), (80, 150, 1), (122, 72, 1), (140, 110, 1),
        (150, 160, 1), (80, 170, 1), (112, 170, 1),
    ]  # fmt: skip
    body25 = np.zeros((25, 3))
    for ours, theirs in enumerate((0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)):
        body25[theirs] = points[ours]
    unit = body25 / [192, 256, 1]
    frames = [
        {"people": [{"pose_keypoints_2d": array.ravel().tolist()}], **canvas}
        for array, canvas in (
            (points, {"canvas_width": 192, "canvas_height": 256}),
            (unit, {"canvas_width": 1, "canvas_height": 1}),
        )
    ]
    masks = [inside.mask(person, label_map=labels, pose_keypoint=[each])[0] for each in frames]
    assert torch.equal(masks[0], masks[1])
    import json

    frame = json.dumps(frames[0])
    pose, *_ = inside.call("OOTD_OpenPose", image=person, checkpoint=MINI, openpose_json=frame)
    assert torch.equal(inside.mask(person, label_map=labels, pose_keypoint=pose)[0], masks[0])
    _refused(
        lambda: inside.call(
            "OOTD_OpenPose", image=person, checkpoint=MINI, openpose_json="{people"
        ),
        "not JSON",
    )


def check_the_loader_keeps_what_has_not_changed(inside: Inside) -> None:
    import folder_paths

    models = inside.folder / "models" / "ootdiffusion"
    shutil.copytree(inside.pack / "demo" / "checkpoints", models / "doll" / "checkpoints")
    folders = inside.module("nodes.model_folders")
    assert folders.names() == ["doll", MINI], folders.names()
    elsewhere = inside.folder / "elsewhere"
    shutil.copytree(inside.pack / "demo" / "checkpoints", elsewhere)
    folder_paths.add_model_folder_path("ootdiffusion", str(elsewhere))
    assert set(folders.names()) == {"doll", "elsewhere", MINI}, folders.names()
    options = inside.nodes["OOTD_ModelLoader"].INPUT_TYPES()["required"]["checkpoint"]
    assert "doll" in str(options)

    def load(checkpoint: str = "doll", dtype: str = "auto") -> tuple[Any, ...]:
        return inside.call(
            "OOTD_ModelLoader", checkpoint=checkpoint, variant=FULL_BODY, weight_dtype=dtype
        )

    first = load()
    assert all(a is b for a, b in zip(first, load(), strict=True))
    assert load(dtype="fp16")[0] is not first[0]
    (weights,) = (models / "doll").rglob("unet_vton/*.safetensors")
    os.utime(weights, ns=(1, 1))
    assert load()[0] is not first[0], "a changed file was not loaded again"
    content = weights.read_bytes()
    weights.write_bytes(content[: len(content) // 2])
    _refused(load, "diffusion_pytorch_model.safetensors", "unet_vton")
    (garment,) = (models / "doll").rglob("unet_garm/*.safetensors")
    shutil.copy(garment, weights)
    _refused(load, "swapped")
    weights.unlink()
    _refused(load, "unet_vton", "download")
    _refused(lambda: load("nowhere"), "checkpoint", "nowhere", MINI, "ootdiffusion")
    validate = inside.nodes["OOTD_ModelLoader"].validate_inputs
    half = {"checkpoint": MINI, "variant": "half body (hd)", "weight_dtype": "auto"}
    _refused(lambda: validate(**half), "full body")


def check_wrong_sockets_are_named(inside: Inside) -> None:
    person, mask, garment = inside.dressed_doll()
    denoiser, outfitting, encoder, vae = inside.loaded()
    prompt, latent = inside.call(
        "OOTD_GarmentEncoder", garment=garment, vae=vae, garment_encoder=encoder, category="upper"
    )
    _refused(
        lambda: inside.call(
            "OOTD_OutfittingUNet",
            outfitting_unet=denoiser,
            conditioning=prompt,
            garment_latent=latent,
        ),
        "outfitting_unet",
    )
    _refused(lambda: inside.fused(person, mask, garment, denoiser=outfitting), "denoiser")
    _refused(
        lambda: inside.fused(person, mask, garment, start_percent=0.8, end_percent=0.2),
        "start_percent",
    )
    decode = {"latent": {"samples": torch.zeros(1, 4, 32, 24)}, "vae": vae, "feather": 2.0}
    _refused(lambda: inside.call("OOTD_VAEDecode", original=person, **decode), "mask")
    _refused(
        lambda: inside.call(
            "OOTD_VAEDecode", original=person.repeat(1, 2, 2, 1), mask=mask, **decode
        ),
        "512x384",
        "Fit Person",
    )


def check_a_larger_result_is_pasted_back(inside: Inside) -> str:
    """After a second pass at twice the size: the original's size, and changed in the mask alone."""
    photo = torch.nn.functional.interpolate(
        inside.picture("1-upper-person.png").movedim(-1, 1), (512, 460), mode="bicubic"
    )
    photo = photo.movedim(1, -1).clamp(0, 1)
    fitted, _, fit, *_ = inside.call("OOTD_FitPerson", image=photo, size="256x192", mode="pad")
    mask = torch.zeros(1, 256, 192)
    mask[:, 60:180, 40:150] = 1
    vae = inside.loaded()[3]
    larger = torch.nn.functional.interpolate(fitted.movedim(-1, 1), scale_factor=2).movedim(1, -1)
    paste = {"vae": vae, "feather": 2.0, "original": photo, "fit": fit}
    picture, redrawn = inside.call(
        "OOTD_VAEDecode", latent={"samples": vae.encode(larger)}, mask=mask, **paste
    )
    assert picture.shape == photo.shape
    assert torch.equal(picture[redrawn == 0], photo[redrawn == 0]) and redrawn.any()
    same = inside.call(
        "OOTD_VAEDecode", latent={"samples": vae.encode(fitted)}, mask=mask, **paste
    )[1]
    share = float((same - redrawn).abs().mean())
    assert share < 0.02, share
    for broken in (mask * 0, mask * float("nan")):
        _refused(
            lambda: inside.call(
                "OOTD_VAEDecode",
                latent={"samples": vae.encode(fitted)},
                mask=broken,  # noqa: B023
                **paste,
            ),
            "mask",
        )
    return f"masks differ by {share:.4f}"


def _tryon(**inputs: Any) -> dict[str, Any]:
    defaults = {
        "checkpoint": MINI,
        "variant": FULL_BODY,
        "category": "upper",
        "size": "256x192",
        "mask_mode": "robust",
        "seed": 3,
        "steps": 2,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "weight_dtype": "auto",
    }
    return {"class_type": "OOTD_TryOn", "inputs": {**defaults, **inputs}}


def check_outside_the_mask_the_saved_file_is_the_input(inside: Inside) -> str:
    """A large photo that is not 3:4, through the whole node and SaveImage."""
    doll = Image.open(inside.pack / "demo" / "samples" / "1-upper-person.png").convert("RGB")
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 256, (700, 900, 3), dtype=np.uint8)
    photo[40:680, 200:680] = np.asarray(doll.resize((480, 640)))
    Image.fromarray(photo).save(inside.folder / "input" / "photo.png")
    shutil.copy(inside.pack / "demo" / "samples" / "1-upper-garment.png", inside.folder / "input")
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "photo.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "1-upper-garment.png"}},
        "3": _tryon(person=["1", 0], garment=["2", 0]),
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "p"}},
        "5": {"class_type": "MaskToImage", "inputs": {"mask": ["3", 1]}},
        "6": {"class_type": "SaveImage", "inputs": {"images": ["5", 0], "filename_prefix": "m"}},
    }
    errors = inside.run(prompt)
    assert not errors, errors
    saved, mask = (
        np.asarray(Image.open(sorted((inside.folder / "output").glob(f"{name}_*.png"))[-1]))
        for name in ("p", "m")
    )
    assert saved.shape == photo.shape
    outside = mask[..., 0] == 0
    changed = (saved != photo).any(-1)
    assert not changed[outside].any(), f"{changed[outside].sum()} pixels outside changed"
    assert changed[~outside].mean() > 0.5
    return f"{outside.sum()} pixels outside, {(~outside).sum()} inside"


def check_the_whole_node_equals_the_separate_ones(inside: Inside) -> None:
    person, _, garment = inside.dressed_doll()
    vae = inside.loaded()[3]
    labels = inside.call("OOTD_HumanParser", image=person, checkpoint=MINI)[0]
    fitted, _, fit, *_ = inside.call(
        "OOTD_FitPerson", image=person, size="256x192", mode="auto", label_map=labels
    )
    mask = inside.mask(fitted, **_seen(inside, fitted))[0]
    (prepared,) = inside.call("OOTD_PrepareGarment", image=garment, size="256x192")
    samples = inside.sample(inside.fused(fitted, mask, prepared), steps=2, seed=3)
    picture = inside.call(
        "OOTD_VAEDecode",
        latent={"samples": samples},
        vae=vae,
        feather=2.0,
        original=person,
        mask=mask,
        fit=fit,
    )[0]
    for name in ("person", "garment"):
        shutil.copy(
            inside.pack / "demo" / "samples" / f"1-upper-{name}.png", inside.folder / "input"
        )
    prompt = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "1-upper-person.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "1-upper-garment.png"}},
        "3": _tryon(person=["1", 0], garment=["2", 0]),
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "w"}},
    }
    errors = inside.run(prompt)
    assert not errors, errors
    saved = np.asarray(Image.open(sorted((inside.folder / "output").glob("w_*.png"))[-1]))
    assert np.array_equal(saved, (255.0 * picture[0].numpy()).clip(0, 255).astype(np.uint8))
