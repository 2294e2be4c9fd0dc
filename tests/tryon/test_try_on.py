"""The public face on the bundled mini: any picture in, one of its size out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import tryon.try_on
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES
from ootd_core.checkpoints.lora import attention_layers
from ootd_core.datasets.dolls import PaperDolls
from ootd_core.images.files import load_image
from ootd_core.images.fitting import prepare_garment
from ootd_core.masks.new_garment import MaskLength
from ootd_core.request import TryOnRequest
from ootd_core.sampling import NoiseLevels, Scheduler
from openpose import Joint
from tests.ootd_core.small_networks import FOLDER, small_networks
from tryon import TryOn, TryOnOptions, TryOnResult
from tryon.perception import PersonNetworks

PERSON, GARMENT = DEMO_SAMPLES / "1-upper-person.png", DEMO_SAMPLES / "1-upper-garment.png"
SKIRT = DEMO_SAMPLES / "3-lower-garment.png"
STANDING = DEMO_SAMPLES / "3-lower-person.png"
QUICK = TryOnOptions(num_inference_steps=1, height=128)


@pytest.fixture(scope="module")
def mini() -> TryOn:
    return TryOn.from_pretrained()


def two_people() -> np.ndarray:
    """A bystander, smaller, on the left; the subject on the right."""
    subject = load_image(PERSON)
    bystander = Image.open(DEMO_SAMPLES / "2-upper-person.png").convert("RGB").resize((96, 128))
    picture = np.full((256, 340, 3), 225, np.uint8)
    picture[128:, 4:100] = np.asarray(bystander)
    picture[:, 148:] = subject
    return picture


def share(result: TryOnResult, columns: slice) -> float:
    return float((np.asarray(result.mask)[:, columns] > 0).mean())


def test_paths_images_and_arrays_give_the_same(mini: TryOn) -> None:
    by_path = mini(PERSON, str(GARMENT), "upper", options=QUICK)
    by_image = mini(Image.open(PERSON), Image.open(GARMENT), Category.UPPER, options=QUICK)
    by_array = mini(load_image(PERSON), load_image(GARMENT), "upper", options=QUICK)
    (picture,) = by_path.images
    assert picture.size == (192, 256) and by_path.mask.size == (192, 256)
    assert picture.tobytes() == by_image.images[0].tobytes() == by_array.images[0].tobytes()
    assert by_path.label_map is not None and by_path.label_map.shape == (256, 192)
    assert by_path.keypoints is not None and by_path.keypoints[Joint.NECK, 2] > 0
    assert {"see the person", "dress", "paste back"} <= set(by_path.seconds)


def test_outside_the_mask_nothing_changes(mini: TryOn) -> None:
    result = mini(PERSON, GARMENT, "upper", options=QUICK)
    outside = np.asarray(result.mask) == 0
    assert np.array_equal(np.asarray(result.images[0])[outside], load_image(PERSON)[outside])


def test_settings_win_over_options(mini: TryOn) -> None:
    seen: list[tuple[int, int]] = []
    result = mini(
        PERSON,
        GARMENT,
        "upper",
        options=QUICK,
        num_inference_steps=2,
        num_images_per_prompt=2,
        on_step=lambda step, total, _latents: seen.append((step, total)),
    )
    assert seen == [(1, 2), (2, 2)]
    assert len(result.images) == 2
    assert result.images[0].tobytes() != result.images[1].tobytes()


def test_an_outfit_is_put_on_piece_by_piece(mini: TryOn) -> None:
    seen: list[tuple[int, int]] = []
    outfit = [(GARMENT, "upper"), (SKIRT, "lower")]
    result = mini(PERSON, outfit, options=QUICK, on_step=lambda *step: seen.append(step[:2]))
    assert seen == [(1, 2), (2, 2)]
    upper = mini(PERSON, GARMENT, "upper", options=QUICK)
    assert upper.keypoints is not None
    people = [upper.keypoints]  # an outfit is put on one person, whose joints are seen once
    lower = mini(upper.images[0], SKIRT, "lower", options=QUICK, people=people)
    assert result.images[0].tobytes() == lower.images[0].tobytes()
    both = np.maximum(np.asarray(upper.mask), np.asarray(lower.mask))
    assert np.array_equal(np.asarray(result.mask), both)


def test_each_garment_of_an_outfit_is_masked_by_its_own_length(mini: TryOn) -> None:
    def mask(garment: Path, category: str, length: MaskLength) -> np.ndarray:
        options = TryOnOptions(mask_length=length)
        return next(mini.dressing(STANDING, garment, category, options=options)).mask

    lengths = (MaskLength.HIP, MaskLength.KNEE)
    outfit = [(GARMENT, "upper"), (SKIRT, "lower")]
    dressing = mini.dressing(STANDING, outfit, options=TryOnOptions(mask_length=lengths))
    first = next(dressing)
    second = dressing.send(first.person[None])
    assert isinstance(second, TryOnRequest)
    for asked, (garment, category), length in zip((first, second), outfit, lengths, strict=True):
        assert np.array_equal(asked.mask, mask(garment, category, length))
        other = next(each for each in lengths if each is not length)
        assert not np.array_equal(asked.mask, mask(garment, category, other))


def test_the_bystander_who_comes_first_stays(mini: TryOn) -> None:
    result = mini(two_people(), GARMENT, "upper", options=QUICK)
    assert share(result, slice(148, None)) > 0.1 and share(result, slice(0, 110)) == 0
    assert any("2 people" in warning for warning in result.warnings)
    other = mini(two_people(), GARMENT, "upper", options=QUICK, person_index=1)
    assert share(other, slice(0, 110)) > 0.02 > share(other, slice(160, None))


def test_given_people_replace_detection(mini: TryOn, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = mini(PERSON, GARMENT, "upper", options=QUICK)
    assert seen.keypoints is not None

    def refuse(*_: object) -> None:
        raise AssertionError("the pose network was asked")

    monkeypatch.setattr(PersonNetworks, "see", refuse)
    given = mini(PERSON, GARMENT, "upper", options=QUICK, people=[seen.keypoints])
    assert np.array_equal(np.asarray(given.mask), np.asarray(seen.mask))


def test_a_mask_of_ones_own_needs_no_perception(
    mini: TryOn, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a network that sees people was asked")

    monkeypatch.setattr(PersonNetworks, "see", refuse)
    monkeypatch.setattr(PersonNetworks, "labels", refuse)
    square = np.full((256, 256, 3), 255, np.uint8)
    square[:, 32:224] = load_image(PERSON)
    mask = np.zeros((256, 256), np.uint8)
    mask[90:150, 100:150] = 255
    for given in (mask, Image.fromarray(mask), mask > 0):
        result = mini(square, GARMENT, "upper", options=QUICK, mask=given, feather=0.0)
        changed = (np.asarray(result.images[0]) != square).any(2)
        assert changed.any() and not changed[mask == 0].any()
        assert result.label_map is None and result.keypoints is None


def test_a_black_mask_means_none_and_is_said(mini: TryOn) -> None:
    result = mini(PERSON, GARMENT, "upper", options=QUICK, mask=np.zeros((64, 64), np.float32))
    assert np.asarray(result.mask).any()
    assert any("mask is black throughout" in warning for warning in result.warnings)


def test_the_garment_and_what_is_set_by_hand_reach_the_mask(mini: TryOn) -> None:
    dress = DEMO_SAMPLES / "5-dress-garment.png"
    whole_figure = DEMO_SAMPLES / "5-dress-person.png"

    def area(garment: Any, **settings: Any) -> int:
        result = mini(whole_figure, garment, "dress", options=QUICK, **settings)
        return int((np.asarray(result.mask) > 0).sum())

    robust, auto = area(dress, mask_mode="robust"), area(dress)
    assert auto > robust
    plain = np.full((64, 48, 3), 255, np.uint8)
    assert area(plain) == robust
    assert area(plain, mask_length="ankle") > area(plain, mask_length="calf") > robust
    joints = PaperDolls((256, 192), "test", dolls=1, categories={Category.UPPER})[0]
    for sleeves, fewer in (("none", True), ("auto", False)):
        result = mini(
            joints.person,
            joints.garment,
            "upper",
            options=QUICK,
            people=[joints.keypoints],
            mask_sleeves=sleeves,
        )
        whole = mini(
            joints.person, joints.garment, "upper", options=QUICK, people=[joints.keypoints]
        )
        areas = [int((np.asarray(each.mask) > 0).sum()) for each in (result, whole)]
        assert (areas[0] < areas[1]) == fewer, (sleeves, areas)
    unknown = mini(PERSON, plain, "upper", options=QUICK)
    assert any("garment's picture does not tell" in warning for warning in unknown.warnings)


@pytest.mark.parametrize(
    ("arguments", "settings", "sentence"),
    [
        ((PERSON, GARMENT, "hat"), {}, "category is 'hat', but must be one of upper, lower, dress"),
        ((PERSON, GARMENT), {}, "Name the garment's category"),
        ((PERSON, [(GARMENT, "upper")], "upper"), {}, "beside its garments"),
        ((PERSON, []), {}, "no garment"),
        ((PERSON, GARMENT, "upper"), {"num_inference_steps": 0}, "num_inference_steps is 0"),
        ((PERSON, GARMENT, "upper"), {"person_index": -3}, "person_index is -3"),
        ((np.zeros((9, 9)), GARMENT, "upper"), {}, "must be uint8 RGB"),
        ((np.zeros((0, 192, 3), np.uint8), GARMENT, "upper"), {}, "192x0 pixels: too small"),
        ((Image.new("RGB", (1, 1)), GARMENT, "upper"), {}, "1x1 pixels: too small"),
        ((None, GARMENT, "upper"), {}, "not NoneType"),
        ((PERSON, (GARMENT, "upper")), {}, "a list of pairs"),
        ((PERSON, 3), {}, "a list of pairs"),
        ((PERSON, GARMENT, "upper"), {"mask": "nowhere.png"}, "nowhere.png"),
        ((PERSON, GARMENT, "upper"), {"mask": [[1, 0], [0, 1]]}, "A mask is an array"),
        ((PERSON, GARMENT, "upper"), {"people": np.zeros((18, 3))}, "people is a list"),
        ((PERSON, GARMENT, "upper"), {"people": [[1, 2, 3]]}, "one of them is list"),
        ((PERSON, GARMENT, "upper"), {"num_inference_steps": 1.5}, "must be a whole number"),
        ((PERSON, SKIRT, "lower"), {"mask_sleeves": "short"}, "category 'lower' has none"),
        (
            (PERSON, [(GARMENT, "upper"), (SKIRT, "lower")]),
            {"mask_length": "knee"},
            "mask_length is 'knee', but the outfit has 2 garments",
        ),
        (
            (PERSON, GARMENT, "upper"),
            {"mask_length": ("knee", "hip")},
            "mask_length is 'knee, hip', but the outfit has 1 garments",
        ),
    ],
)
def test_bad_input_is_refused_before_a_network_is_loaded(
    arguments: tuple[Any, ...],
    settings: dict[str, Any],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a network was loaded")

    monkeypatch.setattr(tryon.try_on, "load_networks", refuse)
    monkeypatch.setattr(PersonNetworks, "_files", refuse)
    with pytest.raises((ValueError, FileNotFoundError), match=sentence):
        TryOn.from_pretrained()(*arguments, **settings)


def test_a_half_body_model_refuses_a_dress_at_once() -> None:
    half = TryOn(TryOn.from_pretrained().folder, Variant.HALF_BODY)
    with pytest.raises(ValueError, match="half-body"):
        half(PERSON, GARMENT, "dress")


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    with pytest.raises((FileNotFoundError, ValueError), match=str(tmp_path)):
        TryOn.from_pretrained(tmp_path)
    with pytest.raises(ValueError, match="variant is 'xl', but must be one of hd, dc"):
        TryOn.from_pretrained(variant="xl")


def test_what_cannot_be_used_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="The model folder is 5, but must be a path"):
        TryOn.from_pretrained(5)  # pyright: ignore[reportArgumentType]
    model = TryOn.from_pretrained()
    for device in ("banana", "meta"):
        with pytest.raises(ValueError, match=f"The device '{device}' cannot be used here"):
            model.to(device)
    with pytest.raises(FileNotFoundError, match=r"no outfitting.safetensors and tryon.safetensors"):
        model.load_lora(tmp_path)


def test_another_dtype_loads_the_networks_anew() -> None:
    model = TryOn.from_pretrained()
    assert model.networks.dtype is torch.float32
    assert model.to(dtype=torch.bfloat16).networks.dtype is torch.bfloat16
    small = TryOnOptions(num_inference_steps=1, height=64)  # a CPU may be slow in bfloat16
    assert model(PERSON, GARMENT, "upper", options=small).images[0].size == (192, 256)


def test_every_setting_reaches_the_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TryOnRequest] = []

    class Recorder:
        def __init__(self, _networks: object) -> None:
            """Needs no networks."""

        def __call__(self, request: TryOnRequest, _on_step: object) -> np.ndarray:
            asked.append(request)
            return np.stack([255 - request.person] * request.num_images_per_prompt)

    monkeypatch.setattr(tryon.try_on, "TryOnPipeline", Recorder)
    monkeypatch.setattr(tryon.try_on, "load_networks", lambda *_, **__: None)
    monkeypatch.setattr(tryon.try_on, "use_channels_last", lambda _: None)
    person, garment = load_image(PERSON), load_image(GARMENT)
    mask = np.zeros((256, 192), np.float32)
    mask[100:180, 60:140] = 1
    model = TryOn.from_pretrained()
    result = model(
        person, [(garment, "dress"), (SKIRT, "lower")], mask=mask, num_inference_steps=7,
        guidance_scale=3.5, num_images_per_prompt=2, seed=2**64 - 1, scheduler=Scheduler.EULER,
        height=128, feather=0.0, guidance_start=0.25, guidance_end=0.75,
        noise_levels="align_your_steps",
    )  # fmt: skip
    first, *others = asked
    assert [request.category for request in asked] == [Category.DRESS, *[Category.LOWER] * 2]
    assert [request.num_images_per_prompt for request in asked] == [2, 1, 1]
    assert [request.seed for request in asked] == [2**64 - 1, 2**64 - 1, 0]
    for request in asked:
        assert (request.num_inference_steps, request.guidance_scale) == (7, 3.5)
        assert (request.guidance_start, request.guidance_end) == (0.25, 0.75)
        assert request.scheduler is Scheduler.EULER
        assert request.noise_levels is NoiseLevels.ALIGN_YOUR_STEPS
        assert request.person.shape == (128, 96, 3)
        assert request.mask.dtype == bool and request.mask[51:89, 31:69].all()
        assert not request.mask[:49].any() and not request.mask[:, 71:].any()
    assert np.array_equal(first.garment, prepare_garment(garment, 128, 96))
    assert np.array_equal(others[0].garment, prepare_garment(load_image(SKIRT), 128, 96))
    assert len(result.images) == 2
    asked.clear()
    plain = model(person, garment, "upper", mask=mask, feather=0.0, height=256)
    assert np.array_equal(np.asarray(plain.images[0])[mask > 0], 255 - person[mask > 0])
    assert np.array_equal(asked[0].person, person) and asked[0].num_inference_steps == 20
    soft = model(person, garment, "upper", mask=mask, feather=8.0, height=256).images[0]
    edge = np.asarray(soft)[100, 60:140].astype(int) - person[100, 60:140]
    sharp = 255 - 2 * person[100, 60:140].astype(int)
    assert np.abs(edge).sum() < 0.2 * np.abs(sharp).sum(), "the seam fades in"


def test_a_lora_changes_the_networks_as_strongly_as_asked(tmp_path: Path) -> None:
    name, layer = next(iter(attention_layers(small_networks().tryon_unet).items()))
    rows, columns = layer.weight.shape
    down, up = torch.ones(2, columns), torch.ones(rows, 2)
    state = {f"lora_unet_{name}.lora_down.weight": down, f"lora_unet_{name}.lora_up.weight": up}
    for unet in ("outfitting", "tryon"):
        save_file(state, tmp_path / f"{unet}.safetensors")
    model = TryOn(FOLDER, Variant.FULL_BODY)
    before = model.networks
    for unet in ("outfitting_unet", "tryon_unet"):
        own = attention_layers(getattr(before, unet))[name].weight
        changed = attention_layers(
            getattr(TryOn(FOLDER, Variant.FULL_BODY).load_lora(tmp_path, 0.25).networks, unet)
        )[name].weight
        assert torch.allclose(changed - own, torch.tensor(0.25 * 2), atol=1e-5)
    assert model.load_lora(tmp_path).networks is not before, "what was loaded has no LoRA"
