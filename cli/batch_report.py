"""`python -m cli batch report`: a page with all pictures of a catalogue, which opens from disk."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from catalogue.report import PAGE, write_report
from catalogue.storage import is_remote
from cli.progress import Progress
from ootd_core.checkpoints.whole_files import check_target


def report_command(
    out: Annotated[str | None, typer.Option(help="folder or address of the results")] = None,
    to: Annotated[
        Path | None, typer.Option(help="folder of the page; default: report in --out")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", help="no bar and no summary")] = False,
) -> None:
    """Write a contact sheet of all rows, to search and to scroll through; opens from disk."""
    if not out:
        raise ValueError("Say where the results are: --out FOLDER.")
    if to is not None:
        check_target(to / PAGE)
    with Progress("picture", title="report", silent=quiet) as bar:
        report = write_report(out, None if to is None else str(to), bar.to)
    if quiet:
        return
    lacking = f", {report.lacking:,} pictures cannot be shown" if report.lacking else ""
    typer.echo(f"{report.rows:,} rows, {report.made:,} new thumbnails{lacking}: {report.page}")
    if is_remote(report.page):
        typer.echo("With --to FOLDER it is written to this machine, where a browser opens it.")
