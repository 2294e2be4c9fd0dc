"""A garment's shape laid on people: where it covers them, and what stands in for missing joints."""

import cv2
import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.masks.garment_on_body import OVER_OTHERS, Trunk, garment_region
from ootd_core.masks.garment_shape import ANKLES, KNEES, GarmentShape
from ootd_core.masks.limbs import Skeleton
from ootd_core.masks.morphology import BoolMask
from tests.ootd_core.masks.drawn_person import JOINTS, keypoints

UPPER, LOWER, DRESS = Category.UPPER, Category.LOWER, Category.DRESS
SHOULDERS, HIPS, KNEE_ROW, ANKLE_ROW = 125, 250, 345, 440
TORSO = HIPS - SHOULDERS


def shape(hem: float = KNEES, half_width: float = 0.4, **more: float | None) -> GarmentShape:
    return GarmentShape(
        top=-0.06,
        hem=hem,
        levels=np.array([-0.06, hem]),
        half_widths=np.array([half_width, half_width]),
        **more,  # type: ignore[arg-type]
    )


def lay(
    form: GarmentShape,
    category: Category = DRESS,
    *,
    scale: float = 1.0,
    missing: tuple[int, ...] = (),
    turn: float = 0.0,
) -> BoolMask:
    points = keypoints(scale, missing=missing)
    if turn:
        angle, centre = np.deg2rad(turn), np.array([192.0, 250.0]) * scale
        rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        points[:, :2] = (points[:, :2] - centre) @ rotation.T + centre
    skeleton = Skeleton.of(points, round(512 * scale), round(384 * scale))
    trunk = Trunk.of(skeleton, category)
    assert trunk is not None
    return garment_region(form, skeleton, trunk, category)


def last_row(region: BoolMask) -> int:
    return int(np.flatnonzero(region.any(axis=1))[-1])


@pytest.mark.parametrize(
    ("hem", "row"), [(1.0, HIPS), (KNEES, KNEE_ROW), (2.16, 393), (ANKLES, ANKLE_ROW)]
)
def test_a_hem_falls_on_the_persons_own_joints(hem: float, row: int) -> None:
    assert row < last_row(lay(shape(hem=hem))) < row + 30


def test_it_is_as_wide_as_its_outline_and_a_margin() -> None:
    columns = np.flatnonzero(lay(shape(half_width=0.4))[200])
    half = (columns[-1] - columns[0]) / 2
    assert half == pytest.approx(0.4 * TORSO + 7, abs=2)


def test_twice_as_large_a_picture_gives_twice_as_large_a_region() -> None:
    small, large = lay(shape()), lay(shape(), scale=2.0)
    assert (large[::2, ::2] ^ small).mean() < 0.01


def test_it_leans_with_the_person() -> None:
    upright, leaning = lay(shape(hem=1.0), UPPER), lay(shape(hem=1.0), UPPER, turn=30)
    turn = cv2.getRotationMatrix2D((192, 250), -30, 1.0)
    turned = cv2.warpAffine(upright.astype(np.uint8), turn, (384, 512)) > 0
    assert (turned & leaning).sum() / (turned | leaning).sum() > 0.95


def test_trousers_leave_what_is_between_the_legs() -> None:
    region = lay(shape(hem=ANKLES, crotch=1.3, leg_half_width=0.1), LOWER)
    assert region[400, [162, 222]].all() and not region[400, 192]
    skirt = lay(shape(hem=ANKLES), LOWER)
    assert skirt[400, 192]


def test_a_skirt_spans_parted_legs() -> None:
    points = keypoints()
    points[[9, 10], 0] -= 60
    points[[12, 13], 0] += 60
    skeleton = Skeleton.of(points, 512, 384)
    trunk = Trunk.of(skeleton, DRESS)
    assert trunk is not None
    region = garment_region(shape(half_width=0.2), skeleton, trunk, DRESS)
    assert region[335, 106:278].all() and not region[335, 70]


def test_sleeves_follow_the_arm_as_far_as_they_go() -> None:
    short = lay(shape(hem=1.0, sleeve=0.3, sleeve_half_width=0.1), UPPER)
    long = lay(shape(hem=1.0, sleeve=1.0, sleeve_half_width=0.1), UPPER)
    elbow, wrist = (tuple(int(v) for v in JOINTS[j][::-1]) for j in (3, 4))
    assert not short[wrist] and long[wrist] and long[elbow]
    without_elbow = lay(shape(hem=1.0, sleeve=1.0, sleeve_half_width=0.1), UPPER, missing=(3, 6))
    assert not without_elbow[wrist]


@pytest.mark.parametrize("missing", [(8, 11), (9, 12), (10, 13), (8, 9, 10), (9,), (13,), (11,)])
def test_missing_joints_are_continued(missing: tuple[int, ...]) -> None:
    whole, without = lay(shape(hem=ANKLES)), lay(shape(hem=ANKLES), missing=missing)
    assert (whole & without).sum() / (whole | without).sum() > 0.75
    assert last_row(without) == pytest.approx(last_row(whole), abs=60)


def test_what_was_guessed_is_told_where_it_matters() -> None:
    skeleton = Skeleton.of(keypoints(missing=(9, 12, 10, 13)), 512, 384)
    trunk = Trunk.of(skeleton, DRESS)
    assert trunk is not None and trunk.guessed == ("knees", "ankles")
    assert trunk.guessed_within(1.5, skeleton) == ("knees",)
    assert trunk.guessed_within(1.1, skeleton) == ()
    assert trunk.guessed_within(ANKLES, skeleton) == ("knees", "ankles")
    cut = Skeleton.of(keypoints(missing=(9, 12, 10, 13)), 240, 384)
    trunk = Trunk.of(cut, DRESS)
    assert trunk is not None and trunk.guessed_within(ANKLES, cut) == ()


def test_shoulders_are_needed_but_for_lower_garments() -> None:
    one_shoulder = Skeleton.of(keypoints(missing=(2,)), 512, 384)
    assert Trunk.of(one_shoulder, UPPER) is None and Trunk.of(one_shoulder, DRESS) is None
    trunk = Trunk.of(one_shoulder, LOWER)
    assert trunk is not None and trunk.guessed == ("shoulders",)
    assert Trunk.of(Skeleton.of(None, 512, 384), LOWER) is None


def test_over_another_garment_the_margin_is_narrow() -> None:
    skeleton = Skeleton.of(keypoints(), 512, 384)
    trunk = Trunk.of(skeleton, UPPER)
    assert trunk is not None
    wide = garment_region(shape(hem=1.1), skeleton, trunk, UPPER)
    narrow = garment_region(shape(hem=1.1), skeleton, trunk, UPPER, OVER_OTHERS)
    assert not (narrow & ~wide).any() and narrow.sum() < 0.9 * wide.sum()
