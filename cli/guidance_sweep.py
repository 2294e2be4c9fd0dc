"""`python -m cli guidance-sweep`: figures at several guidance scales (paper, section 4).

The same held-out dolls, with the same noise, at each scale; scale 1 is without guidance.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cli.demo import Picture
from cli.evaluate import AlexnetFile, InceptionFile, NetworksFolder
from cli.progress import Progress
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.networks import Networks, choose_device, load_networks
from ootd_core.checkpoints.whole_files import check_target
from ootd_core.datasets.paper_dolls.sample import DollSample
from ootd_core.evaluation.dolls import OnDoll, measure_dolls
from ootd_core.evaluation.features import FeatureNetworks, load_feature_networks
from ootd_core.evaluation.report import head
from ootd_core.evaluation.scores import SetScores
from ootd_core.evaluation.sweep import Point, parse_values, sweep_table, write_sweep
from ootd_core.masks.agnostic import MaskMode
from ootd_core.requirements import require

SETTING = "guidance_scale"


def guidance_sweep_command(
    model: Annotated[Path, typer.Option(help="model folder; the mini by default")] = (
        MINI_CHECKPOINT
    ),
    values: Annotated[
        str, typer.Option(help="guidance scales, separated by commas")
    ] = "1,1.5,2,3,5",
    dolls: Annotated[int, typer.Option(min=1, help="number of held-out dolls")] = 24,
    steps: Annotated[int, typer.Option(min=1, help="sampling steps")] = 20,
    mask_mode: MaskMode = MaskMode.AUTO,
    networks_folder: NetworksFolder = None,
    inception: InceptionFile = None,
    alexnet: AlexnetFile = None,
    out: Annotated[Path, typer.Option(help="folder for guidance-sweep.json and .png")] = Path(
        "output/guidance-sweep"
    ),
    device: str = "auto",
) -> None:
    """Measure a checkpoint on held-out dolls at several guidance scales."""
    require("matplotlib", "torchmetrics")  # imported when the work is done
    scales = parse_values(values, "Guidance scales", minimum=0)
    check_target(out / "guidance-sweep.json")
    device = choose_device(device)
    features = load_feature_networks(
        folder=networks_folder, inception=inception, alexnet=alexnet, device=device
    )
    networks = load_networks(model, Variant.FULL_BODY, device=device)
    points: list[Point] = []
    with Progress("doll", dolls * len(scales), title="guidance-sweep") as bar:

        def on_doll(_doll: DollSample, _pictures: dict[str, Picture]) -> None:
            bar.update()

        for scale in scales:
            scores = full_scores(
                networks,
                dolls,
                features,
                num_inference_steps=steps,
                guidance_scale=scale,
                mask_mode=mask_mode,
                on_doll=on_doll,
            )
            points.append(Point(value=scale, scores=scores))
    settings = {
        "model": model,
        "dolls": dolls,
        "num_inference_steps": steps,
        "mask_mode": mask_mode,
    }
    typer.echo(sweep_table(SETTING, points))
    write_sweep(out, "guidance-sweep", SETTING, points, head(settings, features))
    typer.echo(f"Table and plot: {out.resolve()}")


def full_scores(
    networks: Networks,
    dolls: int,
    features: FeatureNetworks,
    *,
    num_inference_steps: int,
    guidance_scale: float,
    mask_mode: MaskMode,
    on_doll: OnDoll | None = None,
) -> dict[str, SetScores]:
    """Return the scores of the try-on itself on held-out dolls, by category and over all.

    Raises ValueError if none of the dolls shows its garment.
    """
    scorers = measure_dolls(
        networks,
        range(dolls),
        features,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
        mask_mode=mask_mode,
        ablations=False,
        on_doll=on_doll,
    )
    if "full" not in scorers:
        raise ValueError(f"None of the {dolls} dolls shows its garment: raise --dolls.")
    return scorers["full"].by_category()
