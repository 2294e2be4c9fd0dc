import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from PIL import Image

from ootd_core.evaluation.feature_files import ALEXNET, INCEPTION
from ootd_core.evaluation.features import FeatureNetworks
from ootd_core.evaluation.plots import bars, curves
from ootd_core.evaluation.protocol import PROTOCOL
from ootd_core.evaluation.report import COLUMNS, head, not_measured, plain, table
from ootd_core.evaluation.scores import SetScores
from ootd_core.evaluation.sweep import Point, parse_values, sweep_table, write_sweep
from ootd_core.masks.agnostic import MaskMode

NOTHING = SetScores(
    pictures=2,
    ssim=None,
    lpips=None,
    fid=None,
    kid=None,
    kid_deviation=None,
    mask_psnr=None,
    mask_ssim=None,
    colour_error=None,
    changed_psnr=None,
    pasted_psnr=None,
    garment_iou=None,
    outside_error=0.0,
    outside_colour_error=0.0,
)
PAIRED = replace(NOTHING, ssim=0.8781, mask_psnr=21.5)


def test_every_column_is_a_figure() -> None:
    assert {column.key for column in COLUMNS} | {"kid_deviation"} == {
        each.name for each in fields(SetScores)
    }


def test_the_table_shows_what_was_measured() -> None:
    lines = table({"upper": PAIRED, "all": NOTHING}, head="paired").splitlines()
    assert lines[0].split() == [
        "paired", "n", "SSIM", "PSNR", "in", "diff", "out", "dE", "out",
    ]  # fmt: skip
    assert lines[1].split() == ["upper", "2", "0.878", "21.50", "0.00", "0.00"]
    assert lines[2].split() == ["all", "2", "-", "-", "0.00", "0.00"]
    assert len({len(line) for line in lines}) == 1


def test_the_head_names_the_protocol_and_the_networks() -> None:
    networks = FeatureNetworks(hashes={INCEPTION.name: INCEPTION.sha256, ALEXNET.name: "0"})
    content = json.loads(
        json.dumps(head({"mask_mode": MaskMode.ROBUST, "to": Path("a")}, networks))
    )
    assert (content["protocol"]["name"], content["protocol"]["version"]) == ("ootd-tryon", 3)
    assert content["protocol"]["kid_subsets"] == PROTOCOL.kid_subsets == 100
    assert content["settings"] == {"mask_mode": "robust", "to": "a"}
    assert content["feature_networks"][INCEPTION.name]["as_published"] is True
    assert content["feature_networks"][ALEXNET.name] == {"sha256": "0", "as_published": False}


def test_json_has_no_infinities() -> None:
    assert plain({"a": [float("inf"), (1, 2.5)], "b": None}) == {"a": [None, [1, 2.5]], "b": None}


def test_what_is_missing_is_named_with_its_remedy() -> None:
    fid, lpips = not_measured(FeatureNetworks())
    assert INCEPTION.name in fid and "--networks" in fid
    assert ALEXNET.name in lpips and "--alexnet" in lpips


def test_values_of_a_sweep() -> None:
    assert parse_values("2, 1,1.5,2", "Guidance scales", minimum=0) == [1.0, 1.5, 2.0]
    for text in ("", "1;2", "two"):
        with pytest.raises(ValueError, match="numbers separated by commas"):
            parse_values(text, "Guidance scales", minimum=0)
    with pytest.raises(ValueError, match=r"Dropouts must be 0 to 1, not 1\.5"):
        parse_values("0,1.5", "Dropouts", minimum=0, maximum=1)
    for text in ("-1", "nan", "inf"):
        with pytest.raises(ValueError, match="must be 0 or more"):
            parse_values(text, "Guidance scales", minimum=0)


def test_a_sweep_as_table_and_files(tmp_path: Path) -> None:
    points = [
        Point(value=value, scores={"dress": PAIRED, "all": replace(PAIRED, ssim=value / 10)})
        for value in (1.0, 1.5)
    ]
    assert [line.split()[0] for line in sweep_table("guidance", points).splitlines()] == [
        "guidance",
        "1",
        "1.5",
    ]
    write_sweep(tmp_path, "sweep", "guidance", points, head({}, FeatureNetworks()))
    content = json.loads((tmp_path / "sweep.json").read_text())
    assert [point["guidance"] for point in content["points"]] == [1.0, 1.5]
    assert content["points"][1]["all"]["ssim"] == pytest.approx(0.15)
    assert content["points"][1]["dress"]["pictures"] == 2
    assert content["protocol"]["name"] == "ootd-tryon"
    assert Image.open(tmp_path / "sweep.png").size[0] > 400


def test_plots_have_a_chart_for_each_figure(tmp_path: Path) -> None:
    rows = {"upper": PAIRED, "all": PAIRED}
    bars(tmp_path / "two.png", {"paired": rows, "unpaired": {"all": NOTHING}}, "title")
    curves(tmp_path / "one.png", "guidance", [1.0, 2.0], [NOTHING, NOTHING], "title")
    assert Image.open(tmp_path / "two.png").height > Image.open(tmp_path / "one.png").height
    for name in ("one.png", "two.png"):
        low, high = Image.open(tmp_path / name).convert("L").getextrema()
        assert (low, high) == (0, 255)
