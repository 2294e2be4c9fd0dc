"""`python -m cli batch check`: reads a whole catalogue, names its faults, estimates the work."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogue.engine import WorkerSettings
from cli.batch_engine import EngineName, devices_here
from cli.batch_rows import GIB, MIB, manifest_of, options_of, results_of
from cli.batch_servers import server_choice
from cli.progress import Progress, clock
from ootd_core.checkpoints.acceleration import AUTO, choose_dtype
from ootd_core.checkpoints.lora import check_lora

if TYPE_CHECKING:
    from catalogue.check import Review


def check_command(
    context: typer.Context,
    no_estimate: Annotated[
        bool, typer.Option("--no-estimate", help="dress no row to measure time and space")
    ] = False,
    **given: Any,
) -> None:
    """Read a whole catalogue and name every fault; exit code 1 if there is one.

    Takes all options of `batch`, so that it is asked as that is; --shard, --only-failures and what
    says where results go or how they are kept change nothing here.
    """
    from catalogue.check import estimate, review

    results, options = results_of("", given), options_of(given)
    remote = server_choice(context, given)
    if remote is not None:
        options = remote.options(context, options)
    if given["lora"] is not None:
        check_lora(given["lora"])
    rows = manifest_of(given, options)
    if remote is not None:
        rows = remote.workflow.checked(rows)
        typer.echo(remote.described())
    # What a cluster has is not known here: one row is timed on what this machine has.
    device = AUTO if given["engine"] is EngineName.RAY else given["device"]
    devices = devices_here(device) if remote is None else []
    with Progress("file", title="check", silent=given["quiet"]) as bar:
        found, good = review(rows, bar.to)
    server_faults = [] if remote is None else remote.faults()
    for sentence in server_faults:
        typer.echo(sentence)
    if good and not no_estimate and remote is None:
        settings = WorkerSettings(
            model=given["model"],
            variant=given["variant"],
            weights="none",
            out="",
            dtype=choose_dtype(given["dtype"], devices[0]),
            compiles=given["compiles"],
            offloads=given["offloads"],
            lora=given["lora"],
            pose_network=given["pose_network"],
            device=devices[0],
            threads=given["threads"],
            ending=results.ending,
            quality=results.quality,
        )
        try:
            estimate(good, settings, found)
        except ValueError as error:
            typer.echo(f"No estimate: {error}")
    for fault in found.faults:
        typer.echo(str(fault))
    for number, earlier in found.duplicates:
        typer.echo(f"Row {number}: asks for the same as row {earlier}.")
    for line in _counts(found, len(good), len(devices)):
        typer.echo(line)
    if found.faults or server_faults:
        raise typer.Exit(1)


def with_options_of(command: Callable[..., None], function: Any) -> Any:
    """A function that takes `**given`, which typer then gives the options of a command as well."""
    parameters = {
        name: parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)
        for each in (command, function)
        for name, parameter in inspect.signature(each, eval_str=True).parameters.items()
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD
    }
    function.__signature__ = inspect.Signature(list(parameters.values()))
    function.__annotations__ = {name: each.annotation for name, each in parameters.items()}
    return function


def _counts(found: Review, good: int, workers: int) -> list[str]:
    lines = [
        f"{good:,} of {found.rows:,} rows can be dressed: {found.persons:,} persons, "
        f"{found.garments:,} garments, {found.runs:,} samplings."
    ]
    if found.seconds is not None and found.bytes is not None:
        total, size = clock(found.seconds * good / workers), found.bytes * good
        space = f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / MIB:.1f} MiB"
        lines.append(
            f"About {total} (h:mm:ss) at {found.seconds:.1f} s a row on {workers} "
            f"device{'s' if workers > 1 else ''}, less for what is made once; "
            f"{space} of results. Measured on the first good row."
        )
    return lines
