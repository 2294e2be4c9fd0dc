"""Figures as a table and as JSON, the same in every command that evaluates."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from .feature_files import ALEXNET, INCEPTION
from .features import FeatureNetworks
from .protocol import PROTOCOL
from .scores import SetScores

LABEL_WIDTH = 12


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """A figure of SetScores. title: of the table's column. meaning: the title of a chart."""

    key: str
    title: str
    meaning: str
    decimals: int


COLUMNS = (
    Column(key="pictures", title="n", meaning="pictures", decimals=0),
    Column(key="ssim", title="SSIM", meaning="SSIM, higher is better", decimals=3),
    Column(key="lpips", title="LPIPS", meaning="LPIPS, lower is better", decimals=3),
    Column(key="fid", title="FID", meaning="FID, lower is better", decimals=2),
    Column(key="kid", title="KID", meaning="KID x1000, lower is better", decimals=2),
    Column(key="mask_psnr", title="PSNR in", meaning="PSNR inside the mask, dB", decimals=2),
    Column(key="mask_ssim", title="SSIM in", meaning="SSIM inside the mask", decimals=3),
    Column(
        key="colour_error", title="dE in", meaning="colour error of the garment, dE", decimals=2
    ),
    Column(
        key="changed_psnr",
        title="PSNR ch",
        meaning="PSNR over the mask and what had to change, dB",
        decimals=2,
    ),
    Column(
        key="pasted_psnr",
        title="PSNR all",
        meaning="PSNR of the whole picture, pasted back, dB",
        decimals=2,
    ),
    Column(
        key="garment_iou", title="shape", meaning="IoU of the garment with the truth's", decimals=3
    ),
    Column(
        key="outside_error", title="diff out", meaning="change outside the mask, levels", decimals=2
    ),
    Column(
        key="outside_colour_error",
        title="dE out",
        meaning="colour error outside the mask, dE",
        decimals=2,
    ),
)


def measured(rows: list[SetScores]) -> list[Column]:
    """Return the columns in which any row has a figure."""
    return [one for one in COLUMNS if any(getattr(row, one.key) is not None for row in rows)]


def table(rows: Mapping[str, SetScores], *, head: str = "") -> str:
    """Format figures as a table; "-" stands for what was not measured."""
    columns = measured(list(rows.values()))
    width = max([LABEL_WIDTH, *(len(name) + 2 for name in rows), len(head) + 2])
    lines = [head.ljust(width) + "".join(f"{column.title:>9}" for column in columns)]
    for name, row in rows.items():
        cells = [cell(getattr(row, column.key), column.decimals) for column in columns]
        lines.append(name.ljust(width) + "".join(f"{text:>9}" for text in cells))
    return "\n".join(lines)


def cell(value: float | None, decimals: int) -> str:
    return "-" if value is None else f"{value:.{decimals}f}"


def not_measured(features: FeatureNetworks) -> list[str]:
    """Return sentences on figures that were not measured, and what to do for them."""
    sentences: list[str] = []
    if features.inception is None:
        sentences.append(
            f"FID and KID were not measured: give {INCEPTION.option} FILE, or --networks FOLDER, "
            f"which {INCEPTION.name} is downloaded into if it is not there."
        )
    if features.perceptual is None:
        sentences.append(
            f"LPIPS was not measured: give {ALEXNET.option} FILE, or --networks FOLDER, which "
            f"{ALEXNET.name} is downloaded into if it is not there."
        )
    return sentences


def head(settings: Mapping[str, Any], features: FeatureNetworks) -> dict[str, Any]:
    """Return what a report's figures depend on: protocol, settings, feature networks."""
    return {
        "protocol": asdict(PROTOCOL),
        "settings": plain(settings),
        "feature_networks": {
            file.name: {
                "sha256": features.hashes[file.name],
                "as_published": features.hashes[file.name] == file.sha256,
            }
            for file in (INCEPTION, ALEXNET)
            if file.name in features.hashes
        },
    }


def plain(value: Any) -> Any:
    """Return a value as JSON has it: NaN and infinity become null, paths become text."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    return str(value)
