"""The command line as a user meets it: what it writes, and how it refuses."""

import functools
import json
import operator
import shutil
import sys
from pathlib import Path
from typing import Protocol

import numpy as np
import pytest
from PIL import Image

from cli.__main__ import main
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES, MINI_CHECKPOINT
from ootd_core.images.files import load_image
from ootd_core.sampling import SPEEDS, Speed
from tryon import TryOn, TryOnOptions


class Refuse(Protocol):
    def __call__(self, *more: str | Path, category: str = "upper") -> str: ...


STEM = next(iter(sorted(DEMO_SAMPLES.glob("*-upper-person.png")))).name.removesuffix("-person.png")
PERSON, GARMENT = DEMO_SAMPLES / f"{STEM}-person.png", DEMO_SAMPLES / f"{STEM}-garment.png"


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["cli", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def tryon(
    monkeypatch: pytest.MonkeyPatch, out: Path, *more: str | Path, category: str = "upper"
) -> int:
    options = ["--steps", "2", "--height", "128", "--device", "cpu"]
    given = {"--person": PERSON, "--garment": GARMENT}
    for option, value in given.items():
        if option not in more:
            options += [option, str(value)]
    return run(monkeypatch, "tryon", *options, "--category", category, "--out", out, *more)


@pytest.fixture
def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run a try-on that must be refused; return what was said on standard error."""

    def refuse(*more: str | Path, category: str = "upper") -> str:
        out = tmp_path / "refused.png"
        assert tryon(monkeypatch, out, *more, category=category) == 2
        assert not out.exists()
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert said.count("Error") == 1
        return said

    return refuse


def test_a_picture_comes_out_and_only_the_mask_changed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    out, mask_out = tmp_path / "out.png", tmp_path / "mask.png"
    assert tryon(monkeypatch, out, "--mask-out", mask_out) == 0
    before, after = load_image(PERSON), load_image(out)
    mask = np.asarray(Image.open(mask_out)) > 0
    assert after.shape == before.shape
    assert np.array_equal(before[~mask], after[~mask])
    assert 0.05 < mask.mean() < 0.8
    assert (before[mask] != after[mask]).any(1).mean() > 0.5


@pytest.mark.parametrize(
    ("more", "steps", "sampler", "levels"),
    [
        ((), 20, "unipc", "even"),
        (("--speed", "balanced"), 10, "unipc", "even"),
        (("--speed", "fast"), SPEEDS[Speed.FAST][0], "dpmpp_2m", "align_your_steps"),
        (("--speed", "fast", "--steps", "5"), 5, "dpmpp_2m", "align_your_steps"),
        (("--speed", "balanced", "--sampler", "ddim"), 10, "ddim", "even"),
    ],
)
def test_a_speed_names_how_to_sample(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    more: tuple[str, ...],
    steps: int,
    sampler: str,
    levels: str,
) -> None:
    asked: list[TryOnOptions] = []

    def note(_self: TryOn, *_: object, options: TryOnOptions, **__: object) -> None:
        asked.append(options)
        raise ValueError("That is enough.")

    monkeypatch.setattr(TryOn, "__call__", note)
    pictures = ("--person", PERSON, "--garment", GARMENT, "--category", "upper")
    assert run(monkeypatch, "tryon", *pictures, "--out", tmp_path / "out.png", *more) == 2
    (options,) = asked
    assert (options.num_inference_steps, options.scheduler) == (steps, sampler)
    assert options.noise_levels == levels


def test_samples_are_numbered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert tryon(monkeypatch, tmp_path / "a.png", "--samples", "2", "--steps", "1") == 0
    first, second = load_image(tmp_path / "a-1.png"), load_image(tmp_path / "a-2.png")
    assert not np.array_equal(first, second)


def test_a_photograph_of_another_shape_keeps_its_size(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    wide = np.full((300, 520, 3), 200, np.uint8)
    wide[20:276, 150:342] = load_image(PERSON)
    Image.fromarray(wide).save(tmp_path / "wide.png")
    out = tmp_path / "out.png"
    assert tryon(monkeypatch, out, "--person", tmp_path / "wide.png") == 0
    result = load_image(out)
    assert result.shape == wide.shape
    assert np.array_equal(result[:, :100], wide[:, :100])


def test_a_garment_of_another_shape_is_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Image.open(GARMENT).resize((300, 100)).save(tmp_path / "wide.png")
    assert tryon(monkeypatch, tmp_path / "out.png", "--garment", tmp_path / "wide.png") == 0


def test_a_mask_and_keypoints_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    height, width = load_image(PERSON).shape[:2]
    mask = np.zeros((height, width), np.uint8)
    mask[100:160, 60:120] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    out = tmp_path / "out.png"
    assert tryon(monkeypatch, out, "--mask", tmp_path / "mask.png", "--feather", "0") == 0
    changed = (load_image(out) != load_image(PERSON)).any(2)
    assert not changed[mask == 0].any() and changed.any()
    points = [[96, 60, 1.0]] * 18
    frame = {"people": [{"pose_keypoints_2d": functools.reduce(operator.iadd, points, [])}]}
    frame |= {"canvas_width": width, "canvas_height": height}
    (tmp_path / "pose.json").write_text(json.dumps(frame))
    assert tryon(monkeypatch, out, "--keypoints", tmp_path / "pose.json") == 0


def test_the_mask_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    person = DEMO_SAMPLES / "1-upper-person.png"
    words = ("tryon", "--only-mask", "--person", person)
    upper, both = tmp_path / "upper.png", tmp_path / "both.png"
    assert run(monkeypatch, *words, "--category", "upper", "--out", upper) == 0
    categories = ("--category", "upper", "--category", "lower")
    assert run(monkeypatch, *words, *categories, "--out", both) == 0
    one, two = (np.asarray(Image.open(path)) for path in (upper, both))
    assert one.shape == two.shape == (256, 192) and (two >= one).all() and two.sum() > one.sum()


def test_the_mask_alone_is_one(refused: Refuse) -> None:
    said = refused("--only-mask", "--samples", "2")
    assert "--only-mask makes one mask of the person" in said
    assert refused("--only-mask", "--lora", "none") == said


def test_a_mask_that_is_not_given_cannot_be_inverted(refused: Refuse) -> None:
    assert "--invert-mask says how --mask is read" in refused("--invert-mask")


def test_a_worn_garment_is_cut_out_and_the_original_restored(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    flat = Image.new("L", Image.open(GARMENT).size, 255)
    flat.save(tmp_path / "all.png")
    worn = ("--garment", DEMO_SAMPLES / "2-upper-person.png", "--only-mask")
    masks = {
        name: tmp_path / f"{name}.png" for name in ("taken as flat", "cut out", "told", "all of it")
    }
    assert tryon(monkeypatch, masks["taken as flat"], *worn) == 0
    assert tryon(monkeypatch, masks["cut out"], *worn, "--garment-photo", "auto") == 0
    assert tryon(monkeypatch, masks["told"], *worn, "--garment-photo", "worn") == 0
    everything = ("--garment-mask", tmp_path / "all.png")
    assert tryon(monkeypatch, masks["all of it"], *worn, *everything) == 0
    found = {name: path.read_bytes() for name, path in masks.items()}
    assert found["cut out"] == found["told"] != found["taken as flat"]
    plain, restored = tmp_path / "plain.png", tmp_path / "restored.png"
    for out, more in ((plain, ()), (restored, ("--restore", "background and skin"))):
        mask = out.with_suffix(".mask.png")
        assert tryon(monkeypatch, out, "--mask-out", mask, *more) == 0
    less, more = (load_image(path.with_suffix(".mask.png")) > 0 for path in (restored, plain))
    assert less.sum() < more.sum() and not (less & ~more).any()


def test_what_belongs_to_garments_is_counted(refused: Refuse) -> None:
    twice = ("--garment-mask", GARMENT, "--garment-mask", GARMENT)
    assert "1 garments and 2 garment masks" in refused(*twice)
    lengths = ("--mask-length", "hip", "--mask-length", "knee")
    assert "mask_length is 'hip, knee', but the outfit has 1 garments" in refused(*lengths)
    assert "nowhere.png" in refused("--garment-mask", "nowhere.png")


def test_a_try_on_needs_a_garment(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("tryon", "--person", DEMO_SAMPLES / "1-upper-person.png", "--category", "upper")
    assert run(monkeypatch, *words, "--out", tmp_path / "out.png") == 2
    assert "There are 0 garments and 1 categories" in capsys.readouterr().err


def test_blazepose_that_is_not_there_is_said(
    refused: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert "download --part blazepose" in refused("--pose-network", "blazepose")


def test_missing_file(refused: Refuse) -> None:
    assert "no image file at nowhere.png" in refused("--person", "nowhere.png")


def test_not_an_image(refused: Refuse, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("hello")
    assert "is not an image" in refused("--garment", tmp_path / "text.png")


def test_one_pixel(refused: Refuse, tmp_path: Path) -> None:
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    assert "1x1 pixels: too small" in refused("--person", tmp_path / "dot.png")


def test_no_person(refused: Refuse, tmp_path: Path) -> None:
    Image.new("RGB", (192, 256), "white").save(tmp_path / "wall.png")
    assert "No person was found" in refused("--person", tmp_path / "wall.png")


def test_nan_mask(refused: Refuse, tmp_path: Path) -> None:
    mask = np.zeros(load_image(PERSON).shape[:2], np.float32)
    mask[3, 4] = np.nan
    np.save(tmp_path / "mask.npy", mask)
    assert "1 values that are NaN" in refused("--mask", tmp_path / "mask.npy")


def test_half_body_with_a_dress(refused: Refuse) -> None:
    said = refused("--variant", "hd", category="dress")
    assert "half-body" in said and "dc" in said


def test_empty_model_folder(refused: Refuse, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = refused("--model", tmp_path / "empty")
    assert str(tmp_path / "empty") in said and " download --variant dc --to " in said


def test_truncated_weights(refused: Refuse, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(MINI_CHECKPOINT, model)
    (weights,) = model.glob("ootd/ootd_dc/*/unet_vton/*.safetensors")
    weights.write_bytes(weights.read_bytes()[:-1000])
    said = refused("--model", model)
    assert (
        weights.name in said
        and str(weights.parent) in said
        and " download --variant dc --to " in said
    )


def test_swapped_folders(refused: Refuse, tmp_path: Path) -> None:
    model = tmp_path / "model"
    shutil.copytree(MINI_CHECKPOINT, model)
    (step,) = model.glob("ootd/ootd_dc/checkpoint-*")
    (step / "unet_vton").rename(step / "aside")
    (step / "unet_garm").rename(step / "unet_vton")
    (step / "aside").rename(step / "unet_garm")
    said = refused("--model", model)
    assert "unet_garm" in said and "unet_vton" in said


def test_an_ending_that_is_no_picture(refused: Refuse, tmp_path: Path) -> None:
    assert "has the ending .doc, but pictures are written as .png" in refused(
        "--out", tmp_path / "result.doc"
    )
