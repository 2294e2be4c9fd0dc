"""`python -m cli dropout-ablation`: how often training should blank the garment (paper, 3.4).

For each probability the same checkpoint is trained for the same further steps, on the same drawn
people and noise and with the mini's own loss, and then measured on held-out dolls: without
guidance, which needs no dropout, and with it, which does. Each training has a folder of its own,
from which it resumes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

import torch
import typer

from cli.evaluate import AlexnetFile, InceptionFile, NetworksFolder
from cli.guidance_sweep import full_scores
from cli.progress import Progress
from cli.train_mini import train_with_progress
from mini.doll_latents import DollLatents, Phase
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.integrity import file_stamp
from ootd_core.checkpoints.locating import locate
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.checkpoints.whole_files import check_target
from ootd_core.evaluation.features import load_feature_networks
from ootd_core.evaluation.report import head
from ootd_core.evaluation.sweep import Point, parse_values, sweep_table, write_sweep
from ootd_core.evaluation.try_ons import fingerprint
from ootd_core.latents import SCALE
from ootd_core.masks.agnostic import MaskMode
from ootd_core.requirements import require
from ootd_core.training.loop import LoopSettings
from ootd_core.training.settings import MINI_LOSS
from ootd_core.training.tryon import TryOnTask

SETTING = "outfitting_dropout"
FIRST_DOLLS, MORE_DOLLS, MOST_DOLLS = 48, 2, 6000
"""Dolls to train on: at first, how many more each step, at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class AblationTraining:
    """What all trainings of the ablation share. height: of the pictures, in pixels."""

    steps: int
    batch: int
    learning_rate: float
    height: int
    mixed_precision: str = "bf16"

    @property
    def phases(self) -> tuple[Phase]:
        width = self.height * 3 // 4
        return (
            Phase(
                steps=self.steps,
                batch=self.batch,
                height=self.height,
                width=width,
            ),
        )


def dropout_ablation_command(
    model: Annotated[Path, typer.Option(help="model folder to start from")] = MINI_CHECKPOINT,
    values: Annotated[str, typer.Option(help="probabilities of a blank garment")] = "0,0.1,0.2,0.3",
    train_steps: Annotated[
        int, typer.Option(min=1, help="training steps for each probability")
    ] = 300,
    batch: Annotated[int, typer.Option(min=1)] = 8,
    learning_rate: Annotated[float, typer.Option(min=0)] = 3e-4,
    dolls: Annotated[int, typer.Option(min=1, help="number of held-out dolls")] = 24,
    steps: Annotated[int, typer.Option(min=1, help="sampling steps")] = 20,
    guidance: Annotated[float, typer.Option(help="scale of the guided measurement")] = 2.0,
    networks_folder: NetworksFolder = None,
    inception: InceptionFile = None,
    alexnet: AlexnetFile = None,
    out: Annotated[
        Path, typer.Option(help="folder for the trainings, and the tables and plots")
    ] = Path("output/dropout-ablation"),
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
) -> None:
    """Train a checkpoint further with several outfitting dropouts, and measure each."""
    require("accelerate", "matplotlib", "torchmetrics")
    dropouts = parse_values(values, "Dropout probabilities", minimum=0, maximum=1)
    check_target(out / "trainings" / "log.csv")
    torch.set_num_threads(threads)
    features = load_feature_networks(folder=networks_folder, inception=inception, alexnet=alexnet)
    first = load_networks(model, Variant.FULL_BODY)
    training = AblationTraining(
        steps=train_steps,
        batch=batch,
        learning_rate=learning_rate,
        height=SCALE * int(first.tryon_unet.config["sample_size"]),
    )
    latents = DollLatents(
        first, training.phases, first=FIRST_DOLLS, growth=MORE_DOLLS, limit=MOST_DOLLS
    )
    points: dict[float, list[Point]] = {1.0: [], guidance: []}
    for dropout in dropouts:
        networks = load_networks(model, Variant.FULL_BODY)
        train(networks, latents, training, dropout, training_folder(out, model, training, dropout))
        with Progress("doll", dolls * len(points), title=f"measure {dropout:g}") as bar:
            for scale, row in points.items():
                scores = full_scores(
                    networks,
                    dolls,
                    features,
                    num_inference_steps=steps,
                    guidance_scale=scale,
                    mask_mode=MaskMode.AUTO,
                    on_doll=lambda _doll, _pictures, bar=bar: bar.update(),
                )
                row.append(Point(value=dropout, scores=scores))
    for scale, row in points.items():
        typer.echo(f"guidance {scale:g}\n{sweep_table(SETTING, row)}\n")
        settings = {"model": model, "training": asdict(training), "dolls": dolls}
        settings |= {"num_inference_steps": steps, "guidance_scale": scale}
        name = f"dropout-ablation-guidance-{scale:g}"
        write_sweep(out, name, SETTING, row, head(settings, features))
    typer.echo(f"Tables and plots: {out.resolve()}")


def train(
    networks: Networks,
    latents: DollLatents,
    settings: AblationTraining,
    dropout: float,
    folder: Path,
) -> None:
    """Train both UNets of `networks` in place, resumed from a folder, and leave them for inference.

    latents: of drawn people, encoded by the same VAE and CLIP towers.
    """
    loop = LoopSettings(
        steps=settings.steps,
        learning_rate=settings.learning_rate,
        ema_decay=0.98,
        mixed_precision=settings.mixed_precision,
    )
    task = TryOnTask(networks, latents, outfitting_dropout=dropout, **MINI_LOSS)
    train_with_progress(task, loop, folder, f"dropout {dropout:g}")
    task.release()
    for unet in task.modules.values():
        unet.requires_grad_(False)


def training_folder(out: Path, model: Path, settings: AblationTraining, dropout: float) -> Path:
    """Return the folder of a training, another one for each combination of what it depends on."""
    paths = locate(model, Variant.FULL_BODY)
    parts = (paths.vae, paths.outfitting_unet, paths.tryon_unet)
    stamps = [file_stamp(file) for part in parts for file in part.files]
    key = fingerprint({"model": stamps, "dropout": dropout, **MINI_LOSS, **asdict(settings)})
    return out / "trainings" / f"dropout-{dropout:g}-{key}"
