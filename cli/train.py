"""`python -m cli train`: trains both UNets on a data set, in one process or in several.

Alone it is one process; under `accelerate launch -m cli train ...` it is one of several. Run again
with the same settings, it resumes from the last saved state.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import psutil
import torch
import typer
from accelerate import Accelerator

from cli.demo import Picture, contact_sheet
from cli.progress import Progress
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.datasets.open import Layout
from ootd_core.images.compositing import overlay_mask
from ootd_core.images.files import save_image
from ootd_core.requirements import require
from ootd_core.training.settings import PRESETS, TrainSettings, parse_override, read_settings
from ootd_core.training.trainer import Trained, Trainer
from ootd_core.training.validation import SheetLine
from tryon.perception import PersonNetworks

MINI, DOLLS = Path("mini"), Path("dolls")
GIB = 2**30


def train_command(
    config: Annotated[Path | None, typer.Option(help="TOML file of settings")] = None,
    preset: Annotated[
        str | None, typer.Option(help=f"settings to start from: {', '.join(PRESETS)}")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="folder of the data set, or 'dolls'")] = None,
    layout: Annotated[
        Layout | None, typer.Option(help="of the data set; found out by default")
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(help="Stable Diffusion 1.5 (folder or file), a model folder, or 'mini'"),
    ] = None,
    parts: Annotated[
        Path | None, typer.Option(help="model folder with VAE and CLIP towers, if --start has none")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="model folder to write")] = None,
    variant: Annotated[
        Variant | None, typer.Option(help="hd: half body, upper garments; dc: full body")
    ] = None,
    change: Annotated[
        list[str] | None, typer.Option("--set", help="any setting as name=value; may be repeated")
    ] = None,
    cpu: Annotated[
        bool, typer.Option("--cpu", help="train on the CPU even if there is a GPU")
    ] = False,
) -> None:
    """Train both UNets, or a LoRA for them; run again, it resumes where it stopped."""
    require("matplotlib")  # imported when the first curves are drawn
    given: dict[str, Any] = dict(parse_override(text) for text in change or ())
    named = {
        "data": data,
        "layout": layout,
        "start": start,
        "parts": parts,
        "out": out,
        "variant": variant,
    }
    given |= {name: value for name, value in named.items() if value is not None}
    settings = with_bundled_places(read_settings(config, preset, given))
    train(settings, make_accelerator(settings, cpu=cpu))


def with_bundled_places(settings: TrainSettings) -> TrainSettings:
    """Replace `mini` by the bundled checkpoint's folder, and `dolls` by no folder."""
    if settings.start == MINI:
        settings = replace(settings, start=MINI_CHECKPOINT)
    if settings.parts == MINI:
        settings = replace(settings, parts=MINI_CHECKPOINT)
    return replace(settings, data=None) if settings.data == DOLLS else settings


def make_accelerator(settings: TrainSettings, *, cpu: bool) -> Accelerator:
    """Join the processes of this run. Raises ValueError for a precision that the device lacks."""
    accelerator = Accelerator(cpu=cpu)
    if settings.mixed_precision == "fp16" and accelerator.device.type == "cpu":
        raise ValueError("mixed_precision 'fp16' needs a GPU: on a CPU use 'bf16' or 'no'.")
    return accelerator


def train(settings: TrainSettings, accelerator: Accelerator) -> Trained:
    """Train with a progress bar, and print where the result is."""
    leads = bool(accelerator.is_main_process)
    person_networks = PersonNetworks(settings.parts or settings.start, settings.variant)
    with Progress("step", title="train", silent=not leads) as bar:
        trainer = Trainer(
            settings, accelerator, write_sheet=write_sheet, perception=person_networks
        )
        bar.begin(trainer.training.step, settings.steps)

        def on_step(step: int, total: int, figures: dict[str, float]) -> None:
            bar.to(step, total, f"loss {figures['loss']:.4f}, {memory()}")

        result = trainer.run(on_step)
    if leads:
        typer.echo(result.skipped)
        typer.echo(f"Curves and validation pictures: {settings.work}")
        if result.loras is not None:
            typer.echo(f"LoRA files: {result.loras} (python -m cli tryon --lora {result.loras})")
        else:
            typer.echo(
                f"Checkpoint: {result.checkpoint} (python -m cli tryon --model {result.folder})"
            )
    return result


def write_sheet(path: Path, lines: list[SheetLine]) -> None:
    """Write a contact sheet of validation pictures."""
    rows: list[list[Picture]] = []
    for line in lines:
        shown = overlay_mask(line.person, line.mask.astype(np.float32))
        unknown = np.full_like(line.person, 255)
        truth = unknown if line.truth is None else line.truth
        rows.append([line.person, line.garment, shown, line.result, truth])
    if rows:
        save_image(path, contact_sheet(rows))


def memory() -> str:
    """Return the peak memory of the GPU if there is one, else what the process uses now."""
    if torch.cuda.is_available():
        return f"{torch.cuda.max_memory_allocated() / GIB:.1f} GiB on the GPU"
    return f"{psutil.Process().memory_info().rss / GIB:.1f} GiB"
