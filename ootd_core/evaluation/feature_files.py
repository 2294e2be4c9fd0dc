"""The weights of the feature networks of FID, KID and LPIPS: where they come from.

None of them is in this repository. A file is given by its path, or looked for in a folder that the
user names and, if it is not there, downloaded into it and checked against the hash below. Where
there is no internet, the error names the address, so that the file can be copied by hand.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path

from ..checkpoints.integrity import sha256_of
from ..checkpoints.writing import write_whole

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class FeatureFile:
    """One published weight file. size: in bytes. option: of the command line, for its path."""

    name: str
    what: str
    url: str
    sha256: str
    size: int
    licence: str
    option: str


INCEPTION = FeatureFile(
    name="weights-inception-2015-12-05-6726825d.pth",
    what="Inception, the feature network of FID and KID",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
    "weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    size=95_628_359,
    licence="Apache-2.0",
    option="--inception",
)
ALEXNET = FeatureFile(
    name="alexnet-owt-7be5be79.pth",
    what="AlexNet, the backbone of LPIPS",
    url="https://download.pytorch.org/models/alexnet-owt-7be5be79.pth",
    sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
    size=244_408_911,
    licence="BSD-3-Clause",
    option="--alexnet",
)


def obtain(file: FeatureFile, folder: Path) -> Path:
    """Return the file in a folder, downloaded into it if it is not there.

    Raises ValueError, one sentence, if it cannot be downloaded or does not have the catalogue's
    hash.
    """
    path = folder / file.name
    if path.is_file():
        _check(file, path)
    else:
        logger.warning("Downloading %s (%s bytes, %s).", file.url, f"{file.size:,}", file.licence)
        write_whole(path, lambda temporary: _download(file, temporary))
    return path


def _download(file: FeatureFile, to: Path) -> None:
    from torch.hub import download_url_to_file

    try:
        download_url_to_file(file.url, str(to), progress=False)
    except (OSError, HTTPException) as error:  # urllib's errors are OSErrors
        raise ValueError(
            f"{file.what}, cannot be downloaded from {file.url} ({error}): download it on another "
            f"machine and put it into {to.parent}, or give its path ({file.option} FILE)."
        ) from error
    _check(file, to)


def _check(file: FeatureFile, path: Path) -> None:
    digest = sha256_of(path)
    if digest != file.sha256:
        raise ValueError(
            f"{file.name} in {path.parent} has the SHA-256 {digest}, expected {file.sha256}: "
            f"delete it and download it again from {file.url}."
        )
