"""OpenPose JSON: round trips, BODY_25, units, and what is refused."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from openpose.json_format import frame_of, load_people, people_of, save_people
from openpose.person import Person
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
        ("text", "must be an object, got str"),
        ({"animals": []}, "needs a list `people`, got keys .'animals'"),
        ({"people": [5]}, "Person 0 .* must be an object, got 5"),
        ({"people": [{}]}, "Person 0 .* needs a list pose_keypoints_2d"),
        (frame_with([1.0] * 51), "54 numbers .* got 51"),
        (frame_with([float("nan")] * 54), "finite numbers, got nan"),
        ({"people": [{"pose_keypoints_2d": ["1"] * 54}]}, "finite numbers, got '1'"),
        (frame_with([9.0, 9.0, -1.0] * 18), "negative confidence, -1.0"),
        (frame_with([9.0] * 54, canvas_width=0), "canvas_width .* above 0, got 0"),
        (frame_with([9.0] * 54, canvas_height=None), "canvas_height .* above 0, got None"),
    ],
)
def test_what_is_no_frame_is_refused(frame: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        people_of(frame, height=HEIGHT, width=WIDTH)


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.json"):
        load_people(tmp_path / "absent.json", height=9, width=9)
    path = tmp_path / "broken.json"
    for content, message in (
        (b"{", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[]", "one frame for one picture, got 0"),
        (b"{}", "broken.json: An OpenPose frame needs"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=message):
            load_people(path, height=9, width=9)
