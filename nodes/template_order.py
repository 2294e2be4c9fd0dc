"""The order in which ComfyUI offers the bundled workflows: easy ones first.

ComfyUI lists them as the file system does, which on most systems is in no order, and its frontends
show that. So the answer to /workflow_templates is put in order here, this pack's part of it.
"""

from __future__ import annotations

import json
from typing import Any

ORDER = (
    "quick_start",
    "upper_body",
    "dress",
    "fast",
    "full_outfit",
    "garment_grid",
    "large_picture",
    "own_mask_and_pose",
    "swap_the_sampler",
    "lora_and_controlnet",
)


def register() -> None:
    """Ask ComfyUI's server, where there is one, to put the templates in order."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    from aiohttp import web

    @web.middleware  # pyright: ignore[reportUntypedFunctionDecorator]
    async def in_order(request: Any, handler: Any) -> Any:
        response = await handler(request)
        if request.path.endswith("/workflow_templates") and isinstance(response, web.Response):
            response.text = json.dumps(ordered(json.loads(response.text or "{}")))
        return response

    server.app.middlewares.append(in_order)


def ordered(offered: dict[str, list[str]]) -> dict[str, list[str]]:
    """What ComfyUI offers, by pack, with this pack's workflows in their order."""
    return {
        pack: sorted(names, key=ORDER.index) if set(names) == set(ORDER) else names
        for pack, names in offered.items()
    }
