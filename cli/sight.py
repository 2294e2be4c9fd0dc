"""`python -m cli sight`: how well parser and pose network see drawn people (`mini.sight`)."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mini.sight import look, sight, table
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from tryon.perception import PersonNetworks


def sight_command(
    model: Annotated[Path, typer.Option(help="model folder")] = MINI_CHECKPOINT,
    dolls: Annotated[int, typer.Option(min=1, help="number of held-out dolls")] = 64,
    first: Annotated[int, typer.Option(min=0, help="seed of the first one")] = 0,
) -> None:
    """Measure a parser and a pose network on drawn people that no training saw."""
    networks = PersonNetworks(model, Variant.FULL_BODY)
    typer.echo(table(sight(look(networks, range(first, first + dolls)))))
