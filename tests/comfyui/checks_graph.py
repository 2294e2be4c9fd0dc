# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Graphs as ComfyUI's executor runs them: every node of ours, batches of one, two and three."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from worker import Inside


def _every_node(inside: Inside, persons: int, garments: int) -> dict[str, Any]:
    """The workflow of all stages, with batches, and Try On Garment beside it."""
    path = inside.pack / "workflows" / "api" / "upper_body.json"
    prompt = json.loads(path.read_text(encoding="utf-8"))
    (pictures,) = [
        number for number, node in prompt.items() if node["class_type"] == "OOTD_DemoPictures"
    ]
    batches = {("person", 0): persons, ("garment", 1): garments}
    for node in prompt.values():
        for name, output in batches:
            for key, value in node["inputs"].items():
                if value == [pictures, output]:
                    node["inputs"][key] = [name, 0]
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 1
        if node["class_type"] == "SaveImage":
            node["inputs"]["filename_prefix"] = f"stages_{persons}_{garments}"
    for (name, output), amount in batches.items():
        prompt[name] = {
            "class_type": "RepeatImageBatch",
            "inputs": {"image": [pictures, output], "amount": amount},
        }
    path = inside.pack / "workflows" / "api" / "quick_start.json"
    for node in json.loads(path.read_text(encoding="utf-8")).values():
        if node["class_type"] == "OOTD_TryOn":
            prompt["whole"] = node
            node["inputs"] |= {"person": ["person", 0], "garment": ["garment", 0], "steps": 1}
    prompt["whole saved"] = {
        "class_type": "SaveImage",
        "inputs": {"images": ["whole", 0], "filename_prefix": f"whole_{persons}_{garments}"},
    }
    return prompt


def check_every_node_takes_batches(inside: Inside) -> str:
    """Single persons and garments are repeated, equal batches pair up; both ways agree."""
    counts = []
    for persons, garments in ((2, 2), (1, 2), (2, 1)):
        prompt = _every_node(inside, persons, garments)
        ours = {node["class_type"] for node in prompt.values()}
        assert {name for name in inside.nodes if name.startswith("OOTD_")} <= ours
        errors = inside.run(prompt)
        assert not errors, (persons, garments, errors)
        saved = [
            [
                np.asarray(Image.open(path))
                for path in sorted(
                    (inside.folder / "output").glob(f"{name}_{persons}_{garments}_*.png")
                )
            ]
            for name in ("stages", "whole")
        ]
        assert len(saved[0]) == len(saved[1]) == max(persons, garments), (persons, garments)
        for stages, whole in zip(*saved, strict=True):
            assert stages.shape == (256, 192, 3) and np.array_equal(stages, whole)
        counts.append(len(saved[0]))
    return str(counts)


def check_unequal_batches_are_refused(inside: Inside) -> str:
    (error,) = inside.run(_every_node(inside, 2, 3))
    assert "batch of 3" in error and "batch of 2" in error and "\n" not in error, error
    return error
