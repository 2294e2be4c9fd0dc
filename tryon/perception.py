"""What is seen of a person: the label map and the joints, by the networks of a model folder."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanparse import HumanParser
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import Part, download_command, files_for, find, missing
from ootd_core.checkpoints.integrity import file_stamp
from ootd_core.checkpoints.locating import check_part
from ootd_core.images.fitting import size_of
from openpose import BodyNetwork, detect_people, load_body_network

from .preparation import Keypoints, LabelMap, choose_person, looked_at, seen_as


class PersonNetworks:
    """The human parser and the pose network of a model folder, each loaded when first needed."""

    def __init__(self, folder: Path, variant: Variant, *, device: str = "cpu") -> None:
        self.folder = folder
        self.variant = variant
        self.device = device

    @cached_property
    def parser(self) -> HumanParser:
        """The human parser. Raises FileNotFoundError or ValueError for a file that is unfit."""
        atr, lip = self._files(Part.PARSER, "a mask (--mask) does without it")
        return HumanParser(atr, lip, device=self.device)

    @cached_property
    def body_network(self) -> BodyNetwork:
        """The pose network. Raises FileNotFoundError or ValueError if its file is unfit."""
        (path,) = self._files(Part.POSE, "keypoints (--keypoints) or a mask (--mask) do without it")
        return load_body_network(path, device=self.device)

    def labels(self, person: NDArray[np.uint8]) -> LabelMap:
        """The label map [H, W] of a person's picture uint8 [H, W, 3] of any shape."""
        return seen_as(self.parser(looked_at(person)), size_of(person))

    def people(self, person: NDArray[np.uint8]) -> list[Keypoints]:
        """The joints [18, 3] of everybody in a picture uint8 [H, W, 3], in pixels of it."""
        return [found.keypoints for found in detect_people(self.body_network, person)]

    def keypoints(self, person: NDArray[np.uint8]) -> Keypoints | None:
        """The joints [18, 3] of the most prominent person, None where nobody was found."""
        return choose_person(self.people(person), size_of(person)).keypoints

    def stamp(self) -> str:
        """What label maps and joints come from: another text when a file of it is another."""
        files = files_for(self.variant, (Part.PARSER, Part.POSE))
        found = [find(self.folder, file) for file in files]
        return repr([path and file_stamp(path) for path in found])

    def _files(self, part: Part, otherwise: str) -> list[Path]:
        """The part's files in the model folder, all there and whole.

        Raises FileNotFoundError naming those missing, ValueError naming one that is damaged.
        """
        absent = missing(self.folder, self.variant, (part,))
        if absent:
            names = ", ".join(file.path for file in absent)
            raise FileNotFoundError(
                f"The {part} lacks {names} in {self.folder}: get it with "
                f"'{download_command(self.folder, self.variant)}'; {otherwise}."
            )
        check_part(self.folder, self.variant, part)
        found = (find(self.folder, file) for file in files_for(self.variant, (part,)))
        return [path for path in found if path is not None]
