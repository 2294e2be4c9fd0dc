"""ComfyUI's own frontend in a real browser: workflows load whole, Run makes a picture, a wrong
input shows our sentence. Screenshots are kept in the folder that OOTD_SCREENSHOTS names."""

import json
import os
import shutil
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.comfyui_server import PACK, ComfyUIServer, comfyui_server

pytestmark = [pytest.mark.comfyui, pytest.mark.slow]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
SETTINGS = {
    "Comfy.TutorialCompleted": True,
    "Comfy.Workflow.Persist": False,
    "Comfy.Minimap.Visible": False,
    "LiteGraph.Canvas.LowQualityRenderingZoomThreshold": 0.01,  # texts in screenshots
}
READY = (
    "window.app?.graph && window.app.extensionManager && "
    "Object.keys(LiteGraph.registered_node_types).length > 100"
)
WORKFLOWS = sorted((PACK / "workflows").glob("*.json"))
ASKS_FOR_A_MODEL = {"lora_and_controlnet": "control_v11p_sd15_openpose_fp16.safetensors"}
DIALOG = "[role=dialog]:visible"
TITLE = 30  # of a node, above its position
RUN_SECONDS = 300


@pytest.fixture(scope="module")
def server(
    comfyui: tuple[Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Generator[ComfyUIServer]:
    folder = tmp_path_factory.mktemp("browser") / "base"
    options = ("--cpu", "--preview-method", "latent2rgb")
    with comfyui_server(*comfyui, folder, options=options) as running:
        for name, value in SETTINGS.items():
            running.post(f"/settings/{name}", value)
        yield running


@pytest.fixture(scope="module")
def browser() -> Generator[Any]:
    synchronous = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("There is no chromium on this machine.")
    with synchronous.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=list(FLAGS))
        yield running
        running.close()


def open_page(browser: Any, server: ComfyUIServer) -> Any:
    """ComfyUI's page, loaded; `page.problems` lists what its console said of us."""
    opened = browser.new_page(viewport={"width": 1920, "height": 1000})
    opened.problems = []

    def listen(message: Any) -> None:
        if message.type == "error" and ("OOTD" in message.text or "ootdiffusion" in message.text):
            opened.problems.append(message.text)

    opened.on("console", listen)
    opened.goto(server.address)
    opened.wait_for_function(READY, timeout=120_000)
    return opened


@pytest.fixture(scope="module")
def page(browser: Any, server: ComfyUIServer) -> Any:
    return open_page(browser, server)


def load(page: Any, path: Path) -> None:
    page.evaluate(
        "async (workflow) => { await window.app.loadGraphData(workflow, true, true, null); }",
        json.loads(path.read_text(encoding="utf-8")),
    )
    page.evaluate("window.app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    time.sleep(1)


def keep(page: Any, name: str) -> None:
    folder = os.environ.get("OOTD_SCREENSHOTS")
    if folder:
        page.screenshot(path=str(Path(folder) / f"{name}.png"))


def dialogs(page: Any) -> list[str]:
    return [text for text in page.locator(DIALOG).all_inner_texts() if text.strip()]


def told_error(page: Any) -> str:
    """What the page says went wrong: in a dialog, or in the newest frontend in a notice whose
    details stand in the panel at the right."""
    notice = page.get_by_test_id("error-overlay")
    page.locator(DIALOG).or_(notice).first.wait_for(timeout=20_000)
    told = page.locator("body").inner_text()
    if notice.is_visible():
        page.get_by_test_id("error-overlay-see-errors").click()
        page.get_by_text("Resolve before running").first.wait_for(timeout=20_000)
        time.sleep(1)
        told += page.locator("body").inner_text()
    return told


def close_dialogs(page: Any) -> None:
    while dialogs(page):
        page.keyboard.press("Escape")
        time.sleep(0.5)


def run(page: Any, server: ComfyUIServer) -> dict[str, Any]:
    """Press Run as the button does; the history entry when it has finished."""
    before = set(server.get("/history"))
    page.evaluate("window.app.extensionManager.command.execute('Comfy.QueuePrompt')")
    deadline = time.monotonic() + RUN_SECONDS
    while time.monotonic() < deadline:
        entries = server.get("/history")
        if new := set(entries) - before:
            return entries[new.pop()]
        server.check_alive()
        time.sleep(0.5)
    raise TimeoutError(f"Run left nothing in the history within {RUN_SECONDS} s.")


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_loads_whole(page: Any, path: Path, request: pytest.FixtureRequest) -> None:
    load(page, path)
    shown = dialogs(page)
    # The newest frontend asks for nothing that only bypassed nodes want.
    if path.stem in ASKS_FOR_A_MODEL and (
        shown or request.node.callspec.params["comfyui"] == "tested"
    ):
        assert len(shown) == 1 and "Missing Models" in shown[0], shown
        assert ASKS_FOR_A_MODEL[path.stem] in shown[0] and "Download" in shown[0]
        keep(page, f"{path.stem}_asks")
        close_dialogs(page)
    else:
        assert not shown
    keep(page, path.stem)
    assert not page.problems
    drawn = page.evaluate(
        "window.app.graph._nodes.map(n => [n.type, !!n.has_errors, ...n.pos, ...n.size])"
    )
    saved = json.loads(path.read_text(encoding="utf-8"))["nodes"]
    assert sorted(kind for kind, *_ in drawn) == sorted(node["type"] for node in saved)
    assert not [kind for kind, wrong, *_ in drawn if wrong]
    boxes = [(kind, x, y - TITLE, x + w, y + h) for kind, _, x, y, w, h in drawn]
    for number, (kind, *one) in enumerate(boxes):
        for other, *two in boxes[number + 1 :]:
            apart = one[2] <= two[0] or two[2] <= one[0] or one[3] <= two[1] or two[3] <= one[1]
            assert apart, f"{kind} and {other} overlap: {one}, {two}"


def test_the_frontend_makes_the_prompt_of_the_api_twin(page: Any, server: ComfyUIServer) -> None:
    load(page, PACK / "workflows" / "upper_body.json")
    made = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    twin = json.loads((PACK / "workflows" / "api" / "upper_body.json").read_text(encoding="utf-8"))
    assert set(made) == set(twin)
    for number, node in twin.items():
        found = dict(made[number]["inputs"])
        kind = node["class_type"]
        known = server.get(f"/object_info/{kind}")[kind]["input"].get("optional", {})
        # An optional widget that the twin leaves out comes with its default.
        for name in set(found) - set(node["inputs"]):
            assert found.pop(name) == known[name][1]["default"], f"{kind}.{name}"
        assert found == node["inputs"], number


def test_app_mode_survives_the_frontend(page: Any) -> None:
    load(page, PACK / "workflows" / "upper_body.json")
    kept = page.evaluate("window.app.graph.serialize().extra.linearData")
    assert [widget for _, widget in kept["inputs"]] == ["person", "garment", "mode", "seed", "cfg"]


def test_run_makes_a_picture_and_previews(page: Any, server: ComfyUIServer) -> None:
    load(page, PACK / "workflows" / "upper_body.json")
    page.evaluate(
        "() => { window.previews = 0; window.app.api.addEventListener('b_preview', "
        "() => { window.previews += 1; }); }"
    )
    entry = run(page, server)
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert server.images(entry)
    time.sleep(2)
    keep(page, "run")
    assert page.evaluate("window.previews") >= 10, "too few previews in 20 steps"
    assert not page.problems and not dialogs(page)


def test_a_wrong_input_shows_our_sentence(page: Any, server: ComfyUIServer) -> None:
    load(page, PACK / "workflows" / "upper_body.json")
    page.evaluate(
        "() => { const node = window.app.graph._nodes.find(n => n.type === 'OOTD_FusedDenoiser');"
        "node.widgets.find(w => w.name === 'start_percent').value = 0.9;"
        "node.widgets.find(w => w.name === 'end_percent').value = 0.1; }"
    )
    assert run(page, server)["status"]["status_str"] == "error"
    told = told_error(page)
    keep(page, "wrong_input")
    assert "start_percent (0.9) lies after end_percent" in told
    close_dialogs(page)


def test_a_warning_is_shown_on_its_node(page: Any, server: ComfyUIServer) -> None:
    load(page, PACK / "workflows" / "upper_body.json")
    page.evaluate(
        "() => { const node = window.app.graph._nodes.find(n => n.type === 'OOTD_MaskGenerator');"
        "node.widgets.find(w => w.name === 'category').value = 'lower';"
        "window.app.graph._nodes.find(n => n.type === 'KSampler')"
        ".widgets.find(w => w.name === 'steps').value = 1; }"
    )
    assert run(page, server)["status"]["status_str"] == "success"
    time.sleep(1)
    keep(page, "warning")
    shown = page.evaluate(
        "window.app.graph._nodes.find(n => n.type === 'OOTD_FusedDenoiser')"
        ".widgets.map(w => String(w.value))"
    )
    assert any("generated for category 'lower'" in text for text in shown), shown


def test_a_wrong_choice_is_refused_before_it_runs(page: Any) -> None:
    load(page, PACK / "workflows" / "quick_start.json")
    page.evaluate(
        "() => { const node = window.app.graph._nodes.find(n => n.type === 'OOTD_TryOn');"
        "node.widgets.find(w => w.name === 'variant').value = 'half body (hd)'; }"
    )
    page.evaluate("window.app.extensionManager.command.execute('Comfy.QueuePrompt')")
    told = told_error(page)
    keep(page, "wrong_choice")
    assert "The built-in checkpoint is full body only" in told
    close_dialogs(page)


def test_the_blueprint_runs(page: Any, server: ComfyUIServer) -> None:
    load(page, PACK / "subgraphs" / "Try On Garment.json")
    page.evaluate(
        """() => {
            const graph = window.app.graph, stages = graph._nodes[0];
            const pictures = LiteGraph.createNode('OOTD_DemoPictures');
            const save = LiteGraph.createNode('SaveImage');
            pictures.pos = [-250, 200];
            save.pos = [600, 200];
            graph.add(pictures);
            graph.add(save);
            pictures.connect(0, stages, 0);
            pictures.connect(1, stages, 1);
            stages.connect(0, save, 0);
        }"""
    )
    widgets = page.evaluate("window.app.graph._nodes[0].widgets.map(w => [w.name, w.value])")
    assert dict(widgets)["category"] == "upper" and dict(widgets)["cfg"] == 2.0, widgets
    entry = run(page, server)
    assert entry["status"]["status_str"] == "success", entry["status"]
    assert server.images(entry)
    page.evaluate("window.app.extensionManager.command.execute('Comfy.Canvas.FitView')")
    time.sleep(2)
    keep(page, "blueprint")
    page.evaluate("window.app.canvas.openSubgraph(window.app.graph._nodes[0].subgraph)")
    time.sleep(1)
    keep(page, "blueprint_inside")
    page.evaluate("window.app.canvas.setGraph(window.app.graph.rootGraph ?? window.app.graph)")


def test_the_template_browser_leads_to_a_picture(page: Any, server: ComfyUIServer) -> None:
    """What the README tells a newcomer to click."""
    page.evaluate("window.app.extensionManager.command.execute('Comfy.BrowseTemplates')")
    page.locator(DIALOG).get_by_text("ootdiffusion-tryon").first.click()
    time.sleep(2)
    keep(page, "templates")
    page.locator(DIALOG).get_by_text("quick_start").first.click()
    page.wait_for_function("window.app.graph._nodes.some(n => n.type === 'OOTD_TryOn')")
    page.locator(DIALOG).first.wait_for(state="hidden")
    page.get_by_test_id("queue-button").get_by_text("Run").click()
    before = len(server.get("/history"))
    deadline = time.monotonic() + RUN_SECONDS
    while len(server.get("/history")) == before and time.monotonic() < deadline:
        time.sleep(0.5)
    entry = list(server.get("/history").values())[-1]
    assert entry["status"]["status_str"] == "success" and server.images(entry)
    time.sleep(2)
    keep(page, "newcomer")


def test_the_help_page_is_shown(page: Any) -> None:
    load(page, PACK / "workflows" / "quick_start.json")
    x, y = page.evaluate(
        "() => { const node = window.app.graph._nodes.find(n => n.type === 'OOTD_TryOn');"
        "return window.app.canvas.ds.convertOffsetToCanvas([node.pos[0] + 150, node.pos[1] - 12])"
        "; }"
    )
    left, top = page.evaluate(
        "() => { const box = window.app.canvas.canvas.getBoundingClientRect();"
        "return [box.left, box.top]; }"
    )
    page.mouse.click(left + x, top + y)
    page.get_by_test_id("info-button").first.click()
    shown = page.locator(".node-help-content")
    shown.get_by_text("mask_mode").first.wait_for(timeout=20_000)
    time.sleep(1)
    keep(page, "help")
    seen = "element => [...element.querySelectorAll('img')].map(i => [i.src, i.naturalWidth])"
    pictures = shown.evaluate(seen)
    assert pictures and all(width for _, width in pictures), pictures


def test_chinese_users_read_chinese(browser: Any, server: ComfyUIServer) -> None:
    server.post("/settings/Comfy.Locale", "zh")
    try:
        page = open_page(browser, server)
        load(page, PACK / "workflows" / "quick_start.json")
        keep(page, "chinese")
        table = json.loads((PACK / "locales/zh/nodeDefs.json").read_text(encoding="utf-8"))
        titles = page.evaluate(
            "Object.fromEntries(Object.values(LiteGraph.registered_node_types)"
            ".filter(k => k.type?.startsWith('OOTD_')).map(k => [k.type, k.title]))"
        )
        assert titles == {name: texts["display_name"] for name, texts in table.items()}
        page.close()
    finally:
        server.post("/settings/Comfy.Locale", "en")
