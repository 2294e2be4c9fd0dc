from dataclasses import fields
from math import isfinite
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ootd_core.categories import Variant
from ootd_core.datasets.open import Layout
from ootd_core.training.settings import PRESETS, TrainSettings, parse_override, read_settings

PLACES = {"start": "sd15", "out": "model"}


def made(**changes: Any) -> TrainSettings:
    return read_settings(None, None, {**PLACES, **changes})


@pytest.mark.parametrize(
    ("preset", "size", "samples"), [("paper-512", (512, 384), 64), ("paper-1024", (1024, 768), 16)]
)
def test_the_papers_settings(preset: str, size: tuple[int, int], samples: int) -> None:
    settings = read_settings(None, preset, PLACES)
    assert (settings.height, settings.width) == size
    assert settings.effective_batch == samples
    assert (settings.snr_weight_max, settings.snr_weight_min) == (1.0, 1.0)
    assert (settings.timestep_shift, settings.dream_detail_preservation) == (1.0, None)
    for processes in (1, 2, 4):
        loop = settings.loop(processes=processes)
        assert loop.gradient_accumulation_steps * processes * settings.batch == samples
        assert (loop.steps, loop.learning_rate, loop.lr_scheduler) == (
            36_000,
            5e-5,
            "constant",
        )
        assert loop.adam_beta2 == 0.999


def test_command_line_over_file_over_preset(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text(
        'preset = "paper-1024"\nstart = "sd15"\nvariant = "hd"\nlearning_rate = 1\n'
        'layout = "viton-hd"\nbatch = 2\n'
    )
    settings = read_settings(file, None, {"out": Path("model"), "batch": 1})
    assert (settings.height, settings.batch, settings.learning_rate) == (1024, 1, 1.0)
    assert (settings.variant, settings.layout) == (Variant.HALF_BODY, Layout.VITON_HD)
    assert settings.start == Path("sd15") and settings.latents == Path("model/training/latents")
    other = read_settings(file, "paper-512", {"out": "model"})
    assert (other.height, other.batch) == (512, 2)


def test_every_preset_is_valid() -> None:
    assert {name: read_settings(None, name, PLACES).steps > 0 for name in PRESETS}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("batch=4", 4),
        ("outfitting_dropout = 0.2", 0.2),
        ("gradient_checkpointing=false", False),
        ("save_precision=fp32", "fp32"),
        ("cache=/tmp/a b", "/tmp/a b"),
        ('lr_scheduler="linear"', "linear"),
    ],
)
def test_overrides_are_read_as_toml(text: str, value: Any) -> None:
    name, found = parse_override(text)
    assert found == value and getattr(made(**{name: found}), name) in (value, Path(str(value)))


def test_none_unsets_what_may_be_unset() -> None:
    settings = read_settings(
        None, "mini", {**PLACES, "dream_detail_preservation": "none", "max_train_samples": "none"}
    )
    assert settings.dream_detail_preservation is None and settings.max_train_samples is None
    with pytest.raises(ValueError, match="outfitting_dropout is 'none', but must be of type float"):
        read_settings(None, "mini", {**PLACES, "outfitting_dropout": "none"})


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"batch": 0}, "batch must be at least 1, got 0"),
        ({"outfitting_dropout": 1.5}, "outfitting_dropout must be from 0 to 1, got 1.5"),
        ({"height": 500}, "height must be a multiple of 8, at least 24, got 500"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0, got 0.0"),
        ({"ema_decay": 1.0}, "ema_decay must be from 0 to below 1"),
        ({"snr_weight_min": 0.0}, "snr_weight_min must be above 0 and at most 1, got 0.0"),
        (
            {"dream_detail_preservation": -1.0},
            "dream_detail_preservation must be at least 0, or none, got -1.0",
        ),
        ({"save_precision": "fp8"}, "save_precision must be one of fp32, fp16, bf16, got fp8"),
        ({"mixed_precision": "int8"}, "mixed_precision must be 'no', 'fp16' or 'bf16', got 'int8'"),
        ({"steps": 1.5}, "steps is 1.5, but must be of type int"),
        ({"steps": True}, "steps is True, but must be of type int"),
        ({"variant": "xl"}, "variant is 'xl', but must be one of hd, dc"),
        ({"layout": "tar"}, "layout is 'tar', but must be one of viton-hd"),
        ({"learning_rat": 1.0}, "no setting called learning_rat: did you mean learning_rate"),
        ({"zzz": 1}, "no setting called zzz: see docs/training.md"),
    ],
)
def test_bad_settings_are_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made(**changes)


def test_missing_places_files_and_presets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lack 'start'"):
        read_settings(None, None, {"out": "model"})
    with pytest.raises(FileNotFoundError, match=r"no settings file at .*run\.toml"):
        read_settings(tmp_path / "run.toml")
    (tmp_path / "run.toml").write_text("seed =")
    with pytest.raises(ValueError, match="is not a TOML file"):
        read_settings(tmp_path / "run.toml")
    with pytest.raises(ValueError, match="preset is 'huge', but must be one of paper-512"):
        read_settings(None, "huge", PLACES)
    with pytest.raises(ValueError, match="'seed' is not of the form name=value"):
        parse_override("seed")


def test_a_batch_that_does_not_divide_is_refused() -> None:
    settings = made(effective_batch=64, batch=24)
    with pytest.raises(ValueError, match=r"effective_batch 64 is not a multiple of 24"):
        settings.loop(processes=1)
    with pytest.raises(ValueError, match="multiple of 128"):
        made(effective_batch=64, batch=32).loop(processes=4)


def test_what_may_and_may_not_change_on_resuming() -> None:
    assert made().identity() == made(steps=9, learning_rate=1.0, batch=4, save_every=7).identity()
    for change in ({"seed": 1}, {"effective_batch": 32}, {"data": "x"}, {"variant": "hd"}):
        assert made(**change).identity() != made().identity()


NAMES = sorted({field.name for field in fields(TrainSettings)} - {"start", "out"})
VALUES = (
    st.integers(-(10**6), 10**6)
    | st.floats()
    | st.booleans()
    | st.none()
    | st.text(max_size=8)
    | st.lists(st.integers(), max_size=2)
)


@given(name=st.sampled_from(NAMES), value=VALUES)
def test_any_value_is_taken_or_refused_in_one_sentence(name: str, value: Any) -> None:
    try:
        settings = made(**{name: value})
    except ValueError as refusal:
        assert name in str(refusal) and "\n" not in str(refusal)
    else:
        kept = settings.record()[name]
        assert not isinstance(kept, float) or isfinite(kept)
        assert made(**{name: getattr(settings, name)}) == settings


@given(text=st.text(max_size=30))
def test_any_override_is_read_or_refused_in_one_sentence(text: str) -> None:
    try:
        name, value = parse_override(text)
        made(**{name: value})
    except ValueError as refusal:
        assert str(refusal)


@given(text=st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_settings_file_is_read_or_refused(text: str) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "run.toml"
        file.write_text(text, encoding="utf-8")
        try:
            read_settings(file, None, PLACES)
        except ValueError as refusal:
            assert str(refusal)
