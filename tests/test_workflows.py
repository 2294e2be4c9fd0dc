"""The bundled workflows as files: complete, consistent, each with its picture and API twin."""

import ast
import json
import re
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from workflows.drawing import MODEL_NODES, note_of
from workflows.graphs import GRAPHS
from workflows.make import api_form

ROOT = Path(__file__).resolve().parent.parent
FILES = sorted((ROOT / "workflows").glob("*.json"))
NOT_RUN = {"MarkdownNote"}


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


def node_inputs() -> dict[str, set[str]]:
    """Our node ids and the parameters of their `execute`, from the sources."""
    found: dict[str, set[str]] = {}
    for path in (ROOT / "nodes").glob("*.py"):
        for item in ast.parse(path.read_text(encoding="utf-8")).body:
            if not isinstance(item, ast.ClassDef):
                continue
            ids = [
                keyword.value.value
                for node in ast.walk(item)
                if isinstance(node, ast.Call)
                for keyword in node.keywords
                if keyword.arg == "node_id" and isinstance(keyword.value, ast.Constant)
            ]
            for function in item.body:
                if ids and isinstance(function, ast.FunctionDef) and function.name == "execute":
                    found[str(ids[0])] = {argument.arg for argument in function.args.args[1:]}
    return found


def test_every_workflow_of_the_code_is_there() -> None:
    assert {path.stem for path in FILES} == set(GRAPHS)
    assert len(node_inputs()) == 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_workflow_is_consistent(path: Path) -> None:
    workflow = read(path)
    nodes = {node["id"]: node for node in workflow["nodes"]}
    assert len(nodes) == len(workflow["nodes"])
    assert path.with_suffix(".jpg").stat().st_size < 60_000
    for number, start, output, end, entry, kind in workflow["links"]:
        assert number in nodes[start]["outputs"][output]["links"]
        assert nodes[end]["inputs"][entry]["link"] == number
        assert nodes[start]["outputs"][output]["type"] == kind
    linked = {link[0] for link in workflow["links"]}
    for node in nodes.values():
        for slot in node["inputs"]:
            assert slot["link"] is None or slot["link"] in linked
    for number, widget in workflow["extra"].get("linearData", {}).get("inputs", ()):
        assert widget in {slot["name"] for slot in nodes[number]["inputs"]}
    title = 30  # above a node's position
    boxes = [
        (node["pos"][0], node["pos"][1] - title, node["size"][0], node["size"][1] + title)
        for node in nodes.values()
    ]
    groups = [tuple(group["bounding"]) for group in workflow["groups"]]
    assert not overlaps(boxes), "two nodes overlap"
    assert not overlaps(groups), "two groups overlap"
    for x, y, width, height in boxes[:-1]:  # all but the note
        assert any(
            left < x and top < y and x + width < left + wide and y + height < top + high
            for left, top, wide, high in groups
        ), "a node lies in no group"


def overlaps(boxes: list[tuple[float, ...]]) -> list[tuple[int, int]]:
    """Which of these (left, top, width, height) lie over which."""
    return [
        (one, two)
        for one, (x, y, width, height) in enumerate(boxes)
        for two, (left, top, wide, high) in enumerate(boxes[one + 1 :], start=one + 1)
        if x < left + wide and left < x + width and y < top + high and top < y + height
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_api_twin_is_the_same_workflow(path: Path) -> None:
    twin = read(path.parent / "api" / path.name)
    assert twin == api_form(GRAPHS[path.stem]()), "run python -m workflows.make"
    drawn = sorted(
        node["type"]
        for node in read(path)["nodes"]
        if node["mode"] == 0 and node["type"] not in NOT_RUN
    )
    assert sorted(node["class_type"] for node in twin.values()) == drawn
    known = node_inputs()
    for node in twin.values():
        kind = node["class_type"]
        if kind in known:
            assert set(node["inputs"]) <= known[kind], kind
        for value in node["inputs"].values():
            if isinstance(value, list):
                assert value[0] in twin


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_api_twin_fits_the_nodes(path: Path) -> None:
    """Against the golden file of what our nodes take and give."""
    golden = read(ROOT / "tests" / "comfyui" / "object_info.json")
    twin = read(path.parent / "api" / path.name)
    for node in twin.values():
        if node["class_type"] not in golden:
            continue
        known = golden[node["class_type"]]["input"]
        required, optional = known.get("required", {}), known.get("optional", {})
        assert set(required) <= set(node["inputs"]) <= {*required, *optional}, node
        for key, value in node["inputs"].items():
            kind, options = (required | optional)[key]
            if isinstance(value, list):
                source = golden.get(twin[value[0]]["class_type"])
                assert source is None or source["output"][value[1]] == kind, (node, key)
            elif options.get("options"):
                assert value in options["options"], (node, key)
            elif kind in ("INT", "FLOAT"):
                assert options["min"] <= value <= options["max"], (node, key)


def test_every_node_of_ours_is_used() -> None:
    used = {node["type"] for path in FILES for node in read(path)["nodes"]}
    assert set(node_inputs()) <= used


def test_a_missing_model_can_be_found() -> None:
    """The frontend offers what stands under `models`; see the browser's test."""
    nodes = read(ROOT / "workflows" / "lora_and_controlnet.json")["nodes"]
    (loader,) = [node for node in nodes if node["type"] == "ControlNetLoader"]
    (model,) = loader["properties"]["models"]
    assert model["directory"] == "controlnet" and model["url"].endswith(model["name"])
    assert loader["widgets_values"] == [model["name"]]
    for path in FILES:
        for node in read(path)["nodes"]:
            if node["type"] == "OOTD_ModelLoader":
                assert "huggingface.co" in node["properties"]["published_checkpoint"]["repository"]


def test_the_main_workflow_has_an_app_mode() -> None:
    data = read(ROOT / "workflows" / "upper_body.json")["extra"]["linearData"]
    assert len(data["inputs"]) >= 3 and len(data["outputs"]) == 1


def test_the_blueprint_is_consistent() -> None:
    blueprint = read(ROOT / "subgraphs" / "Try On Garment.json")
    (subgraph,) = blueprint["definitions"]["subgraphs"]
    (instance,) = blueprint["nodes"]
    assert instance["type"] == subgraph["id"]
    nodes = {node["id"]: node for node in subgraph["nodes"]}
    links = {link["id"]: link for link in subgraph["links"]}
    for link in links.values():
        if link["origin_id"] == -10:
            assert link["id"] in subgraph["inputs"][link["origin_slot"]]["linkIds"]
        else:
            slot = nodes[link["origin_id"]]["outputs"][link["origin_slot"]]
            assert link["id"] in slot["links"]
        if link["target_id"] == -20:
            assert link["id"] in subgraph["outputs"][link["target_slot"]]["linkIds"]
        else:
            assert nodes[link["target_id"]]["inputs"][link["target_slot"]]["link"] == link["id"]
    assert [each["name"] for each in subgraph["outputs"]] == ["image", "mask"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_note_names_the_nodes_of_its_own_graph_in_two_languages(path: Path) -> None:
    workflow = read(path)
    (note,) = [node for node in workflow["nodes"] if node["type"] == "MarkdownNote"]
    (text,) = note["widgets_values"]
    assert text == note_of(GRAPHS[path.stem]()), "run python -m workflows.make"
    kinds = {node["type"] for node in workflow["nodes"]}
    for kind, names in MODEL_NODES.items():
        for name in names:
            assert (name in text) == (kind in kinds), (name, kind)
    table = read(ROOT / "locales" / "zh" / "nodeDefs.json")
    for kind, (_, chinese) in MODEL_NODES.items():
        assert table[kind]["display_name"].startswith(chinese)
    titles = [group["title"] for group in workflow["groups"]]
    assert all(re.search(r"[A-Z][a-z].*[\u4e00-\u9fff]", title) for title in titles), titles


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_sizes_follow_the_checkpoint(path: Path) -> None:
    for node in read(path.parent / "api" / path.name).values():
        if "size" in node["inputs"]:
            assert node["inputs"]["size"] == "auto"
            assert node["class_type"] == "OOTD_TryOn" or node["inputs"]["model"]


def test_the_thumbnail_of_a_large_picture_is_large() -> None:
    """It shows what the built-in checkpoint can do: a doll in a wide picture."""
    with Image.open(ROOT / "workflows" / "large_picture.jpg") as picture:
        assert picture.width > 1.5 * picture.height
