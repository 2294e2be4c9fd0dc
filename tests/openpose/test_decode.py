"""Decoding of drawn maps: joints where they were drawn, people kept apart, nobody is no crash."""

import numpy as np
import pytest
from numpy.typing import NDArray

from openpose.decode import decode_maps
from openpose.skeleton import Joint
from tests.openpose.drawn_maps import GEOMETRY, STANDING, draw_maps, without

PIXELS_OFF = 3.0


def farthest(ours: NDArray[np.float32], drawn: NDArray[np.float64]) -> float:
    """Largest distance over the joints that were drawn."""
    return float(np.nanmax(np.hypot(*(ours[:, :2] - drawn).T)))


def test_one_person_is_found_where_drawn() -> None:
    people = decode_maps(*draw_maps([STANDING]), GEOMETRY).people()
    assert len(people) == 1
    assert people[0].visible.all()
    assert farthest(people[0].keypoints, STANDING) < PIXELS_OFF
    assert people[0].score > 0.8
    assert people[0].keypoints[:, 2].min() > 0.8 and people[0].keypoints[:, 2].max() <= 1


def test_missing_joints_have_confidence_zero() -> None:
    missing = [Joint.LEFT_WRIST, Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE]
    (person,) = decode_maps(*draw_maps([without(STANDING, *missing)]), GEOMETRY).people()
    assert np.flatnonzero(~person.visible).tolist() == sorted(missing)
    assert (person.keypoints[missing] == 0).all()


def test_two_people_never_share_joints() -> None:
    drawn = [STANDING * 0.6 + (-20, 40), STANDING * 0.6 + (160, 90)]
    drawn[1] = without(drawn[1], Joint.RIGHT_ELBOW, Joint.NOSE)
    people = decode_maps(*draw_maps(drawn), GEOMETRY).people()
    assert len(people) == 2
    for person in people:
        assert min(farthest(person.keypoints[person.visible], d[person.visible]) for d in drawn) < 4


def test_a_stray_peak_joins_nobody() -> None:
    affinity, heatmap = draw_maps([STANDING])
    heatmap[Joint.NOSE, 20, 2] = 1.0
    decoded = decode_maps(affinity, heatmap, GEOMETRY)
    assert len(decoded.candidates) == 19
    (person,) = decoded.people()
    assert farthest(person.keypoints, STANDING) < PIXELS_OFF


@pytest.mark.parametrize("joints", [0, 1, 3])
def test_too_few_joints_are_nobody(joints: int) -> None:
    arm = [Joint.RIGHT_SHOULDER, Joint.RIGHT_ELBOW, Joint.RIGHT_WRIST][:joints]
    drawn = without(STANDING, *(joint for joint in Joint if joint not in arm))
    decoded = decode_maps(*draw_maps([drawn]), GEOMETRY)
    assert decoded.candidates.shape == (joints, 4)
    assert decoded.subset.shape == (0, 20)
    assert decoded.people() == []


def test_weak_evidence_is_nobody() -> None:
    affinity, heatmap = draw_maps([STANDING])
    assert decode_maps(affinity * 0.06, heatmap * 0.15, GEOMETRY).people() == []


def test_maps_of_another_size_are_refused() -> None:
    affinity, heatmap = draw_maps([STANDING])
    with pytest.raises(ValueError, match="23x18 were expected"):
        decode_maps(affinity[:, :-1], heatmap[:, :-1], GEOMETRY)
    with pytest.raises(ValueError, match="23x18 were expected"):
        decode_maps(heatmap, affinity, GEOMETRY)


def test_a_flat_map_is_bounded() -> None:
    affinity, heatmap = draw_maps([])
    decoded = decode_maps(affinity + 0.5, heatmap + 0.5, GEOMETRY)
    assert len(decoded.candidates) == 18 * 128
    assert np.bincount(decoded.candidates[:, 3].astype(int)).max() == 1


def test_the_score_is_the_evidence_per_joint_and_confidence_that_of_the_heatmap() -> None:
    affinity, heatmap = draw_maps([STANDING])
    full = decode_maps(affinity, heatmap, GEOMETRY)
    weaker = decode_maps(affinity, heatmap * 0.7, GEOMETRY)
    one, other = full.people()[0], weaker.people()[0]
    np.testing.assert_allclose(weaker.candidates[:, 2], 0.7 * full.candidates[:, 2], rtol=1e-5)
    lost = 0.3 * full.candidates[:, 2].sum() / 18
    assert other.score == pytest.approx(one.score - lost, rel=1e-4)


@pytest.mark.parametrize(("level", "found"), [(0.3, True), (0.05, False)])
def test_faint_joints_are_none(level: float, found: bool) -> None:
    affinity, heatmap = draw_maps([STANDING])
    heatmap[Joint.RIGHT_WRIST] *= level
    (person,) = decode_maps(affinity, heatmap, GEOMETRY).people()
    assert person.visible[Joint.RIGHT_WRIST] == found


def test_a_limb_whose_field_points_backwards_joins_nothing() -> None:
    affinity, heatmap = draw_maps([STANDING])
    elbow_to_wrist = slice(16, 18)
    affinity[elbow_to_wrist] *= -1
    (person,) = decode_maps(affinity, heatmap, GEOMETRY).people()
    assert not person.visible[Joint.RIGHT_WRIST] and person.visible.sum() == 17


def test_a_limb_whose_field_turns_back_for_a_third_joins_nothing() -> None:
    """More than eight of ten samples have to point along a limb, however strong their sum."""
    affinity, heatmap = draw_maps([STANDING])
    neck_to_right_hip = slice(0, 2)
    affinity[neck_to_right_hip, 10:] *= -0.3
    (person,) = decode_maps(affinity, heatmap, GEOMETRY).people()
    leg = [Joint.RIGHT_HIP, Joint.RIGHT_KNEE, Joint.RIGHT_ANKLE]
    assert np.flatnonzero(~person.visible).tolist() == leg
