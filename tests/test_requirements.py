"""The files of requirements: what they declare is what is imported, and requirements.txt is enough
for what the nodes load, `doctor` and `download`."""

import importlib.metadata
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cli.doctor import PACKAGES
from ootd_core.requirements import SHARED, module_of, requirements, what_is_missing
from tests.test_architecture import COMFYUI, ROOT, all_sources, imports, reachable

FILES = sorted(ROOT.glob("requirements*.txt"))
NODES_NEED = ROOT / "requirements.txt"
OURS = {path.stem for path in ROOT.iterdir()}
COMFYUI_MODULES = COMFYUI | {"aiohttp", "execution", "latent_preview", "server", "utils"}
IN_COMFYUI = {"worker"}  # a test's own, beside what ComfyUI runs


def modules_in(file: Path) -> set[str]:
    return {module_of(text) for text in requirements(file)}


def is_third_party(package: str) -> bool:
    known = OURS | COMFYUI_MODULES | IN_COMFYUI
    return bool(package) and package not in sys.stdlib_module_names and package not in known


def node_modules() -> set[str]:
    """Modules of ours that the nodes reach, themselves among them."""
    files = {file.module: file for file in all_sources()}
    found = {name for name in files if name == "nodes" or name.startswith("nodes.")}
    for start in tuple(found):
        for module, imported in reachable(start, files):
            found |= {module, imported.module, imported.module.rpartition(".")[0]}
    return found & files.keys() - {""}  # the name of the root's own __init__.py


def test_requirements_txt_is_what_the_nodes_and_their_two_commands_import() -> None:
    files = {file.module: file for file in all_sources()}
    starts = ["cli.__main__", "cli.doctor", "cli.download", *node_modules()]
    used = {
        found.package
        for start in starts
        for _, found in reachable(start, files)
        if not found.for_types_only and is_third_party(found.package)
    }
    assert used == modules_in(NODES_NEED)


def test_whatever_is_imported_is_declared() -> None:
    declared = {module for file in FILES for module in modules_in(file)}
    undeclared = {
        f"{file.path}:{found.line} imports {found.package}"
        for file in all_sources()
        for found in imports(file)
        if is_third_party(found.package) and found.package not in declared
    }
    assert not undeclared, "\n" + "\n".join(sorted(undeclared))


def test_every_file_says_what_it_is_for() -> None:
    assert len(FILES) >= 4
    assert all(file.read_text(encoding="utf-8").startswith("# ") for file in FILES)


def test_no_version_is_asked_for_but_the_tested_ones_are_known() -> None:
    wanted = {Requirement(text) for file in FILES for text in requirements(file)}
    assert not [str(each) for each in wanted if each.specifier]
    tested = {
        canonicalize_name(line.partition("==")[0])
        for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
        if "==" in line
    }
    assert {canonicalize_name(each.name) for each in wanted} <= tested


def test_the_doctor_looks_at_all_of_them() -> None:
    needed = {module for file in FILES if "dev" not in file.name for module in modules_in(file)}
    assert {package.module for package in PACKAGES} == needed


@pytest.fixture(scope="module")
def nodes_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_packages(NODES_NEED, tmp_path_factory.mktemp("nodes"))


@pytest.fixture(scope="module")
def headless(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return link_packages(ROOT / "requirements-headless.txt", tmp_path_factory.mktemp("headless"))


def link_packages(file: Path, folder: Path) -> Path:
    """A site-packages with a file of requirements and what that brings: links to what is here."""
    if os.name == "nt":
        pytest.skip("links need an administrator there")
    for name in everything_for(file):
        distribution = importlib.metadata.distribution(name)
        for packed in distribution.files or []:
            top = packed.parts[0]
            link, target = folder / top, Path(str(distribution.locate_file(top)))
            if top != ".." and top != "__pycache__" and not link.exists():
                link.symlink_to(target, target_is_directory=target.is_dir())
    return folder


def everything_for(file: Path) -> set[str]:
    """The distributions that are installed for a file of requirements, here, under any name."""
    wheels = importlib.metadata.packages_distributions()
    todo = [
        wheels[module_of(text)][0]
        if module_of(text) in SHARED
        else canonicalize_name(Requirement(text).name)
        for text in requirements(file)
    ]
    found: set[str] = set()
    while todo:
        name = todo.pop()
        if name in found or not is_here(name):
            continue
        found.add(name)
        for text in importlib.metadata.requires(name) or []:
            required = Requirement(text)
            if required.marker is None or required.marker.evaluate({"extra": ""}):
                todo.append(canonicalize_name(required.name))
    return found


@cache
def is_here(name: str) -> bool:
    return any(importlib.metadata.distributions(name=name))


def run(site_packages: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run Python with these packages and its own library, and nothing else."""
    return subprocess.run(
        [sys.executable, "-S", *words],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(site_packages), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_requirements_txt_is_enough_for_what_the_nodes_load(nodes_only: Path) -> None:
    names = sorted(name for name in node_modules() if not name.startswith("nodes"))
    assert len(names) > 30
    used = [*names, *sorted(modules_in(NODES_NEED)), "transformers.models.clip.modeling_clip"]
    code = f"import importlib\nfor name in {used}: importlib.import_module(name)\nimport diffusers"
    result = run(nodes_only, "-c", code)
    assert result.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'diffusers'"


@pytest.mark.parametrize(
    "words", [("--help",), ("doctor",), ("doctor", "--help"), ("download", "--help")], ids=" ".join
)
def test_the_commands_for_users_of_the_nodes_run(nodes_only: Path, words: tuple[str, ...]) -> None:
    result = run(nodes_only, "-m", "cli", *words)
    assert result.returncode == 0, result.stderr
    if words == ("doctor",):
        assert "diffusers" in result.stdout and "not installed, which is needed" in result.stdout
        assert "try-on UNet, dc" in result.stdout


@pytest.mark.parametrize(
    "words",
    [
        ("-c", "from tryon import TryOn; print(TryOn.from_pretrained)"),
        ("-m", "cli", "tryon", "--help"),
        ("-m", "cli", "demo", "--help"),
    ],
    ids=lambda words: words[-2],
)
def test_the_headless_requirements_are_enough_for_a_try_on(
    headless: Path, words: tuple[str, ...]
) -> None:
    result = run(headless, *words)
    assert result.returncode == 0 and result.stdout, result.stderr


@pytest.mark.parametrize(("command", "module"), [("tryon", "diffusers"), ("train", "psutil")])
def test_a_command_whose_packages_are_missing_says_how_to_get_them(
    nodes_only: Path, command: str, module: str
) -> None:
    result = run(nodes_only, "-m", "cli", command, "--help")
    assert result.returncode == 2, result.stderr
    (sentence,) = result.stderr.splitlines()
    assert any(f"Error: {name} is not installed: `" in sentence for name in module.split("|"))
    assert "-m pip install" in sentence and "diffusers" in sentence
    assert "torch " not in sentence and "opencv" not in sentence  # what is there is left alone


@pytest.mark.parametrize("command", ["evaluate", "guidance-sweep"])
def test_a_measurement_is_refused_before_the_work(headless: Path, command: str) -> None:
    result = run(headless, "-m", "cli", command)
    assert result.returncode == 2 and not result.stdout
    assert result.stderr.startswith("Error: matplotlib is not installed: `")


def test_what_is_missing_is_one_sentence_with_the_command(tmp_path: Path) -> None:
    file = tmp_path / "requirements.txt"
    file.write_text("numpy\npillow\n")
    assert what_is_missing(file) is None
    file.write_text("numpy\nno-such-thing  # why\nnor_this_one\n")
    said = what_is_missing(file)
    assert said is not None and "\n" not in said
    assert said.startswith("no_such_thing, nor_this_one are not installed: `"), said
    assert said.endswith(
        "pip install no-such-thing nor_this_one` installs what requirements.txt asks for."
    )
