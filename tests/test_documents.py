"""What is written for people and for GitHub holds together: links, commands, terms, workflows."""

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from cli.__main__ import COMMANDS, app_for

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("web/docs/**/*.md")])
GUIDES = [page for page in PAGES if page.parent in (ROOT, ROOT / "docs")]
CHINESE = [*(p for p in PAGES if p.stem.endswith("zh")), ROOT / "locales" / "zh" / "nodeDefs.json"]
GITHUB = sorted((ROOT / ".github").rglob("*.yml"))

OTHER_WORDS = {
    "标签图": "解析图",
    "关节点": "关键点",
    "纸娃娃": "人偶",
    "官方": "公开",
    "掩码": "遮罩",
    "半身版": "半身变体",
    "全身版": "全身变体",
}
"""Chinese words that another one stands for everywhere."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def anchors(page: Path) -> set[str]:
    """The headings' anchors, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_a_link_leads_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{name(page)} links to {target}"
        assert not anchor or anchor in anchors(file), f"{name(page)} links to {target}"


@cache
def options(command: str) -> set[str]:
    """The options of a command, and those of the commands that it has."""
    app = typer.main.get_command(app_for(command))
    todo, found = [app.commands[command]], set[str]()  # type: ignore[attr-defined]
    while todo:
        each: Any = todo.pop()
        found |= {option for parameter in each.params for option in parameter.opts}
        todo += getattr(each, "commands", {}).values()
    return found


@pytest.mark.parametrize("page", GUIDES, ids=name)
def test_commands_that_are_printed_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    lines = re.findall(r"python -m cli ([a-z][a-z-]*)([^`#\n]*)", text)
    for command, rest in lines:
        assert command in {each.name for each in COMMANDS}, f"{name(page)}: {command}"
        wrong = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest)) - options(command)
        assert not wrong, f"{name(page)}: {command} has no {', '.join(wrong)}"


@pytest.mark.parametrize("page", CHINESE, ids=name)
def test_one_chinese_word_for_one_thing(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    found = {word: better for word, better in OTHER_WORDS.items() if word in text}
    assert not found, f"{name(page)}: use {found}"


@pytest.mark.parametrize(
    "english", [p for p in GUIDES if p.with_suffix(".zh.md").exists()], ids=name
)
def test_both_languages_have_the_same_sections(english: Path) -> None:
    levels = [
        re.findall(
            r"^(#+) ", re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL), re.M
        )
        for page in (english, english.with_suffix(".zh.md"))
    ]
    assert levels[0] == levels[1]


def read(path: Path) -> dict[Any, Any]:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", GITHUB, ids=name)
def test_a_file_for_github_is_complete(path: Path) -> None:
    content = read(path)
    if path.parent.name == "workflows":
        assert content[True]  # YAML 1.1 takes the key `on` for a truth value
        for job in content["jobs"].values():
            assert job["runs-on"]
            for step in job["steps"]:
                assert ("uses" in step) != ("run" in step), step
    elif path.name != "config.yml":
        assert content["name"] and content["description"]
        ids = [item["id"] for item in content["body"] if item["type"] != "markdown"]
        assert len(ids) == len(set(ids))


def test_every_check_runs_though_another_failed() -> None:
    jobs = read(ROOT / ".github" / "workflows" / "ci.yml")["jobs"]
    steps = {step["run"]: step for step in jobs["checks"]["steps"] if "run" in step}
    for command in (
        "ruff check",
        "ruff format --check",
        "pyright",
        "pytest -q -n 2 --dist loadfile",
    ):
        step = steps[f"python -m {command}"]
        assert step["if"] == "${{ !cancelled() }}", command


def test_a_report_of_a_bug_asks_for_the_doctor() -> None:
    body = read(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml")["body"]
    asked = [item["attributes"].get("label", "") for item in body]
    assert "Output of `python -m cli doctor`" in asked


def test_the_map_names_what_is_there() -> None:
    """Each name of the map is a file or folder, and each module of the packages is named."""
    text = (ROOT / "AGENTS.md").read_text(encoding="utf-8")
    assert text.count("\n") <= 60
    paths = re.findall(r"\b[\w.]+/[\w./]*\w\.py\b", text)
    assert len(paths) > 5
    assert not [path for path in paths if not (ROOT / path).is_file()]
    words = set(re.findall(r"\w+", text))
    packages = ("tryon", "catalogue", "ootd_core", "mini", "nodes", "cli")
    modules = {path.stem for package in packages for path in (ROOT / package).rglob("*.py")}
    drawn = {path.stem for path in (ROOT / "ootd_core/datasets/paper_dolls").glob("*.py")}
    unnamed = modules - words - drawn - {"__init__", "__main__"}
    assert not unnamed, f"AGENTS.md does not name {', '.join(sorted(unnamed))}"
