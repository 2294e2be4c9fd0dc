"""Virtual try-on with OOTDiffusion (arXiv 2403.01779) as ComfyUI nodes.

ComfyUI imports this file and calls `comfy_entrypoint`; the nodes are listed in nodes/__init__.py.
Nothing else is imported until then, so that tests and tools may import this package anywhere.
"""

from __future__ import annotations

from typing import Any

WEB_DIRECTORY = "./web"


async def comfy_entrypoint() -> Any:
    """The extension that ComfyUI asks for the nodes (V3 schema, ComfyUI 0.3.48 or newer)."""
    from .nodes import TryOnExtension

    return TryOnExtension()
