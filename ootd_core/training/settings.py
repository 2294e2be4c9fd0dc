"""All settings of a training of both UNets, from presets, a TOML file and the command line.

Presets give the paper's two settings (section 4.1 of arXiv 2403.01779: AdamW at 5e-5 for 36,000
steps, 64 samples a step at 512x384 and 16 at 1024x768) and one for the mini checkpoint. A TOML file
has the fields' names as keys, and may name a preset to start from.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from math import isfinite
from pathlib import Path
from types import NoneType
from typing import Any, TypedDict, get_args, get_type_hints

from ..categories import Variant
from ..checkpoints.networks import DTYPES
from ..datasets.augmentation import Augmentation
from ..datasets.open import Layout
from ..datasets.sample_masks import TrainingMaskOptions
from ..latents import SCALE
from .loop import LoopSettings

SMALLEST_SIDE = 24
"""In pixels: fewer latents than three downsamplings could halve say nothing of a garment."""
AT_LEAST_ONE = (
    "effective_batch", "batch", "noises_per_garment", "versions_per_sample",
    "publish_every", "published_total_limit", "validate_every", "validation_steps",
)  # fmt: skip
AT_LEAST_ZERO = ("lora_rank", "lora_alpha", "validation_samples", "workers")
PROBABILITIES = (
    "outfitting_dropout", "flip_probability", "recolour_probability",
    "hide_old_garment_probability", "grow_mask_probability",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """Settings of a training; most names are those of diffusers' training scripts.

    Args:
        start: what to train from, see `start.load_start`.
        out: the model folder to write.
        parts: a model folder with VAE and CLIP towers, if `start` has none.
        data, layout: a data set and its kind (None: told from its folders); no data: paper dolls.
        max_train_samples: only the first so many.
        cache: folder of the encoded latents; None is a folder in `out`.
        height, width: of the pictures, in pixels.
        effective_batch: samples of a step: `batch` at once in each process, as often
            as it takes (gradient accumulation).
        noises_per_garment: noises of a sample that share a pass of the outfitting UNet; each of
            them is a picture more to denoise.
        steps ... optimizer: see `LoopSettings`.
        outfitting_dropout: probability that a garment is blanked.
        snr_weight_min, snr_weight_max: bounds of the loss's weight, see `tryon.snr_weight`; both
            are 1 in the paper's loss.
        timestep_shift: see `tryon.shifted`; 1 is the paper's.
        dream_detail_preservation: see `tryon.rectified`; None is the paper's loss.
        gradient_checkpointing: compute activations twice instead of keeping them.
        lora_rank, lora_alpha: above rank 0 only adapters of the attentions are trained; alpha 0 is
            the rank.
        versions_per_sample: versions of a sample, augmented and masked at random, that take turns.
        flip_probability, recolour_probability: see `Augmentation`.
        hide_old_garment_probability, grow_mask_probability: see `TrainingMaskOptions`.
        workers: threads that read ahead; 0 reads when asked.
        publish_every: every so many steps a checkpoint is written that a try-on can load.
        published_total_limit: how many of these are kept.
        save_precision: their type, "fp32", "fp16" or "bf16".
        validate_every: every so many steps pictures are made of people of the test split.
        validation_samples: how many; 0 makes none.
        validation_steps, guidance_scale: steps and guidance of these pictures.
    """

    start: Path
    out: Path
    parts: Path | None = None
    data: Path | None = None
    layout: Layout | None = None
    max_train_samples: int | None = None
    cache: Path | None = None
    variant: Variant = Variant.FULL_BODY
    height: int = 512
    width: int = 384

    steps: int = 36_000
    effective_batch: int = 64
    batch: int = 8
    noises_per_garment: int = 1
    learning_rate: float = 5e-5
    lr_scheduler: str = "constant"
    lr_warmup_steps: int = 0
    weight_decay: float = 1e-2
    adam_beta2: float = 0.999
    max_grad_norm: float = 1.0
    ema_decay: float = 0.9999
    mixed_precision: str = "bf16"
    optimizer: str = "adamw"
    outfitting_dropout: float = 0.1
    snr_weight_min: float = 1.0
    snr_weight_max: float = 1.0
    timestep_shift: float = 1.0
    dream_detail_preservation: float | None = None
    gradient_checkpointing: bool = True
    lora_rank: int = 0
    lora_alpha: float = 0.0
    seed: int = 0

    versions_per_sample: int = 4
    flip_probability: float = 0.5
    recolour_probability: float = 0.0
    hide_old_garment_probability: float = 0.3
    grow_mask_probability: float = 0.3
    workers: int = 4

    save_every: int = 500
    checkpoints_total_limit: int = 2
    logging_steps: int = 10
    publish_every: int = 2_000
    published_total_limit: int = 2
    save_precision: str = "fp16"
    validate_every: int = 2_000
    validation_samples: int = 8
    validation_steps: int = 20
    guidance_scale: float = 2.0

    def __post_init__(self) -> None:
        for name, value in self.record().items():
            self._require(name, not isinstance(value, float) or isfinite(value), "finite")
        for name in AT_LEAST_ONE:
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in AT_LEAST_ZERO:
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in PROBABILITIES:
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        for name in ("height", "width"):
            value = getattr(self, name)
            fits = value >= SMALLEST_SIDE and value % SCALE == 0
            self._require(name, fits, f"a multiple of {SCALE}, at least {SMALLEST_SIDE}")
        for name in ("learning_rate", "max_grad_norm"):
            self._require(name, getattr(self, name) > 0, "above 0")
        for name in ("ema_decay", "adam_beta2"):
            self._require(name, 0 <= getattr(self, name) < 1, "from 0 to below 1")
        for name in ("snr_weight_max", "timestep_shift"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("snr_weight_min", 0 < self.snr_weight_min <= 1, "above 0 and at most 1")
        preserved = self.dream_detail_preservation
        self._require(
            "dream_detail_preservation", preserved is None or preserved >= 0, "at least 0, or none"
        )
        self._require(
            "save_precision", self.save_precision in DTYPES, f"one of {', '.join(DTYPES)}"
        )
        self._loop(gradient_accumulation_steps=1)

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {wanted}, got {getattr(self, name)}.")

    @property
    def work(self) -> Path:
        """The folder of states, logs, sheets and latents, beside what is published."""
        return self.out / "training"

    @property
    def latents(self) -> Path:
        """The folder of encoded latents."""
        return self.cache or self.work / "latents"

    def loop(self, *, processes: int) -> LoopSettings:
        """Return the loop's settings for so many processes.

        Raises ValueError if the effective batch cannot be made up of equal parts.
        """
        at_once = self.batch * processes
        batches, rest = divmod(self.effective_batch, at_once)
        if rest or not batches:
            raise ValueError(
                f"effective_batch {self.effective_batch} is not a multiple of {at_once}: "
                f"{processes} processes with a batch of {self.batch} each."
            )
        return self._loop(gradient_accumulation_steps=batches)

    def _loop(self, *, gradient_accumulation_steps: int) -> LoopSettings:
        shared = {field.name for field in fields(LoopSettings)} & {f.name for f in fields(self)}
        values = {name: getattr(self, name) for name in shared}
        return LoopSettings(gradient_accumulation_steps=gradient_accumulation_steps, **values)

    @property
    def augmentation(self) -> Augmentation:
        """How pictures are augmented."""
        return Augmentation(
            flip_probability=self.flip_probability, recolour_probability=self.recolour_probability
        )

    @property
    def masks(self) -> TrainingMaskOptions:
        """How masks are drawn."""
        return TrainingMaskOptions(
            hide_old_garment_probability=self.hide_old_garment_probability,
            grow_probability=self.grow_mask_probability,
        )

    def identity(self) -> dict[str, Any]:
        """Return what a resumed run must share with the one before it, as JSON values."""
        names = (
            "variant", "data", "max_train_samples", "height", "width", "effective_batch",
            "noises_per_garment", "outfitting_dropout", "snr_weight_min", "snr_weight_max",
            "timestep_shift", "dream_detail_preservation", "ema_decay", "mixed_precision",
            "optimizer", "lora_rank", "seed", "versions_per_sample",
        )  # fmt: skip
        record = self.record()
        return {name: record[name] for name in names}

    def record(self) -> dict[str, Any]:
        """Return every setting as a JSON value."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(v) if isinstance(v, Path | StrEnum) else v for name, v in values.items()}


class LossSettings(TypedDict):
    """What a loss adds to the paper's, as `tryon.TryOnTask` takes it."""

    snr_weight_min: float
    snr_weight_max: float
    timestep_shift: float
    dream_detail_preservation: float | None


MINI_LOSS: LossSettings = {
    "snr_weight_min": 0.01,
    "snr_weight_max": 100.0,
    "timestep_shift": 2.0,
    "dream_detail_preservation": 0.0,
}
"""What the mini checkpoint learns by: a small network on two cores has few steps to spend."""
PAPER: dict[str, Any] = {"steps": 36_000, "learning_rate": 5e-5}
PRESETS: dict[str, dict[str, Any]] = {
    "paper-512": {
        **PAPER, "height": 512, "width": 384, "effective_batch": 64, "batch": 16,
    },
    "paper-1024": {
        **PAPER, "height": 1024, "width": 768, "effective_batch": 16, "batch": 4,
    },
    "mini": {
        "height": 256,
        "width": 192,
        "steps": 5_000,
        "learning_rate": 2e-3,
        "optimizer": "muon",
        "lr_scheduler": "linear",
        "lr_warmup_steps": 50,
        "effective_batch": 9,
        "batch": 9,
        "ema_decay": 0.995,
        **MINI_LOSS,
        "mixed_precision": "bf16",
        "gradient_checkpointing": False,
        "workers": 1,
        "flip_probability": 0.0,
        "grow_mask_probability": 0.0,
        "versions_per_sample": 1,
        "hide_old_garment_probability": 0.2,
        "save_every": 200,
        "publish_every": 500,
        "validate_every": 1_000,
    },
}  # fmt: skip
"""By name; the variant (hd, dc) is a setting of its own."""


def read_settings(
    file: Path | None, preset: str | None = None, overrides: Mapping[str, Any] | None = None
) -> TrainSettings:
    """Return settings of a preset, changed by a TOML file, changed by overrides.

    preset: replaces the one that the file names. Raises FileNotFoundError or ValueError, one
    sentence, for what is missing, unknown or of the wrong type.
    """
    given: dict[str, Any] = {}
    if file is not None:
        if not file.is_file():
            raise FileNotFoundError(f"There is no settings file at {file}.")
        try:
            given = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is not a TOML file: {error}.") from error
    named = given.pop("preset", None)
    preset = preset or named
    if preset is not None and preset not in PRESETS:
        raise ValueError(f"preset is '{preset}', but must be one of {', '.join(PRESETS)}.")
    values = {**PRESETS.get(preset or "", {}), **given, **(overrides or {})}
    types = get_type_hints(TrainSettings)
    values = {name: _converted(name, value, types) for name, value in values.items()}
    for name in ("start", "out"):
        if name not in values:
            raise ValueError(
                f"The settings lack '{name}': give it in the file or on the command line."
            )
    return TrainSettings(**values)


def parse_override(text: str) -> tuple[str, Any]:
    """Return (name, value) of "name=value"; a value that is not TOML is a text.

    Raises ValueError if there is no "=".
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name:
        raise ValueError(f"'{text}' is not of the form name=value.")
    try:
        return name, tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return name, value


def _converted(name: str, value: Any, types: Mapping[str, Any]) -> Any:
    if name not in {field.name for field in fields(TrainSettings)}:
        close = difflib.get_close_matches(name, types, n=1)
        hint = f"did you mean {close[0]}?" if close else "see docs/training.md for their names."
        raise ValueError(f"There is no setting called {name}: {hint}")
    options = get_args(types[name]) or (types[name],)
    wanted = next(option for option in options if option is not NoneType)
    unset = value is None or (value == "none" and wanted in (int, float))  # TOML has no null
    if unset and NoneType in options:
        return None
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, wanted) and not (wanted is int and isinstance(value, bool)):
        return value
    if isinstance(value, str) and wanted not in (int, float, bool):
        try:
            return wanted(value)
        except ValueError as error:
            known = ", ".join(wanted) if issubclass(wanted, StrEnum) else "those"
            raise ValueError(f"{name} is '{value}', but must be one of {known}.") from error
    raise ValueError(f"{name} is {value!r}, but must be of type {wanted.__name__}.")
