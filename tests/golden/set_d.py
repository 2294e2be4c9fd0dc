"""Set D, the OpenPose body network: its maps, its decoding and the keypoints of one person.

Network parity runs the full-size network on the weights that the manifest's recipe gives. The
decoding cases start from stored maps. A person's keypoints are judged against one row of the
reference's `subset`, because the reference's own list mixes people; where the manifest says that
it did not, that list is compared too.
"""

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file

from openpose.decode import DecodedMaps, decode_maps
from openpose.detect import network_input
from openpose.geometry import PoseGeometry
from openpose.network import BodyNetwork, network_from_state_dict, published_state_dict
from tests.golden.case import CaseResult, measured_case

NETWORK_TOLERANCE = 1e-5
DECODING_TOLERANCE = 1e-3
INPUT_TOLERANCE = 1.01 / 256
"""The network's input may differ by one grey level of the resized picture."""
KEY_LIST = "bodypose_keys.json"

Arrays = Mapping[str, NDArray[Any]]


def check(folder: Path) -> Iterator[CaseResult]:
    """Compare with every case of a folder in the format of set D."""
    manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    if "net_parity" in manifest:
        settings = manifest["net_parity"]
        yield measured_case(
            "net_parity",
            lambda: network_error(folder / settings["file"], settings),
            tolerance=NETWORK_TOLERANCE,
        )
    if (folder / KEY_LIST).exists():
        yield measured_case("keys", lambda: key_list_error(folder / KEY_LIST), tolerance=0)
    for case in manifest.get("cases", []):
        yield from _check_case(folder, case)


def network_error(path: Path, settings: Mapping[str, Any]) -> float:
    """Largest relative difference of both results; weights after the manifest's recipe."""
    network = network_from_state_dict(recipe_weights())
    given = published_state_dict(network)
    for key, first_values in settings.get("first_weight_values", {}).items():
        # Another random generator would make every further comparison meaningless.
        drawn = given[key].flatten()[: len(first_values)].tolist()
        if not np.allclose(drawn, first_values, rtol=0, atol=1e-6):
            raise ValueError(f"the recipe gives {drawn} for {key}, expected {first_values}")
    reference = load_file(path)
    with torch.inference_mode():
        affinity, heatmap = network.eval()(reference["input"])
    return max(
        _relative(affinity.numpy(), reference["paf_L1"].numpy()),
        _relative(heatmap.numpy(), reference["heatmap_L2"].numpy()),
    )


def recipe_weights() -> dict[str, torch.Tensor]:
    """Random full-size weights, each drawn from a seed that is its published key's CRC-32."""
    with torch.device("meta"):
        shapes = {key: v.shape for key, v in published_state_dict(BodyNetwork()).items()}
    weights: dict[str, torch.Tensor] = {}
    for key, shape in shapes.items():
        generator = torch.Generator().manual_seed(zlib.crc32(key.encode("utf-8")))
        drawn = torch.randn(shape, generator=generator)
        fan_in = math.prod(shape[1:])
        weights[key] = drawn * math.sqrt(2) / math.sqrt(fan_in) if len(shape) > 1 else drawn * 0.05
    return weights


def key_list_error(path: Path) -> float:
    """How many names, shapes and positions of the published key list the network misses."""
    with torch.device("meta"):
        network = BodyNetwork()
    ours = [
        [module_key, key, list(value.shape)]
        for (module_key, value), key in zip(
            network.state_dict().items(), published_state_dict(network), strict=True
        )
    ]
    theirs = json.loads(path.read_text("utf-8"))["keys"]
    wrong = sum(a != b for a, b in zip(ours, theirs, strict=False))
    return float(wrong + abs(len(ours) - len(theirs)))


def _check_case(folder: Path, case: Mapping[str, Any]) -> Iterator[CaseResult]:
    name = str(case.get("id", case.get("file", "unnamed case")))
    yield measured_case(
        name, lambda: decoding_error(_arrays(folder, case), case), tolerance=DECODING_TOLERANCE
    )
    path = folder / str(case.get("file"))
    if is_zipfile(path) and "net_input" in np.load(path).files:
        yield measured_case(
            f"{name}:net_input",
            lambda: input_error(_arrays(folder, case), case),
            tolerance=INPUT_TOLERANCE,
        )


def _arrays(folder: Path, case: Mapping[str, Any]) -> Arrays:
    with np.load(folder / case["file"]) as stored:
        return {name: stored[name] for name in stored.files}


def _geometry(case: Mapping[str, Any]) -> PoseGeometry:
    width, height = case["image_wh"]
    geometry = PoseGeometry.of_picture(height=height, width=width)
    padded = [1, 3, geometry.padded_height, geometry.padded_width]
    if case.get("net_input_shape", padded) != padded:
        raise ValueError(f"network input {padded}, expected {case['net_input_shape']}")
    return geometry


def input_error(arrays: Arrays, case: Mapping[str, Any]) -> float:
    """Largest difference of the network's input, which is in [-0.5,0.5)."""
    ours = network_input(arrays["image"], _geometry(case))
    return _largest(ours[None], arrays["net_input"], "net_input")


def decoding_error(arrays: Arrays, case: Mapping[str, Any]) -> float:
    """Largest difference of candidates, subset and the keypoints of every person."""
    if case.get("candidate_units", "pixels") != "pixels":
        raise ValueError(f"unknown candidate_units {case['candidate_units']!r}")
    decoded = decode_maps(arrays["paf"], arrays["heatmap"], _geometry(case))
    reference = DecodedMaps(
        candidates=arrays["candidate"].reshape(-1, 4), subset=arrays["subset"].reshape(-1, 20)
    )
    errors = [
        _largest(decoded.candidates, reference.candidates, "candidate"),
        _largest(decoded.subset, reference.subset, "subset"),
    ]
    people = decoded.people()
    for person, row in zip(people, reference.subset, strict=True):
        expected = np.zeros((18, 2))
        found = row[:18] >= 0
        expected[found] = reference.candidates[row[:18][found].astype(int), :2]
        if (person.visible != found).any():
            raise ValueError(f"visible joints {person.visible.nonzero()}, expected {row[:18]}")
        errors.append(_largest(person.keypoints[:, :2], expected, "keypoints"))
    is_clean = case.get("joints_where_reported_ne_candidate_of_subset0") == []
    if is_clean and len(people) == 1 and "keypoints" in arrays:
        errors.append(_largest(people[0].keypoints[:, :2], arrays["keypoints"], "keypoints"))
    return max(errors)


def _largest(ours: NDArray[Any], theirs: NDArray[Any], what: str) -> float:
    if ours.shape != theirs.shape:
        raise ValueError(f"{what} of shape {ours.shape}, expected {theirs.shape}")
    return float(np.abs(ours - theirs).max(initial=0))


def _relative(ours: NDArray[Any], theirs: NDArray[Any]) -> float:
    return _largest(ours, theirs, "maps") / float(np.abs(theirs).max())
