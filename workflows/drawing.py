"""A graph as the frontend saves it: nodes in columns, stages in coloured groups, links, a note.

What is a widget, and the names and types of outputs, come from ComfyUI's /object_info (`kinds`).
Sizes are those that the frontend would choose or a little more, so that nothing overlaps.
"""

from __future__ import annotations

import math
import uuid
from typing import Any

from workflows.stages import Graph, Node

Kinds = dict[str, Any]
Link = tuple[int, int, int, int, int, str]
"""number, from, output, to, input, type"""

PROJECT = "ootdiffusion-tryon"
VERSION = "0.2.0.dev0"
WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO"}
WIDTH, COLUMN = 340, 420
ABOVE, BETWEEN = 50, 75  # a node's title and badge; a node's bottom and the next one's body
GROUP_TITLE, PADDING, ROW = 40, 20, 100
VIEW = (1480, 800)  # what a workflow is scaled to when it opens
PICTURE, TEXT = 260, 70  # heights of a shown picture and of a field of several lines
PREVIEW = 230  # what a node that samples grows by while it shows a preview
SAMPLES = ("KSampler", "SamplerCustomAdvanced", "OOTD_TryOn")
COLOURS = ("#3f789e", "#5f8a5f", "#a1752f", "#8a5f8a", "#5f8a8a")
NOTE_WIDTH = 2 * COLUMN - 80
MODEL_NODES = {
    "OOTD_TryOn": ("Try On Garment", "一键试穿"),
    "OOTD_ModelLoader": ("Load OOTDiffusion Model", "加载 OOTDiffusion 模型"),
    "OOTD_HumanParser": ("Parse Human", "人体解析"),
    "OOTD_OpenPose": ("Detect Body Pose", "检测人体姿态"),
}
"""The nodes that have a checkpoint to choose, in English and in Chinese."""
NOTE = (
    "The built-in checkpoint dresses drawn dolls. For photographs choose a published checkpoint in "
    "{nodes}, and Load Image in place of Demo Pictures; size auto follows the checkpoint. "
    "`python -m cli download` in this pack's folder gets it (about 8 GB, "
    "huggingface.co/levihsu/OOTDiffusion, CC BY-NC-SA 4.0)."
)
NOTE_ZH = (
    "内置模型只会给画出来的人偶换装。用于照片时,请在{nodes}中选择公开发布的模型,并用“加载图像”代替“示例图片”;"
    "尺寸 auto 会跟随模型。在本插件文件夹中运行 `python -m cli download` 即可下载模型(约 8 GB,"
    "huggingface.co/levihsu/OOTDiffusion,CC BY-NC-SA 4.0)。"
)
PUBLISHED = {
    "repository": "https://huggingface.co/levihsu/OOTDiffusion",
    "directory": "ootdiffusion",
    "command": "python -m cli download",
}


def numbers_of(graph: Graph) -> dict[str, int]:
    """The id of each node, by its name."""
    return {name: number for number, name in enumerate(graph.nodes, start=1)}


def ui_form(name: str, graph: Graph, kinds: Kinds) -> dict[str, Any]:
    """The workflow `name` as a file for ComfyUI's template browser."""
    numbers = numbers_of(graph)
    drawn, links = draw(graph, kinds, numbers)
    groups = group_boxes(graph, drawn)
    note = _note(name, graph, len(numbers) + 1, min(group["bounding"][1] for group in groups))
    extra: dict[str, Any] = {"ds": _view([note, *drawn])}
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
        "groups": groups,
        "config": {},
        "extra": extra,
        "version": 0.4,
    }


def draw(
    graph: Graph, kinds: Kinds, numbers: dict[str, int]
) -> tuple[list[dict[str, Any]], list[Link]]:
    """The nodes, placed, and their links."""
    drawn: list[dict[str, Any]] = []
    links: list[Link] = []
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
        drawn.append(
            {
                "id": numbers[name],
                "type": node.kind,
                "pos": [0, 0],
                "size": [WIDTH, _height(kinds[node.kind], node, slots)],
                "flags": {},
                "order": len(drawn),
                "mode": 4 if node.bypassed else 0,
                "inputs": slots,
                "properties": _properties(node),
                "widgets_values": _widget_values(kinds[node.kind], node),
            }
        )
    for node_drawn, (name, node) in zip(drawn, graph.nodes.items(), strict=True):
        kind = kinds[node.kind]
        node_drawn["outputs"] = [
            {"name": label, "type": output, "links": outgoing.get((name, index), [])}
            for index, (label, output) in enumerate(
                zip(kind["output_name"], kind["output"], strict=True)
            )
        ]
    _place(graph, drawn)
    return drawn, links


def _place(graph: Graph, drawn: list[dict[str, Any]]) -> None:
    """Columns of nodes, in rows as high as their highest column."""
    top = 0
    for row in sorted({node.row for node in graph.nodes.values()}):
        bottoms: dict[int, int] = {}
        for each, node in zip(drawn, graph.nodes.values(), strict=True):
            if node.row == row:
                y = bottoms[node.column] + BETWEEN if node.column in bottoms else top
                each["pos"] = [node.column * COLUMN, y]
                bottoms[node.column] = y + _grown(each)
        top = max(bottoms.values()) + PADDING + ROW + GROUP_TITLE + ABOVE


def group_boxes(graph: Graph, drawn: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A coloured box around the nodes of each stage."""
    stages: dict[str, list[dict[str, Any]]] = {}
    for each, node in zip(drawn, graph.nodes.values(), strict=True):
        stages.setdefault(node.group, []).append(each)
    kinds = list(dict.fromkeys(title.rstrip(" 0123456789") for title in stages))
    boxes: list[dict[str, Any]] = []
    for number, (title, members) in enumerate(stages.items()):
        left = min(each["pos"][0] for each in members) - PADDING
        top = min(each["pos"][1] for each in members) - ABOVE - GROUP_TITLE
        right = max(each["pos"][0] + each["size"][0] for each in members) + PADDING
        bottom = max(each["pos"][1] + _grown(each) for each in members) + PADDING
        boxes.append(
            {
                "id": number + 1,
                "title": title,
                "bounding": [left, top, right - left, bottom - top],
                "color": COLOURS[kinds.index(title.rstrip(" 0123456789")) % len(COLOURS)],
                "font_size": 24,
                "flags": {},
            }
        )
    return boxes


def _grown(drawn: dict[str, Any]) -> int:
    return drawn["size"][1] + PREVIEW * (drawn["type"] in SAMPLES)


def note_of(graph: Graph) -> str:
    """What the note says: English, then Chinese; it names only nodes that are in the graph."""
    kinds = {node.kind for node in graph.nodes.values()}
    named = [names for kind, names in MODEL_NODES.items() if kind in kinds]
    english = [name for name, _ in named]
    listed = english[0] if len(english) == 1 else f"{', '.join(english[:-1])} and {english[-1]}"
    chinese = "、".join(f"“{name}”" for _, name in named)
    return "\n\n".join(
        (graph.note, NOTE.format(nodes=listed), graph.note_zh, NOTE_ZH.format(nodes=chinese))
    )


def _note(name: str, graph: Graph, number: int, below: int) -> dict[str, Any]:
    text = note_of(graph)
    lines = sum(
        math.ceil(sum(2 if ord(letter) > 0x2E80 else 1 for letter in paragraph) / 95) + 1
        for paragraph in text.split("\n\n")
    )
    height = 60 + 18 * lines
    return {
        "id": number,
        "type": "MarkdownNote",
        "pos": [-PADDING, below - PADDING - height],
        "size": [NOTE_WIDTH, height],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "title": name.replace("_", " "),
        "properties": {},
        "widgets_values": [text],
        "color": "#432",
        "bgcolor": "#653",
    }


def _view(nodes: list[dict[str, Any]]) -> dict[str, Any]:
    """Where the canvas stands when the workflow opens: all of it is seen."""
    left = min(each["pos"][0] for each in nodes) - 2 * PADDING
    top = min(each["pos"][1] for each in nodes) - ABOVE - PADDING
    right = max(each["pos"][0] + each["size"][0] for each in nodes) + 2 * PADDING
    bottom = max(each["pos"][1] + each["size"][1] for each in nodes) + 2 * PADDING
    scale = round(min(1.0, VIEW[0] / (right - left), VIEW[1] / (bottom - top)), 2)
    # The first pixels lie under the frontend's side bar and tabs.
    return {"scale": scale, "offset": [round(80 / scale) - left, round(90 / scale) - top]}


def _height(kind: dict[str, Any], node: Node, slots: list[dict[str, Any]]) -> int:
    sockets = sum("widget" not in slot for slot in slots)
    height = 26 + 20 * max(sockets, len(kind["output"])) + 25 * len(_widget_values(kind, node))
    height += PICTURE if node.kind in ("SaveImage", "PreviewImage") else 0
    return height + TEXT * any(options.get("multiline") for _, options in _definitions(kind))


def _properties(node: Node) -> dict[str, Any]:
    properties: dict[str, Any] = {"Node name for S&R": node.kind}
    if node.kind.startswith("OOTD_"):
        properties |= {"cnr_id": PROJECT, "ver": VERSION}
    if node.kind == "OOTD_ModelLoader":
        # Not under `models`: that would ask for 8 GB where the built-in checkpoint is chosen.
        properties["published_checkpoint"] = PUBLISHED
    if node.models:
        properties["models"] = list(node.models)
    return properties


def _definitions(kind: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """(id, options) of a class's inputs, in its order."""
    return [
        (key, definition[1] if len(definition) > 1 else {})
        for group in ("required", "optional")
        for key, definition in kind["input"].get(group, {}).items()
    ]


def _inputs(kind: dict[str, Any]) -> list[tuple[str, str, bool, bool]]:
    """(id, type, is a widget, is optional) of a class's inputs, sockets first."""
    found: list[tuple[str, str, bool, bool]] = []
    for key, options in _definitions(kind):
        optional = key in kind["input"].get("optional", {})
        declared = kind["input"]["optional" if optional else "required"][key][0]
        type_name = "COMBO" if isinstance(declared, list) else str(declared)
        widget = type_name in WIDGETS and not options.get("forceInput")
        found.append((key, type_name, widget, optional and not widget))
    return sorted(found, key=lambda each: each[2])


def _widget_values(kind: dict[str, Any], node: Node) -> list[Any]:
    widgets = {key for key, _, widget, _ in _inputs(kind) if widget}
    values: list[Any] = []
    for key, options in _definitions(kind):
        if key not in widgets:
            continue
        value = node.inputs.get(key, options.get("default"))
        values.append(value if not isinstance(value, tuple) else options.get("default"))
        if options.get("control_after_generate") or key in ("seed", "noise_seed"):
            values.append("fixed")
    return values
