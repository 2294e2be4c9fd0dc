"""The golden file of /object_info: what our nodes' ids, inputs and outputs are, for ever.

`python -m tests.comfyui.object_info` writes it anew from a real ComfyUI; do that only for what was
added. Saved workflows of users rest on the rest.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.comfyui_server import comfyui_server, find_comfyui

GOLDEN = Path(__file__).with_name("object_info.json")
SHOWN_OTHERWISE = "advanced"  # whether an input is folded away; older ones do not know it
COMFYUIS_OWN = {"sampler_name", "scheduler"}
"""Combos whose choices are ComfyUI's, and change with it."""


def ours(object_info: dict[str, Any]) -> dict[str, Any]:
    """Our nodes' part of the answer to /object_info, without what depends on the installation."""
    found: dict[str, Any] = {}
    for name, node in sorted(object_info.items()):
        if name.startswith("OOTD_"):
            found[name] = {key: value for key, value in node.items() if key != "python_module"}
            for inputs in found[name]["input"].values():
                for key in COMFYUIS_OWN & set(inputs):
                    inputs[key][1]["options"] = []
                for _, *settings in inputs.values():
                    for each in settings:
                        each.pop(SHOWN_OTHERWISE, None)
    return found


def main() -> None:
    comfyui, python = find_comfyui()
    with (
        tempfile.TemporaryDirectory() as folder,
        comfyui_server(comfyui, python, Path(folder)) as server,
    ):
        text = json.dumps(ours(server.get("/object_info")), indent=1, ensure_ascii=False)
    GOLDEN.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
