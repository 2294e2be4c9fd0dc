"""Which rows `batch` and `batch check` have: the options that say so, and what they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import typer

from catalogue.ledger import FAILURES
from catalogue.ledger import FOLDER as LEDGER
from catalogue.manifest import Manifest, Pairing, pair_folders, read_manifest
from catalogue.report import FOLDER as REPORT
from catalogue.results import Results
from catalogue.storage import is_within, join
from cli.batch_servers import OPTIONS
from ootd_core.categories import Category
from ootd_core.masks.new_garment import MaskLength, MaskSleeves
from ootd_core.sampling import sampling_of
from tryon.options import TryOnOptions

MIB, GIB = 2**20, 2**30

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


def results_of(out: str, given: Mapping[str, Any]) -> Results:
    """Where the pictures go, and in which format. given: as for `options_of`."""
    return Results(out, f".{given['image_format'].lower().lstrip('.')}", given["quality"])


def options_of(given: Mapping[str, Any]) -> TryOnOptions:
    """The options of rows that name none. given: the command's values by parameter.

    Raises ValueError for a value that cannot be.
    """
    values = {field: given[parameter] for parameter, field in OPTIONS.items()}
    values |= sampling_of(given["speed"], given["steps"], given["sampler"])
    return TryOnOptions(**values)


def manifest_of(given: Mapping[str, Any], options: TryOnOptions) -> Manifest:
    """The rows of a manifest or of two folders. given: as for `options_of`.

    Raises as `read_manifest` and `pair_folders`, or ValueError where neither or both are named,
    or where the results would come among them.
    """
    _check_apart(given)
    manifest, variant = given["manifest"], given["variant"]
    names = ("persons", "garments", "category")
    folders = {f"--{name}": given[name] for name in names if given[name] is not None}
    if manifest is not None and not folders:
        return read_manifest(manifest, options, variant)
    if manifest is None and len(folders) == len(names):
        persons, garments, category = (given[name] for name in names)
        return pair_folders(persons, garments, category, given["pairs"], options, variant)
    if manifest is not None:
        raise ValueError(f"A manifest names all pictures: give it without {', '.join(folders)}.")
    raise ValueError(
        "Name the pictures: --manifest FILE, or --persons FOLDER --garments FOLDER --category NAME."
    )


def _check_apart(given: Mapping[str, Any]) -> None:
    """Raise ValueError where a second run would read what the first one wrote."""
    out = given["out"]
    if not out:
        return
    for name in ("persons", "garments"):
        folder = given[name]
        if folder and is_within(out, folder):
            raise ValueError(
                f"--out {out} lies in --{name} {folder}, so that the next run would take results "
                f"for {name}: choose a folder outside it."
            )
        own = [join(out, each) for each in ("results", "masks", REPORT)]
        if folder and any(is_within(folder, each) for each in own):
            raise ValueError(
                f"--{name} {folder} lies among the results in --out {out}, so that the next run "
                f"would take those for {name}: choose another --out."
            )
    manifest = given["manifest"]
    if manifest and any(is_within(manifest, join(out, each)) for each in (FAILURES, LEDGER)):
        raise ValueError(
            f"{manifest} lies where the batch writes its own records: move the manifest elsewhere."
        )
