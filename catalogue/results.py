"""Results by content address: `results/ab/KEY.png`, and the mask that was used in `masks/`.

The key stands for everything that a picture is made from: the bytes of its inputs, the settings and
the stamp of the weights; not for file names. So a second run finds what is there, and a changed
seed or checkpoint never mixes with it. A result is written after its mask, and moved into place
whole: where it is, the row is done.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from PIL import Image

from catalogue.manifest import ManifestRow
from catalogue.storage import exists, filled_below, join, write
from ootd_core.categories import Variant
from ootd_core.checkpoints.whole_files import WriteError
from ootd_core.images.files import FORMATS, encode_image, picture_format

RECIPE = 2
"""Raised when the code makes another picture of the same inputs, so that old results are left."""
KEY_LENGTH = 32
MOST_FAILED = 3
"""Rows one after the other that a store may refuse: all further work would be thrown away."""


def content_address(
    row: ManifestRow,
    digests: Mapping[str, str],
    *,
    variant: Variant,
    weights: str,
    dtype: str,
    ending: str,
    quality: int | None,
) -> str:
    """The key of a row's result: 32 hex digits. digests: SHA-256 by address."""
    parts = {
        "recipe": RECIPE,
        "person": digests[row.person],
        "garments": [(digests[address], category) for address, category in row.garments],
        "mask": row.mask and digests[row.mask],
        "keypoints": row.keypoints and digests[row.keypoints],
        "options": asdict(row.options),
        "variant": variant,
        "weights": weights,
        "dtype": dtype,
        "format": (FORMATS[ending], quality),
    }
    text = json.dumps(parts, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:KEY_LENGTH]


class Results:
    """The pictures of a catalogue below an address."""

    def __init__(self, out: str, ending: str = ".png", quality: int | None = None) -> None:
        """ending, quality: as `picture_format`; raises ValueError as that does."""
        self.out = out
        self.ending = ending
        self.quality = quality
        self._failed = 0
        picture_format(Path(f"result{ending}"), quality=quality)

    def files(self, key: str, samples: int) -> list[str]:
        """Where the pictures of a key lie, below `out`."""
        numbers = [""] if samples == 1 else [f"-{number}" for number in range(1, samples + 1)]
        return [f"results/{key[:2]}/{key}{number}{self.ending}" for number in numbers]

    def mask_file(self, key: str) -> str:
        """Where the mask lies that a key's pictures were made with, below `out`."""
        return f"masks/{key[:2]}/{key}.png"

    def there(self) -> set[str]:
        """The names of all results that are there and not empty, as `files` gives them."""
        return {f"results/{name}" for name in filled_below(join(self.out, "results"))}

    def has(self, key: str, samples: int) -> bool:
        """Whether all pictures of a key are there."""
        return all(exists(join(self.out, *each.split("/"))) for each in self.files(key, samples))

    def write(self, key: str, images: Sequence[Image.Image], mask: Image.Image | None) -> None:
        """Write a row's mask (L, what was redrawn; None: it is not known) and its pictures.

        Raises WriteError where no more can be written: a local place does not allow it, or a store
        has refused as many rows one after the other as it may. Raises OSError for one before that.
        """
        try:
            if mask is not None:
                self._write(self.mask_file(key), mask, ".png", None)
            for name, image in zip(self.files(key, len(images)), images, strict=True):
                self._write(name, image, self.ending, self.quality)
        except WriteError:
            raise
        except OSError as error:
            self._failed += 1
            if self._failed < MOST_FAILED:
                raise
            raise WriteError(
                f"The results of {self._failed} rows one after the other could not be written: "
                f"run again when that is mended, what is done is kept. The last one: {error}"
            ) from error
        self._failed = 0

    def _write(self, name: str, image: Image.Image, ending: str, quality: int | None) -> None:
        content = io.BytesIO()
        encode_image(content, image, Path(name).with_suffix(ending), quality=quality)
        write(join(self.out, *name.split("/")), content.getvalue())
