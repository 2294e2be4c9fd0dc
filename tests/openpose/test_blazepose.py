"""BlazePose: what is made of its networks' answers; the networks where their files are."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from openpose.blazepose import FEET, HANDS, BlazePose, WholePerson, openpose_joints
from openpose.regions import LANDMARK_SIZE
from openpose.skeleton import Joint
from tests.openpose.blazepose_files import DETECTOR, LANDMARKS, needs_astronaut, needs_blazepose
from tests.openpose.test_regions import answer

PRESENT, ABSENT = 9.0, -9.0


class MadeNetworks(BlazePose):
    """A BlazePose whose networks answer what a test says."""

    def __init__(
        self,
        boxes: NDArray[np.float32],
        logits: NDArray[np.float32],
        landmarks: NDArray[np.float32],
        presence: float = 1.0,
    ) -> None:
        mask = np.full((1, LANDMARK_SIZE, LANDMARK_SIZE, 1), ABSENT, np.float32)
        mask[:, 64:192, 64:192] = PRESENT
        self.regions = 0

        def looked(_picture: NDArray[np.float32]) -> list[NDArray[np.float32]]:
            self.regions += 1
            return [landmarks.reshape(1, 195), np.array([[presence]], np.float32), mask]

        self._detector = lambda _picture: [boxes[None], logits[None, :, None]]  # type: ignore
        self._landmarks = looked  # type: ignore


def landmarks_at(x: float, y: float) -> NDArray[np.float32]:
    """39 landmarks (x, y, z, visibility, presence), in a row to the right of (x, y)."""
    rows = np.zeros((39, 5), np.float32)
    rows[:, 0] = x + np.arange(39)
    rows[:, 1] = y
    rows[:, 3:] = PRESENT
    return rows


def seen(landmarks: NDArray[np.float32], presence: float = 1.0) -> list[WholePerson]:
    boxes, logits, _ = answer((300, 400, 160), picture=(800, 600))
    return MadeNetworks(boxes, logits, landmarks, presence)(np.zeros((800, 600, 3), np.uint8))


def test_joints_are_those_of_openpose() -> None:
    landmarks = np.column_stack([np.arange(33) * 10.0, np.arange(33.0), np.full(33, 0.8)])
    joints = openpose_joints(landmarks)
    for joint, row in (
        (Joint.NOSE, 0),
        (Joint.RIGHT_WRIST, 16),
        (Joint.LEFT_WRIST, 15),
        (Joint.RIGHT_ANKLE, 28),
        (Joint.LEFT_HIP, 23),
        (Joint.RIGHT_EYE, 5),
        (Joint.LEFT_EAR, 7),
    ):
        np.testing.assert_allclose(joints[joint], landmarks[row], rtol=1e-6)
    np.testing.assert_allclose(joints[Joint.NECK], [115, 11.5, 0.8], rtol=1e-6)
    landmarks[12] = 0
    assert not openpose_joints(landmarks)[Joint.NECK].any()


def test_a_person_comes_back_in_pixels_of_the_picture() -> None:
    """The region of 400 pixels around the hips at (300, 400): 256 of its pixels are 400 here."""
    (person,) = seen(landmarks_at(100, 128))
    scale = 400 / LANDMARK_SIZE
    x, y, confidence = person.person.keypoints[Joint.NOSE]
    assert x == pytest.approx(300 + (100 - 128) * scale, abs=1)
    assert y == pytest.approx(400, abs=1) and confidence == pytest.approx(1, abs=1e-3)
    hands, feet = person.person.hands, person.person.feet
    assert hands is not None and hands.shape == (2, 3, 3)
    assert feet is not None and feet.shape == (2, 2, 3)
    for side in (0, 1):
        for points, rows in ((hands[side], HANDS[side]), (feet[side], FEET[side])):
            np.testing.assert_allclose(points[:, 0] - x, np.array(rows) * scale, atol=1e-2)
    assert person.mask.shape == (800, 600)
    rows, columns = (np.flatnonzero((person.mask > 0.5).any(axis=axis)) for axis in (1, 0))
    np.testing.assert_allclose([rows[0], rows[-1]], [300, 500], atol=2)
    np.testing.assert_allclose([columns[0], columns[-1]], [200, 400], atol=2)


def test_what_lies_outside_the_picture_or_is_absent_is_missing() -> None:
    landmarks = landmarks_at(100, 128)
    landmarks[0, :2] = -200, 128  # the nose, left of the picture
    landmarks[16, 4] = ABSENT  # the right wrist
    landmarks[15, 3] = ABSENT  # the left wrist, hidden behind the body
    (person,) = seen(landmarks)
    keypoints = person.person.keypoints
    assert not keypoints[Joint.NOSE].any() and not keypoints[Joint.RIGHT_WRIST].any()
    assert 0 < keypoints[Joint.LEFT_WRIST, 2] < 0.01
    assert (keypoints[[Joint.LEFT_ELBOW, Joint.NECK], 2] > 0.9).all()


def test_a_region_without_a_person_is_nobody() -> None:
    assert seen(landmarks_at(100, 128), presence=0.4) == []


def test_one_person_found_twice_is_one() -> None:
    """Both detections lead to the same landmarks in the picture; two others do not."""
    boxes, logits, _ = answer((300, 400, 160), (300, 445, 160), picture=(800, 600))
    networks = MadeNetworks(boxes, logits, landmarks_at(100, 128))
    near = networks(np.zeros((800, 600, 3), np.uint8))
    assert networks.regions == 2 and len(near) == 2  # 45 of 400 pixels apart
    boxes, logits, _ = answer((300, 400, 160), (300, 430, 160), picture=(800, 600))
    boxes[:, 2:4] /= 4  # boxes that do not overlap
    networks = MadeNetworks(boxes, logits, landmarks_at(100, 128))
    assert len(networks(np.zeros((800, 600, 3), np.uint8))) == 1 and networks.regions == 2


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4, 3)), np.zeros((4, 4), np.uint8), np.zeros((0, 4, 3), np.uint8)]
)
def test_what_is_no_image_is_refused(image: NDArray[np.uint8]) -> None:
    boxes, logits, _ = answer(picture=(800, 600))
    with pytest.raises(ValueError, match="An image must be uint8"):
        MadeNetworks(boxes, logits, landmarks_at(0, 0))(image)


@pytest.fixture(scope="module")
def blazepose() -> BlazePose:
    return BlazePose(DETECTOR, LANDMARKS)


def astronaut() -> NDArray[np.uint8]:
    """A photograph [512, 512, 3]: a woman to the hips, her face at (225, 110)."""
    from skimage.data import astronaut

    return astronaut()


@needs_astronaut
def test_the_astronaut_is_seen(blazepose: BlazePose) -> None:
    (found,) = blazepose(astronaut())
    joints = found.person.keypoints
    for joint, place in (
        (Joint.NOSE, (217, 122)),
        (Joint.RIGHT_EYE, (198, 105)),
        (Joint.LEFT_EYE, (241, 105)),
        (Joint.RIGHT_SHOULDER, (118, 225)),
        (Joint.LEFT_SHOULDER, (305, 243)),
    ):
        assert np.hypot(*(joints[joint, :2] - place)) < 25, joint.name
    assert not joints[Joint.LEFT_ANKLE].any()
    assert found.mask[110, 225] > 0.9 and found.mask[330, 220] > 0.9  # face, chest
    assert found.mask[60, 400] < 0.1 and found.mask[450, 470] < 0.1  # wall, helmet


@needs_astronaut
def test_two_people_are_two_with_masks_of_their_own(blazepose: BlazePose) -> None:
    picture = np.concatenate([astronaut(), astronaut()[:, ::-1]], axis=1)
    left, right = sorted(blazepose(picture), key=lambda each: each.person.box[0])
    assert left.mask[110, 225] > 0.9 > 0.1 > left.mask[110, 800]
    assert right.mask[110, 800] > 0.9 > 0.1 > right.mask[110, 225]


@needs_astronaut
def test_the_pictures_size_and_shape_do_not_matter(blazepose: BlazePose) -> None:
    import cv2

    whole = blazepose(astronaut())[0].person.keypoints
    large = np.ascontiguousarray(cv2.resize(astronaut(), (1536, 1536)), np.uint8)
    wide = np.pad(large, ((0, 0), (600, 300), (0, 0)))
    (found,) = blazepose(wide)
    face = [Joint.NOSE, Joint.RIGHT_EYE, Joint.LEFT_EYE]
    there = (found.person.keypoints[face, :2] - (600, 0)) / 3
    assert np.abs(there - whole[face, :2]).max() < 25
    assert found.mask.shape == (1536, 2436)


@needs_blazepose
def test_nobody_is_an_empty_list(blazepose: BlazePose) -> None:
    assert blazepose(np.zeros((300, 200, 3), np.uint8)) == []
    assert blazepose(np.full((2, 2, 3), 200, np.uint8)) == []


@needs_blazepose
def test_swapped_and_broken_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"pose_landmark_full\.tflite is another network"):
        BlazePose(LANDMARKS, DETECTOR)
    broken = tmp_path / "pose_detection.tflite"
    broken.write_bytes(DETECTOR.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"is no \.tflite network that can be run") as caught:
        BlazePose(broken, LANDMARKS)
    assert "\n" not in str(caught.value)
