"""The evaluating commands as a user meets them, on networks of random weights."""

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cli.__main__ import main
from ootd_core.categories import Category
from ootd_core.evaluation import features
from ootd_core.evaluation.feature_files import ALEXNET, INCEPTION
from ootd_core.evaluation.inception import InceptionFeatures
from ootd_core.evaluation.perceptual import AlexNetStages
from ootd_core.images.files import load_image
from tests.ootd_core.datasets.trees import (
    DrawnPerception,
    write_dress_code,
    write_folder,
    write_viton_hd,
)
from tests.ootd_core.small_networks import FOLDER
from tryon.perception import PersonNetworks

SIZE = (128, 96)
QUICK = ("--model", FOLDER, "--steps", "1", "--device", "cpu")
ON_DATA = (*QUICK, "--size", "128x96")


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["cli", *map(str, arguments)])
    with pytest.raises(SystemExit) as stopped:
        main()
    return int(stopped.value.code or 0)


def report(out: Path, name: str = "report.json") -> dict[str, Any]:
    return json.loads((out / name).read_text())


@pytest.fixture
def alexnet(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    torch.save(AlexNetStages().state_dict(), tmp_path / "alexnet.pth")
    return tmp_path / "alexnet.pth"


def test_dress_code_by_category(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    alexnet: Path,
) -> None:
    data, out = write_dress_code(tmp_path / "data", test=1, size=SIZE), tmp_path / "out"
    more = ("--data", data, "--pairing", "paired", "--alexnet", alexnet, "--out", out)
    assert run(monkeypatch, "evaluate", *ON_DATA, *more) == 0
    said = capsys.readouterr().out
    rows = [line.split()[0] for line in said.splitlines() if line]
    assert rows[:5] == ["paired", "upper", "lower", "dress", "all"]
    assert "FID and KID were not measured" in said and "LPIPS was not" not in said
    content = report(out)
    assert content["protocol"]["name"] == "ootd-tryon"
    assert (
        content["settings"]["size"] == [128, 96] and content["settings"]["num_inference_steps"] == 1
    )
    scores = content["paired"]["scores"]
    assert {name: row["pictures"] for name, row in scores.items()} == {
        "upper": 1, "lower": 1, "dress": 1, "all": 3,
    }  # fmt: skip
    assert scores["all"]["outside_error"] == 0.0 and 0 < scores["all"]["lpips"] < 1
    assert "samples" not in content["paired"]
    assert load_image(out / "sheet-paired.png").shape[0] > 3 * SIZE[0]
    assert (out / "scores.png").is_file()


def test_both_pairings_and_what_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data, out = write_viton_hd(tmp_path / "data", train=0, test=3, size=SIZE), tmp_path / "out"
    broken = sorted((data / "test").glob("image/*.jpg"))[1]
    broken.write_bytes(broken.read_bytes()[:200])
    options = ("--data", data, "--layout", "viton-hd", "--out", out, "--per-sample")
    assert run(monkeypatch, "evaluate", *ON_DATA, *options) == 0
    said = capsys.readouterr()
    assert "1 samples could not be used" in said.err and broken.name in said.err
    content = report(out)
    for pairing in ("paired", "unpaired"):
        assert content[pairing]["scores"]["all"]["pictures"] == 2
        assert len(content[pairing]["unusable"]) == 1
        assert len(content[pairing]["samples"]) == 2
    assert content["paired"]["scores"]["all"]["ssim"] is not None
    assert content["unpaired"]["scores"]["all"]["ssim"] is None
    assert content["unpaired"]["scores"]["all"]["outside_colour_error"] == 0.0


def test_pictures_are_made_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    data, out = write_viton_hd(tmp_path / "data", train=0, test=2, size=SIZE), tmp_path / "out"
    options = ("--data", data, "--pairing", "paired", "--out", out)

    def reused(*more: str) -> int:
        assert run(monkeypatch, "evaluate", *ON_DATA, *options, *more) == 0
        return report(out)["paired"]["pictures_reused"]

    assert reused("--limit", "1") == 0
    assert reused() == 1  # the other one is new
    before = report(out)["paired"]["scores"]
    assert reused() == 2
    assert report(out)["paired"]["scores"] == before
    (folder,) = (out / "pictures").iterdir()
    assert len(list(folder.glob("*.png"))) == 2


@pytest.mark.parametrize("seen", [True, False])
def test_pictures_are_made_anew_when_masks_may_be_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, seen: bool
) -> None:
    data, out = tmp_path / "data", tmp_path / "out"
    write_folder(data / "test", people=1, categories=[Category.UPPER], seen=seen, size=SIZE)
    options = ("--data", data, "--pairing", "paired", "--out", out)
    eyes = DrawnPerception(Category.UPPER)
    monkeypatch.setattr(PersonNetworks, "labels", lambda _, person: eyes.labels(person))
    monkeypatch.setattr(PersonNetworks, "keypoints", lambda _, person: eyes.keypoints(person))

    def reused() -> int:
        assert run(monkeypatch, "evaluate", *ON_DATA, *options) == 0
        return report(out)["paired"]["pictures_reused"]

    assert [reused(), reused()] == [0, 1]
    monkeypatch.setattr(PersonNetworks, "stamp", lambda _: "another parser")
    assert reused() == (1 if seen else 0)


def test_dolls_beside_their_ceiling(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, "evaluate", *QUICK, "--dolls", "2", "--out", out) == 0
    rows = [line.split("  ")[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[1:5] == ["ceiling", "full", "no fusion", "no garment"]
    assert "full, by category" in rows
    assert set(report(out)["dolls"]) == {"ceiling", "full", "no fusion", "no garment"}
    assert report(out)["dolls"]["full"]["all"]["mask_psnr"] > 0
    assert report(out)["dolls"]["full"]["all"]["garment_iou"] is None
    assert report(out)["settings"]["perceive"] is False
    assert (out / "sheet.png").is_file() and (out / "scores.png").is_file()


def test_dolls_as_the_model_s_networks_see_them(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("--perceive", "--steps", "1", "--device", "cpu", "--dolls", "1", "--no-ablations")
    assert run(monkeypatch, "evaluate", *options, "--out", tmp_path) == 0  # the mini has them
    assert "shape" in capsys.readouterr().out
    assert report(tmp_path)["settings"]["perceive"] is True
    assert 0 < report(tmp_path)["dolls"]["ceiling"]["all"]["garment_iou"] <= 1
    assert run(monkeypatch, "evaluate", *QUICK, "--perceive", "--dolls", "1") == 2
    assert "human parser lacks" in capsys.readouterr().err


def test_drawn_people_as_a_data_set_have_one_pairing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ("--layout", "dolls", "--limit", "1", "--out", tmp_path, "--raw")
    assert run(monkeypatch, "evaluate", *ON_DATA, *options) == 0
    content = report(tmp_path)
    assert "paired" in content and "unpaired" not in content
    assert content["settings"]["feather"] is None
    assert content["paired"]["scores"]["all"]["outside_error"] > 0


def test_without_a_folder_nothing_is_written(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert run(monkeypatch, "evaluate", *ON_DATA, "--layout", "dolls", "--limit", "1") == 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_fid_and_kid_through_the_full_size_network(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    network = InceptionFeatures()
    for name, value in network.named_parameters():
        if name.endswith("conv.weight"):
            torch.nn.init.kaiming_normal_(value)  # the default lets features die away
    torch.save(network.state_dict(), tmp_path / "inception.pth")
    data = write_viton_hd(tmp_path / "data", train=0, test=2, size=SIZE)
    options = ("--data", data, "--pairing", "unpaired", "--inception", tmp_path / "inception.pth")
    assert run(monkeypatch, "evaluate", *ON_DATA, *options, "--out", tmp_path / "out") == 0
    content = report(tmp_path / "out")
    overall = content["unpaired"]["scores"]["all"]
    assert 0.01 < overall["fid"] < 1e6 and overall["kid"] is not None
    assert content["feature_networks"][INCEPTION.name]["as_published"] is False


def test_guidance_sweep(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    options = ("--values", "3,1,1.5", "--dolls", "1", "--out", tmp_path)
    assert run(monkeypatch, "guidance-sweep", *QUICK, *options) == 0
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert rows[:4] == ["guidance_scale", "1", "1.5", "3"]
    points = report(tmp_path, "guidance-sweep.json")["points"]
    assert [point["guidance_scale"] for point in points] == [1.0, 1.5, 3.0]
    assert len({point["all"]["mask_psnr"] for point in points}) == 3
    assert Image.open(tmp_path / "guidance-sweep.png").width > 400


@pytest.mark.slow
def test_dropout_ablation_trains_measures_and_resumes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    options = ("--values", "0,0.9", "--train-steps", "2", "--batch", "4", "--dolls", "1")
    options += ("--steps", "1", "--threads", "1", "--learning-rate", "0.01")
    ask = ("dropout-ablation", "--model", FOLDER, *options, "--out", tmp_path)
    assert run(monkeypatch, *ask) == 0
    names = [f"dropout-ablation-guidance-{scale}.json" for scale in (1, 2)]
    first = [report(tmp_path, name) for name in names]
    for content in first:
        assert [point["outfitting_dropout"] for point in content["points"]] == [0.0, 0.9]
        assert content["settings"]["training"]["steps"] == 2
        without, with_dropout = (point["all"]["mask_psnr"] for point in content["points"])
        assert without != with_dropout
    trainings = sorted((tmp_path / "trainings").iterdir())
    assert [path.name.rsplit("-", 1)[0] for path in trainings] == ["dropout-0", "dropout-0.9"]
    logs = [(path / "log.csv").read_text() for path in trainings]
    assert run(monkeypatch, *ask) == 0  # both trainings are finished
    assert [(path / "log.csv").read_text() for path in trainings] == logs
    assert [report(tmp_path, name) for name in names] == first


@pytest.mark.parametrize(
    ("command", "options", "sentence"),
    [
        ("evaluate", ("--data", "nowhere"), "There is no folder at nowhere"),
        ("evaluate", ("--layout", "dolls", "--size", "512"), "not '512'"),
        ("evaluate", ("--layout", "dolls", "--size", "100x96"), "multiples of 8"),
        (
            "evaluate",
            (
                "--layout",
                "dress-code",
            ),
            "needs a folder",
        ),
        ("evaluate", ("--dtype", "fp8"), "dtype is 'fp8'"),
        ("evaluate", ("--perceive", "--layout", "dolls"), "--perceive is for held-out dolls"),
        ("evaluate", ("--inception", "absent.pth"), "absent.pth"),
        ("evaluate", ("--model", "nowhere"), "There is no model folder nowhere"),
        ("guidance-sweep", ("--values", "one"), "separated by commas"),
        ("guidance-sweep", ("--values=-1",), "must be 0 or more"),
        ("dropout-ablation", ("--values", "0,2"), "must be 0 to 1"),
    ],
)
def test_refusals(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    options: tuple[str, ...],
    sentence: str,
) -> None:
    assert run(monkeypatch, command, *options) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("Error") == 1 and "Traceback" not in said


def test_half_body_with_dresses(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    model = tmp_path / "model"
    shutil.copytree(FOLDER, model)
    (model / "ootd" / "ootd_dc").rename(model / "ootd" / "ootd_hd")
    data = write_dress_code(tmp_path / "data", test=1, size=SIZE)
    options = ("--model", model, "--variant", "hd", "--data", data, "--size", "128x96")
    assert run(monkeypatch, "evaluate", *options, "--pairing", "paired") == 2
    assert "half-body" in capsys.readouterr().err
    upper = (*options, "--category", "upper", "--steps", "1", "--pairing", "paired")
    assert run(monkeypatch, "evaluate", *upper) == 0


def test_networks_that_cannot_be_downloaded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    gone = (tmp_path / "gone.pth").as_uri()
    monkeypatch.setattr(features, "INCEPTION", replace(INCEPTION, url=gone))
    monkeypatch.setattr(features, "ALEXNET", replace(ALEXNET, url=gone))
    assert run(monkeypatch, "evaluate", "--networks", tmp_path / "networks") == 2
    said = capsys.readouterr().err
    assert "cannot be downloaded from" in said and "--inception FILE" in said


def test_a_set_without_a_usable_pair(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    data = write_viton_hd(tmp_path / "data", train=0, test=2, size=SIZE)
    for path in (data / "test" / "image-parse-v3").iterdir():
        blank = np.zeros(SIZE, np.uint8)
        Image.fromarray(blank).convert("P").save(path)
    for path in (data / "test" / "openpose_json").iterdir():
        path.write_text(json.dumps({"people": []}))
    assert run(monkeypatch, "evaluate", *ON_DATA, "--data", data, "--pairing", "paired") == 2
    assert "None of the 2 samples can be used" in capsys.readouterr().err
