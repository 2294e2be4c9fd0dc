"""`python -m workflows.make`: writes every bundled workflow and runs it for its thumbnail.

    workflows/NAME.json       for ComfyUI's template browser
    workflows/api/NAME.json   the same for its API
    workflows/NAME.jpg        what it made of the demo pictures, in a real ComfyUI; some are the
                              pictures of help pages, too
    subgraphs/                the blueprint "Try On Garment"

Which inputs are widgets, and the names and types of outputs, come from that ComfyUI.
"""

from __future__ import annotations

import io
import json
import shutil
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from PIL import Image

from benchmarks.comfyui_server import PACK, ComfyUIServer, comfyui_server, find_comfyui
from workflows.blueprint import NAME, blueprint
from workflows.drawing import numbers_of, ui_form
from workflows.graphs import GRAPHS, upper_body
from workflows.stages import Graph

THUMBNAIL = 384  # pixels high
HELP_PICTURES = {
    "quick_start": "OOTD_TryOn",
    "full_outfit": "OOTD_ModelLoader",
    "garment_grid": "OOTD_FusedDenoiser",
    "large_picture": "OOTD_FitPerson",
}
"""Whose help page shows a workflow's thumbnail."""


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
                picture = PACK / "workflows" / f"{name}.jpg"
                thumbnail(server, api, picture)
                if name in HELP_PICTURES:
                    shutil.copy(picture, PACK / "web/docs" / HELP_PICTURES[name] / "example.jpg")
            typer.echo(name)
        _write(PACK / "subgraphs" / f"{NAME}.json", blueprint(upper_body(), kinds))


def api_form(graph: Graph) -> dict[str, Any]:
    """The prompt: node numbers as text, links as [number, output]; bypassed nodes left out."""
    numbers = numbers_of(graph)
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


def thumbnail(server: ComfyUIServer, prompt: dict[str, Any], path: Path) -> None:
    """Run a prompt with its input pictures shown as well; see `_sheet`."""
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
    inputs, made = (
        [
            Image.open(io.BytesIO(content)).convert("RGB")
            for key in keys
            if key in entry["outputs"]
            for content in server.images({"outputs": {key: entry["outputs"][key]}})
        ]
        for keys in ((*first, *garments), results)
    )
    _sheet(inputs, made).save(path, quality=88)


def _sheet(inputs: list[Image.Image], results: list[Image.Image]) -> Image.Image:
    """The inputs above each other, and beside them the results, as high as all of them."""
    small = [_scaled(picture, THUMBNAIL // len(inputs)) for picture in inputs]
    large = [_scaled(picture, THUMBNAIL) for picture in results]
    left = max(picture.width for picture in small)
    sheet = Image.new("RGB", (left + sum(each.width for each in large), THUMBNAIL), "white")
    for number, picture in enumerate(small):
        sheet.paste(picture, ((left - picture.width) // 2, number * picture.height))
    for picture in large:
        sheet.paste(picture, (left, 0))
        left += picture.width
    return sheet


def _scaled(picture: Image.Image, height: int) -> Image.Image:
    return picture.resize((round(picture.width * height / picture.height), height))


def _write(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    typer.run(main)
