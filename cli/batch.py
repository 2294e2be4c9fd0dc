"""`python -m cli batch`: a whole catalogue, and `batch check`, which reads all of it first.

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
from typing import TYPE_CHECKING, Annotated, Any

import typer

from catalogue.api_workflow import DEFAULT
from catalogue.engine import Engine, Finished, RowState, WorkerSettings
from catalogue.ledger import FAILURES, line_of
from catalogue.manifest import Manifest, ManifestRow, Pairing, pair_folders, read_manifest
from catalogue.plan import Plan, make_plan, shard_of, weights_stamp
from catalogue.results import Results
from catalogue.run import Summary, only_failed, run_plan
from catalogue.storage import absolute, is_remote, remove_leftovers
from cli.batch_engine import (
    AddressOption,
    EngineChoice,
    EngineName,
    EngineOption,
    ThreadsOption,
    WorkersOption,
    devices_here,
)
from cli.batch_report import report_command
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
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.acceleration import AUTO, check_compile, check_offload, choose_dtype
from ootd_core.checkpoints.blazepose import locate_blazepose
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.locating import locate, locate_preprocessors, verify
from ootd_core.checkpoints.whole_files import check_target
from ootd_core.images.restoring import Restore
from ootd_core.images.worn_garment import GarmentPhoto
from ootd_core.masks.agnostic import MaskMode
from ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ootd_core.sampling import Speed, sampling_of
from tryon.options import TryOnOptions
from tryon.perception import PersonNetworks, PoseNetwork
from tryon.preparation import FitChoice

if TYPE_CHECKING:
    from catalogue.check import Review

INTERRUPTED = 128 + 2
GIB = 2**30
CACHE = "cache"

batch_app = typer.Typer(
    help="Dress a whole catalogue; run again, it does only what is missing.", rich_markup_mode=None
)

ManifestOption = Annotated[
    str | None, typer.Option("--manifest", help="CSV, JSONL or Parquet; path or address")
]
PersonsOption = Annotated[str | None, typer.Option(help="instead: folder of persons' pictures")]
GarmentsOption = Annotated[str | None, typer.Option(help="and folder of garments' pictures")]
CategoryOption = Annotated[Category | None, typer.Option(help="of all garments in the folder")]
PairsOption = Annotated[
    Pairing, typer.Option(help="of the folders: by the order of names, or all with all")
]
SeedOption = Annotated[int, typer.Option(help="of the noise, of rows that name none")]
SamplesOption = Annotated[int, typer.Option(min=1, help="pictures to make of a row")]
LengthOption = Annotated[
    MaskLength, typer.Option(help="where the new garments end; auto: by their pictures")
]
SleevesOption = Annotated[
    MaskSleeves, typer.Option(help="how long their sleeves are; auto: by their pictures")
]
DeviceOption = Annotated[
    str, typer.Option(help="auto takes all GPUs; or cpu, cuda:0,cuda:1 ...: one process each")
]
batch_app.command("report")(report_command)


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
    cache_memory: Annotated[float, typer.Option(min=0, help="its bound in memory, GiB")] = 2.0,
    cache_disk: Annotated[float, typer.Option(min=0, help="its bound on disk, GiB")] = 10.0,
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
    if context.invoked_subcommand is not None:
        return
    if out is None:
        raise ValueError("Say where the results go: --out FOLDER.")
    # Workers of a cluster that is there already have a current folder of their own.
    out, model = absolute(out), model.absolute()
    lora = None if lora is None else lora.absolute()
    cache = None if cache is None else cache.absolute()
    results = Results(out, f".{image_format.lower().lstrip('.')}", quality)
    remote = server_choice(
        context, servers, workflow, sets, output, header_file, ca_file, server_timeout, server_wait
    )
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
    options = TryOnOptions(
        **sampling_of(speed, steps, sampler),
        guidance_scale=guidance,
        guidance_start=guidance_start,
        guidance_end=guidance_end,
        num_images_per_prompt=samples,
        seed=seed,
        mask_mode=mask_mode,
        mask_length=mask_length,
        mask_sleeves=mask_sleeves,
        mask_grow=grow,
        feather=feather,
        restore=restore,
        garment_photo=garment_photo,
        fit=fit,
        height=height,
    )
    if remote is not None:
        options = remote.options(context, options)
    asked = _manifest(manifest, persons, garments, category, pairs, options, variant)
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
        raise typer.Exit(INTERRUPTED)
    if summary.failed:
        raise typer.Exit(1)


@batch_app.command("check")
def check_command(
    context: typer.Context,
    manifest: ManifestOption = None,
    persons: PersonsOption = None,
    garments: GarmentsOption = None,
    category: CategoryOption = None,
    pairs: PairsOption = Pairing.PRODUCT,
    no_estimate: Annotated[
        bool, typer.Option("--no-estimate", help="dress no row to measure time and space")
    ] = False,
    model: ModelOption = MINI_CHECKPOINT,
    variant: VariantOption = Variant.FULL_BODY,
    speed: SpeedOption = Speed.BEST,
    steps: StepsOption = None,
    guidance: GuidanceOption = 2.0,
    guidance_start: StartOption = 0.0,
    guidance_end: EndOption = 1.0,
    samples: SamplesOption = 1,
    height: HeightOption = None,
    device: DeviceOption = "auto",
    dtype: DtypeOption = AUTO,
    pose_network: PoseOption = PoseNetwork.AUTO,
    servers: ServersOption = None,
    workflow: WorkflowOption = DEFAULT,
    sets: SetOption = [],  # noqa: B006
    output: OutputOption = None,
    header_file: HeaderFileOption = None,
    ca_file: CaFileOption = None,
    server_timeout: SilenceOption = SILENCE,
    server_wait: AbsenceOption = ABSENCE,
) -> None:
    """Read a whole catalogue and name every fault; exit code 1 if there is one."""
    options = TryOnOptions(
        **sampling_of(speed, steps),
        guidance_scale=guidance,
        guidance_start=guidance_start,
        guidance_end=guidance_end,
        num_images_per_prompt=samples,
        height=height,
    )
    from catalogue.check import estimate, review

    remote = server_choice(
        context, servers, workflow, sets, output, header_file, ca_file, server_timeout, server_wait
    )
    if remote is not None:
        options = remote.options(context, options)
    rows = _manifest(manifest, persons, garments, category, pairs, options, variant)
    if remote is not None:
        rows = remote.workflow.checked(rows)
        typer.echo(remote.described())
    devices = devices_here(device) if remote is None else []
    with Progress("file", title="check") as bar:
        found, good = review(rows, bar.to)
    server_faults = [] if remote is None else remote.faults()
    for sentence in server_faults:
        typer.echo(sentence)
    if good and not no_estimate and remote is None:
        settings = WorkerSettings(
            model=model,
            variant=variant,
            weights="none",
            out="",
            dtype=choose_dtype(dtype, devices[0]),
            pose_network=pose_network,
            device=devices[0],
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


def _counts(found: Review, good: int, workers: int) -> list[str]:
    lines = [
        f"{good:,} of {found.rows:,} rows can be dressed: {found.persons:,} persons, "
        f"{found.garments:,} garments, {found.runs:,} runs."
    ]
    if found.seconds is not None and found.bytes is not None:
        hours = found.seconds * good / workers / 3600
        lines.append(
            f"About {hours:.1f} hours at {found.seconds:.1f} s a row on {workers} "
            f"device{'s' if workers > 1 else ''}, less for what is made once; "
            f"{found.bytes * good / GIB:.2f} GiB of results. Measured on the first good row."
        )
    return lines


def _manifest(
    manifest: str | None,
    persons: str | None,
    garments: str | None,
    category: Category | None,
    pairs: Pairing,
    options: TryOnOptions,
    variant: Variant,
) -> Manifest:
    folders = {"--persons": persons, "--garments": garments, "--category": category}
    given = [name for name, value in folders.items() if value is not None]
    if manifest is not None and not given:
        return read_manifest(manifest, options, variant)
    if manifest is None and persons and garments and category:
        return pair_folders(persons, garments, category, pairs, options, variant)
    if manifest is not None:
        raise ValueError(f"A manifest names all pictures: give it without {', '.join(given)}.")
    raise ValueError(
        "Name the pictures: --manifest FILE, or --persons FOLDER --garments FOLDER --category NAME."
    )


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
                said = json.dumps(line, ensure_ascii=False)
                print(said, file=standard_output, flush=True)
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
    text = f"{summary.done:,} rows done, {summary.kept:,} there before, {summary.failed:,} failed"
    if summary.stopped:
        left = plan.total - summary.rows
        text += f", {left:,} left: the same command goes on where this one stopped"
    text += f". Results in {out}."
    if summary.failed:
        text += f" {FAILURES} there says what went wrong; --only-failures tries those rows again."
    return text
