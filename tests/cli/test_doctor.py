import importlib.metadata
import importlib.util
import shutil
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from cli import doctor
from cli.doctor import (
    ROOT,
    Package,
    check_comfyui,
    check_package,
    check_shared_modules,
    check_torchvision,
    report,
)
from cli.model_folder import Finding, State, examine
from ootd_core.checkpoints.blazepose import BLAZEPOSE
from tests.model_folder import LFS_POINTER, make_model_folder, truncate, unet

RUNNER = CliRunner()
COMMAND = f"{sys.executable} {ROOT} download --variant"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model_folder(tmp_path / "model")


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> typer.Typer:
    """The command alone, in a folder without models."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    application = typer.Typer()
    application.command()(doctor.doctor_command)
    return application


def by_subject(findings: list[Finding]) -> dict[str, Finding]:
    assert len({finding.subject for finding in findings}) == len(findings)
    return {finding.subject: finding for finding in findings}


def test_an_installed_package_is_named_with_its_version() -> None:
    found = check_package(Package(module="torch", requirement="torch", costs="all"))
    assert found.state is State.GOOD and found.text == importlib.metadata.version("torch")


@pytest.mark.parametrize(("required", "state"), [(True, State.BAD), (False, State.NOTE)])
def test_a_missing_package_says_its_cost_and_its_command(required: bool, state: State) -> None:
    package = Package(
        module="no_such_module", requirement="no-such", costs="a feature", required=required
    )
    found = check_package(package)
    assert found.state is state
    assert "needed for a feature" in found.text and "-m pip install no-such" in found.text


def test_another_wheel_of_a_module_is_named() -> None:
    found = check_package(Package(module="torch", requirement="no-such", costs="all"))
    assert found.state is State.GOOD
    assert found.text == f"torch {importlib.metadata.version('torch')}"


def test_two_wheels_of_one_module_are_a_warning() -> None:
    one = {"cv2": ["opencv-python", "opencv-python"], "onnxruntime": ["onnxruntime"]}
    assert check_shared_modules(one) == []
    two = {"cv2": ["opencv-python", "opencv-contrib-python"]}
    (found,) = check_shared_modules(two)
    assert found.state is State.NOTE and found.subject == "cv2"
    assert "opencv-contrib-python and opencv-python have overwritten one another" in found.text


def test_a_package_that_is_there_but_broken_is_bad(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_torch(name: str) -> None:
        raise OSError(f"lib{name}.so: undefined symbol")

    monkeypatch.setattr(importlib, "import_module", break_torch)
    found = by_subject(doctor.check_devices())
    assert found["torch"].state is State.BAD and "undefined symbol" in found["torch"].text
    assert "install it again" in found["onnxruntime"].text


@pytest.mark.parametrize(
    ("torchvision", "bad"), [("0.28.0+cu130", True), ("0.28.0+cpu", False), (None, False)]
)
def test_a_torchvision_of_another_build_is_bad(
    torchvision: str | None, bad: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    versions = {"torch": "2.13.0+cpu", "torchvision": torchvision}
    monkeypatch.setattr(doctor, "_version", versions.get)
    assert [finding.state for finding in check_torchvision()] == [State.BAD] * bad


def test_comfyui_is_found_around_custom_nodes(tmp_path: Path) -> None:
    root = tmp_path / "ComfyUI" / "custom_nodes" / "pack"
    root.mkdir(parents=True)
    assert check_comfyui(root).state is State.NOTE
    (tmp_path / "ComfyUI" / "folder_paths.py").touch()
    (tmp_path / "ComfyUI" / "comfyui_version.py").write_text('__version__ = "0.3.48"\n')
    found = check_comfyui(root)
    assert found.state is State.GOOD
    assert found.text == f"0.3.48 {tmp_path / 'ComfyUI'}"


def test_models_in_the_usual_places_are_found(
    app: typer.Typer, model: Path, tmp_path: Path
) -> None:
    shutil.move(model, tmp_path / "checkpoints")
    (tmp_path / "demo").mkdir()
    assert [Path("checkpoints")] == doctor.usual_folders()
    assert "Models in checkpoints" in report()


def test_a_whole_folder_has_nothing_bad(model: Path) -> None:
    findings = by_subject(examine(model))
    assert {finding.state for finding in findings.values()} == {State.GOOD, State.NOTE}
    notes = [name for name, finding in findings.items() if finding.state is State.NOTE]
    assert notes == ["human parser", "pose network", "BlazePose"]
    assert f"{COMMAND} hd --to {model}" in findings["human parser"].text
    assert findings["try-on UNet, dc"].state is State.GOOD


def test_one_variant_is_enough(model: Path) -> None:
    shutil.rmtree(model / "ootd" / "ootd_hd")
    findings = by_subject(examine(model))
    assert findings["UNets, hd"].state is State.NOTE
    assert f"{COMMAND} hd --to {model}" in findings["UNets, hd"].text
    assert f"{COMMAND} dc --to {model}" in findings["pose network"].text
    assert not [finding for finding in findings.values() if finding.state is State.BAD]


def test_missing_damaged_and_swapped_parts_are_named_with_the_command(model: Path) -> None:
    (model / "ootd" / "vae" / "config.json").unlink()
    truncate(model / "clip-vit-large-patch14" / "model.safetensors", 0.5)
    shutil.copy(unet(model, "hd", "unet_vton"), unet(model, "hd", "unet_garm"))
    unet(model, "dc", "unet_vton").write_bytes(LFS_POINTER)
    findings = by_subject(examine(model))
    bad = {name: finding.text for name, finding in findings.items() if finding.state is State.BAD}
    assert bad.keys() == {"VAE", "image encoder", "outfitting UNet, hd", "try-on UNet, dc"}
    assert "lacks ootd/vae/config.json" in bad["VAE"]
    assert "is cut off" in bad["image encoder"]
    assert "swapped" in bad["outfitting UNet, hd"]
    assert "git-lfs pointer" in bad["try-on UNet, dc"]
    assert all(COMMAND in text and str(model) in text for text in bad.values())


def test_the_report_has_every_section() -> None:
    sections = report()
    assert {"Packages", "Devices", "ComfyUI", "Licences"} <= sections.keys()
    assert len(sections["Packages"]) >= len(doctor.PACKAGES)
    licences = " ".join(finding.text for finding in sections["Licences"])
    assert "CC BY-NC-SA 4.0 (no commercial use)" in licences


def test_the_command_exits_with_1_if_something_is_bad(app: typer.Typer, model: Path) -> None:
    result = RUNNER.invoke(app, ["--model", str(model)])
    assert result.exit_code == 0, result.output
    assert f"Models in {model}" in result.output and "whole" in result.output
    result = RUNNER.invoke(app, ["--model", str(model / "nowhere")])
    assert result.exit_code == 1
    assert "there is no such folder" in result.output


def test_the_report_comes_without_any_package(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    sections = report([model])
    assert by_subject(sections["Packages"])["torch"].state is State.BAD
    assert [finding.subject for finding in sections["Devices"]] == ["CPU"]
    assert by_subject(sections[f"Models in {model}"])["try-on UNet, dc"].state is State.GOOD


def test_blazepose_is_looked_for_and_looked_into(model: Path) -> None:
    found = by_subject(examine(model))["BlazePose"]
    assert found.state is State.NOTE
    assert f"{sys.executable} {ROOT} download --part blazepose --to {model}" in found.text
    detector, landmarks = (model / file.path for file in BLAZEPOSE.files)
    detector.parent.mkdir()
    detector.write_bytes(b"network")
    landmarks.write_bytes(b"network")
    assert by_subject(examine(model))["BlazePose"].state is State.GOOD
    landmarks.write_bytes(LFS_POINTER)
    found = by_subject(examine(model))["BlazePose"]
    assert found.state is State.BAD and "is a git-lfs pointer" in found.text
