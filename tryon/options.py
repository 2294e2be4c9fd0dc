"""How a try-on is sampled, masked and fitted; checked when it is made, before a network is loaded.

Names are those of diffusers' pipelines where these have one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from typing import TypeVar, cast

from ootd_core.categories import Category
from ootd_core.images.restoring import Restore
from ootd_core.images.worn_garment import GarmentPhoto
from ootd_core.latents import SCALE
from ootd_core.masks.agnostic import MaskMode, check_by_hand
from ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ootd_core.request import check_sampling
from ootd_core.sampling import NoiseLevels, Scheduler

from .preparation import FitChoice

Choice = TypeVar("Choice", bound=StrEnum)

MAX_FEATHER = 256.0
MAX_GROW = 512
MIN_HEIGHT, MAX_HEIGHT = 64, 4096


@dataclass(frozen=True, kw_only=True, slots=True)
class TryOnOptions:
    """The settings of one call.

    Attributes:
        num_inference_steps: of the scheduler, at least 1; 20 as published.
        guidance_scale: how strongly the garment counts, 1 to 5; 2 as published. At 1 and below
            there is no guidance, which takes half the time.
        num_images_per_prompt: pictures to make from the same person and garment.
        seed: of the noise, 0 to 2**64 - 1; the same on every device.
        scheduler: a `Scheduler` or its name.
        noise_levels: a `NoiseLevels` or its name: where the steps lie. `sampling_of` in
            ootd_core.sampling gives steps, scheduler and noise levels of a `Speed`.
        mask_mode: a `MaskMode` or its name: how the mask is drawn.
        mask_length: a `MaskLength` or its name: where the new garment ends; auto measures its
            picture. Only for mode "auto". Of an outfit a list, one for each garment.
        mask_sleeves: a `MaskSleeves` or its name: how far along the arms its sleeves go; the same.
            Bare arms beyond them stay as they are.
        mask_grow: pixels of the networks' picture by which the mask grows, or shrinks if negative.
        feather: width of the seam inside the mask, in pixels of the networks' picture.
        restore: a `Restore` or its name: what of the original comes back where nothing changed.
        garment_photo: a `GarmentPhoto` or its name: flat pictures are taken as they are; of worn
            ones the garment is cut out by the parser; auto looks which it is.
        fit: a `FitChoice` or its name: how the person's picture is brought to 3:4.
        height: of the networks' picture in pixels, a multiple of 32; None is what the checkpoint
            was trained at. The width is three quarters of it.
        person_index: which person of the picture is dressed; 0 is the most prominent one.
        guidance_start, guidance_end: shares of the sampling, 0 to 1, between which there is
            guidance; steps outside take half the time.

    Raises ValueError for a value that is out of range or unknown.
    """

    num_inference_steps: int = 20
    guidance_scale: float = 2.0
    num_images_per_prompt: int = 1
    seed: int = 0
    scheduler: Scheduler = Scheduler.UNIPC
    mask_mode: MaskMode = MaskMode.AUTO
    mask_length: MaskLength | tuple[MaskLength, ...] = MaskLength.AUTO
    mask_sleeves: MaskSleeves | tuple[MaskSleeves, ...] = MaskSleeves.AUTO
    mask_grow: int = 0
    feather: float = 2.0
    restore: Restore = Restore.NONE
    garment_photo: GarmentPhoto = GarmentPhoto.FLAT
    fit: FitChoice = FitChoice.AUTO
    height: int | None = None
    person_index: int = 0
    guidance_start: float = 0.0
    guidance_end: float = 1.0
    noise_levels: NoiseLevels = NoiseLevels.EVEN

    def __post_init__(self) -> None:
        for field in fields(self):
            _check_type(field.name, getattr(self, field.name))
        for name, kind in (
            ("scheduler", Scheduler),
            ("noise_levels", NoiseLevels),
            ("mask_mode", MaskMode),
            ("restore", Restore),
            ("garment_photo", GarmentPhoto),
            ("fit", FitChoice),
        ):
            object.__setattr__(self, name, _choice(name, getattr(self, name), kind))
        check_sampling(
            num_inference_steps=self.num_inference_steps,
            guidance_scale=self.guidance_scale,
            guidance_start=self.guidance_start,
            guidance_end=self.guidance_end,
            num_images_per_prompt=self.num_images_per_prompt,
            seed=self.seed,
            scheduler=self.scheduler,
            noise_levels=self.noise_levels,
        )
        for name, kind in (("mask_length", MaskLength), ("mask_sleeves", MaskSleeves)):
            value = getattr(self, name)
            if isinstance(value, list | tuple):
                each = cast("Sequence[str]", value)
                object.__setattr__(self, name, tuple(_choice(name, one, kind) for one in each))
            else:
                object.__setattr__(self, name, _choice(name, value, kind))
        for number in range(self._garments()):
            check_by_hand(self.mask_mode, *self.reach(number))
        if abs(self.mask_grow) > MAX_GROW:
            raise ValueError(
                f"mask_grow is {self.mask_grow}, but must lie in -{MAX_GROW} to {MAX_GROW}."
            )
        if not 0 <= self.feather <= MAX_FEATHER:
            raise ValueError(f"feather is {self.feather}, but must lie in 0 to {MAX_FEATHER:g}.")
        if self.height is not None and (
            not MIN_HEIGHT <= self.height <= MAX_HEIGHT or self.height % (4 * SCALE)
        ):
            raise ValueError(
                f"height is {self.height}, but must be a multiple of {4 * SCALE} from {MIN_HEIGHT} "
                f"to {MAX_HEIGHT}, so that three quarters of it are a width that the networks take."
            )
        if self.person_index < 0:
            raise ValueError(f"person_index is {self.person_index}, but counts from 0.")

    def reach(self, garment: int = 0) -> tuple[MaskLength, MaskSleeves]:
        """Length and sleeves of a garment of the outfit, counted from 0."""
        length, sleeves = self.mask_length, self.mask_sleeves
        return (
            length if isinstance(length, MaskLength) else length[garment],
            sleeves if isinstance(sleeves, MaskSleeves) else sleeves[garment],
        )

    def of_garment(self, garment: int) -> TryOnOptions:
        """The same with the length and sleeves of one garment of the outfit."""
        length, sleeves = self.reach(garment)
        return replace(self, mask_length=length, mask_sleeves=sleeves)

    def check_outfit(self, categories: Sequence[Category]) -> None:
        """Raises ValueError for lengths or sleeves that are not one for each garment, or for a
        category that has none."""
        for name in ("mask_length", "mask_sleeves"):
            value = getattr(self, name)
            given = len(value) if isinstance(value, tuple) else 1
            if given != len(categories) and value != "auto":
                shown = ", ".join(value) if isinstance(value, tuple) else value
                raise ValueError(
                    f"{name} is '{shown}', but the outfit has {len(categories)} garments: set one "
                    "for each of them, or leave it at 'auto'."
                )
        for number, category in enumerate(categories):
            check_by_hand(self.mask_mode, *self.reach(number), category)

    def _garments(self) -> int:
        """For how many garments length or sleeves are given."""
        given = (self.mask_length, self.mask_sleeves)
        counts = [len(value) for value in given if not isinstance(value, str)]
        if 0 in counts or len(set(counts)) > 1:
            raise ValueError(
                f"mask_length and mask_sleeves are of {' and '.join(map(str, counts))} garments: "
                "give one for each garment of the outfit."
            )
        return counts[0] if counts else 1


def options_of(options: TryOnOptions | None) -> TryOnOptions:
    """The options given, or the defaults. Raises ValueError for anything else."""
    if options is not None and not isinstance(options, TryOnOptions):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise ValueError(
            f"options is a {type(options).__name__}, but must be TryOnOptions: give single ones as "
            "keywords, such as seed=1."
        )
    return options or TryOnOptions()


WHOLE_NUMBERS = frozenset(
    {"num_inference_steps", "num_images_per_prompt", "seed", "mask_grow", "height", "person_index"}
)
NUMBERS = frozenset({"guidance_scale", "guidance_start", "guidance_end", "feather"})


def _check_type(name: str, value: object) -> None:
    if name == "height" and value is None:
        return
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    if name in WHOLE_NUMBERS and not is_whole:
        raise ValueError(f"{name} is {value!r}, but must be a whole number.")
    if name in NUMBERS and not (is_whole or isinstance(value, float)):
        raise ValueError(f"{name} is {value!r}, but must be a number.")


def _choice(name: str, value: str, kind: type[Choice]) -> Choice:
    try:
        return kind(value)
    except ValueError:
        names = ", ".join(kind)
        raise ValueError(f"{name} is '{value}', but must be one of {names}.") from None
