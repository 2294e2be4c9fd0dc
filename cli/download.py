"""`download`: the catalogue's files for a variant, from the hub into a model folder.

Asks the hub for each file's size and hash at the pinned revision, leaves alone what is there and
right, fetches the rest, resumes what was interrupted (this is why it is not `hf_hub_download`,
which starts a broken file again from zero) and moves a file to its place only when its hash is
right. What answers in the hub's place (a login page, an error message) is refused at its first
bytes; a busy server is waited for. HF_ENDPOINT (a mirror), HF_TOKEN and HF_HUB_OFFLINE are
respected by huggingface_hub, which does all the talking. BlazePose comes from the package registry
instead: `wheel`.
"""

import hashlib
import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, BinaryIO, TypeVar

import typer

from cli.progress import Progress
from ootd_core.categories import Variant
from ootd_core.checkpoints.blazepose import BLAZEPOSE
from ootd_core.checkpoints.catalogue import LICENCE_TABLE, WeightFile, files_for
from ootd_core.checkpoints.integrity import damage, imposter
from ootd_core.checkpoints.whole_files import WriteError, check_target

SHA256_DIGITS = 64
GIT_DIGITS = 40
START = 512
"""Bytes of a file that tell whether it is one."""
BUSY = (429, 503)
TRIES, LONGEST_WAIT = 6, 60.0
"""How often a busy server is asked, and the longest pause in between, in seconds."""
Answer = TypeVar("Answer")


class NotTheFileError(ValueError):
    """Something else came in a file's place; the message is the whole sentence."""


class SeparatePart(StrEnum):
    """What belongs to no variant and is fetched by its own name."""

    BLAZEPOSE = "blazepose"


class FileState(StrEnum):
    """What has to happen to a file, and then what happened to it."""

    THERE = "there"
    ABSENT = "fetched"
    DAMAGED = "replaced, it was damaged"
    DIFFERENT = "replaced, the old one is kept as .old"


@dataclass(frozen=True, kw_only=True, slots=True)
class PlannedFile:
    """One file of the catalogue, as the hub describes it and as the model folder holds it.

    size: bytes. digest: sha256 (64 digits) or git blob hash (40 digits) in hex, None if the server
    reports neither.
    """

    file: WeightFile
    path: Path
    url: str
    size: int
    digest: str | None
    state: FileState


def download(
    variants: Sequence[Variant],
    folder: Path,
    *,
    endpoint: str | None = None,
    report: Callable[[str], None] = typer.echo,
) -> list[PlannedFile]:
    """Completes a model folder for these variants, parsers and pose network included.

    endpoint: instead of HF_ENDPOINT or the hub. report: gets a line a file.
    Raises ValueError, one sentence, if the hub cannot be reached, a file is not what the hub or
    the catalogue says, or the disk is too small. Call it again: it resumes.
    """
    wanted = dict.fromkeys(file for variant in variants for file in files_for(variant))
    return fetch(wanted, folder, endpoint=endpoint, report=report)


def fetch(
    files: Iterable[WeightFile],
    folder: Path,
    *,
    endpoint: str | None = None,
    report: Callable[[str], None] = typer.echo,
) -> list[PlannedFile]:
    """Brings these files into a model folder; see `download`."""
    from huggingface_hub.utils import disable_progress_bars

    disable_progress_bars()  # there is one over all files here
    wanted = list(files)
    with Progress("file", len(wanted), title="look at what is there") as bar:
        planned = [_plan(file, folder, endpoint, report) for file in bar.over(wanted)]
    todo = [item for item in planned if item.state is not FileState.THERE]
    total = sum(item.size for item in todo)
    report(f"{len(planned) - len(todo)} of {len(planned)} files are there; {total:,} bytes to get")
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if total > free:
        raise ValueError(f"{total:,} bytes are needed in {folder}, but only {free:,} are free.")
    with Progress("byte", total, title="download") as bar:
        for item in todo:
            before = bar.done
            _fetch_one(item, bar, report)
            bar.to(before + item.size)
            report(f"{item.file.path}: {item.state}")
    return planned


def download_command(
    variant: Annotated[
        list[Variant] | None,
        typer.Option(help="hd (half body) or dc (full body); give it twice for both"),
    ] = None,
    part: Annotated[
        list[SeparatePart] | None, typer.Option(help="networks that serve every variant")
    ] = None,
    to: Annotated[Path, typer.Option(help="the model folder")] = Path("checkpoints"),
) -> None:
    """Download the published networks into a model folder; interrupted, it resumes."""
    from cli.wheel import fetch_packed  # builds on this module

    if not variant and not part:
        raise ValueError(
            f"Say what to download: --variant {' or '.join(Variant)} for a try-on, or --part "
            f"{' or '.join(SeparatePart)} for people in photographs."
        )
    if part:
        typer.echo(f"BlazePose (MediaPipe): {BLAZEPOSE.licence.name}")
        fetch_packed(BLAZEPOSE, to)
    if variant:
        check_target(to / files_for(variant[0])[0].path)
        for what, licences in LICENCE_TABLE[1:]:
            typer.echo(f"{what}: {', '.join(licence.name for licence in licences)}")
        download(variant, to)
    typer.echo(f"Complete: {to}")


def matches(path: Path, size: int, digest: str | None) -> bool:
    """Whether a file has this size and this sha256 or git blob hash (None: any content)."""
    if path.stat().st_size != size:
        return False
    if digest is None:
        return True
    if len(digest) == SHA256_DIGITS:
        return _digest(path, hashlib.sha256()) == digest
    return _digest(path, hashlib.sha1(b"blob %d\0" % size)) == digest


def _digest(path: Path, hasher: Any) -> str:
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            hasher.update(chunk)
    return hasher.hexdigest()


def _plan(
    file: WeightFile, folder: Path, endpoint: str | None, report: Callable[[str], None]
) -> PlannedFile:
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(
        file.repository, file.repository_path, revision=file.revision, endpoint=endpoint
    )
    metadata = _ask(lambda: get_hf_file_metadata(url), file, report)
    lacking = [
        what
        for what, value in (
            ("how large the file is", metadata.size),
            ("which revision it is of", metadata.commit_hash),
        )
        if value is None
    ]
    if metadata.size is None or lacking:
        raise ValueError(
            f"{url} did not say {' and '.join(lacking)}, so it is no mirror of the hub but, say, a "
            "login page: check the connection and the environment variable HF_ENDPOINT."
        )
    digest = metadata.etag if _is_hash(metadata.etag) else file.sha256
    if digest is not None and len(digest) == SHA256_DIGITS:
        _check_catalogue(file, digest)
    state, path = _state(file, folder, metadata.size, digest)
    return PlannedFile(
        file=file, path=path, url=url, size=metadata.size, digest=digest, state=state
    )


def _state(file: WeightFile, folder: Path, size: int, digest: str | None) -> tuple[FileState, Path]:
    path = folder / file.path
    if path.is_file():
        if matches(path, size, digest):
            return FileState.THERE, path
        return (FileState.DAMAGED if damage(path) else FileState.DIFFERENT), path
    for name in file.alternatives:
        alternative = folder / name
        if alternative.is_file() and damage(alternative) is None:
            return FileState.THERE, alternative
    return FileState.ABSENT, path


def _fetch_one(item: PlannedFile, bar: Progress, report: Callable[[str], None]) -> None:
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers

    # The hash in the name keeps a later revision from being appended to an earlier one's start.
    partial = item.path.with_name(f"{item.path.name}.{(item.digest or 'unknown')[:12]}.part")
    partial.parent.mkdir(parents=True, exist_ok=True)
    if partial.is_file() and partial.stat().st_size > item.size:
        partial.unlink()
    headers = build_hf_headers() | {"Accept-Encoding": "identity"}
    try:
        with partial.open("ab") as stream:
            target: Any = _Target(stream, partial, item.file, bar)
            _ask(
                lambda: http_get(
                    item.url,
                    target,
                    resume_size=stream.tell(),
                    headers=headers,
                    expected_size=item.size,
                    displayed_filename=item.file.path,
                ),
                item.file,
                report,
            )
    except NotTheFileError:
        partial.unlink()
        raise
    if not matches(partial, item.size, item.digest):
        partial.unlink()
        raise ValueError(
            f"{item.file.path} did not arrive as {item.file.repository} has it (its hash is "
            "wrong), so it was deleted: run the same command again."
        )
    if item.file.sha256 is not None and len(item.digest or "") != SHA256_DIGITS:
        _check_catalogue(item.file, _digest(partial, hashlib.sha256()))
    if item.state is FileState.DIFFERENT:
        item.path.replace(item.path.with_name(f"{item.path.name}.old"))
    partial.replace(item.path)


class _Target:
    """A file that is written to: counts its bytes, and refuses what begins as something else."""

    def __init__(self, stream: BinaryIO, path: Path, file: WeightFile, bar: Progress) -> None:
        self._stream = stream
        self._path = path
        self._file = file
        self._bar = bar
        self._before = bar.done

    def write(self, chunk: bytes) -> int:
        found = imposter(chunk[:START]) if self._stream.tell() == 0 else None
        if found is not None:
            raise NotTheFileError(
                f"What came for {self._file.path} {found}: check the connection, HF_ENDPOINT and "
                "HF_TOKEN, and run the same command again."
            )
        try:
            count = self._stream.write(chunk)
            self._stream.flush()
        except OSError as error:
            raise WriteError(
                f"{self._path} cannot be written ({error.strerror}): free some space, or choose "
                "another place, and run the same command again, it resumes."
            ) from error
        self._bar.to(self._before + self._stream.tell())
        return count

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def _check_catalogue(file: WeightFile, digest: str) -> None:
    if file.sha256 is not None and digest != file.sha256:
        raise ValueError(
            f"The server has another {file.path} (sha256 {digest}) than the catalogue "
            f"({file.sha256}), so it is not used: check the environment variable HF_ENDPOINT."
        )


def _is_hash(etag: str | None) -> bool:
    return (
        etag is not None
        and len(etag) in {GIT_DIGITS, SHA256_DIGITS}
        and set(etag) <= set("0123456789abcdef")
    )


def _ask(request: Callable[[], Answer], file: WeightFile, report: Callable[[str], None]) -> Answer:
    """Whatever goes wrong on the way to the hub becomes one sentence; a busy server is waited for.

    Catches everything because the exception's type depends on huggingface_hub's version, which
    changed its HTTP library twice.
    """
    for number in range(1, TRIES + 1):
        try:
            return request()
        except (NotTheFileError, WriteError):
            raise
        except Exception as error:
            pause = _pause(error, number)
            if pause is None or number == TRIES:
                reason = (str(error).strip() or type(error).__name__).splitlines()[0]
                raise ValueError(
                    f"{file.path} could not be fetched from {file.repository} ({reason}): check "
                    "the connection (and HF_ENDPOINT, HF_HUB_OFFLINE) and run the same command "
                    "again, it resumes; or copy a complete model folder from another machine."
                ) from error
            report(f"The server is busy: {file.path} is asked for again in {pause:.0f} s.")
            time.sleep(pause)
    raise AssertionError("the last try returns or raises")


def _pause(error: Exception, number: int) -> float | None:
    """Seconds to wait after try `number`, as the server asks for; None if it is not just busy."""
    response = getattr(error, "response", None)
    if getattr(response, "status_code", None) not in BUSY:
        return None
    asked = str(getattr(response, "headers", {}).get("Retry-After", ""))
    return min(float(asked) if asked.isdecimal() else 2.0**number, LONGEST_WAIT)
