"""A training's result in the published layout: a folder that a try-on and the nodes load.

What is not trained is copied once. The UNets are written under another name and moved together, so
every checkpoint folder is whole; the one of the highest step is loaded.
"""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import torch

from ..categories import Variant
from ..checkpoints.catalogue import FILES, UNET_FOLDERS, Part, find
from ..checkpoints.integrity import weight_files
from ..checkpoints.networks import Networks
from ..checkpoints.writing import save_part, unet_folder, write_whole


def copy_parts(parts: Path, out: Path) -> None:
    """Copy everything but the UNets from one model folder to another, unless it is there already.

    Parser and pose network take no part in training, but a try-on needs them in its model folder.
    """
    for file in FILES:
        source = None if file.part in UNET_FOLDERS else find(parts, file)
        if source is None:
            continue
        for path in dict.fromkeys([*weight_files(source), source]):
            target = out / path.relative_to(parts)
            if not target.is_file() or target.stat().st_size != path.stat().st_size:
                write_whole(target, lambda place, path=path: shutil.copyfile(path, place))


def publish(
    out: Path, networks: Networks, step: int, *, dtype: torch.dtype, total_limit: int
) -> Path:
    """Write both UNets as checkpoint `step`, keep the `total_limit` newest; return its folder.

    Raises WriteError, one sentence, if the disk is full; nothing unfinished is left then.
    """
    variant = networks.variant
    place = unet_folder(out, Part.TRYON_UNET, variant, step).parent
    unfinished = place.with_name(f".{place.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    try:
        for part, unet in (
            (Part.OUTFITTING_UNET, networks.outfitting_unet),
            (Part.TRYON_UNET, networks.tryon_unet),
        ):
            save_part(unfinished / UNET_FOLDERS[part], unet, dtype=dtype)
    except BaseException:  # half a checkpoint on a full disk helps nobody
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(place, ignore_errors=True)
    os.replace(unfinished, place)
    for old in published_steps(out, variant)[:-total_limit]:
        shutil.rmtree(place.with_name(f"checkpoint-{old}"))
    return place


def published_steps(out: Path, variant: Variant) -> list[int]:
    """Return the steps of the checkpoints in a model folder, rising."""
    folder = unet_folder(out, Part.TRYON_UNET, variant, 0).parents[1]
    names = (re.fullmatch(r"checkpoint-(\d+)", path.name) for path in folder.glob("checkpoint-*"))
    return sorted(int(name[1]) for name in names if name)
