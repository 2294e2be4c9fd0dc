"""Masks without a parser on the photographs of people in OOTD_EXAMPLES: looked at, never shipped.

The folder is `run/examples` of the original's repository, or any with a folder `model` of pictures.
Whether a garment is covered only an eye can tell; what can be counted is counted here.
"""

import os
from pathlib import Path

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.images.files import load_image
from ootd_core.masks.morphology import grow_mask
from ootd_core.masks.person_region import person_region_mask
from openpose import BlazePose, Joint, WholePerson
from tests.openpose.blazepose_files import DETECTOR, LANDMARKS, lacking

FOLDER = os.environ.get("OOTD_EXAMPLES")
PICTURES = sorted((Path(FOLDER) / "model").glob("*")) if FOLDER else []
REASON = lacking() or (None if PICTURES else "OOTD_EXAMPLES names no folder with pictures in it")
pytestmark = pytest.mark.skipif(REASON is not None, reason=str(REASON))


@pytest.fixture(scope="module")
def blazepose() -> BlazePose:
    return BlazePose(DETECTOR, LANDMARKS)


def at(mask: np.ndarray, point: np.ndarray) -> bool:
    return bool(mask[round(float(point[1])), round(float(point[0]))])


@pytest.mark.parametrize("path", PICTURES, ids=lambda path: path.stem)
def test_a_person_gets_masks_that_spare_face_hands_feet_and_ground(
    path: Path, blazepose: BlazePose
) -> None:
    image = load_image(path)
    (found,) = blazepose(image)
    for category in Category:
        check(found, category, scale=image.shape[0] / 512)


def check(found: WholePerson, category: Category, scale: float) -> None:
    joints, hands, feet = found.person.keypoints, found.person.hands, found.person.feet
    assert hands is not None and feet is not None
    mask = person_region_mask(found.mask, joints, category=category, hands=hands, feet=feet).mask
    ground = ~grow_mask(found.mask >= 0.5, round(6 * scale))
    rows, columns = np.nonzero(mask & ground)
    if category is Category.UPPER:
        assert len(rows) == 0
    else:  # but for the gap between the legs
        reached = np.flatnonzero((found.mask >= 0.5).any(axis=0))
        assert columns.min(initial=10**6) > reached[0] and columns.max(initial=0) < reached[-1]
        assert rows.min(initial=10**6) > joints[[Joint.RIGHT_HIP, Joint.LEFT_HIP], 1].min()
    for joint in (Joint.NOSE, Joint.RIGHT_EYE, Joint.LEFT_EYE):
        assert joints[joint, 2] == 0 or not at(mask, joints[joint])
    for hand in hands:
        fingers = hand[:2][hand[:2, 2] > 0]
        assert not any(at(mask, point) for point in fingers), (category, fingers)
    for toe in feet[:, 1]:
        assert toe[2] == 0 or not at(mask, toe)
    chest = joints[[Joint.RIGHT_SHOULDER, Joint.LEFT_SHOULDER], :2].mean(axis=0)
    hips = joints[[Joint.RIGHT_HIP, Joint.LEFT_HIP], :2].mean(axis=0)
    assert at(mask, chest) == (category is not Category.LOWER)
    assert at(mask, 0.1 * chest + 0.9 * hips)
