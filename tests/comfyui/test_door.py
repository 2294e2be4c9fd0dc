"""A real server and its frontend: the templates' order, what is freed, what a search finds."""

import json
import urllib.error
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comfyui_server import PACK, ComfyUIServer, comfyui_server
from tests.comfyui import test_browser

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
browser = test_browser.browser
WORDS = ("vton", "virtual try on", "try-on", "clothes", "outfit", "garment")
CHINESE = ("虚拟试衣", "试穿", "换装", "服装")


@pytest.fixture(scope="module")
def server(
    comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Generator[ComfyUIServer]:
    folder = tmp_path_factory.mktemp("door") / "base"
    with comfyui_server(*comfyui, folder) as running:
        for name, value in test_browser.SETTINGS.items():
            running.post(f"/settings/{name}", value)
        yield running


def quick_start() -> tuple[dict[str, Any], dict[str, Any]]:
    """The prompt, and its try-on's inputs, one step."""
    path = PACK / "workflows" / "api" / "quick_start.json"
    prompt = json.loads(path.read_text(encoding="utf-8"))
    (tryon,) = [node["inputs"] for node in prompt.values() if "steps" in node["inputs"]]
    tryon["steps"] = 1
    return prompt, tryon


def test_quick_start_comes_first(server: ComfyUIServer) -> None:
    """As the frontends show them: in the order of the server's answer."""
    for path in ("/workflow_templates", "/api/workflow_templates"):
        (offered,) = server.get(path).values()
        assert offered[:2] == ["quick_start", "upper_body"]
        assert sorted(offered) == sorted(each.stem for each in (PACK / "workflows").glob("*.json"))


def test_a_wrong_choice_is_said_once(server: ComfyUIServer) -> None:
    prompt, tryon = quick_start()
    tryon["mask_mode"] = "robst"
    with pytest.raises(urllib.error.HTTPError) as refused:
        server.queue(prompt)
    assert refused.value.code == 400
    (node,) = json.loads(refused.value.read())["node_errors"].values()
    (error,) = node["errors"]
    assert node["class_type"] == "OOTD_TryOn"
    assert "mask_mode is 'robst', but must be one of: auto, robust, hide old" in error["details"]


def test_free_memory_frees_and_the_next_prompt_runs(server: ComfyUIServer) -> None:
    prompt, tryon = quick_start()
    for seed in (1, 2):
        tryon["seed"] = seed
        entry = server.wait(server.queue(prompt))
        assert entry["status"]["status_str"] == "success", entry["status"]
        server.post("/free", {"unload_models": True, "free_memory": True})


@pytest.fixture(scope="module")
def page(browser: Any, server: ComfyUIServer) -> Any:
    return test_browser.open_page(browser, server)


def searched(page: Any, word: str) -> list[str]:
    """What the search that a double click on the empty canvas opens lists for a word."""
    page.evaluate("window.app.graph.clear()")
    page.mouse.dblclick(960, 600)
    page.locator("input[role=combobox]").first.wait_for(timeout=60_000)
    page.keyboard.press("Control+A")
    page.keyboard.type(word)
    page.wait_for_timeout(2000)
    test_browser.keep(page, f"search_{word}")
    found = page.locator("[role=option], [data-testid=result-item]").all_inner_texts()
    page.keyboard.press("Escape")
    page.wait_for_timeout(500)
    return found


def test_a_search_finds_us(page: Any, server: ComfyUIServer) -> None:
    """Older frontends search the names of nodes alone, which are English here."""
    aliases = server.get("/object_info")["OOTD_TryOn"].get("search_aliases")
    for word in (*WORDS, *(CHINESE if aliases else ())):
        found = searched(page, word)
        ours = "Outfitting UNet" if word == "outfit" else "Try On Garment"
        assert any(ours in text for text in found[:12]), (word, found)
