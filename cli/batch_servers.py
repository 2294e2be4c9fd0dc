"""What `batch --servers` adds to `batch`: its options, and the engine that they make.

The workflow's own values stand for whatever neither a row nor the command line names; options about
networks are the workflow's business and are refused.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from catalogue.api_workflow import ApiWorkflow, read_workflow
from catalogue.comfyui_client import (
    HEADERS,
    ComfyUIClient,
    ServerAwayError,
    ServerUnfitError,
    read_addresses,
    read_headers,
    tls_context,
)
from catalogue.engine import WorkerSettings
from catalogue.results import Results
from catalogue.server_state import ServerSettings
from catalogue.servers import ServersEngine
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.requirements import require
from tryon.options import TryOnOptions

OPTIONS = {
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "guidance_start": "guidance_start",
    "guidance_end": "guidance_end",
    "seed": "seed",
    "sampler": "scheduler",
    "samples": "num_images_per_prompt",
    "mask_mode": "mask_mode",
    "mask_length": "mask_length",
    "mask_sleeves": "mask_sleeves",
    "grow": "mask_grow",
    "fit": "fit",
    "feather": "feather",
    "restore": "restore",
    "garment_photo": "garment_photo",
    "height": "height",
}
"""Parameters of the command that are options of a row, by their names there."""
USUAL = ("mask", "keypoints", "category", "seed", "num_inference_steps", "guidance_scale")
"""What rows set, beside their pictures, in most catalogues."""
FLAGS = {"sets": "set", "compiles": "compile", "offloads": "offload"}
"""Flags that are not named as their parameter."""
OF_NETWORKS = (
    "model", "variant", "dtype", "device", "pose_network", "lora", "batch", "cache", "cache_memory",
    "cache_disk", "compiles", "offloads", "engine", "address", "workers", "threads", "speed",
)  # fmt: skip

ServersOption = Annotated[
    str | None,
    typer.Option(
        help="addresses, parted by commas: ComfyUI servers that do the rows. Their checkpoints are "
        "not known here: after a change of one take another --out, or change the workflow",
    ),
]
WorkflowOption = Annotated[
    str,
    typer.Option(
        help="file in API format, or one of workflows/api; values that no row and no option names "
        "stay as they are in it",
    ),
]
SetOption = Annotated[
    list[str],
    typer.Option(
        "--set",
        help="FIELD=NODE.INPUT, such as person=12.image: where a column or an option of "
        "TryOnOptions goes, NODE by id or title; again for each",
    ),
]
OutputOption = Annotated[
    str | None,
    typer.Option(
        help="the node with the result; default: the only Save Image, else Preview Image",
    ),
]
HeaderFileOption = Annotated[
    Path | None,
    typer.Option(
        help=f"of lines `Name: value`, sent with every request; also from {HEADERS}",
    ),
]
CaFileOption = Annotated[
    Path | None,
    typer.Option(help="certificates (PEM) to trust beside the system's"),
]
SilenceOption = Annotated[
    float,
    typer.Option(
        "--server-timeout",
        min=1,
        help="seconds without progress, or movement of its queue, after which a server hangs",
    ),
]
AbsenceOption = Annotated[
    float,
    typer.Option(
        "--server-wait",
        min=0,
        help="seconds after which a server that is away is given up",
    ),
]
SILENCE, ABSENCE = 600.0, 900.0


@dataclass(frozen=True, kw_only=True, slots=True)
class ServerChoice:
    """Which servers do the rows, by which workflow."""

    workflow: ApiWorkflow
    settings: ServerSettings

    def options(self, context: typer.Context, options: TryOnOptions) -> TryOnOptions:
        """The workflow's own options, with those that the command line names."""
        named = {OPTIONS[name] for name in OPTIONS if _is_given(context, name)}
        changes = {name: getattr(options, name) for name in named}
        return replace(self.workflow.own_options(), **changes)

    def worker_settings(self, results: Results) -> WorkerSettings:
        """What stands in the results' addresses for networks that are not known here."""
        return WorkerSettings(
            model=MINI_CHECKPOINT,
            variant=Variant.FULL_BODY,
            weights=f"ComfyUI workflow {self.workflow.stamp}",
            out=results.out,
            dtype="of the servers",
            ending=results.ending,
            quality=results.quality,
        )

    def engine(self, results: Results) -> ServersEngine:
        """What carries out the rows."""
        return ServersEngine(self.workflow, results, self.settings)

    def faults(self) -> list[str]:
        """What is wrong with the servers, a sentence each: one does not answer, or lacks nodes."""
        import asyncio

        return asyncio.run(_faults(self.settings, self.workflow))

    def described(self) -> str:
        """Which inputs of the workflow a row sets, and which of the usual ones were not found."""
        places = (
            f"{name} ({', '.join(map(str, places))})"
            for name, places in self.workflow.places.items()
        )
        text = f"In {self.workflow.name} a row sets {', '.join(places)}."
        if lacking := [name for name in USUAL if name not in self.workflow.places]:
            text += (
                f" No input is known for {', '.join(lacking)}, which stay as they are in it: give "
                f"--set {lacking[0]}=NODE.INPUT to change that."
            )
        return text


def server_choice(context: typer.Context, given: Mapping[str, Any]) -> ServerChoice | None:
    """The servers and the workflow; None without --servers. given: the command's values by
    parameter. Raises ValueError, FileNotFoundError or OSError for options that cannot be used, or
    not together."""
    ours = (
        "workflow", "sets", "output", "header_file", "ca_file", "server_timeout", "server_wait",
    )  # fmt: skip
    if given["servers"] is None:
        if named := _given(context, ours):
            raise ValueError(f"{named} needs --servers.")
        return None
    if named := _given(context, OF_NETWORKS):
        raise ValueError(f"{named} does not go with --servers: the workflow says it.")
    for name in ("server_timeout", "server_wait"):
        if not math.isfinite(given[name]):
            raise ValueError(
                f"--{name.replace('_', '-')} is {given[name]}, but must be a finite number of "
                "seconds."
            )
    require("aiohttp")
    tls_context(given["ca_file"])  # a bad file is said before the work
    return ServerChoice(
        workflow=read_workflow(given["workflow"], given["sets"], given["output"]),
        settings=ServerSettings(
            addresses=tuple(read_addresses(given["servers"], read_headers(given["header_file"]))),
            ca_file=given["ca_file"],
            silence=given["server_timeout"],
            absence=given["server_wait"],
        ),
    )


def _is_given(context: typer.Context, name: str) -> bool:
    source: Any = context.get_parameter_source(name)
    return source is not None and source.name in ("COMMANDLINE", "ENVIRONMENT")


def _given(context: typer.Context, names: Sequence[str]) -> str:
    given = [name for name in names if _is_given(context, name)]
    return ", ".join(f"--{FLAGS.get(name, name).replace('_', '-')}" for name in given)


async def _faults(settings: ServerSettings, workflow: ApiWorkflow) -> list[str]:
    faults: list[str] = []
    classes = [node["class_type"] for node in workflow.graph.values()]
    classes += ["LoadImage", *(["LoadImageMask"] if "mask" in workflow.places else [])]
    for address in settings.addresses:
        async with ComfyUIClient(address, "check", ca_file=settings.ca_file) as client:
            try:
                await client.look()
                lacking = await client.lacks(classes)
            except (ServerAwayError, ServerUnfitError) as error:
                faults.append(str(error))
                continue
        if lacking:
            faults.append(f"{address.name} has no nodes {', '.join(lacking)} of the workflow.")
    return faults
