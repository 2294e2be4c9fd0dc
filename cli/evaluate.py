"""`python -m cli evaluate`: held-out dolls in true measure, beside a ceiling and two ablations.

full: the try-on. ceiling: what the autoencoder makes of the true picture, the best that any
denoiser over its latents can reach. no fusion: the garment is known by its prompt alone. no
garment: the outfitting UNet reads zeros. Masks come from the drawn label maps and keypoints, so
that the networks under test are the denoising ones.
"""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from tqdm import tqdm

from cli.demo import contact_sheet, overlay
from cli.places import MINI_MODEL
from cli.studio import Picture
from cli.tryon import choose_device, save_picture
from ootd_core.agnostic import MaskMode, agnostic_mask
from ootd_core.categories import Category, Variant
from ootd_core.checkpoint_writer import save_json
from ootd_core.checkpoints import Networks, load_networks
from ootd_core.evaluation.metrics import Figures, average, compare
from ootd_core.images import to_images, to_tensor
from ootd_core.labels import Label
from ootd_core.latents import decode, encode_scaled
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.training.paper_dolls.sample import DollSample, draw_sample

ABLATIONS = ("full", "no fusion", "no garment")


def evaluate_command(
    model: Annotated[Path, typer.Option(help="model folder; the mini by default")] = MINI_MODEL,
    dolls: Annotated[int, typer.Option(min=1, help="held-out dolls, from seed 0")] = 64,
    steps: Annotated[int, typer.Option(min=1)] = 20,
    guidance: float = 2.0,
    mask_mode: MaskMode = MaskMode.ROBUST,
    ablations: Annotated[bool, typer.Option(help="also without fusion, without garment")] = True,
    out: Annotated[Path | None, typer.Option(help="folder for report.json and a sheet")] = None,
    device: str = "auto",
) -> None:
    """Measure a checkpoint on drawn people it was never trained on."""
    networks = load_networks(model, Variant.FULL_BODY, device=choose_device(device))
    height = 8 * int(networks.tryon_unet.config["sample_size"])
    rows = {name: list[tuple[Category, Figures]]() for name in ("ceiling", *ABLATIONS)}
    lines: list[list[Picture]] = []
    for seed in tqdm(range(dolls), unit="doll", disable=None):
        doll = draw_sample(seed, height=height, width=height * 3 // 4)
        results = dress_doll(networks, doll, steps, guidance, mask_mode, ablations=ablations)
        mask = results.pop("mask").astype(bool)
        worn = mask & np.isin(doll.truth_labels, garment_labels(doll))
        for name, picture in results.items():
            if worn.any():
                figures = compare(picture, doll.truth, mask, worn)
                rows[name].append((doll.category, figures))
        if len(lines) < 8:
            shown = overlay(doll.person, mask.astype(np.float32))
            lines.append([doll.person, doll.garment, shown, *results.values(), doll.truth])
    means = {name: average([one for _, one in row]) for name, row in rows.items() if row}
    typer.echo(table(means))
    by_category = {
        category: average([one for kind, one in rows["full"] if kind is category])
        for category in Category
        if any(kind is category for kind, _ in rows["full"])
    }
    typer.echo("\nfull, by category\n" + table({str(key): one for key, one in by_category.items()}))
    if out is not None:
        report = {"dolls": dolls, "steps": steps, "guidance": guidance, "mask_mode": mask_mode}
        report |= {name: asdict(one) for name, one in means.items()}
        report["by_category"] = {str(key): asdict(one) for key, one in by_category.items()}
        save_json(out / "report.json", json.loads(json.dumps(report)))
        columns = ("person", "garment", "mask", *means, "truth")
        save_picture(out / "sheet.png", contact_sheet(lines, columns))


def garment_labels(doll: DollSample) -> list[Label]:
    """Label map values of the category, as the drawing labels its garments."""
    return {
        Category.UPPER: [Label.UPPER_CLOTHES],
        Category.LOWER: [Label.PANTS, Label.SKIRT],
        Category.DRESS: [Label.DRESS],
    }[doll.category]


def dress_doll(
    networks: Networks,
    doll: DollSample,
    steps: int,
    guidance: float,
    mask_mode: MaskMode,
    *,
    ablations: bool,
) -> dict[str, Picture]:
    """Return pictures uint8 [H,W,3] by name, and the mask [H,W] of 0 and 1 as "mask"."""
    mask = agnostic_mask(
        doll.labels,
        doll.keypoints,
        category=doll.category,
        variant=networks.variant,
        mode=mask_mode,
    ).mask
    request = TryOnRequest(
        person=doll.person,
        garment=doll.garment,
        mask=mask,
        category=doll.category,
        steps=steps,
        guidance=guidance,
        seed=doll.seed,
    )
    truth = decode(networks.vae, encode_scaled(networks.vae, to_tensor(doll.truth)))
    pictures = {"mask": mask.astype(np.uint8), "ceiling": to_images(truth)[0]}
    pipeline = TryOnPipeline(networks)
    pictures["full"] = pipeline(request)[0]
    if ablations:
        pictures["no fusion"] = pipeline(replace(request, fusion=False))[0]
        pictures["no garment"] = pipeline(replace(request, zero_garment=True))[0]
    return pictures


def table(rows: dict[str, Figures]) -> str:
    """Format figures as lines of text under a head."""
    head = f"{'':12}{'PSNR dB':>10}{'SSIM':>8}{'dE':>8}"
    body = [
        f"{name:12}{one.psnr:10.2f}{one.ssim:8.3f}{one.colour_error:8.2f}"
        for name, one in rows.items()
    ]
    return "\n".join([head, *body])
