import json
from pathlib import Path

import numpy as np
import pytest

from ootd_core.datasets.keypoints import read_dress_code, read_openpose
from ootd_core.datasets.sample import FileMissing, UnusableSample, WrongSize
from openpose import load_people
from openpose.skeleton import BODY_25_ROWS
from tests.ootd_core.datasets.trees import as_body_25, save_openpose
from tests.ootd_core.masks.drawn_person import keypoints

HEIGHT, WIDTH = 512, 384


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "someone.json"


def test_it_reads_what_the_pose_package_reads(path: Path) -> None:
    own = keypoints(missing=(0, 4))
    body_25 = as_body_25(own)
    assert np.array_equal(body_25[list(BODY_25_ROWS)], own)
    for points in (own, body_25):
        save_openpose(path, [points])
        (person,) = load_people(path, height=HEIGHT, width=WIDTH)
        read = read_openpose(path, HEIGHT, WIDTH)
        assert np.allclose(read, person.keypoints)
        assert (read[[0, 4]] == 0).all() and (read[1:4, 2] > 0).all()


def test_a_canvas_is_scaled_to_the_picture(path: Path) -> None:
    save_openpose(path, [keypoints()], canvas_width=WIDTH, canvas_height=HEIGHT)
    read = read_openpose(path, 2 * HEIGHT, 2 * WIDTH)
    assert np.allclose(read, keypoints() * (2, 2, 1))
    path.write_text(json.dumps([json.loads(path.read_text())]))
    assert np.array_equal(read_openpose(path, 2 * HEIGHT, 2 * WIDTH), read)


def test_the_unit_square_is_scaled_to_the_picture(path: Path) -> None:
    save_openpose(path, [keypoints() / (WIDTH, HEIGHT, 1)])
    assert np.allclose(read_openpose(path, HEIGHT, WIDTH), keypoints(), atol=1e-3)


def test_joints_for_a_larger_picture_are_told(path: Path) -> None:
    save_openpose(path, [keypoints()])
    with pytest.raises(WrongSize, match=r"joint at \(160, 440\), outside .* 192x256 pixels"):
        read_openpose(path, HEIGHT // 2, WIDTH // 2)


@pytest.mark.parametrize("unit", [1, WIDTH], ids=["pixels", "unit square"])
def test_one_joint_far_outside_is_missing(unit: int, path: Path) -> None:
    points = keypoints() / ((WIDTH, HEIGHT, 1) if unit > 1 else 1)
    points[7, 0] = 5000
    save_openpose(path, [points], canvas_width=WIDTH, canvas_height=HEIGHT)
    read = read_openpose(path, HEIGHT, WIDTH)
    assert (read[7] == 0).all()
    assert np.allclose(np.delete(read, 7, 0), np.delete(keypoints(), 7, 0), atol=1e-3)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_no_fault(encoding: str, path: Path) -> None:
    save_openpose(path, [keypoints()])
    path.write_bytes(path.read_text().encode(encoding))
    assert np.array_equal(read_openpose(path, HEIGHT, WIDTH), keypoints())


@pytest.mark.parametrize(
    "people", [[], [np.zeros((0, 3))], [np.zeros((18, 3))]], ids=["none", "no body", "no joint"]
)
def test_nobody_is_unusable(people: list[np.ndarray], path: Path) -> None:
    save_openpose(path, people)
    with pytest.raises(UnusableSample, match=r"someone\.json holds no person"):
        read_openpose(path, HEIGHT, WIDTH)


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        "3",
        "[]",
        '{"people": 3}',
        '{"people": [3]}',
        '{"people": [{}]}',
        '{"people": [{"pose_keypoints_2d": [1, 2, 3]}]}',
        '{"people": [{"pose_keypoints_2d": ["a"]}]}',
        f'{{"people": [{{"pose_keypoints_2d": [{"1" * 400}, 1, 1]}}]}}',
        '{"people": [], "canvas_width": "wide"}',
    ],
)
def test_other_json_is_unusable(text: str, path: Path) -> None:
    path.write_text(text)
    with pytest.raises(UnusableSample, match=r"someone\.json is not OpenPose JSON"):
        read_openpose(path, HEIGHT, WIDTH)


def test_numbers_that_are_none_are_unusable(path: Path) -> None:
    points = keypoints()
    points[3, 0] = np.nan
    save_openpose(path, [points])
    with pytest.raises(UnusableSample, match="cannot be used"):
        read_openpose(path, HEIGHT, WIDTH)
    save_openpose(path, [keypoints()], canvas_width=0, canvas_height=5)
    with pytest.raises(UnusableSample, match="cannot be used"):
        read_openpose(path, HEIGHT, WIDTH)


def test_a_file_that_is_no_json_or_is_not_there(path: Path) -> None:
    for read in (read_openpose, read_dress_code):
        path.unlink(missing_ok=True)
        with pytest.raises(FileMissing, match=r"someone\.json"):
            read(path, HEIGHT, WIDTH)
        path.write_bytes(b'{"people": [')
        with pytest.raises(UnusableSample, match="is not JSON"):
            read(path, HEIGHT, WIDTH)
        for text in (b"\xff\xfe\xff", b"[" * 100_000):
            path.write_bytes(text)
            with pytest.raises(UnusableSample, match="is not JSON"):
                read(path, HEIGHT, WIDTH)
        with pytest.raises(UnusableSample, match="is not JSON"):
            read(path, HEIGHT, WIDTH)


@pytest.mark.parametrize("rows", [[], [[1, 2, 3, 4]] * 17, [[1, 2, 3]] * 18, [["x"] * 4] * 18])
def test_dress_code_has_18_rows_of_4(rows: list[list[object]], path: Path) -> None:
    path.write_text(json.dumps({"keypoints": rows}))
    with pytest.raises(UnusableSample, match="18 rows with 4 numbers"):
        read_dress_code(path, HEIGHT, WIDTH)
    path.write_text(json.dumps({"keypoints": [[-1, -1, 0, 0]] * 18}))
    with pytest.raises(UnusableSample, match="holds no person"):
        read_dress_code(path, HEIGHT, WIDTH)
