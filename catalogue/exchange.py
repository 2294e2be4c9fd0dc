"""What goes to a ComfyUI server and what comes back: pictures, and what its errors mean."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

import numpy as np
from PIL import Image

from catalogue.api_workflow import PICTURES, ApiWorkflow
from catalogue.comfyui_client import Json, PromptRejectedError
from catalogue.storage import as_file, read
from ootd_core.images.files import FORMATS, as_image, load_image, read_mask

SENT_AS_THEY_ARE = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
"""Formats that every ComfyUI reads as we do, where the file has no profile, rotation or alpha."""
ORIENTATION = 0x0112
NODE_LEVEL = frozenset({"custom_validation_failed", "exception_during_validation"})
"""Kinds of errors that are a node's, whichever input they name."""
FULL = ("no space left", "not enough space", "disk quota exceeded", "errno 28", "errno 122")

DEVICE_LOST = ("cuda error", "hip error")
"""After it every prompt fails, until ComfyUI is started again."""
LONGEST = 1e12
"""Milliseconds beyond which what a server says of its work is none."""


class PromptTrouble(Enum):
    """What made a prompt fail, as far as it matters for what to do next."""

    OUT_OF_MEMORY = auto()
    DISK_FULL = auto()
    DEVICE_LOST = auto()
    INTERRUPTED = auto()
    OTHER = auto()


@dataclass(frozen=True, slots=True)
class PromptFailure:
    """How a prompt failed. sentence: which node, and what it said."""

    trouble: PromptTrouble
    sentence: str


@dataclass(frozen=True, kw_only=True, slots=True)
class RejectionSense:
    """Why a prompt was rejected.

    sentence: which nodes and inputs, and why. by_row: only nodes are named that a row's values go
    to. is_certain: and the very inputs.
    """

    sentence: str
    by_row: bool
    is_certain: bool


def picture_to_send(address: str, digest: str, *, is_mask: bool) -> tuple[str, bytes]:
    """The ending and content of a picture as ComfyUI sees it as we do.

    Raises OSError if it is not there or has changed, ValueError if it is no picture (mask).
    """
    content = content_at(address, digest)
    with as_file(address, content) as path:
        if is_mask:
            levels = np.rint(read_mask(path) * 255).astype(np.uint8)
            return ".png", _png(Image.fromarray(levels))
        pixels = load_image(path)  # decodes all of it
    with Image.open(io.BytesIO(content)) as image:
        ending = SENT_AS_THEY_ARE.get(image.format or "")
        is_plain = (
            image.mode == "RGB"
            and "icc_profile" not in image.info
            and "transparency" not in image.info
            and image.getexif().get(ORIENTATION, 1) == 1
        )
    if ending is not None and is_plain:
        return ending, content
    return ".png", _png(Image.fromarray(pixels))


def content_at(address: str, digest: str) -> bytes:
    """What lies at an address. Raises OSError if that is no longer what was planned with."""
    content = read(address)
    if hashlib.sha256(content).hexdigest() != digest:
        raise OSError(f"{address} has changed since this run began: run again.")
    return content


def _png(image: Image.Image) -> bytes:
    content = io.BytesIO()
    image.save(content, "PNG")
    return content.getvalue()


def picture_from(content: bytes) -> Image.Image:
    """A picture that a server sent, decoded whole. Raises ValueError for what is none."""
    try:
        with Image.open(io.BytesIO(content), formats=sorted(set(FORMATS.values()))) as image:
            image.load()
            return Image.fromarray(as_image(image.copy()))
    except Exception as error:  # Pillow has many for what is torn or far too large
        raise ValueError(f"What a server sent is no picture ({error}).") from error


def failure_of(entry: Json) -> PromptFailure | None:
    """How a prompt failed, from its entry in the history; None if it did not."""
    status = entry.get("status") or {}
    if status.get("status_str") != "error":
        return None
    messages = dict[str, Json](status.get("messages") or ())
    if "execution_error" not in messages:
        return PromptFailure(PromptTrouble.INTERRUPTED, "somebody stopped it.")
    said = messages["execution_error"]
    kind, text = str(said.get("exception_type")), _one_line(said.get("exception_message"))
    sentence = f"node {said.get('node_id')} ({said.get('node_type')}) failed: {text or kind}"
    lowered = text.lower()
    if "OutOfMemory" in kind or "out of memory" in lowered or "not enough memory" in lowered:
        return PromptFailure(PromptTrouble.OUT_OF_MEMORY, sentence)
    if any(each in lowered for each in FULL):
        return PromptFailure(PromptTrouble.DISK_FULL, sentence)
    if any(each in lowered for each in DEVICE_LOST):
        return PromptFailure(PromptTrouble.DEVICE_LOST, sentence)
    return PromptFailure(PromptTrouble.OTHER, sentence)


def seconds_of(entry: Json) -> float | None:
    """How long the server worked on a prompt; None if it does not say."""
    messages = dict[str, Json]((entry.get("status") or {}).get("messages") or ())
    start = messages.get("execution_start", {}).get("timestamp")
    end = messages.get("execution_success", {}).get("timestamp")
    if not isinstance(start, int | float) or not isinstance(end, int | float):
        return None
    lasted = end - start
    return lasted / 1000 if 0 <= lasted < LONGEST else None  # a clock may be set meanwhile


def images_of(entry: Json, node: str) -> list[dict[str, Any]] | None:
    """What names the pictures that a node put out, from its prompt's entry in the history; None
    if that is of another form than ComfyUI's."""
    try:
        said: Any = (entry.get("outputs") or {}).get(node, {}).get("images") or ()
        images: list[dict[str, Any]] = list(said)
        is_known = all(isinstance(text, str) for image in images for text in image.values())
    except (AttributeError, TypeError):
        return None
    return images if is_known else None


def sense_of(rejected: PromptRejectedError, workflow: ApiWorkflow) -> RejectionSense:
    """Whether a rejection is about what a row set, or about the workflow."""
    sentences: list[str] = []
    by_row = is_certain = bool(rejected.node_errors)
    for node, said in rejected.node_errors.items():
        fields = workflow.fields_at(node).difference(PICTURES)
        inputs = {place.input for each in fields for place in workflow.places[each]
                  if place.node == node}  # fmt: skip
        by_row = by_row and bool(inputs)
        errors: Sequence[Mapping[str, Any]] = said.get("errors") or ({},)
        for error in errors:
            known = str((error.get("extra_info") or {}).get("input_name"))
            kind = str(error.get("type"))
            is_certain = is_certain and known in inputs and kind not in NODE_LEVEL
            by_row = by_row and (known in inputs or kind in NODE_LEVEL)
            parts = [error.get("message"), error.get("details")]
            text = ": ".join(filter(None, map(_one_line, parts)))
            sentences.append(f"node {node} ({said.get('class_type')}): {text}")
    if not sentences:
        parts = [rejected.error.get("message"), rejected.error.get("details")]
        sentences = [": ".join(filter(None, map(_one_line, parts))) or "it does not say why"]
    text = "; ".join(dict.fromkeys(sentences))
    return RejectionSense(
        sentence=text if text.endswith(".") else f"{text}.",
        by_row=by_row,
        is_certain=by_row and is_certain,
    )


def _one_line(text: object) -> str:
    return " ".join(str(text or "").split())
