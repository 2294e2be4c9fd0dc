"""`python -m cli batch`: dresses a whole catalogue.

Run again, it does only what is missing. The pictures lie under their content address below
`--out`; `ledger/` says which row is which, `failures.jsonl` what went wrong.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from catalogue.api_workflow import DEFAULT
from catalogue.engine import Engine, Finished, RowState, WorkerSettings
from catalogue.ledger import FAILURES, line_of
from catalogue.manifest import ManifestRow, Pairing
from catalogue.plan import Plan, make_plan, shard_of, weights_stamp
from catalogue.results import Results
from catalogue.run import Summary, only_failed, run_plan
from catalogue.storage import absolute, is_remote, remove_leftovers
from cli.batch_check import check_command, with_options_of
from cli.batch_engine import (
    AddressOption,
    EngineChoice,
    EngineName,
    EngineOption,
    ThreadsOption,
    WorkersOption,
    bound_in_gib,
)
from cli.batch_report import report_command
from cli.batch_rows import (
    GIB,
    CategoryOption,
    GarmentsOption,
    LengthOption,
    ManifestOption,
    PairsOption,
    PersonsOption,
    SamplesOption,
    SeedOption,
    SleevesOption,
    manifest_of,
    options_of,
    results_of,
)
from cli.batch_servers import (
    ABSENCE,
    SILENCE,
    AbsenceOption,
    CaFileOption,
    HeaderFileOption,
    OutputOption,
    ServersOption,
    SetOption,
    SilenceOption,
    WorkflowOption,
    server_choice,
)
from cli.options import (
    CompileOption,
    DtypeOption,
    EndOption,
    FeatherOption,
    FitOption,
    GarmentPhotoOption,
    GrowOption,
    GuidanceOption,
    HeightOption,
    LoraOption,
    MaskModeOption,
    ModelOption,
    OffloadOption,
    PoseOption,
    RestoreOption,
    SamplerOption,
    SpeedOption,
    StartOption,
    StepsOption,
    VariantOption,
)
from cli.progress import Progress
from ootd_core.categories import Variant
from ootd_core.checkpoints.acceleration import AUTO, check_compile, check_offload, choose_dtype
from ootd_core.checkpoints.blazepose import locate_blazepose
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.locating import locate, locate_preprocessors, verify
from ootd_core.checkpoints.lora import check_lora
from ootd_core.checkpoints.whole_files import check_target
from ootd_core.images.restoring import Restore
from ootd_core.images.worn_garment import GarmentPhoto
from ootd_core.masks.agnostic import MaskMode
from ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ootd_core.sampling import Speed
from tryon.perception import PersonNetworks
from tryon.preparation import FitChoice, PoseNetwork

CACHE = "cache"

batch_app = typer.Typer(
    help="Dress a whole catalogue; run again, it does only what is missing.", rich_markup_mode=None
)

DeviceOption = Annotated[
    str, typer.Option(help="auto takes all GPUs; or cpu, cuda:0,cuda:1 ...: one process each")
]


@batch_app.callback(invoke_without_command=True)
def batch_command(
    context: typer.Context,
    out: Annotated[str | None, typer.Option(help="folder or address of the results")] = None,
    manifest: ManifestOption = None,
    persons: PersonsOption = None,
    garments: GarmentsOption = None,
    category: CategoryOption = None,
    pairs: PairsOption = Pairing.PRODUCT,
    shard: Annotated[
        str | None, typer.Option(help="i/n: the i-th of n parts, for a job scheduler of your own")
    ] = None,
    only_failures: Annotated[
        bool, typer.Option("--only-failures", help="only rows that failed before")
    ] = False,
    batch: Annotated[str, typer.Option(help="rows in one forward; auto: what fits")] = "auto",
    image_format: Annotated[
        str, typer.Option("--format", help="ending of the pictures: png, jpg, webp ...")
    ] = "png",
    quality: Annotated[
        int | None, typer.Option(help="1 to 100, of JPEG (default 95) and WebP")
    ] = None,
    cache: Annotated[
        Path | None, typer.Option(help="folder of what is made once; default: cache in --out")
    ] = None,
    cache_memory: Annotated[
        float, typer.Option(callback=bound_in_gib, help="its bound in memory, GiB")
    ] = 2.0,
    cache_disk: Annotated[
        float, typer.Option(callback=bound_in_gib, help="its bound on disk, GiB")
    ] = 10.0,
    quiet: Annotated[bool, typer.Option("--quiet", help="no bar and no summary")] = False,
    json_lines: Annotated[
        bool, typer.Option("--json-lines", help="a line of JSON for each row, on standard output")
    ] = False,
    model: ModelOption = MINI_CHECKPOINT,
    variant: VariantOption = Variant.FULL_BODY,
    speed: SpeedOption = Speed.BEST,
    steps: StepsOption = None,
    guidance: GuidanceOption = 2.0,
    guidance_start: StartOption = 0.0,
    guidance_end: EndOption = 1.0,
    seed: SeedOption = 0,
    sampler: SamplerOption = None,
    samples: SamplesOption = 1,
    mask_mode: MaskModeOption = MaskMode.AUTO,
    mask_length: LengthOption = MaskLength.AUTO,
    mask_sleeves: SleevesOption = MaskSleeves.AUTO,
    grow: GrowOption = 0,
    fit: FitOption = FitChoice.AUTO,
    feather: FeatherOption = 2.0,
    restore: RestoreOption = Restore.NONE,
    garment_photo: GarmentPhotoOption = GarmentPhoto.FLAT,
    height: HeightOption = None,
    device: DeviceOption = "auto",
    engine: EngineOption = EngineName.LOCAL,
    address: AddressOption = None,
    workers: WorkersOption = None,
    threads: ThreadsOption = None,
    dtype: DtypeOption = AUTO,
    compiles: CompileOption = False,
    offloads: OffloadOption = False,
    pose_network: PoseOption = PoseNetwork.AUTO,
    lora: LoraOption = None,
    servers: ServersOption = None,
    workflow: WorkflowOption = DEFAULT,
    sets: SetOption = [],  # noqa: B006
    output: OutputOption = None,
    header_file: HeaderFileOption = None,
    ca_file: CaFileOption = None,
    server_timeout: SilenceOption = SILENCE,
    server_wait: AbsenceOption = ABSENCE,
) -> None:
    """Dress a whole catalogue; run again, it does only what is missing."""
    given = locals()  # by parameter, as `batch check` has them, too
    if context.invoked_subcommand is not None:
        return
    if not out:
        raise ValueError("Say where the results go: --out FOLDER.")
    # Workers of a cluster that is there already have a current folder of their own.
    out, model = absolute(out), model.absolute()
    lora = None if lora is None else lora.absolute()
    if lora is not None:
        check_lora(lora)
    cache = None if cache is None else cache.absolute()
    results = results_of(out, given)
    remote = server_choice(context, given)
    if not is_remote(out):
        check_target(Path(out, FAILURES))
    choice = EngineChoice(name=engine, address=address, workers=workers)
    at_once, devices = _batch(batch), choice.devices(device)
    # What a cluster has is not known yet, but the pictures' addresses stand for the dtype.
    known = [each for each in devices if each != AUTO]
    dtype = choose_dtype(dtype, known[0] if known else "cpu")
    for each in known:
        if compiles:
            check_compile(each)
        if offloads:
            check_offload(each)
    options = options_of(given)
    if remote is not None:
        options = remote.options(context, options)
    asked = manifest_of(given, options)
    rows = (asked if remote is None else remote.workflow.checked(asked)).checked()
    if shard is not None:
        rows = shard_of(rows, shard)
    if only_failures:
        rows = only_failed(rows, out)
        if not rows and not quiet:
            typer.echo(
                "No row of this manifest and these options failed before: there is nothing to do.",
                err=True,
            )
    if cache is None and not is_remote(out):
        cache = Path(out, CACHE)
    if remote is not None:
        settings = remote.worker_settings(results)
    else:
        settings = WorkerSettings(
            model=model,
            variant=variant,
            weights=_weights(model, variant, lora, rows, cache, pose_network),
            out=out,
            dtype=dtype,
            compiles=compiles,
            offloads=offloads,
            lora=lora,
            pose_network=pose_network,
            device=devices[0],
            threads=threads,
            batch=at_once,
            ending=results.ending,
            quality=quality,
            cache=cache,
            cache_memory=int(cache_memory * GIB),
            cache_disk=int(cache_disk * GIB),
        )
    remove_leftovers(out)
    with Progress("file", title="reading", silent=quiet) as bar:
        plan = make_plan(rows, settings, results, bar.to)
    runs = choice.make(settings, devices) if remote is None else remote.engine(results)
    summary = _run(plan, runs, results, quiet=quiet, json_lines=json_lines)
    if not quiet:
        typer.echo(_said(summary, plan, out), err=True)
    if summary.stopped:
        raise KeyboardInterrupt
    if summary.failed:
        raise typer.Exit(1)


batch_app.command("check")(with_options_of(batch_command, check_command))
batch_app.command("report")(report_command)


def _batch(text: str) -> int | None:
    if text == "auto":
        return None
    if not text.isdecimal() or not int(text):
        raise ValueError(f"--batch is '{text}', but must be auto or a whole number from 1.")
    return int(text)


def _weights(
    model: Path,
    variant: Variant,
    lora: Path | None,
    rows: list[ManifestRow],
    cache: Path | None,
    pose_network: PoseNetwork,
) -> str:
    """The stamp of the networks, which are looked for and checked."""
    verify(locate(model, variant))
    if any(row.mask is None for row in rows):
        pose = PersonNetworks(model, variant, pose_network=pose_network).pose_network
        if pose is PoseNetwork.BLAZEPOSE:
            locate_blazepose(model)
        elif pose is PoseNetwork.OPENPOSE:
            locate_preprocessors(model)
    return weights_stamp(model, variant, lora, cache, pose_network)


def _run(plan: Plan, engine: Engine, results: Results, *, quiet: bool, json_lines: bool) -> Summary:
    failed, standard_output = 0, sys.stdout  # an engine may keep others from printing there
    with (
        _stopped_by_ctrl_c() as stop,
        Progress("row", plan.total, title="batch", silent=quiet) as bar,
    ):
        bar.begin(len(plan.kept), plan.total)

        def on_finished(finished: Finished, summary: Summary) -> None:
            nonlocal failed
            if json_lines:
                samples = finished.task.row.options.num_images_per_prompt
                line = line_of(finished, results.files(finished.task.key, samples))
                print(json.dumps(line), file=standard_output, flush=True)
            if finished.state is RowState.FAILED:
                failed = summary.failed
            bar.to(max(len(plan.kept), summary.rows), note=f"{failed} failed" if failed else "")

        return run_plan(plan, engine, results, stop, on_finished)


@contextmanager
def _stopped_by_ctrl_c() -> Generator[threading.Event]:
    """Set the event at the first Ctrl-C (or SIGTERM); the second one interrupts at once."""
    stop = threading.Event()
    signals = [signal.SIGINT, signal.SIGTERM]

    def on_signal(_number: int, _frame: Any) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()
        said = b"\nEnding after the rows that are under way; again to end at once.\n"
        os.write(sys.stderr.fileno(), said)

    before = {number: signal.signal(number, on_signal) for number in signals}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _said(summary: Summary, plan: Plan, out: str) -> str:
    """What a run has come to, and how to go on."""
    rows = "row" if summary.done == 1 else "rows"
    text = f"{summary.done:,} {rows} done, {summary.kept:,} there before, {summary.failed:,} failed"
    if summary.stopped:
        left = plan.total - summary.rows
        text += f", {left:,} left: the same command goes on where this one stopped"
    text += f". Results in {out}."
    if summary.failed:
        text += f" {FAILURES} there says what went wrong; --only-failures tries those rows again."
    return text
