"""`python -m workflows.make`: writes every bundled workflow and runs it for its thumbnail.

    workflows/NAME.json       for ComfyUI's template browser
    workflows/api/NAME.json   the same for its API
    workflows/NAME.jpg        what it made of the demo pictures, in a real ComfyUI
    subgraphs/                the blueprint "Try On Garment"

Which inputs are widgets, and the names and types of outputs, come from that ComfyUI.
"""

from __future__ import annotations

import io
import json
import tempfile
import uuid
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from benchmarks.comfyui_server import PACK, ComfyUIServer, comfyui_server, find_comfyui
from workflows.graphs import GRAPHS, upper_body
from workflows.stages import Graph, Node

COLUMN, ROW = 430, 40
TOP = 120
PROJECT = "ootdiffusion-tryon"
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
NOTE = (
    "\n\nThe built-in checkpoint dresses drawn dolls. For photographs choose a published "
    "checkpoint in Load OOTDiffusion Model, Parse Human and Detect Body Pose, the size 1024x768, "
    "and Load Image in place of Demo Pictures. `python -m cli download` in this pack's folder gets "
    "it (about 8 GB, huggingface.co/levihsu/OOTDiffusion, CC BY-NC-SA 4.0)."
)
PUBLISHED = {
    "repository": "https://huggingface.co/levihsu/OOTDiffusion",
    "directory": "ootdiffusion",
    "command": "python -m cli download",
}
THUMBNAIL = 256  # pixels high


def main(
    run: Annotated[bool, typer.Option(help="also run them, for the thumbnails")] = True,
) -> None:
    """Write all files."""
    comfyui, python = find_comfyui()
    with (
        tempfile.TemporaryDirectory() as folder,
        comfyui_server(comfyui, python, Path(folder)) as server,
    ):
        kinds = server.get("/object_info")
        for name, build in GRAPHS.items():
            graph = build()
            api = api_form(graph)
            _write(PACK / "workflows" / f"{name}.json", ui_form(name, graph, kinds))
            _write(PACK / "workflows" / "api" / f"{name}.json", api)
            if run:
                thumbnail(server, api, PACK / "workflows" / f"{name}.jpg")
            typer.echo(name)
        _write(PACK / "subgraphs" / "Try On Garment.json", blueprint(upper_body(), kinds))


def api_form(graph: Graph) -> dict[str, Any]:
    """The prompt: node numbers as text, links as [number, output]; bypassed nodes left out."""
    numbers = _numbers(graph)
    prompt: dict[str, Any] = {}
    for name, node in graph.nodes.items():
        if node.bypassed:
            continue
        inputs = {
            key: [str(numbers[link[0]]), link[1]]
            if isinstance(link := _without_bypassed(graph, value), tuple)
            else value
            for key, value in node.inputs.items()
        }
        prompt[str(numbers[name])] = {
            "class_type": node.kind,
            "inputs": inputs,
            "_meta": {"title": node.kind},
        }
    return prompt


def _without_bypassed(graph: Graph, value: Any) -> Any:
    """A link past bypassed nodes, to what they hand on: the input of the output's type."""
    hands_on = {
        ("LoraLoaderModelOnly", 0): "model",
        ("ControlNetApplyAdvanced", 0): "positive",
        ("ControlNetApplyAdvanced", 1): "negative",
    }
    while isinstance(value, tuple) and graph.nodes[value[0]].bypassed:
        node = graph.nodes[value[0]]
        value = node.inputs[hands_on[node.kind, value[1]]]
    return value


def ui_form(name: str, graph: Graph, kinds: dict[str, Any]) -> dict[str, Any]:
    """The workflow as the frontend saves it."""
    numbers = _numbers(graph)
    drawn, links = _draw(graph, kinds, numbers)
    note = {
        "id": len(numbers) + 1,
        "type": "MarkdownNote",
        "pos": [0, TOP - 250],
        "size": [COLUMN * 2 - 60, 190],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": name.replace("_", " "),
        "properties": {},
        "widgets_values": [graph.note + NOTE],
        "color": "#432",
        "bgcolor": "#653",
    }
    extra: dict[str, Any] = {"ds": {"scale": 0.6, "offset": [80, 330]}}
    if graph.app:
        outputs = [numbers[each] for each, node in graph.nodes.items() if node.kind == "SaveImage"]
        inputs = [[numbers[each], widget] for each, widget in graph.app]
        extra |= {"linearMode": False, "linearData": {"inputs": inputs, "outputs": outputs}}
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PROJECT}/{name}")),
        "revision": 0,
        "last_node_id": len(numbers) + 1,
        "last_link_id": len(links),
        "nodes": [*drawn, note],
        "links": [[*link] for link in links],
        "groups": [],
        "config": {},
        "extra": extra,
        "version": 0.4,
    }


def _numbers(graph: Graph) -> dict[str, int]:
    return {name: number for number, name in enumerate(graph.nodes, start=1)}


def _draw(
    graph: Graph, kinds: dict[str, Any], numbers: dict[str, int]
) -> tuple[list[dict[str, Any]], list[tuple[Any, ...]]]:
    """Nodes in columns, and links (id, from, output, to, input, type)."""
    drawn: list[dict[str, Any]] = []
    links: list[tuple[Any, ...]] = []
    heights: dict[int, int] = {}
    outgoing: dict[tuple[str, int], list[int]] = {}
    for name, node in graph.nodes.items():
        slots: list[dict[str, Any]] = []
        for key, kind, widget, optional in _inputs(kinds[node.kind]):
            value = node.inputs.get(key)
            slot: dict[str, Any] = {"name": key, "type": kind, "link": None}
            if optional:
                slot["shape"] = 7
            if widget:
                slot["widget"] = {"name": key}
            if isinstance(value, tuple):
                source: tuple[str, int] = value
                links.append(
                    (len(links) + 1, numbers[source[0]], source[1], numbers[name], len(slots), kind)
                )
                slot["link"] = len(links)
                outgoing.setdefault(source, []).append(len(links))
            slots.append(slot)
        values = _widget_values(kinds[node.kind], node)
        outputs = kinds[node.kind]["output"]
        height = 60 + 22 * max(len(slots) - len(values), len(outputs)) + 26 * len(values)
        height += 240 if node.kind in ("SaveImage", "PreviewImage") else 0
        height += 60 if node.kind == "OOTD_OpenPose" else 0
        drawn.append(
            {
                "id": numbers[name],
                "type": node.kind,
                "pos": [node.column * COLUMN, TOP + heights.get(node.column, 0)],
                "size": [340, height],
                "flags": {},
                "order": len(drawn),
                "mode": 4 if node.bypassed else 0,
                "inputs": slots,
                "properties": _properties(node),
                "widgets_values": values,
            }
        )
        heights[node.column] = heights.get(node.column, 0) + height + ROW
    for node_drawn, (name, node) in zip(drawn, graph.nodes.items(), strict=True):
        kind = kinds[node.kind]
        node_drawn["outputs"] = [
            {"name": label, "type": output, "links": outgoing.get((name, index), [])}
            for index, (label, output) in enumerate(
                zip(kind["output_name"], kind["output"], strict=True)
            )
        ]
    return drawn, links


def _properties(node: Node) -> dict[str, Any]:
    properties: dict[str, Any] = {"Node name for S&R": node.kind}
    if node.kind.startswith("OOTD_"):
        properties |= {"cnr_id": PROJECT, "ver": "0.1.0"}
    if node.kind == "OOTD_ModelLoader":
        # Not under `models`: that would ask for 8 GB where the built-in checkpoint is chosen.
        properties["published_checkpoint"] = PUBLISHED
    return properties


def _inputs(kind: dict[str, Any]) -> list[tuple[str, str, bool, bool]]:
    """(id, type, is a widget, is optional) of a class's inputs, sockets first."""
    found: list[tuple[str, str, bool, bool]] = []
    for group in ("required", "optional"):
        for key, definition in kind["input"].get(group, {}).items():
            declared = definition[0]
            type_name = "COMBO" if isinstance(declared, list) else str(declared)
            options = definition[1] if len(definition) > 1 else {}
            widget = type_name in WIDGETS and not options.get("forceInput")
            found.append((key, type_name, widget, group == "optional" and not widget))
    return sorted(found, key=lambda each: each[2])


def _widget_values(kind: dict[str, Any], node: Node) -> list[Any]:
    values: list[Any] = []
    for group in ("required", "optional"):
        for key, definition in kind["input"].get(group, {}).items():
            declared, *rest = definition
            options = rest[0] if rest else {}
            if not (isinstance(declared, list) or declared in WIDGETS):
                continue
            value = node.inputs.get(key, options.get("default"))
            values.append(value if not isinstance(value, tuple) else options.get("default"))
            if options.get("control_after_generate") or key in ("seed", "noise_seed"):
                values.append("fixed")
    return values


def blueprint(graph: Graph, kinds: dict[str, Any]) -> dict[str, Any]:
    """The stages between pictures and result as one subgraph, with the main widgets outside."""
    for name in ("save", "overlay"):
        del graph.nodes[name]
    pictures = graph.nodes.pop("pictures")
    sources = {("pictures", 0): "person", ("pictures", 1): "garment"}
    numbers = {name: number for number, name in enumerate(graph.nodes, start=1)}
    entries: dict[str, list[tuple[str, str]]] = {"person": [], "garment": []}
    for name, node in graph.nodes.items():
        for key, value in list(node.inputs.items()):
            if isinstance(value, tuple) and value in sources:
                entries[sources[value]].append((name, key))
                del node.inputs[key]
    drawn, inner = _draw(graph, kinds, numbers)
    by_id = {each["id"]: each for each in drawn}
    links = [_subgraph_link(*link) for link in inner]
    promoted = {
        "category": [("encode", "category"), ("mask", "category")],
        "mask mode": [("mask", "mode")],
        "seed": [("sample", "seed")],
        "cfg": [("sample", "cfg")],
    }
    inputs: list[dict[str, Any]] = []
    for label, targets in {**entries, **promoted}.items():
        ids: list[int] = []
        kind = "IMAGE"
        for name, key in targets:
            node = by_id[numbers[name]]
            index = next(i for i, slot in enumerate(node["inputs"]) if slot["name"] == key)
            kind = node["inputs"][index]["type"]
            link = _subgraph_link(len(links) + 1, -10, len(inputs), node["id"], index, kind)
            node["inputs"][index]["link"] = link["id"]
            links.append(link)
            ids.append(link["id"])
        inputs.append(_border(label, kind, ids, 20 * len(inputs)))
    outputs: list[dict[str, Any]] = []
    for slot, (label, kind) in enumerate((("image", "IMAGE"), ("mask", "MASK"))):
        decode = by_id[numbers["decode"]]
        link = _subgraph_link(len(links) + 1, decode["id"], slot, -20, slot, kind)
        decode["outputs"][slot]["links"].append(link["id"])
        links.append(link)
        outputs.append(_border(label, kind, [link["id"]], 20 * slot))
    identity = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PROJECT}/blueprint"))
    right = max(each["pos"][0] for each in drawn) + COLUMN
    subgraph = {
        "id": identity,
        "version": 1,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": len(numbers),
            "lastLinkId": len(links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": "Try On Garment",
        "inputNode": {"id": -10, "bounding": [-200, TOP, 120, 160]},
        "outputNode": {"id": -20, "bounding": [right, TOP, 120, 80]},
        "inputs": inputs,
        "outputs": outputs,
        "widgets": [],
        "nodes": drawn,
        "groups": [],
        "links": links,
        "extra": {},
    }
    instance = {
        "id": 1,
        "type": identity,
        "pos": [200, 200],
        "size": [320, 220],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [
            {"name": each["name"], "type": each["type"], "link": None}
            | ({"widget": {"name": each["name"]}} if each["name"] in promoted else {})
            for each in inputs
        ],
        "outputs": [{"name": each["name"], "type": each["type"], "links": []} for each in outputs],
        "properties": {"cnr_id": PROJECT, "ver": "0.1.0", "demo_category": pictures.kind},
        "widgets_values": [],
        "title": "Try On Garment",
    }
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"{PROJECT}/blueprint-workflow")),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [instance],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [subgraph]},
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def _subgraph_link(
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
        "pos": [-100, TOP + 20 + offset],
    }


def thumbnail(server: ComfyUIServer, prompt: dict[str, Any], path: Path) -> None:
    """Run a prompt with its pictures saved as well, and lay them beside its results."""
    shown = dict(prompt)
    for number, node in prompt.items():
        if node["class_type"] == "OOTD_DemoPictures":
            for output in (0, 1):
                shown[f"{number}-{output}"] = {
                    "class_type": "PreviewImage",
                    "inputs": {"images": [number, output]},
                }
    entry = server.wait(server.queue(shown))
    if entry["status"]["status_str"] != "success":
        raise RuntimeError(f"{path.stem} failed: {entry['status']['messages']}")
    first = [key for key in shown if key.startswith("1-")]
    garments = [key for key in shown if key.endswith("-1")][1:]
    results = [key for key, node in prompt.items() if node["class_type"] == "SaveImage"]
    pictures = [
        Image.open(io.BytesIO(content)).convert("RGB")
        for key in (*first, *garments, *results)
        if key in entry["outputs"]
        for content in server.images({"outputs": {key: entry["outputs"][key]}})
    ]
    scaled = [
        picture.resize((round(picture.width * THUMBNAIL / picture.height), THUMBNAIL))
        for picture in pictures
    ]
    sheet = Image.new("RGB", (sum(each.width for each in scaled), THUMBNAIL), "white")
    left = 0
    for each in scaled:
        sheet.paste(each, (left, 0))
        left += each.width
    sheet.save(path, quality=88)


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
