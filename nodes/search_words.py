"""Words that users look for. The schema has a place for them since 2026; older frontends search the
names of nodes alone."""

from __future__ import annotations

import inspect

from comfy_api.latest import io

FAMILY = (
    "virtual try-on",
    "virtual try on",
    "try-on",
    "vton",
    "ootd",
    "ootdiffusion",
    "虚拟试衣",
    "虚拟试穿",
    "试穿",
    "换装",
    "换衣",
)
GARMENT = ("garment", "clothes", "clothing", "outfit", "dress", "服装", "衣服")


def searched_as(*words: str) -> dict[str, list[str]]:
    """The schema's `search_aliases`, where this ComfyUI has them."""
    if "search_aliases" not in inspect.signature(io.Schema).parameters:
        return {}
    return {"search_aliases": [*words, *FAMILY]}
