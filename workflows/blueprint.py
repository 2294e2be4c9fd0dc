"""The stages of one workflow as a subgraph blueprint: pictures go in, main widgets lie outside."""

from __future__ import annotations

import uuid
from typing import Any

from workflows.drawing import COLUMN, PROJECT, VERSION, Kinds, draw, group_boxes, numbers_of
from workflows.stages import Graph

NAME = "Try On Garment"
OUTSIDE = ("pictures", "overlay", "save")
PROMOTED = {
    "category": [("encode", "category"), ("mask", "category")],
    "mask mode": [("mask", "mode")],
    "seed": [("sample", "seed")],
    "cfg": [("sample", "cfg")],
}
RESULTS = (("image", "IMAGE"), ("mask", "MASK"))


def blueprint(graph: Graph, kinds: Kinds) -> dict[str, Any]:
    """What lies between the pictures and the result of `graph` (see `one_garment`)."""
    for name in OUTSIDE:
        del graph.nodes[name]
    sources = {("pictures", 0): "person", ("pictures", 1): "garment"}
    numbers = numbers_of(graph)
    entries: dict[str, list[tuple[str, str]]] = {"person": [], "garment": []}
    for name, node in graph.nodes.items():
        for key, value in list(node.inputs.items()):
            if isinstance(value, tuple) and value in sources:
                entries[sources[value]].append((name, key))
                del node.inputs[key]
    drawn, inner = draw(graph, kinds, numbers)
    by_id = {each["id"]: each for each in drawn}
    links = [_link(*link) for link in inner]
    inputs: list[dict[str, Any]] = []
    for label, targets in {**entries, **PROMOTED}.items():
        ids: list[int] = []
        kind = "IMAGE"
        for name, key in targets:
            node = by_id[numbers[name]]
            index = next(i for i, slot in enumerate(node["inputs"]) if slot["name"] == key)
            kind = node["inputs"][index]["type"]
            link = _link(len(links) + 1, -10, len(inputs), node["id"], index, kind)
            node["inputs"][index]["link"] = link["id"]
            links.append(link)
            ids.append(link["id"])
        inputs.append(_border(label, kind, ids, 20 * len(inputs)))
    outputs: list[dict[str, Any]] = []
    for slot, (label, kind) in enumerate(RESULTS):
        decode = by_id[numbers["decode"]]
        link = _link(len(links) + 1, decode["id"], slot, -20, slot, kind)
        decode["outputs"][slot]["links"].append(link["id"])
        links.append(link)
        outputs.append(_border(label, kind, [link["id"]], 20 * slot))
    right = max(each["pos"][0] for each in drawn) + COLUMN
    subgraph = {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PROJECT}/blueprint")),
        "version": 1,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": len(numbers),
            "lastLinkId": len(links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": NAME,
        "inputNode": {"id": -10, "bounding": [-200, 0, 120, 160]},
        "outputNode": {"id": -20, "bounding": [right, 0, 120, 80]},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": drawn,
        "groups": group_boxes(graph, drawn),
        "links": links,
        "extra": {},
    }
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PROJECT}/blueprint-workflow")),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [_instance(subgraph)],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _instance(subgraph: dict[str, Any]) -> dict[str, Any]:
    """The one node that stands for the subgraph."""
    return {
        "id": 1,
        "type": subgraph["id"],
        "pos": [200, 200],
        "size": [320, 220],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [
            {"name": each["name"], "type": each["type"], "link": None}
            | ({"widget": {"name": each["name"]}} if each["name"] in PROMOTED else {})
            for each in subgraph["inputs"]
        ],
        "outputs": [
            {"name": each["name"], "type": each["type"], "links": []}
            for each in subgraph["outputs"]
        ],
        "properties": {"cnr_id": PROJECT, "ver": VERSION},
        "widgets_values": [],
        "title": NAME,
    }


def _link(
    number: int, origin: int, origin_slot: int, target: int, target_slot: int, kind: str
) -> dict[str, Any]:
    return {
        "id": number,
        "origin_id": origin,
        "origin_slot": origin_slot,
        "target_id": target,
        "target_slot": target_slot,
        "type": kind,
    }


def _border(label: str, kind: str, links: list[int], offset: int) -> dict[str, Any]:
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PROJECT}/{label}/{kind}"))
    return {
        "id": identity,
        "name": label,
        "type": kind,
        "linkIds": links,
        "pos": [-100, 20 + offset],
    }
