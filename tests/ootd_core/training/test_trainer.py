"""A whole training in one process, of everything that data and settings can ask for."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from safetensors.torch import load_file

from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.networks import load_networks
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.training.settings import read_settings
from ootd_core.training.trainer import Trainer
from ootd_core.training.validation import SheetLine
from tests.ootd_core.datasets.trees import write_dress_code, write_viton_hd
from tests.ootd_core.training.tiny_model import make_tiny_model

SIZE = (64, 48)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("start") / "model")


@pytest.fixture(scope="module")
def half_body(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_model(tmp_path_factory.mktemp("start") / "model", Variant.HALF_BODY)


class Sheets:
    """Keeps validation sheets instead of writing them."""

    def __init__(self) -> None:
        self.lines: dict[str, list[SheetLine]] = {}

    def __call__(self, path: Path, lines: list[SheetLine]) -> None:
        self.lines[path.name] = lines


def make(start: Path, out: Path, sheets: Sheets | None = None, **changes: Any) -> Trainer:
    values: dict[str, Any] = {
        "start": start,
        "out": out,
        "height": SIZE[0],
        "width": SIZE[1],
        "max_train_samples": 4,
        "steps": 4,
        "batch": 1,
        "effective_batch": 2,
        "logging_steps": 1,
        "validation_samples": 2,
        "validation_steps": 2,
        "validate_every": 2,
        "publish_every": 2,
    }
    settings = read_settings(None, "mini", {**values, **changes})
    return Trainer(settings, Accelerator(cpu=True), write_sheet=sheets or Sheets())


def moved(before: Path, after: Path, name: str, variant: Variant = Variant.FULL_BODY) -> bool:
    one, other = (
        getattr(load_networks(folder, variant), name).state_dict() for folder in (before, after)
    )
    return any(not torch.equal(other[key].half(), value.half()) for key, value in one.items())


def test_a_training_on_dolls_from_settings_to_a_picture(start: Path, tmp_path: Path) -> None:
    sheets = Sheets()
    out = tmp_path / "out"
    result = make(start, out, sheets).run()
    assert result.checkpoint == out / "ootd" / "ootd_dc" / "checkpoint-4"
    assert (out / "ootd" / "ootd_dc" / "checkpoint-4").is_dir() and result.loras is None
    assert result.skipped.startswith("0 of 4")
    assert moved(start, out, "outfitting_unet") and moved(start, out, "tryon_unet")
    assert not moved(start, out, "vae") and not moved(start, out, "image_encoder")
    assert [line.truth is not None for line in sheets.lines["step-000004.png"]] == [True, True]
    assert list(sheets.lines) == ["step-000002.png", "step-000004.png"]
    work = out / "training"
    assert (work / "validation.csv").read_text().count("\n") == 3
    assert (work / "curves.png").is_file() and list((work / "tensorboard").iterdir())
    person = np.full((*SIZE, 3), 90, np.uint8)
    request = TryOnRequest(
        person=person,
        garment=person,
        mask=np.ones(SIZE, np.bool_),
        category=Category.DRESS,
        num_inference_steps=2,
    )
    networks = load_networks(out, Variant.FULL_BODY)
    assert networks.tryon_unet.config["sample_size"] == 8, "a try-on would take another size"
    assert TryOnPipeline(networks)(request).shape == (1, *SIZE, 3)


def test_a_validation_changes_no_later_step(start: Path, tmp_path: Path) -> None:
    for name, samples in (("with", 2), ("without", 0)):
        make(start, tmp_path / name, validation_samples=samples).run()
    one, other = (
        (tmp_path / name / "training" / "log.csv").read_text().splitlines()
        for name in ("with", "without")
    )
    assert [line.split(",")[2] for line in one] == [line.split(",")[2] for line in other]


@pytest.mark.parametrize(
    ("write", "variant"),
    [(write_viton_hd, "hd"), (write_dress_code, "dc"), (write_dress_code, "hd")],
)
def test_photographs_are_trained_on(
    write: Any, variant: str, start: Path, half_body: Path, tmp_path: Path
) -> None:
    data = write(tmp_path / "data", size=SIZE)
    begin = start if variant == "dc" else half_body
    out = tmp_path / "out"
    sheets = Sheets()
    trainer = make(
        begin,
        out,
        sheets,
        data=data,
        variant=variant,
        flip_probability=0.5,
        recolour_probability=0.5,
        steps=3,
        workers=2,
    )
    result = trainer.run()
    assert result.skipped.startswith("0 of ")
    assert moved(begin, out, "tryon_unet", Variant(variant))
    assert sheets.lines["step-000003.png"]
    assert trainer.networks.variant == variant


def test_a_damaged_photograph_is_skipped_and_named(start: Path, tmp_path: Path) -> None:
    data = write_dress_code(tmp_path / "data", size=SIZE)
    path = data / "dresses" / "images" / "002000_0.jpg"
    path.write_bytes(path.read_bytes()[:300])
    result = make(
        start,
        tmp_path / "out",
        data=data,
        max_train_samples=None,
        steps=6,
        validation_samples=0,
    ).run()
    assert result.skipped.startswith("1 of 6 samples were skipped.")
    assert "002000_0.jpg" in result.skipped


def test_without_held_out_people_it_trains_all_the_same(
    start: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_dress_code(tmp_path / "data", size=SIZE, test=0)
    trainer = make(start, tmp_path / "out", data=data, steps=1)
    assert (
        trainer.validation is None
        and "No validation pictures: the data set has no test split" in caplog.text
    )
    trainer.run()


def test_a_lora_is_trained_alone(start: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = make(start, out, lora_rank=2, gradient_checkpointing=True, validation_samples=1).run()
    assert result.checkpoint is None and result.loras == out / "loras"
    assert not (out / "ootd" / "ootd_dc").exists()
    for name in ("outfitting", "tryon"):
        state = load_file(out / "loras" / f"{name}.safetensors")
        ups = [value for key, value in state.items() if key.endswith("lora_up.weight")]
        assert any(up.any() for up in ups), name


def test_refusals(start: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="out and start are both"):
        make(start, start)
    foreign = make_tiny_model(tmp_path / "foreign")
    with pytest.raises(ValueError, match="holds a checkpoint of dc that was not trained there"):
        make(start, foreign)
    with pytest.raises(ValueError, match="effective_batch 3 is not a multiple of 2"):
        make(start, tmp_path / "out", batch=2, effective_batch=3)
    with pytest.raises(FileNotFoundError, match="no folder at"):
        make(start, tmp_path / "out", data=tmp_path / "absent")
    make(start, tmp_path / "out").run()
    with pytest.raises(ValueError, match="began with seed = 0, not 1"):
        make(start, tmp_path / "out", seed=1, steps=6)
    assert make(start, tmp_path / "out", steps=6).training.step == 4


@pytest.mark.parametrize("lora_rank", [0, 2])
def test_the_averages_are_what_is_published_and_validated(
    lora_rank: int, start: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make(start, tmp_path / "out", lora_rank=lora_rank, save_precision="fp32", steps=2)
    seen: list[dict[str, torch.Tensor]] = []
    validation = trainer.validation
    assert validation is not None

    def looked() -> Any:
        seen.append({key: p.detach().clone() for key, p in trainer.training.parameters.items()})
        return {}, []

    monkeypatch.setattr(trainer, "validation", looked)
    trainer.run()
    averages, own = trainer.training.ema, trainer.training.parameters
    key = next(name for name in averages if not torch.equal(averages[name], own[name]))
    assert all(torch.equal(value, averages[name]) for name, value in seen[-1].items())
    assert not torch.equal(seen[-1][key], own[key])
    if lora_rank:
        written = {
            f"{unet}.{adapter}.{half}.weight": value
            for unet in ("outfitting", "tryon")
            for name, value in load_file(tmp_path / "out" / "loras" / f"{unet}.safetensors").items()
            for adapter, _, half in [
                name.removeprefix("lora_unet_").removesuffix(".weight").partition(".lora_")
            ]
            if half
        }
    else:
        published = load_networks(tmp_path / "out", Variant.FULL_BODY)
        written = {
            f"{unet}.{name}": value
            for unet in ("outfitting", "tryon")
            for name, value in getattr(published, f"{unet}_unet").state_dict().items()
        }
    assert averages.keys() <= written.keys()
    assert all(torch.equal(written[name], average) for name, average in averages.items())
