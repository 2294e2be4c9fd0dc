"""Small catalogues for tests: the bundled people at 64 x 48, with masks, so that a row takes a
moment and no network has to see anybody."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from catalogue.engine import WorkerSettings
from catalogue.manifest import ManifestRow, read_manifest
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES, MINI_CHECKPOINT
from tryon.options import TryOnOptions

SIZE = (48, 64)
QUICK = TryOnOptions(num_inference_steps=1, height=64, feather=0.0)


def small_pictures(folder: Path, count: int, kind: str) -> list[Path]:
    """So many different persons or garments."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = sorted(DEMO_SAMPLES.glob(f"*-{kind}.png"))
    paths: list[Path] = []
    for number in range(count):
        picture = Image.open(drawn[number % len(drawn)]).convert("RGB").resize(SIZE)
        pixels = np.asarray(picture).copy()
        pixels[0, 0] = number  # none is like another
        path = folder / f"{kind}{number:02}.png"
        Image.fromarray(pixels).save(path)
        paths.append(path)
    return paths


def small_mask(folder: Path) -> Path:
    mask = np.zeros(SIZE[::-1], np.uint8)
    mask[16:48, 12:36] = 255
    path = folder / "mask.png"
    Image.fromarray(mask).save(path)
    return path


def write_manifest(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def small_catalogue(folder: Path, persons: int = 2, garments: int = 2) -> Path:
    """A manifest of all persons in all garments, each with a mask and a seed of its own."""
    people = small_pictures(folder / "persons", persons, "person")
    clothes = small_pictures(folder / "garments", garments, "garment")
    mask = small_mask(folder)
    rows = [
        {
            "person": str(person),
            "garment": str(garment),
            "category": "upper",
            "mask": str(mask),
            "seed": 10 * p + g,
            "name": f"p{p}g{g}",
        }
        for p, person in enumerate(people)
        for g, garment in enumerate(clothes)
    ]
    return write_manifest(folder / "manifest.jsonl", rows)


def rows_of(manifest: Path, options: TryOnOptions = QUICK) -> list[ManifestRow]:
    return read_manifest(str(manifest), options, Variant.FULL_BODY).checked()


def settings_for(out: Path | str, **changes: Any) -> WorkerSettings:
    given: dict[str, Any] = {
        "model": MINI_CHECKPOINT,
        "variant": Variant.FULL_BODY,
        "weights": "mini",
        "out": str(out),
    }
    return WorkerSettings(**(given | changes))
