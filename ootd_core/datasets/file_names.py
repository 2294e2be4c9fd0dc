"""Files found under the names that a list gives them, whatever their capitals and their ending.

Copies of a data set come with .JPG for .jpg, or converted to PNG, while their lists stay as they
were. A folder is listed once, since it may hold ten thousand files.
"""

from __future__ import annotations

from pathlib import Path, PurePath

ENDINGS = frozenset({".png", ".jpg", ".jpeg", ".webp", ".bmp"})
"""Of pictures, in small letters."""


class FileNames:
    """The files of a folder, by name; the folder need not exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._exact = {path.name for path in sorted(folder.glob("*"))}
        self._by_name: dict[str, str] = {}
        self._by_stem: dict[str, str] = {}
        for name in sorted(self._exact):
            self._by_name.setdefault(name.lower(), name)
            if PurePath(name).suffix.lower() in ENDINGS:
                self._by_stem.setdefault(_stem(name), name)

    def find(self, name: str) -> Path | None:
        """Return the file of this name, if need be with other capitals; None if there is none."""
        found = name if name in self._exact else self._by_name.get(name.lower())
        return None if found is None else self.folder / found

    def picture(self, name: str) -> Path:
        """Return the picture of this name, if need be with another ending of a picture.

        If there is none, its place: reading it says that it is missing.
        """
        found = self.find(name)
        if found is not None:
            return found
        other = self._by_stem.get(_stem(name))
        return self.folder / (name if other is None else other)

    def place(self, name: str) -> Path:
        """Return the file of this name, if need be with other capitals, or its place."""
        return self.find(name) or self.folder / name


def _stem(name: str) -> str:
    path = PurePath(name.lower())
    return path.stem if path.suffix in ENDINGS else path.name
