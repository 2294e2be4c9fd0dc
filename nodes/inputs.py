"""What is said about an input: its name, its value and what it may be.

ComfyUI 0.3.64 does not check the combos of prompts that come through its API, and none checks what
another node hands in. So it is done here, before a prompt runs and again where it runs. ComfyUI
repeats an answer of `validate_inputs` for every input that it looked at; what is wrong is raised
instead, for that is said once.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import Any

import torch
from comfy_api.latest import io

from ..ootd_core.images.fitting import Size
from ..ootd_core.masks.morphology import SoftMask
from ..openpose import Person, frames_of, people_of
from ..tryon.preparation import own_mask
from .pictures import to_masks


@contextmanager
def naming(name: str) -> Generator[None]:
    """Put an input's name before what is wrong with its value."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def check_choices(node: type[io.ComfyNode], **values: object) -> None:
    """Refuse a value that its combo does not offer; None (linked, not known yet) is passed over.

    Raises ValueError, one sentence with input, value and choices.
    """
    for slot in node.define_schema().inputs:
        value = values.get(slot.id)
        if isinstance(slot, io.Combo.Input) and value is not None:
            choices: list[str] = list(slot.options or [])
            if value not in choices:
                raise ValueError(
                    f"{slot.id} is {value!r:.60}, but must be one of: {', '.join(choices)}."
                )


def frames_in(pose_keypoint: Any) -> list[Any]:
    """The frames of an input `pose_keypoint`, one a picture; [None] where it is not connected.

    Raises ValueError, one sentence that names the input, for anything else.
    """
    if pose_keypoint is None:
        return [None]
    with naming("pose_keypoint"):
        return frames_of(pose_keypoint)


def people_in(frame: Any, size: Size) -> list[Person]:
    """The people of such a frame in pixels of a picture of `size`; errors as in `frames_in`."""
    if frame is None:
        return []
    with naming("pose_keypoint"):
        return people_of(frame, height=size[0], width=size[1])


def painted_masks(
    mask: torch.Tensor | None, size: Size, name: str = "mask"
) -> list[SoftMask | None]:
    """The masks of an input `name` of pictures of `size`; [None] where nothing is painted.

    Raises ValueError, one sentence that names the input, for what is no mask of such a picture.
    """
    if mask is None:
        return [None]
    with naming(name):
        return [own_mask(each, size) for each in to_masks(mask)]
