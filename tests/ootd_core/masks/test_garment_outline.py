"""The outline of flat garments on grounds of every kind, and why some have none."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from ootd_core.images.files import load_image
from ootd_core.images.fitting import prepare_garment
from ootd_core.masks.garment_outline import WORKING_HEIGHT, ShapeUnknown, garment_outline
from tests.ootd_core.masks.flat_garments import CENTRE, TOP, WHITE, fill, ground, top

EXAMPLES = os.environ.get("OOTD_EXAMPLES")


def expected() -> NDArray[np.bool_]:
    """The drawn shirt's own pixels, cropped and brought to the working height."""
    shirt = (top() != 255).any(axis=2)
    size = (384 * WORKING_HEIGHT // 512, WORKING_HEIGHT)
    small = cv2.resize(shirt.astype(np.float32), size, interpolation=cv2.INTER_AREA) >= 0.5
    rows, columns = np.flatnonzero(small.any(1)), np.flatnonzero(small.any(0))
    return small[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]


def agreement(found: NDArray[np.bool_]) -> float:
    """Intersection over union with the drawn shirt, centred on it."""
    wanted = expected()
    shape = np.maximum(found.shape, wanted.shape)

    def padded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        before = (shape - mask.shape) // 2
        after = shape - mask.shape - before
        return np.pad(mask, list(zip(before, after, strict=True)))

    one, other = padded(found), padded(wanted)
    return float((one & other).sum() / (one | other).sum())


@pytest.mark.parametrize(
    "on",
    [
        ground(),
        ground((243, 243, 243)),
        ground((236, 228, 214), fade=30.0),
        ground((120, 120, 124), noise=3.0),
        ground((20, 22, 30)),
    ],
    ids=["white", "grey", "cream, unevenly lit", "noisy", "dark"],
)
def test_grounds(on: NDArray[np.uint8]) -> None:
    assert agreement(garment_outline(top(on))) > 0.95


def test_a_white_shirt_on_a_light_ground() -> None:
    on = ground((246, 246, 246))
    assert agreement(garment_outline(top(on, colour=(250, 250, 252)))) > 0.9


def test_a_white_shirt_of_which_only_the_seams_are_seen() -> None:
    shirt = (top() != 255).any(axis=2).astype(np.uint8)
    seams = shirt - cv2.erode(shirt, np.ones((5, 5), np.uint8))
    picture = np.where(seams[..., None] > 0, np.uint8(200), ground())
    assert agreement(garment_outline(picture)) > 0.95


def test_a_wall_and_a_floor() -> None:
    on = ground((228, 228, 226), noise=1.0)
    on[200:] = ground((206, 204, 200), noise=1.0)[200:]
    assert agreement(garment_outline(top(on))) > 0.9


def test_holes_belong_to_the_garment() -> None:
    picture = top()
    cv2.circle(picture, (CENTRE, TOP + 90), 18, WHITE, -1)
    assert agreement(garment_outline(picture)) > 0.95


def test_labels_hooks_and_specks_do_not() -> None:
    picture = top()
    cv2.line(picture, (CENTRE, 5), (CENTRE, TOP + 30), (90, 90, 90), 1)  # a hanger's wire
    cv2.rectangle(picture, (30, 440), (60, 455), (0, 0, 0), -1)  # a label beside it
    picture[100::60, 20::300] = 0
    assert agreement(garment_outline(picture)) > 0.95


def test_straps_do() -> None:
    picture = ground()
    fill(picture, [(140, 160), (244, 160), (250, 360), (134, 360)], (30, 60, 90))
    for x in (160, 224):
        cv2.line(picture, (x, 60), (x, 165), (30, 60, 90), 5)
    outline = garment_outline(picture)
    assert outline.shape[0] == pytest.approx(300 * WORKING_HEIGHT / 512, abs=4)
    assert not outline[10, outline.shape[1] // 2]


def test_padding_around_the_picture_is_no_ground() -> None:
    wide = np.full((512, 900, 3), 226, np.uint8)
    wide[:, 258:642] = top(ground((226, 226, 226)))
    padded = prepare_garment(wide, 1024, 768)
    assert (padded[0] == 255).all(), "the test needs padding"
    outline = garment_outline(padded)
    height, width = expected().shape
    assert outline.shape[0] / outline.shape[1] == pytest.approx(height / width, rel=0.05)


def test_a_mask_is_taken_at_its_word() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (512, 384, 3), dtype=np.uint8)
    assert agreement(garment_outline(noise, (top() != 255).any(axis=2))) > 0.95
    with pytest.raises(ValueError, match=r"\[4, 4\].*\[512, 384\]"):
        garment_outline(noise, np.ones((4, 4), np.bool_))


def test_why_there_is_none() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (512, 384, 3), dtype=np.uint8)
    with pytest.raises(ShapeUnknown, match="ground cannot be told"):
        garment_outline(noise)
    with pytest.raises(ShapeUnknown, match="nothing stands out"):
        garment_outline(ground((200, 190, 180), fade=20.0))
    cut = top(length=400)[:420]
    with pytest.raises(ShapeUnknown, match="cut off"):
        garment_outline(cut)


@pytest.mark.skipif(not EXAMPLES, reason="OOTD_EXAMPLES names no folder of garments")
def test_photographs_of_garments() -> None:
    """`run/examples` of levihsu/OOTDiffusion, looked at only: none of it is part of the project."""
    files = sorted((Path(EXAMPLES or "") / "garment").glob("*.jpg"))
    assert files, f"no garments in {EXAMPLES}"
    for file in files:
        outline = garment_outline(load_image(file))
        mirrored = (outline & outline[:, ::-1]).sum() / (outline | outline[:, ::-1]).sum()
        assert mirrored > 0.75, f"{file.name} is not symmetrical: {mirrored:.2f}"
