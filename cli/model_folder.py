"""What a model folder holds, part by part: the doctor's look at it, without loading a network.

Standard library only, but for what tells a UNet from another: that reads tensors, with torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import (
    UNET_FOLDERS,
    Part,
    WeightFile,
    download_command,
    expected_path,
    files_for,
    find,
    missing,
    step_folder,
)
from ootd_core.checkpoints.integrity import damage, tokenizer_damage
from ootd_core.requirements import is_installed


class State(StrEnum):
    """GOOD: works. NOTE: costs one feature, or is merely said. BAD: something asked for fails."""

    GOOD = "ok"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """subject: what was looked at. text: what was found, and for BAD the command that helps."""

    subject: str
    state: State
    text: str


def examine(folder: Path) -> list[Finding]:
    """A finding for every part of the published layout, and the command for what is not right.

    A folder with the UNets of one variant only is complete for it; the other is mentioned.
    """
    present = [variant for variant in Variant if step_folder(folder, variant) is not None]
    variants = present or list(Variant)
    findings = [
        _shared_part(folder, part, variants[0]) for part in Part if part not in UNET_FOLDERS
    ]
    for variant in Variant:
        if variant in variants:
            findings += [_unet(folder, part, variant) for part in UNET_FOLDERS]
        else:
            findings.append(
                Finding(
                    subject=f"UNets, {variant}",
                    state=State.NOTE,
                    text=f"not here; get them with {download_command(folder, variant)}",
                )
            )
    return findings


def _shared_part(folder: Path, part: Part, variant: Variant) -> Finding:
    return _state(folder, part, variant) or Finding(subject=part, state=State.GOOD, text="whole")


def _unet(folder: Path, part: Part, variant: Variant) -> Finding:
    subject = f"{part}, {variant}"
    wrong = _state(folder, part, variant)
    if wrong is not None:
        return Finding(subject=subject, state=wrong.state, text=wrong.text)
    mixed_up = _mixed_up(folder, variant, part)
    if mixed_up is not None:
        return Finding(subject=subject, state=State.BAD, text=mixed_up)
    place = expected_path(folder, files_for(variant, (part,))[0]).parent
    return Finding(subject=subject, state=State.GOOD, text=f"whole ({place})")


def _mixed_up(folder: Path, variant: Variant, part: Part) -> str | None:
    """What a UNet is instead, if it is another one; None where there is no torch to tell it."""
    if not (is_installed("torch") and is_installed("safetensors")):
        return None
    from ootd_core.checkpoints.locating import check_in_channels, check_other_variant, part_files

    (other,) = set(Variant) - {variant}
    files = part_files(folder, variant, part)
    try:
        check_in_channels(files)
        check_other_variant(folder, other, files)
    except ValueError as error:
        return str(error)
    return None


def _state(folder: Path, part: Part, variant: Variant) -> Finding | None:
    """What is missing or damaged of a part; None if all of it is there and whole."""
    command = download_command(folder, variant)
    absent = missing(folder, variant, (part,))
    if absent:
        needed = part is not Part.PARSER and part is not Part.POSE
        return Finding(
            subject=part,
            state=State.BAD if needed else State.NOTE,
            text=f"lacks {_names(absent)}; get it with {command}",
        )
    for file in files_for(variant, (part,)):
        path = find(folder, file)
        wrong = None if path is None else damage(path)
        if wrong is not None:
            return Finding(
                subject=part, state=State.BAD, text=f"{path} {wrong}; replace it with {command}"
            )
    found = tokenizer_damage(folder / "ootd" / "tokenizer") if part is Part.TOKENIZER else None
    if found is not None:
        path, wrong = found
        return Finding(
            subject=part, state=State.BAD, text=f"{path} {wrong}; replace it with {command}"
        )
    return None


def _names(files: Sequence[WeightFile]) -> str:
    return ", ".join(file.path for file in files)
