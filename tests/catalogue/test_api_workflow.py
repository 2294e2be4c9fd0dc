"""Where a row's values go in a workflow: in the bundled ones by themselves, in others as named."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalogue.api_workflow import BUNDLED, ApiWorkflow, read_workflow
from catalogue.manifest import Manifest, ManifestRow
from ootd_core.categories import Category
from ootd_core.masks.agnostic import MaskMode
from tryon.options import TryOnOptions

ONE_GARMENT = sorted(
    path.stem for path in BUNDLED.glob("*.json") if path.stem not in ("full_outfit", "garment_grid")
)
FILES = {"person": "x/person.png", "garment": "x/garment.png"}


def row_with(**changes: Any) -> ManifestRow:
    given: dict[str, Any] = {
        "number": 1,
        "person": "person.png",
        "garments": (("garment.png", Category.DRESS),),
        "options": TryOnOptions(),
        "name": "a name",
    }
    return ManifestRow(**(given | changes))


def foreign(tmp_path: Path, **more: Any) -> Path:
    """A workflow of nobody's that we know, with two pictures, two samplers and titles."""
    graph = {
        "12": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": {"title": "Ann"}},
        "13": {"class_type": "LoadImage", "inputs": {"image": "b.png"}},
        "14": {"class_type": "LoadImage", "inputs": {"image": "m.png"}},
        "20": {"class_type": "Sampler", "inputs": {"seed": 3, "steps": 8, "model": ["12", 0]}},
        "21": {"class_type": "Sampler", "inputs": {"seed": 4, "steps": 8, "cfg": 5.5,
               "latent": ["20", 0], "cloth": ["13", 0], "mask": ["14", 1]}},
        "30": {"class_type": "SaveImage", "inputs": {"images": ["21", 0], "filename_prefix": "a"}},
    }  # fmt: skip
    path = tmp_path / "mine.json"
    path.write_text(json.dumps(graph | more))
    return path


SETS = ["person=Ann.image", "garment=13.image"]


@pytest.mark.parametrize("name", ONE_GARMENT)
def test_a_bundled_workflow_takes_a_rows_values(name: str) -> None:
    workflow = read_workflow(name)
    options = replace(
        workflow.own_options(), seed=77, num_inference_steps=3, guidance_scale=1.5,
        mask_mode=MaskMode.HIDE_OLD_GARMENT, height=512, guidance_start=0.25,
    )  # fmt: skip
    assert not workflow.checked(Manifest(rows=[row_with(options=options)], faults=[])).faults
    graph = workflow.filled(row_with(options=options), FILES)
    assert not [link for node in graph.values() for link in node["inputs"].values()
                if isinstance(link, list) and link[0] == "1"]  # fmt: skip
    assert graph["batch_person"]["inputs"]["image"] == "x/person.png"
    assert graph["batch_garment"]["inputs"]["image"] == "x/garment.png"
    values = {key: value for node in graph.values() for key, value in node["inputs"].items()}
    assert values["category"] == "dress" and values["size"] == "512x384"
    assert values.get("seed", values.get("noise_seed")) == 77
    assert (values["steps"], values["cfg"], values["guidance_start"]) == (3, 1.5, 0.25)
    assert '"hide old garment"' in json.dumps(graph)
    assert workflow.graph == read_workflow(name).graph, "the workflow itself is left alone"
    assert graph[workflow.output]["class_type"] == "SaveImage"


def test_a_mask_is_fitted_together_with_the_person() -> None:
    graph = read_workflow("upper_body").filled(row_with(), FILES | {"mask": "x/mask.png"})
    assert graph["batch_mask"] == {
        "class_type": "LoadImageMask",
        "inputs": {"image": "x/mask.png", "channel": "red"},
    }
    assert graph["6"]["inputs"]["mask"] == ["batch_mask", 0]
    assert graph["9"]["inputs"]["mask"] == ["6", 1]
    graph = read_workflow().filled(row_with(), FILES | {"mask": "x/mask.png"})
    assert graph["2"]["inputs"]["mask"] == ["batch_mask", 0]


def test_what_is_not_named_stays_as_it_is() -> None:
    workflow = read_workflow("swap_the_sampler")
    own = workflow.own_options()
    assert (own.seed, own.num_inference_steps) == (1, 15)
    graph = workflow.filled(row_with(options=own), FILES)
    for key, node in workflow.graph.items():
        fixed = {"category", *(k for k, v in node["inputs"].items() if isinstance(v, list))}
        for name, value in node["inputs"].items():
            assert name in fixed or graph[key]["inputs"][name] == value


@pytest.mark.parametrize("name", ["full_outfit", "garment_grid"])
def test_workflows_of_several_garments_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} takes 2 pictures for garment, and a row has one"):
        read_workflow(name)


def test_a_foreign_workflow_takes_what_is_named(tmp_path: Path) -> None:
    sets = [
        *SETS, "mask=14.image", "seed=20.seed", "seed=21.seed", "guidance_scale=21.cfg",
        "name=30.filename_prefix", "category=30.images",
    ]  # fmt: skip
    workflow = read_workflow(str(foreign(tmp_path)), sets)
    row = row_with(mask="m.png", options=replace(workflow.own_options(), guidance_scale=2.0))
    graph = workflow.filled(row, FILES | {"mask": "x/mask.png"})
    assert graph["12"]["inputs"]["image"] == "x/person.png"
    assert graph["13"]["inputs"]["image"] == "x/garment.png"
    assert graph["21"]["inputs"]["mask"] == ["batch_mask", 0], "not the picture's transparency"
    assert (graph["20"]["inputs"]["seed"], graph["21"]["inputs"]["seed"]) == (3, 3)
    assert graph["21"]["inputs"]["cfg"] == 2.0
    assert graph["30"]["inputs"] == {"images": "dress", "filename_prefix": "a name"}
    assert workflow.output == "30"


def test_titles_name_the_pictures(tmp_path: Path) -> None:
    titled = {
        "12": {"class_type": "LoadImage", "inputs": {"image": "a"}, "_meta": {"title": "Person"}},
        "13": {"class_type": "LoadImage", "inputs": {"image": "a"}, "_meta": {"title": "garment"}},
    }
    workflow = read_workflow(str(foreign(tmp_path, **titled)))
    assert [str(place) for place in workflow.places["person"]] == ["12.image"]
    assert [str(place) for place in workflow.places["garment"]] == ["13.image"]


@pytest.mark.parametrize(
    ("sets", "sentence"),
    [
        ([], "no person was found: say which with --set person=12.image; of nodes that load "
             r"pictures there are 12 .Ann., 13 .LoadImage., 14"),
        (["person=12.image"], "no garment was found"),
        ([*SETS, "seed"], "--set seed must be FIELD=NODE.INPUT"),
        ([*SETS, "seed=21"], "must be FIELD=NODE.INPUT"),
        ([*SETS, "sed=21.seed"], "there is no sed; there are person, garment"),
        ([*SETS, "seed=99.seed"], "has no node called '99'; there are 12 .Ann., 13"),
        ([*SETS, "seed=21.sed"], r"node 21 .Sampler. has no input sed .*; it has seed, steps, cfg"),
    ],
)  # fmt: skip
def test_what_is_named_has_to_be_there(tmp_path: Path, sets: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_workflow(str(foreign(tmp_path)), sets)


def test_the_output_has_to_be_one(tmp_path: Path) -> None:
    second = {"31": {"class_type": "SaveImage", "inputs": {"images": ["20", 0]}}}
    path = str(foreign(tmp_path, **second))
    with pytest.raises(ValueError, match=r"2 nodes of class SaveImage: say with --output which"):
        read_workflow(path, SETS)
    assert read_workflow(path, SETS, "31").output == "31"
    with pytest.raises(ValueError, match=r"--output 32: .* has no node called '32'"):
        read_workflow(path, SETS, "32")
    nothing = {"30": {"class_type": "Show", "inputs": {}}}
    with pytest.raises(ValueError, match="has no SaveImage or PreviewImage: say with --output"):
        read_workflow(str(foreign(tmp_path, **nothing)), SETS)
    preview = {"30": {"class_type": "PreviewImage", "inputs": {"images": ["21", 0]}}}
    assert read_workflow(str(foreign(tmp_path, **preview)), SETS).output == "30"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ('{"nodes": [], "links": []}', r"as ComfyUI's editor saves it: take File > Export \(API\)"),
        ("[]", "is no workflow in API format"),
        ('{"1": {"class_type": "A"}}', "is no workflow in API format"),
    ],
)
def test_what_is_no_workflow(tmp_path: Path, content: str, sentence: str) -> None:
    path = tmp_path / "w.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=sentence):
        read_workflow(str(path))
    with pytest.raises(FileNotFoundError, match=r"no workflow none: name a file .* of dress"):
        read_workflow("none")


def test_what_other_nodes_hold_is_theirs(tmp_path: Path) -> None:
    """Titles that are none, and lists of two that are no links, before what loads a picture."""
    nodes: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "a.png"}, "_meta": None},
        "2": {"class_type": "Points", "_meta": "x",
              "inputs": {"pts": [[1, 2], [3, 4]], "two": [1, 0], "image": ["1", 0]}},
        "3": {"class_type": "OOTD_FitPerson", "_meta": {"title": None},
              "inputs": {"image": ["2", 0]}},
    }  # fmt: skip
    workflow = read_workflow(str(foreign(tmp_path, **nodes)), ["garment=13.image"])
    assert [str(place) for place in workflow.places["person"]] == ["1.image"]
    deep: Any = []
    for _ in range(500):
        deep = [deep]
    nodes["2"]["inputs"]["deep"] = deep
    workflow = read_workflow(str(foreign(tmp_path, **nodes)), ["garment=13.image"])
    graph = workflow.filled(row_with(), FILES)
    assert graph["1"]["inputs"]["image"] == "x/person.png"
    assert workflow.graph["1"]["inputs"]["image"] == "a.png"


def faults(workflow: ApiWorkflow, *rows: ManifestRow) -> list[str]:
    return [str(fault) for fault in workflow.checked(Manifest(rows=[*rows], faults=[])).faults]


def test_rows_that_ask_for_more_are_named_before_the_work(tmp_path: Path) -> None:
    workflow = read_workflow(str(foreign(tmp_path)), SETS)
    own = workflow.own_options()
    assert faults(workflow, row_with(options=own)) == []
    several = "has several inputs for it (20.seed, 21.seed): say which with --set seed=20.seed."
    (sentence,) = faults(workflow, row_with(options=replace(own, seed=5)))
    assert sentence.startswith("Row 1: sets seed, but ") and sentence.endswith(several)
    (sentence,) = faults(workflow, row_with(options=own, mask="m.png"))
    assert sentence.endswith("has no input for it that is known: give --set mask=NODE.INPUT.")
    (sentence,) = faults(workflow, row_with(options=replace(own, feather=4.0)))
    assert "sets feather, but" in sentence
    outfit = (("a.png", Category.UPPER), ("b.png", Category.LOWER))
    (sentence, *_) = faults(workflow, row_with(options=own, garments=outfit))
    assert "has 2 garments, but a workflow takes one" in sentence
    kinds = [row_with(options=own, garments=(("a.png", kind),)) for kind in Category]
    assert all("sets category, but" in each for each in faults(workflow, *kinds))
    assert len(faults(workflow, *kinds)) == 3
    named = read_workflow(str(foreign(tmp_path)), [*SETS, "mask=14.image"])
    (sentence,) = faults(named, row_with(options=named.own_options()))
    assert "has no mask, for which --set names an input" in sentence
