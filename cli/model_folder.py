"""What a model folder holds, part by part: the doctor's look at it, without loading a network.

What is looked at is what a try-on refuses by: `ootd_core.checkpoints.verification`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from ootd_core.categories import Variant
from ootd_core.checkpoints.blazepose import blazepose_command, find_blazepose
from ootd_core.checkpoints.catalogue import (
    MINI_CHECKPOINT,
    UNET_FOLDERS,
    Part,
    WeightFile,
    download_command,
    expected_path,
    files_for,
    missing,
    step_folder,
    stranger_for,
)
from ootd_core.checkpoints.integrity import damage
from ootd_core.checkpoints.verification import fault_of


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
    findings.append(_blazepose(folder))
    for variant in Variant:
        if variant in variants:
            findings += [_unet(folder, part, variant) for part in UNET_FOLDERS]
        elif folder.resolve() != MINI_CHECKPOINT:
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


def _blazepose(folder: Path) -> Finding:
    found = find_blazepose(folder)
    if found is None:
        text = (
            "not here: nothing needs it but --pose-network blazepose, for people in photographs; "
            f"get it with {blazepose_command(folder)}"
        )
        return Finding(subject="BlazePose", state=State.NOTE, text=text)
    wrong = [f"{path} {text}" for path in found if (text := damage(path)) is not None]
    if wrong:
        text = f"{wrong[0]}; replace it with {blazepose_command(found[0].parent.parent)}"
        return Finding(subject="BlazePose", state=State.BAD, text=text)
    return Finding(subject="BlazePose", state=State.GOOD, text=f"whole ({found[0].parent})")


def _unet(folder: Path, part: Part, variant: Variant) -> Finding:
    subject = f"{part}, {variant}"
    wrong = _state(folder, part, variant)
    if wrong is not None:
        return Finding(subject=subject, state=wrong.state, text=wrong.text)
    place = expected_path(folder, files_for(variant, (part,))[0]).parent
    return Finding(subject=subject, state=State.GOOD, text=f"whole ({place})")


def _state(folder: Path, part: Part, variant: Variant) -> Finding | None:
    """What is missing or damaged of a part; None if all of it is there and whole."""
    command = download_command(folder, variant)
    absent = missing(folder, variant, (part,))
    if absent:
        needed = part is not Part.PARSER and part is not Part.POSE
        return Finding(
            subject=part,
            state=State.BAD if needed else State.NOTE,
            text=f"lacks {_names(absent)}{_stranger(folder, absent[0])}; get it with {command}",
        )
    fault = fault_of(folder, variant, part)
    if fault is None:
        return None
    return Finding(
        subject=part,
        state=State.NOTE if part is Part.PIPELINE else State.BAD,  # nothing here reads that
        text=f"{fault.path} {fault.text}; replace it with {command}",
    )


def _stranger(folder: Path, file: WeightFile) -> str:
    stranger = stranger_for(folder, file)
    return "" if stranger is None else f" ({stranger.name} in its place must be renamed)"


def _names(files: Sequence[WeightFile]) -> str:
    return ", ".join(file.path for file in files)
