"""OpenPose JSON: round trips, BODY_25, units, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openpose.json_format import frame_of, frames_of, load_people, people_of, save_people
from openpose.person import Person
from tests.damage import damaged
from tests.openpose.drawn_maps import STANDING

HEIGHT, WIDTH = 512, 384


def standing() -> Person:
    keypoints = np.full((18, 3), 0.5, np.float32)
    keypoints[:, :2] = STANDING
    keypoints[10] = 0
    return Person(keypoints=keypoints, score=0.5)


def frame_with(points: list[float], **fields: object) -> dict[str, object]:
    return {"people": [{"pose_keypoints_2d": points}], **fields}


def test_round_trip_through_a_file(tmp_path: Path) -> None:
    path = tmp_path / "person_keypoints.json"
    save_people(path, [standing(), standing()], height=HEIGHT, width=WIDTH)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    people = load_people(path, height=HEIGHT, width=WIDTH)
    assert len(people) == 2
    np.testing.assert_array_equal(people[1].keypoints, standing().keypoints)
    assert people[1].score == 0.5


def test_frames_are_plain_json_in_pixels() -> None:
    frame = frame_of([standing()], height=HEIGHT, width=WIDTH)
    assert json.loads(json.dumps(frame)) == frame
    assert (frame["canvas_height"], frame["canvas_width"]) == (HEIGHT, WIDTH)
    assert frame["people"][0]["pose_keypoints_2d"][:3] == [192, 80, 0.5]


def test_hands_go_through_a_file_and_from_canvas_to_picture(tmp_path: Path) -> None:
    hands = np.zeros((2, 3, 3), np.float32)
    hands[1] = [(100, 200, 0.9), (110, 210, 0.8), (90, 205, 0.7)]
    person = Person(keypoints=standing().keypoints, score=0.5, hands=hands)
    path = tmp_path / "person_keypoints.json"
    save_people(path, [person], height=HEIGHT, width=WIDTH)
    written = json.loads(path.read_text())["people"][0]
    assert written["hand_right_keypoints_2d"] == []
    assert len(written["hand_left_keypoints_2d"]) == 63
    (found,) = load_people(path, height=2 * HEIGHT, width=2 * WIDTH)
    assert found.hands is not None and not found.hands[0].any()
    np.testing.assert_allclose(found.hands[1], hands[1] * (2, 2, 1), rtol=1e-6)


def test_feet_go_through_a_file_and_from_canvas_to_picture(tmp_path: Path) -> None:
    """In the order of ComfyUI's SDPose: left big toe, small toe, heel, right ones."""
    feet = np.zeros((2, 2, 3), np.float32)
    feet[0] = [(10, 300, 0.9), (20, 310, 0.8)]  # the right heel and big toe
    feet[1, 0] = (50, 300, 0.7)
    person = Person(keypoints=standing().keypoints, score=0.5, feet=feet)
    frame = frame_of([person], height=400, width=300)
    written = frame["people"][0]["foot_keypoints_2d"]
    assert len(written) == 18 and written[15:17] == [10, 300] and written[9:11] == [20, 310]
    assert written[6:8] == [50, 300] and written[2] == 0
    path = tmp_path / "people.json"
    save_people(path, [person], height=400, width=300)
    (found,) = load_people(path, height=800, width=600)
    assert found.feet is not None and not found.feet[1, 1].any()
    np.testing.assert_allclose(found.feet, feet * (2, 2, 1), rtol=1e-6)
    assert frame_of([standing()], height=400, width=300)["people"][0]["foot_keypoints_2d"] == []


def test_bodies_of_25_points_have_feet() -> None:
    points = np.zeros((25, 3))
    points[:19] = (40, 60, 1)
    points[24], points[22], points[21] = (1, 9, 1), (3, 9, 1), (7, 9, 1)
    frame = {"people": [{"pose_keypoints_2d": points.ravel().tolist()}]}
    (person,) = people_of(frame, height=100, width=100)
    assert person.feet is not None
    np.testing.assert_allclose(person.feet[:, :, 0], [[1, 3], [7, 0]])


@pytest.mark.parametrize("foot", [None, [], [1.0] * 15, ["x"] * 18, [0] * 18, "foot"])
def test_what_is_no_foot_is_passed_over(foot: object) -> None:
    frame: dict[str, Any] = dict(frame_of([standing()], height=400, width=300))
    frame["people"][0] |= {"foot_keypoints_2d": foot}
    (person,) = people_of(frame, height=400, width=300)
    assert person.feet is None


@pytest.mark.parametrize("hand", [None, [], [1.0] * 60, ["x"] * 63, [0] * 63, "hand"])
def test_what_is_no_hand_is_passed_over(hand: object) -> None:
    frame = frame_with(standing().keypoints.ravel().tolist())
    frame["people"][0] |= {"hand_left_keypoints_2d": hand}  # type: ignore
    (person,) = people_of(frame, height=HEIGHT, width=WIDTH)
    assert person.hands is None


def test_nobody_is_an_empty_list() -> None:
    assert people_of(frame_of([], height=9, width=9), height=9, width=9) == []


def test_normalised_coordinates_are_recognised() -> None:
    points = standing().keypoints.copy()
    points[:, :2] /= (WIDTH, HEIGHT)
    frame = frame_with(points.ravel().tolist(), canvas_height=1024, canvas_width=1024)
    (person,) = people_of(frame, height=HEIGHT, width=WIDTH)
    np.testing.assert_allclose(person.keypoints, standing().keypoints, atol=1e-3)


def test_another_canvas_is_scaled() -> None:
    frame = frame_of([standing()], height=HEIGHT, width=WIDTH)
    (person,) = people_of(frame, height=2 * HEIGHT, width=3 * WIDTH)
    np.testing.assert_allclose(person.keypoints, standing().keypoints * (3, 2, 1))


def test_without_canvas_the_unit_is_pixels() -> None:
    frame = frame_with(standing().keypoints.ravel().tolist())
    (person,) = people_of(frame, height=HEIGHT, width=WIDTH)
    np.testing.assert_array_equal(person.keypoints, standing().keypoints)


def test_body_25_loses_its_middle_hip_and_feet() -> None:
    points = np.ones((25, 3))
    points[:, 0] = np.arange(25) * 10 + 5
    (person,) = people_of(frame_with(points.ravel().tolist()), height=HEIGHT, width=WIDTH)
    rows = (person.keypoints[:, 0] - 5) / 10
    assert rows.tolist() == [*range(8), *range(9, 19)]


@pytest.mark.parametrize("points", [None, []])
def test_people_without_a_body_are_left_out(points: object) -> None:
    frame = {"people": [{"pose_keypoints_2d": points, "face_keypoints_2d": [1, 1, 1]}]}
    assert people_of(frame, height=HEIGHT, width=WIDTH) == []


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ("text", "cannot be text 'text': a frame is an object"),
        (5, "cannot be the number 5"),
        (None, "cannot be nothing"),
        ([], "cannot be a list"),
        ({"animals": []}, "are of animals, not of people"),
        ({}, "holds nothing: a frame is an object with a list `people`"),
        ({"annotations": [], "images": []}, "holds annotations, images: a frame"),
        ({"people": {}}, "has of type dict as `people`|has an object as `people`"),
        ({"people": [5]}, "Person 0 .* must be an object, got 5"),
        ({"people": [{}]}, "Person 0 .* needs a list pose_keypoints_2d"),
        (
            frame_with([1.0] * 51),
            r"54 .* 75 .* got 51, 17 points \(COCO without a neck\)",
        ),
        (frame_with([1.0] * 50), "54 numbers .* got 50\\."),
        (frame_with([float("nan")] * 54), "finite numbers, got nan"),
        (frame_with([10**400] * 54), "finite numbers, got 1000"),
        (frame_with([True] * 54), "finite numbers, got True"),
        ({"people": [{"pose_keypoints_2d": ["1"] * 54}]}, "finite numbers, got '1'"),
        (frame_with([9.0, 9.0, -1.0] * 18), "negative confidence, -1.0"),
        (frame_with([9.0] * 54, canvas_width=0), "canvas_width .* above 0, got 0"),
        (frame_with([9.0] * 54, canvas_height="9"), "canvas_height .* above 0, got '9'"),
        (frame_with([5000.0] * 54), "All keypoints lie outside the picture of 384x512 pixels"),
    ],
)
def test_what_is_no_frame_is_refused(frame: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        people_of(frame, height=HEIGHT, width=WIDTH)
    assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_frames_are_a_list_or_one_alone() -> None:
    frame = frame_of([standing()], height=HEIGHT, width=WIDTH)
    assert frames_of([frame, frame]) == [frame, frame]
    assert frames_of(frame) == [frame]
    for wrong, message in (("{}", "got text '{}'"), ([], "an empty list"), (None, "got nothing")):
        with pytest.raises(ValueError, match=message):
            frames_of(wrong)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
def test_every_unicode_encoding_is_read(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    text = json.dumps(frame_of([standing()], height=HEIGHT, width=WIDTH))
    path.write_bytes(text.encode(encoding))
    (person,) = load_people(path, height=HEIGHT, width=WIDTH)
    np.testing.assert_array_equal(person.keypoints, standing().keypoints)


@pytest.mark.parametrize("canvas", [{}, {"canvas_width": WIDTH, "canvas_height": HEIGHT}])
def test_one_joint_far_outside_does_not_make_pixels_of_the_unit_square(
    canvas: dict[str, int], caplog: pytest.LogCaptureFixture
) -> None:
    points = standing().keypoints / (WIDTH, HEIGHT, 1)
    points[4, :2] = 37.5, -12
    (person,) = people_of(frame_with(points.ravel().tolist(), **canvas), height=HEIGHT, width=WIDTH)
    expected = standing().keypoints
    expected[4] = 0
    np.testing.assert_allclose(person.keypoints, expected, atol=1e-3)
    assert "joints far outside the picture count as missing (right wrist)" in caplog.text


def test_one_joint_far_outside_is_missing_in_pixels_too() -> None:
    points = standing().keypoints.copy()
    points[7, 0] = 9999
    points[2, 0] = -40  # of a person who is cut off
    (person,) = people_of(frame_with(points.ravel().tolist()), height=HEIGHT, width=WIDTH)
    points[7] = 0
    np.testing.assert_array_equal(person.keypoints, points)


@pytest.mark.parametrize("side", [1, 2])
def test_a_canvas_of_the_unit_square_is_scaled(side: int) -> None:
    points = standing().keypoints / (WIDTH / side, HEIGHT / side, 1)
    frame = frame_with(points.ravel().tolist(), canvas_width=side, canvas_height=side)
    (person,) = people_of(frame, height=HEIGHT, width=WIDTH)
    np.testing.assert_allclose(person.keypoints, standing().keypoints, atol=1e-3)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["people", "pose_keypoints_2d", "a"]), inner, max_size=3)
    ),
    max_leaves=12,
)


def body(seed: int, count: int, scale: float) -> list[float]:
    rng = np.random.default_rng(seed)
    values = rng.normal(0.5, 0.4, count) * scale
    values[rng.random(count) < 0.1] = rng.choice([0.0, -1.0, 1e40, np.inf])
    values[2::3] = np.abs(values[2::3])
    return values.tolist()


bodies = st.builds(
    body, st.integers(0, 999), st.sampled_from([0, 51, 54, 75]), st.sampled_from([1.0, 2.0, 500.0])
)
people_lists = st.lists(
    st.fixed_dictionaries({"pose_keypoints_2d": bodies | json_values}), max_size=3
)
frames = st.fixed_dictionaries(
    {"people": people_lists},
    optional={"canvas_width": st.integers(-1, 2000) | json_values, "canvas_height": st.floats()},
)


@given(frames | json_values, st.integers(16, 900), st.integers(16, 900))
@settings(max_examples=100)
def test_any_json_is_people_or_a_sentence(frame: object, height: int, width: int) -> None:
    try:
        people = people_of(frames_of(frame)[0], height=height, width=width)
    except ValueError as error:
        assert str(error).endswith(".") and "\n" not in str(error) and len(str(error)) < 300
        return
    for person in people:
        inside = person.keypoints[person.visible, :2] / (width, height)
        assert (inside >= -0.51).all() and (inside <= 1.51).all()


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_a_damaged_file_is_read_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, seed: int
) -> None:
    text = json.dumps([frame_of([standing()], height=HEIGHT, width=WIDTH)])
    path = tmp_path_factory.getbasetemp() / "damaged.json"
    path.write_bytes(damaged(text.encode(), np.random.default_rng(seed)))
    try:
        load_people(path, height=HEIGHT, width=WIDTH)
    except ValueError as error:
        assert str(path) in str(error)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        load_people(tmp_path / "absent.json", height=9, width=9)
    with pytest.raises(ValueError, match="is a folder"):
        load_people(tmp_path, height=9, width=9)
    path = tmp_path / "broken.json"
    two = json.dumps([frame_of([], height=9, width=9)] * 2)
    for content, message in (
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[]", "got an empty list"),
        (b"{}", r"broken\.json: The frame of keypoints holds nothing"),
        (two.encode(), "one frame for one picture, got 2"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_people(path, height=9, width=9)


def test_the_unit_square_ends_at_two_and_the_picture_half_a_side_outside() -> None:
    def read(reach: float) -> np.ndarray:
        points = np.full((18, 3), 0.5)
        points[:, 0] = reach
        points[0, :2] = 0.25, 0.75
        (person,) = people_of(frame_with(points.ravel().tolist()), height=HEIGHT, width=WIDTH)
        return person.keypoints

    assert read(1.4)[0, :2].tolist() == [96, 384], "normalised"
    assert read(2.01)[0, :2].tolist() == [0.25, 0.75], "pixels"
    points = standing().keypoints.copy()
    points[4, :2], points[7, :2] = (1.49 * WIDTH, -0.49 * HEIGHT), (1.51 * WIDTH, 100)
    points[3, :2], points[6, :2] = (100, 1.49 * HEIGHT), (100, 1.51 * HEIGHT)
    (person,) = people_of(frame_with(points.ravel().tolist()), height=HEIGHT, width=WIDTH)
    assert person.visible[[4, 3]].all() and not person.visible[[7, 6]].any()


def test_the_score_is_the_mean_confidence_of_the_joints_that_are_there() -> None:
    points = np.zeros((18, 3))
    points[:4] = [(10, 20, 0.2), (30, 40, 0.4), (50, 60, 0.9), (70, 80, 0.0)]
    (person,) = people_of(frame_with(points.ravel().tolist()), height=HEIGHT, width=WIDTH)
    assert person.score == pytest.approx(0.5)
    assert person.keypoints[3].tolist() == [0, 0, 0], "without confidence there is no place"
