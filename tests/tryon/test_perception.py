"""Which network finds people, and masks without a parser."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ootd_core.categories import Variant
from ootd_core.checkpoints.blazepose import BLAZEPOSE
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES, MINI_CHECKPOINT, Part, files_for
from tests.ootd_core.masks.drawn_person import keypoints, label_map
from tests.openpose.blazepose_files import FOLDER, needs_astronaut
from tests.openpose.test_blazepose import astronaut
from tryon import TryOn
from tryon.perception import PersonNetworks, SeenPerson, nearest_person
from tryon.preparation import PoseNetwork

DOLL = DEMO_SAMPLES / "1-upper-person.png"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a folder without ./checkpoints, where BlazePose would be found."""
    monkeypatch.chdir(tmp_path)


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(part: Part) -> list[str]:
    return [file.path for file in files_for(Variant.FULL_BODY, (part,))]


def drawn() -> SeenPerson:
    """A drawn person [512, 384] as BlazePose would see them, their hands and feet unknown."""
    return SeenPerson(
        keypoints=keypoints(),
        hands=np.zeros((2, 3, 3)),
        feet=np.zeros((2, 2, 3)),
        mask=(label_map(sleeves=True) > 0).astype(np.float32),
    )


def shifted(person: SeenPerson, x: float) -> SeenPerson:
    return replace(person, keypoints=person.keypoints + np.array([x, 0, 0], np.float32))


def test_auto_is_the_folders_own_unless_it_lacks_a_network_and_blazepose_is_there(
    tmp_path: Path,
) -> None:
    def chosen(folder: Path) -> PoseNetwork:
        return PersonNetworks(folder, Variant.FULL_BODY).pose_network

    folder = tmp_path / "models" / "mine"
    assert chosen(folder) is PoseNetwork.OPENPOSE
    put(folder.parent, *(file.path for file in BLAZEPOSE.files))
    assert chosen(folder) is PoseNetwork.BLAZEPOSE
    put(folder, *names(Part.POSE))
    assert chosen(folder) is PoseNetwork.BLAZEPOSE
    put(folder, *names(Part.PARSER))
    assert chosen(folder) is PoseNetwork.OPENPOSE
    assert chosen(MINI_CHECKPOINT) is PoseNetwork.OPENPOSE


def test_a_parser_is_used_beside_blazepose_but_not_the_one_for_dolls(tmp_path: Path) -> None:
    def has_parser(folder: Path, pose_network: PoseNetwork) -> bool:
        return PersonNetworks(folder, Variant.FULL_BODY, pose_network=pose_network).has_parser

    assert not has_parser(tmp_path, PoseNetwork.BLAZEPOSE)
    assert has_parser(tmp_path, PoseNetwork.OPENPOSE)  # it says what is missing when it is needed
    put(tmp_path, *names(Part.PARSER))
    assert has_parser(tmp_path, PoseNetwork.BLAZEPOSE)
    assert has_parser(MINI_CHECKPOINT, PoseNetwork.MINI)
    assert not has_parser(MINI_CHECKPOINT, PoseNetwork.BLAZEPOSE)


def test_the_bundled_pose_network_serves_another_folder(tmp_path: Path) -> None:
    from ootd_core.images.files import load_image

    mini = PersonNetworks(tmp_path, Variant.FULL_BODY, pose_network=PoseNetwork.MINI)
    own = PersonNetworks(MINI_CHECKPOINT, Variant.FULL_BODY)
    doll = load_image(DOLL)
    (found,), (expected,) = mini.people(doll), own.people(doll)
    np.testing.assert_array_equal(found, expected)
    assert mini.stamp() != own.stamp()


def test_another_blazepose_is_another_stamp(tmp_path: Path) -> None:
    networks = PersonNetworks(tmp_path, Variant.FULL_BODY, pose_network=PoseNetwork.BLAZEPOSE)
    before = networks.stamp()
    put(tmp_path, *(file.path for file in BLAZEPOSE.files))
    assert networks.stamp() != before


def test_missing_and_broken_files_are_one_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    networks = PersonNetworks(tmp_path, Variant.FULL_BODY, pose_network=PoseNetwork.BLAZEPOSE)
    image = np.zeros((64, 48, 3), np.uint8)
    with pytest.raises(FileNotFoundError, match="download --part blazepose --to"):
        networks.see(image)
    put(tmp_path, *(file.path for file in BLAZEPOSE.files))
    monkeypatch.setattr("ootd_core.requirements.is_installed", lambda module: module == "cv2")
    with pytest.raises(ModuleNotFoundError, match=r"pip install .*ai-edge-litert") as caught:
        networks.see(image)
    assert "\n" not in str(caught.value)


def test_the_nearest_person_is_told_by_common_joints() -> None:
    left, right = drawn(), shifted(drawn(), 300)
    asked = keypoints(missing=tuple(range(8, 14))) + np.array([280, 5, 0], np.float32)
    assert nearest_person([left, right], asked) is right
    assert nearest_person([], asked) is None
    assert nearest_person([left], np.zeros((18, 3))) is None


class TestMasksWithoutAParser:
    @pytest.fixture
    def masks(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TryOn:
        """In a folder without a network, seeing the drawn person in every picture of 1024x768."""

        def see(_: object, picture: NDArray[np.uint8]) -> list[SeenPerson]:
            assert picture.shape == (1024, 768, 3)
            twice = np.ones((2, 2), np.float32)
            return [
                replace(
                    drawn(),
                    keypoints=keypoints(2.0),
                    mask=np.kron((label_map(sleeves=True) > 0).astype(np.float32), twice),
                )
            ]

        monkeypatch.setattr(PersonNetworks, "see", see)
        return TryOn.from_pretrained(tmp_path, pose_network="blazepose", only_masks=True)

    def test_a_picture_gets_a_mask_of_its_size(self, masks: TryOn) -> None:
        result = masks.mask(np.zeros((512, 384, 3), np.uint8), "upper")
        assert result.images == [] and result.label_map is None and result.warnings == ()
        assert result.mask.size == (384, 512) and result.mask.mode == "L"
        mask = np.asarray(result.mask)
        assert mask[160, 192] == 255 and mask[70, 192] == 0 and mask[345, 165] == 0
        assert result.keypoints is not None
        np.testing.assert_allclose(result.keypoints[1, :2], (192, 115), atol=1)

    def test_given_people_choose_whose_mask_it_is(self, masks: TryOn) -> None:
        picture = np.zeros((512, 384, 3), np.uint8)
        given = masks.mask(picture, "lower", people=[keypoints(missing=(0, 14, 15, 16, 17))])
        assert np.asarray(given.mask)[400, 162] == 255
        with pytest.raises(ValueError, match="No person was found"):
            masks.mask(picture, "lower", people=[])

    def test_growth_reaches_the_mask(self, masks: TryOn) -> None:
        picture = np.zeros((512, 384, 3), np.uint8)
        plain, grown = (masks.mask(picture, "dress", mask_grow=grow).mask for grow in (0, 20))
        assert (np.asarray(grown) > 0).sum() > (np.asarray(plain) > 0).sum()

    def test_a_mask_is_refused_as_a_try_on_is(self, masks: TryOn) -> None:
        picture = np.zeros((512, 384, 3), np.uint8)
        with pytest.raises(ValueError, match="category is 'hat'"):
            masks.mask(picture, "hat")
        half = TryOn.from_pretrained(masks.folder, "hd", only_masks=True)
        with pytest.raises(ValueError, match="upper"):
            half.mask(picture, "dress")


def test_with_a_parser_the_mask_is_that_of_a_try_on() -> None:
    mini = TryOn.from_pretrained()
    garment = DEMO_SAMPLES / "1-upper-garment.png"
    alone = mini.mask(DOLL, "upper", garment=garment, height=256)
    worn = mini(DOLL, garment, "upper", num_inference_steps=1, height=256)
    assert alone.label_map is not None
    assert alone.mask.tobytes() == worn.mask.tobytes() and alone.warnings == worn.warnings


def test_an_unknown_pose_network_is_refused() -> None:
    with pytest.raises(ValueError, match="pose_network is 'dwpose', but must be one of auto, open"):
        TryOn.from_pretrained(pose_network="dwpose")


@pytest.fixture(scope="module")
def seeing() -> TryOn:
    """BlazePose and nothing else."""
    return TryOn.from_pretrained(FOLDER, pose_network="blazepose", only_masks=True)


@needs_astronaut
@pytest.mark.parametrize("category", ["upper", "dress"])
def test_the_astronaut_gets_a_mask_from_nothing_but_blazepose(seeing: TryOn, category: str) -> None:
    mask = np.asarray(seeing.mask(astronaut(), category).mask) > 127
    assert mask[300, 300] and mask[330, 200] and mask[300, 90]  # suit, chest, sleeve
    assert not mask[60:155, 195:255].any()  # face
    assert not mask[:200, 380:].any() and not mask[400:, 450:].any()  # wall, helmet


@needs_astronaut
def test_of_two_people_the_chosen_one_is_masked_and_the_other_said(seeing: TryOn) -> None:
    picture = np.concatenate([astronaut(), astronaut()[:, ::-1]], axis=1)
    for index in (0, 1):
        result = seeing.mask(picture, "upper", person_index=index)
        assert result.warnings[0].startswith("There are 2 people in the picture: the one on")
        is_left = "the one on the left is dressed" in result.warnings[0]
        mask = np.asarray(result.mask) > 127
        own, other = (mask[:, :500], mask[:, 524:])[:: 1 if is_left else -1]
        assert own.mean() > 0.2 and other.mean() < 0.01


@needs_astronaut
def test_nobody_in_the_photograph_is_one_sentence(seeing: TryOn) -> None:
    with pytest.raises(ValueError, match="No person was found in the picture"):
        seeing.mask(np.full((400, 300, 3), 200, np.uint8), "upper")


@needs_astronaut
def test_what_a_photograph_does_not_show_is_said_or_refused(seeing: TryOn) -> None:
    result = seeing.mask(astronaut()[:330], "dress")
    (said,) = result.warnings
    assert said.startswith("Not in the picture, or hidden: right knee")
    with pytest.raises(ValueError, match=r"Nothing is left to replace .* 'lower'"):
        seeing.mask(astronaut()[:260], "lower")
