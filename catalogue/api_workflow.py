"""A ComfyUI workflow in API format: where in it a row's values go, and which node has the result.

Nodes of this pack are found by their class, pictures by what leads to them or by a node's title
(`person`, `garment`, `mask`); everything else is named by the user as `field=NODE.input`. What
neither a row nor the command line names stays as the workflow has it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from enum import Enum
from pathlib import Path
from typing import Any, TypeGuard, cast

from catalogue.manifest import Manifest, ManifestRow, RowFault
from ootd_core.requirements import ROOT
from tryon.options import TryOnOptions

Graph = dict[str, dict[str, Any]]
BUNDLED = ROOT / "workflows" / "api"
DEFAULT = "quick_start"
PICTURES = ("person", "garment", "mask")
OPTIONS = tuple(each.name for each in fields(TryOnOptions))
FIELDS = (*PICTURES, "keypoints", "category", "name", *OPTIONS)
DEMO, LOADERS = "OOTD_DemoPictures", ("LoadImage", "LoadImageMask", "LoadImageOutput")
OUTPUTS = ("SaveImage", "PreviewImage")
PACK = "OOTD_"

SOURCES = {
    "person": {"OOTD_TryOn": "person", "OOTD_FitPerson": "image"},
    "garment": {"OOTD_TryOn": "garment", "OOTD_PrepareGarment": "image"},
}
"""Inputs of this pack's nodes at whose other end a picture lies."""
VALUES: dict[str, tuple[tuple[str, str], ...]] = {
    "keypoints": (("OOTD_OpenPose", "openpose_json"),),
    "category": (
        ("OOTD_TryOn", "category"),
        ("OOTD_MaskGenerator", "category"),
        ("OOTD_GarmentEncoder", "category"),
    ),
    "mask_mode": (("OOTD_TryOn", "mask_mode"), ("OOTD_MaskGenerator", "mode")),
    "mask_length": (("OOTD_TryOn", "length"), ("OOTD_MaskGenerator", "length")),
    "mask_sleeves": (("OOTD_TryOn", "sleeves"), ("OOTD_MaskGenerator", "sleeves")),
    "mask_grow": (("OOTD_MaskGenerator", "grow"),),
    "feather": (("OOTD_VAEDecode", "feather"),),
    "fit": (("OOTD_FitPerson", "mode"),),
    "height": (("OOTD_TryOn", "size"), ("OOTD_FitPerson", "size"), ("OOTD_PrepareGarment", "size")),
    "person_index": (("OOTD_TryOn", "person_index"),),
    "guidance_start": (("OOTD_TryOn", "guidance_start"), ("OOTD_FusedDenoiser", "guidance_start")),
    "guidance_end": (("OOTD_TryOn", "guidance_end"), ("OOTD_FusedDenoiser", "guidance_end")),
    "restore": (("OOTD_TryOn", "restore"), ("OOTD_VAEDecode", "restore")),
    "garment_photo": (("OOTD_TryOn", "garment_photo"),),
}
"""Inputs of this pack's nodes, all of which are set; ComfyUI may leave out those at their default.
"""
BY_NAME = {
    "seed": ("seed", "noise_seed"),
    "num_inference_steps": ("steps",),
    "guidance_scale": ("cfg",),
}
"""Inputs of samplers of any kind, if there is one such in the workflow."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """An input of a node. output: instead, all that is linked to this output of the node."""

    node: str
    input: str = ""
    output: int | None = None

    def __str__(self) -> str:
        return f"{self.node}.{self.input}" if self.output is None else f"{self.node}[{self.output}]"


@dataclass(frozen=True, kw_only=True)
class ApiWorkflow:
    """A workflow and where each field of a row goes.

    Attributes:
        name: of its file, for messages.
        graph: nodes by their id, as ComfyUI's "Export (API)" writes them.
        places: inputs by field. Fields that have none stay as they are.
        named: fields whose places the user named.
        several: fields with more than one input that they might mean, and those.
        output: id of the node whose pictures are the result.
    """

    name: str
    graph: Graph
    places: Mapping[str, Sequence[Place]]
    output: str
    named: frozenset[str] = frozenset()
    several: Mapping[str, Sequence[Place]] = field(default_factory=dict[str, Sequence[Place]])

    @property
    def stamp(self) -> str:
        """What stands for its content in the address of a result: 32 hex digits, the same whatever
        titles its nodes have."""
        nodes = {
            key: [node["class_type"], node["inputs"]] for key, node in sorted(self.graph.items())
        }
        places = {key: sorted(map(str, places)) for key, places in sorted(self.places.items())}
        text = json.dumps([nodes, places, self.output], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:32]

    def own_options(self) -> TryOnOptions:
        """What the workflow itself says, as options; of what it does not say, the defaults."""
        options = TryOnOptions()
        for name in OPTIONS:
            for place in self.places.get(name, ())[:1]:
                value = self.graph[place.node]["inputs"].get(place.input)
                try:
                    options = replace(options, **{name: _from_input(name, value)})
                except ValueError:  # none of ours: a row that names one replaces it
                    continue
        return options

    def checked(self, manifest: Manifest) -> Manifest:
        """The manifest with a fault for each row that asks for what the workflow cannot do."""
        own = self.own_options()
        faults, rows = list(manifest.faults), list[ManifestRow]()
        categories = {category for row in manifest.rows for _, category in row.garments}
        for row in manifest.rows:
            sentence = next(self._lacks(row, own, len(categories) > 1), None)
            if sentence is None:
                rows.append(row)
            else:
                faults.append(RowFault(row.number, sentence))
        return Manifest(rows=rows, faults=sorted(faults, key=lambda fault: fault.number or 0))

    def _lacks(self, row: ManifestRow, own: TryOnOptions, kinds_differ: bool) -> Iterator[str]:
        if len(row.garments) > 1:
            yield (
                f"has {len(row.garments)} garments, but a workflow takes one: give each a row of "
                "its own, or dress outfits without --servers."
            )
        asked = {
            "mask": row.mask is not None,
            "keypoints": row.keypoints is not None,
            "category": kinds_differ,
        } | {name: getattr(row.options, name) != getattr(own, name) for name in OPTIONS}
        del asked["num_images_per_prompt"]  # it is counted
        for name, is_asked in asked.items():
            if is_asked and name not in self.places:
                yield f"sets {name}, but {self._not_found(name)}"
        for name in ("mask", "keypoints"):
            if name in self.named and getattr(row, name) is None:
                yield f"has no {name}, for which --set names an input of {self.name}."

    def _not_found(self, name: str) -> str:
        return _not_found(self.name, name, self.several.get(name, ()))

    def filled(
        self, row: ManifestRow, files: Mapping[str, str], *, pictures_only: bool = False
    ) -> Graph:
        """The workflow with a row's values.

        files: names on the server of its pictures (person, garment, mask), and the text of its
        keypoints. pictures_only: without other values.
        """
        graph: Graph = {
            key: node | {"inputs": dict(node["inputs"])} for key, node in self.graph.items()
        }
        own = self.own_options()
        values: dict[str, object] = {**files, "name": row.name, "category": row.garments[0][1]}
        values |= {
            name: getattr(row.options, name)
            for name in OPTIONS
            if name in self.named or getattr(row.options, name) != getattr(own, name)
        }
        for name, places in self.places.items():
            for place in places if name in (files if pictures_only else values) else ():
                if name in PICTURES:
                    _put_picture(graph, place, name, cast("str", values[name]))
                else:
                    is_ours = graph[place.node]["class_type"].startswith(PACK)
                    graph[place.node]["inputs"][place.input] = _to_input(
                        name, values[name], is_ours
                    )
        return graph

    def fields_at(self, node: str) -> set[str]:
        """The fields that a row sets at a node, one that `filled` has added among them."""
        added = {_added(name) for name in PICTURES}
        if node in added:
            return {next(name for name in PICTURES if _added(name) == node)}
        return {
            name
            for name, places in self.places.items()
            for place in places
            if place.node == node and place.output is None
        }


def read_workflow(
    name: str = DEFAULT, sets: Sequence[str] = (), output: str | None = None
) -> ApiWorkflow:
    """Read a workflow and find the places of a row's fields.

    name: a file, or what one in workflows/api is called. sets: `field=NODE.input`, NODE by id or
    title. output: the node whose pictures are the result; None is the only Save Image or, without
    one, the only Preview Image. Raises FileNotFoundError, OSError or ValueError, one sentence.
    """
    graph = _graph(name)
    named = _named(name, graph, sets)
    found, several = dict[str, list[Place]](), dict[str, list[Place]]()
    for field_name, places in _found(graph):
        one_only = field_name in PICTURES or field_name in BY_NAME
        (several if one_only and len(places) > 1 else found)[field_name] = places
    for field_name in ("person", "garment"):
        if field_name not in named and field_name not in found:
            raise ValueError(_no_picture(name, graph, field_name, several.get(field_name, [])))
    return ApiWorkflow(
        name=name,
        graph=graph,
        places=found | named,
        output=_output(name, graph, output),
        named=frozenset(named),
        several=several,
    )


def _graph(name: str) -> Graph:
    path = Path(name)
    bundled = BUNDLED / f"{name}.json"
    if not path.exists() and bundled.is_file():
        path = bundled
    try:
        content: object = json.loads(path.read_text("utf-8-sig"))
    except FileNotFoundError:
        there = ", ".join(sorted(each.stem for each in BUNDLED.glob("*.json")))
        raise FileNotFoundError(
            f"There is no workflow {name}: name a file in API format, or one of {there}."
        ) from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{name} is no JSON ({error}).") from None
    if isinstance(content, dict) and "nodes" in content and "links" in content:
        raise ValueError(
            f"{name} is a workflow as ComfyUI's editor saves it: take File > Export (API) there."
        )
    graph = cast("dict[str, Any]", content) if isinstance(content, dict) else {}
    if not graph or not all(map(_is_node, graph.values())):
        raise ValueError(
            f"{name} is no workflow in API format, an object of nodes with class_type and inputs: "
            "take File > Export (API) in ComfyUI."
        )
    return graph


def _is_node(value: object) -> bool:
    if not isinstance(value, dict):
        return False
    node = cast("dict[str, object]", value)
    return isinstance(node.get("class_type"), str) and isinstance(node.get("inputs"), dict)


def _title(node: Mapping[str, Any]) -> str:
    meta = node.get("_meta")
    return str(cast("dict[str, Any]", meta).get("title", "")) if isinstance(meta, dict) else ""


def _node(name: str, graph: Graph, wanted: str, option: str) -> str:
    """The id of a node by id or title."""
    if wanted in graph:
        return wanted
    titled = [key for key, node in graph.items() if _title(node) == wanted]
    if len(titled) == 1:
        return titled[0]
    what = f"has {len(titled)} nodes" if titled else "has no node"
    raise ValueError(f"{option}: {name} {what} called '{wanted}'; {_list_of(graph, graph)}.")


def _list_of(graph: Graph, keys: Iterable[str]) -> str:
    nodes = [f"{key} ({_title(graph[key]) or graph[key]['class_type']})" for key in keys]
    return f"there are {', '.join(nodes)}" if nodes else "there are none"


def _named(name: str, graph: Graph, sets: Sequence[str]) -> dict[str, list[Place]]:
    found: dict[str, list[Place]] = {}
    for text in sets:
        field_name, equals, place = text.partition("=")
        wanted, dot, input_name = place.strip().rpartition(".")
        if not (equals and dot and wanted and input_name):
            raise ValueError(f"--set {text} must be FIELD=NODE.INPUT, such as seed=21.seed.")
        field_name = field_name.strip()
        if field_name not in FIELDS:
            raise ValueError(f"--set {text}: there is no {field_name}; there are "
                             f"{', '.join(FIELDS)}.")  # fmt: skip
        node = _node(name, graph, wanted, f"--set {text}")
        inputs = graph[node]["inputs"]
        if input_name not in inputs:
            raise ValueError(
                f"--set {text}: node {node} ({graph[node]['class_type']}) has no input "
                f"{input_name} in {name}; it has {', '.join(inputs) or 'none'}."
            )
        found.setdefault(field_name, []).append(Place(node=node, input=input_name))
    return found


def _found(graph: Graph) -> Iterator[tuple[str, list[Place]]]:
    """Fields and where they go, from the nodes' classes and titles."""
    for name in ("person", "garment"):
        titled = [
            Place(node=key, input="image")
            for key, node in graph.items()
            if _title(node).strip().lower() == name and "image" in node["inputs"]
        ]
        if places := titled or _sources(graph, SOURCES[name]):
            yield name, places
    if masks := _mask_places(graph):
        yield "mask", masks[:1]
    for name, kinds in VALUES.items():
        places = [
            Place(node=key, input=input_name)
            for key, node in graph.items()
            for kind, input_name in kinds
            if node["class_type"] == kind
        ]
        if places:
            yield name, places
    for name, inputs in BY_NAME.items():
        places = [
            Place(node=key, input=each)
            for key, node in graph.items()
            for each in inputs
            if isinstance(node["inputs"].get(each), int | float)
        ]
        if places:
            yield name, places


def _is_link(value: object) -> TypeGuard[tuple[str, int]]:
    """Whether an input is [node, output]; other lists of two, such as points, are values."""
    match value:
        case [str(), int()]:
            return True
        case _:
            return False


def _sources(graph: Graph, inputs: Mapping[str, str]) -> list[Place]:
    """Where the pictures come from that lead to some inputs, past nodes that only change them."""
    links = [
        node["inputs"].get(inputs[node["class_type"]])
        for node in graph.values()
        if node["class_type"] in inputs
    ]
    found: dict[Place, None] = {}
    seen: set[tuple[str, int]] = set()
    while links:
        link = links.pop(0)
        if not _is_link(link) or (link[0], link[1]) in seen or link[0] not in graph:
            continue
        seen.add((link[0], link[1]))
        node = graph[link[0]]
        if node["class_type"] == DEMO:
            found[Place(node=link[0], output=link[1])] = None
        elif node["class_type"] in LOADERS:
            found[Place(node=link[0], input="image")] = None
        elif not node["class_type"].startswith(PACK):
            links += node["inputs"].values()
    return list(found)


def _mask_places(graph: Graph) -> list[Place]:
    """Where a mask of the person's picture goes: it is fitted together with it."""
    for kind in ("OOTD_TryOn", "OOTD_FitPerson", "OOTD_MaskGenerator"):
        places = [
            Place(node=key, input="mask")
            for key, node in graph.items()
            if node["class_type"] == kind
        ]
        if places:
            return places
    return [
        Place(node=key, input="image")
        for key, node in graph.items()
        if _title(node).strip().lower() == "mask" and node["class_type"] in LOADERS
    ]


def _output(name: str, graph: Graph, wanted: str | None) -> str:
    if wanted is not None:
        return _node(name, graph, wanted, f"--output {wanted}")
    for kind in OUTPUTS:
        found = [key for key, node in graph.items() if node["class_type"] == kind]
        if len(found) == 1:
            return found[0]
        if found:
            raise ValueError(
                f"{name} has {len(found)} nodes of class {kind}: say with --output which one has "
                f"the result; {_list_of(graph, found)}."
            )
    raise ValueError(
        f"{name} has no {' or '.join(OUTPUTS)}: say with --output which node has the result."
    )


def _not_found(workflow: str, name: str, candidates: Sequence[Place]) -> str:
    if candidates:
        many = ", ".join(map(str, candidates))
        return (
            f"{workflow} has several inputs for it ({many}): say which with "
            f"--set {name}={candidates[0]}."
        )
    return f"{workflow} has no input for it that is known: give --set {name}=NODE.INPUT."


def _no_picture(workflow: str, graph: Graph, name: str, candidates: Sequence[Place]) -> str:
    keys = [key for key, node in graph.items() if node["class_type"] in LOADERS]
    if candidates and any(place.output is not None for place in candidates):
        return (
            f"{workflow} takes {len(candidates)} pictures for {name}, and a row has one: choose "
            "another workflow."
        )
    example = candidates[0] if candidates else f"{keys[0] if keys else 'NODE'}.image"
    many = f"several pictures may be the {name}" if candidates else f"no {name} was found"
    return (
        f"In {workflow} {many}: say which with --set {name}={example}; of nodes that load "
        f"pictures {_list_of(graph, keys)}."
    )


def _added(name: str) -> str:
    return f"batch_{name}"


def _put_picture(graph: Graph, place: Place, name: str, file: str) -> None:
    """Set an uploaded picture, by a loader of its own where a link stands."""
    loads_mask = name == "mask"
    loader = {"class_type": "LoadImage", "inputs": {"image": file}}
    if loads_mask:
        loader = {"class_type": "LoadImageMask", "inputs": {"image": file, "channel": "red"}}
    link: list[Any] = [_added(name), 0]
    if place.output is not None:
        graph[_added(name)] = loader
        _relink(graph, [place.node, place.output], link)
        return
    node = graph[place.node]
    kind, inputs = node["class_type"], node["inputs"]
    if loads_mask and kind == "LoadImage":  # its own mask is the picture's transparency
        graph[_added(name)] = loader
        _relink(graph, [place.node, 1], link)
    elif kind in LOADERS or not (kind.startswith(PACK) or _is_link(inputs.get(place.input))):
        inputs[place.input] = file
        if loads_mask and kind == "LoadImageMask":
            inputs["channel"] = "red"
    else:
        graph[_added(name)] = loader
        inputs[place.input] = link
        if kind == "OOTD_FitPerson":
            for each in graph.values():
                is_mask = each["class_type"] == "OOTD_MaskGenerator"
                if is_mask and each["inputs"].get("image") == [place.node, 0]:
                    each["inputs"]["mask"] = [place.node, 1]


def _relink(graph: Graph, old: list[Any], new: list[Any]) -> None:
    for node in graph.values():
        inputs = node["inputs"]
        inputs.update({key: new for key, value in inputs.items() if value == old})


def _to_input(name: str, value: object, is_ours: bool) -> object:
    """A value as ComfyUI takes it; some inputs of this pack have names of their own."""
    if is_ours and name == "mask_mode":
        return str(value).replace("_", " ")
    if is_ours and name == "height":
        return "auto" if value is None else f"{value}x{cast('int', value) * 3 // 4}"
    return str(value.value) if isinstance(value, Enum) else value


def _from_input(name: str, value: object) -> object:
    if name == "mask_mode" and isinstance(value, str):
        return value.replace(" ", "_")
    if name == "height" and isinstance(value, str):
        height = value.partition("x")[0]
        return int(height) if height.isdecimal() else None
    if value is None and name != "height":
        return asdict(TryOnOptions())[name]
    return value
