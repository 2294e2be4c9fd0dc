"""What is seen of a person: label map, joints and person mask, by the networks of a model folder.

The pose network is the folder's own or BlazePose, which belongs to none. Beside BlazePose no parser
is needed, for it gives a person mask; where the folder has a parser for photographs, it is used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from humanparse import HumanParser
from ootd_core.categories import Variant
from ootd_core.checkpoints.blazepose import blazepose_command, find_blazepose, locate_blazepose
from ootd_core.checkpoints.catalogue import (
    MINI_CHECKPOINT,
    Part,
    download_command,
    files_for,
    find,
    missing,
)
from ootd_core.checkpoints.integrity import file_stamp
from ootd_core.checkpoints.locating import check_part
from ootd_core.images.fitting import size_of
from ootd_core.requirements import require
from openpose import BlazePose, BodyNetwork, detect_people, load_body_network

from .preparation import (
    Keypoints,
    LabelMap,
    PoseNetwork,
    choose_networks,
    choose_person,
    looked_at,
    seen_as,
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class SeenPerson:
    """A person in a picture [H, W].

    keypoints: [18, 3]; hands: [2, 3, 3]; feet: [2, 2, 3]; mask: float32 [H, W], 0 to 1: as
    `openpose.WholePerson` has them. None from networks that give joints only.
    """

    keypoints: Keypoints
    hands: Keypoints | None = None
    feet: Keypoints | None = None
    mask: NDArray[np.float32] | None = None


def nearest_person(people: Sequence[SeenPerson], keypoints: Keypoints) -> SeenPerson | None:
    """Who of `people` the joints [18, 3] belong to: the one nearest by the joints that both know.

    None where nobody has a joint in common with them.
    """

    def distance(person: SeenPerson) -> float:
        both = (person.keypoints[:, 2] > 0) & (keypoints[:, 2] > 0)
        gaps = person.keypoints[both, :2] - keypoints[both, :2]
        return float(np.linalg.norm(gaps, axis=1).mean()) if both.any() else float("inf")

    nearest = min(people, key=distance, default=None)
    return None if nearest is None or distance(nearest) == float("inf") else nearest


class PersonNetworks:
    """The human parser and the pose network of a model folder, each loaded when first needed.

    pose_network: the one chosen. has_parser: whether label maps are made.
    """

    def __init__(
        self,
        folder: Path,
        variant: Variant,
        *,
        device: str = "cpu",
        pose_network: PoseNetwork = PoseNetwork.AUTO,
    ) -> None:
        self.folder = folder
        self.variant = variant
        self.device = device
        self.pose_network, self.has_parser = choose_networks(
            pose_network,
            has_parser=not missing(folder, variant, (Part.PARSER,)),
            has_pose=not missing(folder, variant, (Part.POSE,)),
            has_blazepose=find_blazepose(folder) is not None,
            is_mini=folder.resolve() == MINI_CHECKPOINT,
        )
        self._seen: list[tuple[NDArray[np.uint8], list[SeenPerson]]] = []

    @cached_property
    def parser(self) -> HumanParser:
        """The human parser. Raises FileNotFoundError or ValueError for a file that is unfit."""
        atr, lip = self._files(
            Part.PARSER, "a mask (--mask, of a worn garment --garment-mask) does without it"
        )
        return HumanParser(atr, lip, device=self.device)

    @cached_property
    def body_network(self) -> BodyNetwork:
        """The pose network. Raises FileNotFoundError or ValueError if its file is unfit."""
        otherwise = "keypoints (--keypoints), a mask (--mask) or BlazePose do without it"
        (path,) = self._files(Part.POSE, otherwise)
        return load_body_network(path, device=self.device)

    @cached_property
    def blazepose(self) -> BlazePose:
        """BlazePose. Raises FileNotFoundError or ValueError if its files are missing or unfit,
        ModuleNotFoundError without its runtime, each one sentence."""
        files = locate_blazepose(self.folder)
        require("cv2", "ai_edge_litert")
        try:
            return BlazePose(*files)
        except ValueError as error:
            command = blazepose_command(files[0].parent.parent)
            raise ValueError(f"{error} `{command}` replaces what is damaged.") from error

    def labels(self, person: NDArray[np.uint8]) -> LabelMap:
        """The label map [H, W] of a person's picture uint8 [H, W, 3] of any shape."""
        return seen_as(self.parser(looked_at(person)), size_of(person))

    def see(self, person: NDArray[np.uint8]) -> list[SeenPerson]:
        """Everybody in a picture uint8 [H, W, 3], in pixels of it.

        The last two pictures are not looked at again: joints and person mask are asked for apart,
        of the whole picture and of what is fitted.
        """
        for picture, found in self._seen:
            if np.array_equal(picture, person):
                return found
        found = self._look(person)
        self._seen = [(person.copy(), found), *self._seen[:1]]
        return found

    def _look(self, person: NDArray[np.uint8]) -> list[SeenPerson]:
        if self.pose_network is not PoseNetwork.BLAZEPOSE:
            found = detect_people(self.body_network, person)
            return [SeenPerson(keypoints=each.keypoints) for each in found]
        return [
            SeenPerson(
                keypoints=each.person.keypoints,
                hands=each.person.hands,
                feet=each.person.feet,
                mask=each.mask,
            )
            for each in self.blazepose(person)
        ]

    def people(self, person: NDArray[np.uint8]) -> list[Keypoints]:
        """The joints [18, 3] of everybody in a picture uint8 [H, W, 3], in pixels of it."""
        return [found.keypoints for found in self.see(person)]

    def keypoints(self, person: NDArray[np.uint8]) -> Keypoints | None:
        """The joints [18, 3] of the most prominent person, None where nobody was found."""
        return choose_person(self.people(person), size_of(person)).keypoints

    def files(self) -> list[Path | None]:
        """The files that label maps and joints come from; None for one that is not there."""
        files = files_for(self.variant, (Part.PARSER, Part.POSE))
        found = [find(self._folder_of(file.part), file) for file in files]
        if self.pose_network is PoseNetwork.BLAZEPOSE:
            found += find_blazepose(self.folder) or ()
        return found

    def stamp(self) -> str:
        """What label maps and joints come from: another text when a file of it is another."""
        stamps = (path and file_stamp(path) for path in self.files())
        return repr([self.pose_network, *stamps])

    def _folder_of(self, part: Part) -> Path:
        is_mini = part is Part.POSE and self.pose_network is PoseNetwork.MINI
        return MINI_CHECKPOINT if is_mini else self.folder

    def _files(self, part: Part, otherwise: str) -> list[Path]:
        """The part's files in the model folder, all there and whole.

        Raises FileNotFoundError naming those missing, ValueError naming one that is damaged.
        """
        folder = self._folder_of(part)
        absent = missing(folder, self.variant, (part,))
        if absent:
            names = ", ".join(file.path for file in absent)
            raise FileNotFoundError(
                f"The {part} lacks {names} in {folder}: get it with "
                f"'{download_command(folder, self.variant)}'; {otherwise}."
            )
        check_part(folder, self.variant, part)
        found = (find(folder, file) for file in files_for(self.variant, (part,)))
        return [path for path in found if path is not None]
