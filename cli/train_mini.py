"""`python -m cli train-mini`: makes a mini checkpoint from nothing but drawn people (`mini`).

Five trainings, each in a folder of its own under WORK, from which it resumes: the autoencoder, the
parser pair, the pose network, both UNets over the finished autoencoder, and its decoder once more
over the finished UNets. The result is a model folder in the published layout that `tryon` and the
nodes load like any other.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from cli.progress import Progress
from mini.recipe import Stage, stages
from ootd_core.checkpoints.whole_files import check_target
from ootd_core.requirements import require
from ootd_core.training.loop import LoopSettings, Task, Training


def train_mini_command(
    out: Annotated[Path, typer.Option(help="model folder to write")],
    work: Annotated[Path, typer.Option(help="folder of logs and states, to resume from")],
    stage: Annotated[Stage, typer.Option(help="train only this part")] = Stage.ALL,
    scale: Annotated[
        float,
        typer.Option(min=0.001, help="factor on the number of steps of each stage"),
    ] = 1.0,
    resume_unets: Annotated[
        bool, typer.Option("--resume-unets", help="go on from the UNets that OUT has")
    ] = False,
    threads: Annotated[int, typer.Option(min=1, help="CPU threads")] = 2,
) -> None:
    """Train a mini checkpoint on drawn people; the UNets, the longest stage, take hours."""
    require("onnx")  # torch asks for it when the parser is trained and to be written
    for place in (out, work):
        check_target(place / "ootd" / "config.json")
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    for name, train in stages(resume_unets=resume_unets).items():
        if stage in (Stage.ALL, name):
            train(out, work / name, scale, train_with_progress)


def train_with_progress(
    task: Task, settings: LoopSettings, work: Path, name: str | None = None
) -> None:
    """Train in a folder with a progress bar, and leave the averaged weights in the modules.

    name: of the bar; None is the folder's.
    """
    training = Training(task, settings, work)
    with Progress("step", settings.steps, title=name or work.name) as bar:
        bar.begin(training.step, settings.steps)

        def on_step(step: int, total: int, figures: dict[str, float]) -> None:
            bar.to(step, total, f"loss {figures['loss']:.4f}")

        training.run(on_step)
    training.load_ema_weights()
