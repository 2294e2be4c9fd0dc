"""Everything that decides a training of both UNets: one frozen record, from presets, TOML, command.

Presets give the paper's two settings (section 4.1 of arXiv 2403.01779: AdamW at 5e-5 for 36,000
steps, 64 samples a step at 512x384 and 16 at 1024x768) and one for the mini checkpoint. A TOML file
has the fields' names as keys, and may name a preset to begin with.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from types import NoneType
from typing import Any, TypedDict, get_args, get_type_hints

from ..categories import Variant
from ..checkpoints.networks import DTYPES
from ..datasets.augmentation import Augmentation
from ..datasets.open import Layout
from ..datasets.training_masks import MaskOptions
from ..latents import SCALE
from .loop import LoopSettings

AT_LEAST_ONE = (
    "effective_batch", "batch", "noises_per_garment", "variants", "publish_every", "keep_published",
    "validate_every",
)  # fmt: skip
AT_LEAST_ZERO = ("lora_rank", "validation_samples", "workers")
PROBABILITIES = ("dropout", "flip", "recolour", "whole_limbs", "enlarge")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """Settings of a training; lengths in pixels.

    Places: `start` to train from (see `start.load_start`), `parts` with VAE and CLIP towers, `data`
    (None: paper dolls) of `layout` (None: told by its folders), `out`, the model folder to write;
    `cache` for latents (None: in `out`).

    A step sees `effective_batch` samples: `batch` at once in each process, as often as it takes.
    noises_per_garment: noises that share a pass of the outfitting UNet; each of them is a picture
    more to denoise. dropout: probability that a garment is blanked. most_weight, least_weight,
    timestep_shift: 1 is the paper's loss; else `tryon.noise_weight` and `tryon.shifted`. dream: the
    power of `tryon.rectified`; None is the paper's loss. average: decay of the averaged weights,
    which are what is published; 0 publishes the last. lora_rank: above 0 only adapters of the
    attentions are trained. variants: versions of a sample, augmented and masked at random, that
    take turns.

    Every `save_every` steps the state is saved to resume from; every `publish_every` a checkpoint
    is written that can be used, of type `store`; every `validate_every` held-out people are
    dressed.
    """

    start: Path
    out: Path
    parts: Path | None = None
    data: Path | None = None
    layout: Layout | None = None
    limit: int | None = None
    cache: Path | None = None
    variant: Variant = Variant.FULL_BODY
    height: int = 512
    width: int = 384

    steps: int = 36_000
    effective_batch: int = 64
    batch: int = 8
    noises_per_garment: int = 1
    learning_rate: float = 5e-5
    schedule: str = "constant"
    warmup: int = 0
    weight_decay: float = 1e-2
    clip: float = 1.0
    average: float = 0.9999
    dropout: float = 0.1
    most_weight: float = 1.0
    least_weight: float = 1.0
    timestep_shift: float = 1.0
    dream: float | None = None
    precision: str = "bf16"
    optimizer: str = "adamw"
    checkpointing: bool = True
    lora_rank: int = 0
    lora_alpha: float = 0.0
    seed: int = 0

    variants: int = 4
    flip: float = 0.5
    recolour: float = 0.0
    whole_limbs: float = 0.3
    enlarge: float = 0.3
    workers: int = 4

    save_every: int = 500
    keep: int = 2
    log_every: int = 10
    publish_every: int = 2_000
    keep_published: int = 2
    store: str = "fp16"
    validate_every: int = 2_000
    validation_samples: int = 8
    validation_steps: int = 20
    guidance: float = 2.0

    def __post_init__(self) -> None:
        for name in AT_LEAST_ONE:
            self._require(name, getattr(self, name) >= 1, "at least 1")
        for name in AT_LEAST_ZERO:
            self._require(name, getattr(self, name) >= 0, "at least 0")
        for name in PROBABILITIES:
            self._require(name, 0 <= getattr(self, name) <= 1, "from 0 to 1")
        for name in ("height", "width"):
            value = getattr(self, name)
            fits = value >= SCALE and value % SCALE == 0
            self._require(name, fits, f"a multiple of {SCALE}")
        for name in ("learning_rate", "clip"):
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("average", 0 <= self.average < 1, "from 0 to below 1")
        for name in ("most_weight", "timestep_shift"):
            self._require(name, getattr(self, name) >= 1, "at least 1")
        self._require("least_weight", 0 < self.least_weight <= 1, "above 0 and at most 1")
        self._require("dream", self.dream is None or self.dream >= 0, "at least 0, or none")
        self._require("lora_alpha", self.lora_alpha >= 0, "at least 0")
        self._require("store", self.store in DTYPES, f"one of {', '.join(DTYPES)}")
        self.loop(processes=1, check_only=True)

    def _require(self, name: str, holds: bool, wanted: str) -> None:
        if not holds:
            raise ValueError(f"{name} must be {wanted}, got {getattr(self, name)}.")

    @property
    def work(self) -> Path:
        """The folder of states, logs, sheets and latents, beside what is published."""
        return self.out / "training"

    @property
    def latents(self) -> Path:
        return self.cache or self.work / "latents"

    def loop(self, *, processes: int, check_only: bool = False) -> LoopSettings:
        """Return the loop's settings for so many processes.

        Raises ValueError if the effective batch cannot be made up of equal parts.
        """
        turns, rest = divmod(self.effective_batch, self.batch * processes)
        if (rest or not turns) and not check_only:
            raise ValueError(
                f"An effective batch of {self.effective_batch} cannot be made up of {processes} "
                f"processes with batches of {self.batch}: make it a multiple of "
                f"{self.batch * processes}."
            )
        return LoopSettings(
            steps=self.steps,
            learning_rate=self.learning_rate,
            warmup=self.warmup,
            schedule=self.schedule,
            accumulate=max(1, turns),
            weight_decay=self.weight_decay,
            second_moment=0.999,
            average=self.average,
            clip=self.clip,
            precision=self.precision,
            optimizer=self.optimizer,
            save_every=self.save_every,
            keep=self.keep,
            log_every=self.log_every,
        )

    @property
    def augmentation(self) -> Augmentation:
        return Augmentation(flip=self.flip, recolour=self.recolour)

    @property
    def masks(self) -> MaskOptions:
        return MaskOptions(whole_limbs=self.whole_limbs, enlarge=self.enlarge)

    def identity(self) -> dict[str, Any]:
        """Return what a resumed run must share with the one before it, as JSON values."""
        names = (
            "variant", "data", "limit", "height", "width", "effective_batch", "noises_per_garment",
            "dropout", "most_weight", "least_weight", "timestep_shift", "dream", "average",
            "precision", "optimizer", "lora_rank", "seed", "variants",
        )  # fmt: skip
        record = self.record()
        return {name: record[name] for name in names}

    def record(self) -> dict[str, Any]:
        """Return every setting as a JSON value."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(v) if isinstance(v, Path | StrEnum) else v for name, v in values.items()}


class BeyondPaper(TypedDict):
    """What a loss adds to the paper's, as `tryon.TryOnTask` takes it."""

    most_weight: float
    least_weight: float
    timestep_shift: float
    dream: float | None


MINI_LOSS: BeyondPaper = {
    "most_weight": 100.0,
    "least_weight": 0.01,
    "timestep_shift": 2.0,
    "dream": 0.0,
}
"""What the mini checkpoint learns by: a small network on two cores has few steps to spend."""
PAPER: dict[str, Any] = {"steps": 36_000, "learning_rate": 5e-5}
PRESETS: dict[str, dict[str, Any]] = {
    "paper-512": {**PAPER, "height": 512, "width": 384, "effective_batch": 64, "batch": 16},
    "paper-1024": {**PAPER, "height": 1024, "width": 768, "effective_batch": 16, "batch": 4},
    "mini": {
        "height": 256,
        "width": 192,
        "steps": 5_000,
        "learning_rate": 2e-3,
        "optimizer": "muon",
        "schedule": "linear",
        "warmup": 50,
        "effective_batch": 9,
        "batch": 9,
        "average": 0.995,
        **MINI_LOSS,
        "precision": "bf16",
        "checkpointing": False,
        "workers": 1,
        "flip": 0.0,
        "enlarge": 0.0,
        "variants": 1,
        "whole_limbs": 0.5,
        "save_every": 200,
        "publish_every": 500,
        "validate_every": 1_000,
    },
}
"""By name; the variant (hd, dc) is chosen beside them."""


def read_settings(
    file: Path | None, preset: str | None = None, overrides: Mapping[str, Any] | None = None
) -> TrainSettings:
    """Return settings of a preset, changed by a TOML file, changed by overrides.

    preset: instead of the one that the file names. Raises FileNotFoundError or ValueError, one
    sentence, for what is missing, unknown or of the wrong type.
    """
    given: dict[str, Any] = {}
    if file is not None:
        if not file.is_file():
            raise FileNotFoundError(f"There is no settings file at {file}.")
        try:
            given = tomllib.loads(file.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ValueError(f"{file} is no TOML file: {error}.") from error
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
                f"The settings lack {name}: give it in the file or on the command line."
            )
    return TrainSettings(**values)


def parse_override(text: str) -> tuple[str, Any]:
    """Return (name, value) of "name=value", the value as in TOML, or else a text.

    Raises ValueError if there is no "=".
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not name:
        raise ValueError(f"'{text}' sets nothing: write it as name=value.")
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
