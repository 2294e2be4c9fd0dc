"""A real ComfyUI server with the pack: what it offers, how a queue goes, its neighbours."""

import json
import shutil
import urllib.error
from collections.abc import Generator
from pathlib import Path

import pytest

from benchmarks.comfyui_prompt import tryon_prompt
from benchmarks.comfyui_server import PACK, ComfyUIServer, comfyui_server
from tests.comfyui.object_info import GOLDEN, ours

pytestmark = pytest.mark.comfyui
NAME = "a pack.v2 (ours)"
HOSTILE = """
import sys
from . import utils
sys.modules.setdefault("openpose", utils)
sys.path.insert(0, __path__[0])
NODE_CLASS_MAPPINGS = {}
"""


@pytest.fixture(scope="module")
def server(
    comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Generator[ComfyUIServer]:
    """Beside a pack with top-level `utils`, `modules` and `openpose`, from a folder whose name has
    a space and a dot."""
    folder = tmp_path_factory.mktemp("server")
    hostile = folder / "hostile"
    for name in ("utils", "modules", "openpose", "ootd_core", "nodes"):
        (hostile / name).mkdir(parents=True)
        (hostile / name / "__init__.py").write_text("WRONG = True\n")
    (hostile / "__init__.py").write_text(HOSTILE)
    packs = {"0_hostile": hostile, NAME: PACK}
    with comfyui_server(*comfyui, folder / "base", packs=packs) as running:
        for path in (PACK / "demo" / "samples").glob("*.png"):
            (folder / "base" / "input" / path.name).write_bytes(path.read_bytes())
        yield running


def test_the_pack_loads_beside_a_hostile_one(server: ComfyUIServer) -> None:
    nodes = server.get("/object_info")
    assert len([name for name in nodes if name.startswith("OOTD_")]) == 12, server.log[-3000:]
    assert f"IMPORT FAILED: {server.folder}" not in server.log


def test_the_nodes_are_what_saved_workflows_rest_on(server: ComfyUIServer) -> None:
    golden = json.loads(GOLDEN.read_text(encoding="utf-8"))
    found = ours(server.get("/object_info"))
    assert found.keys() == golden.keys()
    for name, node in found.items():
        kept = {key: node.get(key) for key in golden[name]}  # a newer ComfyUI says more
        assert kept == golden[name], f"{name}: see tests/comfyui/object_info.py"


def test_templates_are_offered(server: ComfyUIServer) -> None:
    offered = server.get("/workflow_templates")[NAME]
    assert sorted(offered) == sorted(path.stem for path in (PACK / "workflows").glob("*.json"))


def test_translations_are_served(server: ComfyUIServer) -> None:
    languages = server.get("/i18n")
    for language in ("en", "zh"):
        assert "OOTD_TryOn" in languages[language]["nodeDefs"]


def test_bad_widget_values_are_refused_before_anything_runs(server: ComfyUIServer) -> None:
    prompt = tryon_prompt("1-upper-person.png", "1-upper-garment.png", "upper")
    prompt["loader"]["inputs"]["variant"] = "half body (hd)"
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.queue(prompt)
    assert refused.value.code == 400
    problem = json.loads(refused.value.read())
    assert "full body only" in json.dumps(problem["node_errors"])


def test_a_failed_prompt_leaves_the_next_one_alone(server: ComfyUIServer) -> None:
    good = tryon_prompt("1-upper-person.png", "1-upper-garment.png", "upper", steps=1)
    bad = tryon_prompt("1-upper-person.png", "1-upper-garment.png", "upper", steps=1)
    bad["fused"]["inputs"]["denoiser"] = ["loader", 1]
    first, second = server.queue(bad), server.queue(good)
    failed, done = server.wait(first), server.wait(second)
    assert failed["status"]["status_str"] == "error"
    message = dict(failed["status"]["messages"])["execution_error"]["exception_message"]
    assert "connect the output denoiser" in message
    assert done["status"]["status_str"] == "success"
    assert len(server.images(done)) == 1


def test_an_interrupted_prompt_leaves_the_next_one_alone(server: ComfyUIServer) -> None:
    long = tryon_prompt("2-upper-person.png", "2-upper-garment.png", "upper", steps=400)
    first = server.queue(long)
    while not server.get("/queue")["queue_running"]:
        server.check_alive()
    server.post("/interrupt", {})
    stopped = server.wait(first)
    kinds = [name for name, _ in stopped["status"]["messages"]]
    assert "execution_interrupted" in kinds, kinds
    after = tryon_prompt("2-upper-person.png", "2-upper-garment.png", "upper", steps=1)
    assert server.wait(server.queue(after))["status"]["status_str"] == "success"


@pytest.mark.parametrize(
    "name", sorted(path.stem for path in (PACK / "workflows" / "api").glob("*.json"))
)
def test_an_api_twin_runs(server: ComfyUIServer, name: str) -> None:
    prompt = json.loads((PACK / "workflows" / "api" / f"{name}.json").read_text(encoding="utf-8"))
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 2
    entry = server.wait(server.queue(prompt))
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert server.images(entry)


@pytest.mark.slow
def test_models_are_found_where_extra_model_paths_says(
    tested_comfyui: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(PACK / "demo" / "checkpoints", tmp_path / "disk 2" / "tryon" / "doll")
    paths = tmp_path / "paths.yaml"
    paths.write_text(f"mine:\n  base_path: {tmp_path / 'disk 2'}\n  ootdiffusion: tryon\n")
    options = ["--cpu", "--extra-model-paths-config", str(paths)]
    packs = {"ootd.tryon-2": PACK}
    with comfyui_server(
        *tested_comfyui, tmp_path / "base", options=options, packs=packs
    ) as running:
        combo = running.get("/object_info")["OOTD_ModelLoader"]["input"]["required"]["checkpoint"]
        assert combo[1]["options"] == ["doll", "mini (built in)"]
        path = PACK / "workflows" / "api" / "quick_start.json"
        prompt = json.loads(path.read_text(encoding="utf-8"))
        (tryon,) = [node["inputs"] for node in prompt.values() if "steps" in node["inputs"]]
        tryon |= {"checkpoint": "doll", "steps": 1}
        entry = running.wait(running.queue(prompt))
        assert entry["status"]["status_str"] == "success", entry["status"]
        # A dot in the folder's name is no trouble for what ComfyUI serves; a space is, see below.
        assert running.get("/api/workflow_templates/ootd.tryon-2/dress.json")["version"] == 0.4
        for page in ("OOTD_TryOn.md", "OOTD_TryOn/zh.md", "OOTD_TryOn/example.jpg"):
            assert running.get(f"/extensions/ootd.tryon-2/docs/{page}")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("caching", "workflow"),
    [
        # ComfyUI 0.3.64 fails on every node that expands where it caches nothing (KeyError in
        # DependencyAwareCache), so there the separate nodes it is.
        (["--cache-none"], "upper_body"),
        (["--cache-lru", "10"], "quick_start"),
    ],
)
def test_every_cache_of_comfyui_does(
    tested_comfyui: tuple[Path, Path], tmp_path: Path, caching: list[str], workflow: str
) -> None:
    with comfyui_server(*tested_comfyui, tmp_path, options=["--cpu", *caching]) as running:
        # Of a folder with a space in its name ComfyUI does not serve these files.
        base = "/api/workflow_templates/ootdiffusion-tryon"
        assert running.get(f"{base}/{workflow}.json")["version"] == 0.4
        assert running.get(f"{base}/{workflow}.jpg")[:2] == b"\xff\xd8"
        path = PACK / "workflows" / "api" / f"{workflow}.json"
        prompt = json.loads(path.read_text(encoding="utf-8"))
        (sampler,) = [node["inputs"] for node in prompt.values() if "steps" in node["inputs"]]
        sampler["steps"] = 1
        for seed in (1, 2):
            sampler["seed"] = seed
            entry = running.wait(running.queue(prompt))
            assert entry["status"]["status_str"] == "success", entry["status"]
