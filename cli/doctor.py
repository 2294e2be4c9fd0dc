"""`doctor`: what is installed, what is missing, what that costs and which command gets it.

Looks at packages, devices, ComfyUI, model folders and licences, and changes nothing. Packages are
looked up, not imported (torch and onnxruntime apart, which know the devices), so that the report
comes also where one of them is missing or broken.
"""

import importlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Annotated

import typer

from cli.model_folder import Finding, State, examine
from ootd_core.checkpoints.catalogue import LICENCE_TABLE
from ootd_core.requirements import ROOT, SHARED, is_installed, onnxruntime_wheel, pip_command

COLOURS = {State.GOOD: "green", State.NOTE: "yellow", State.BAD: "red"}
GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package and what does not work without it.

    requirement: the name under which pip installs it. required: nothing works without it.
    """

    module: str
    requirement: str
    costs: str
    required: bool = False


PACKAGES = (
    Package(module="torch", requirement="torch", costs="everything", required=True),
    Package(module="numpy", requirement="numpy", costs="everything", required=True),
    Package(module="PIL", requirement="pillow", costs="images", required=True),
    Package(module="safetensors", requirement="safetensors", costs="weights", required=True),
    Package(module="einops", requirement="einops", costs="the fused attention", required=True),
    Package(module="transformers", requirement="transformers", costs="CLIP", required=True),
    Package(module="huggingface_hub", requirement="huggingface_hub", costs="`download`"),
    Package(module="typer", requirement="typer", costs="the command line"),
    Package(
        module="cv2",
        requirement="opencv-contrib-python-headless",
        costs="masks and pose detection",
    ),
    Package(
        module="onnxruntime",
        requirement=onnxruntime_wheel(),
        costs="human parsing: bring your own mask or label map",
    ),
    Package(
        module="ai_edge_litert",
        requirement="ai-edge-litert",
        costs="BlazePose, which sees people in photographs",
    ),
    Package(
        module="diffusers",
        requirement="diffusers",
        costs="try-on and training from the command line (the ComfyUI nodes do without)",
    ),
    Package(module="tqdm", requirement="tqdm", costs="the command line's progress bars"),
    Package(module="accelerate", requirement="accelerate", costs="training"),
    Package(module="psutil", requirement="psutil", costs="training"),
    Package(module="onnx", requirement="onnx", costs="training the mini's parser"),
    Package(module="torchmetrics", requirement="torchmetrics", costs="evaluation"),
    Package(module="matplotlib", requirement="matplotlib", costs="curves and charts"),
)

Report = dict[str, list[Finding]]


def report(folders: Sequence[Path] = ()) -> Report:
    """All findings by section. folders: model folders to look at beside those found by themselves.

    A named folder that does not exist is BAD; the usual places are passed over if they are empty.
    """
    sections: Report = {
        "Packages": [
            *map(check_package, PACKAGES),
            *check_shared_modules(_distributions()),
            *check_torchvision(),
        ],
        "Devices": check_devices(),
        "ComfyUI": [check_comfyui(ROOT)],
    }
    for folder in dict.fromkeys([*folders, *usual_folders()]):
        sections[f"Models in {folder}"] = check_models(folder)
    sections["Licences"] = [
        Finding(
            subject=what,
            state=State.NOTE if any(x.commercial_use is not True for x in licences) else State.GOOD,
            text=", ".join(f"{x.name} {_commercial(x.commercial_use)}" for x in licences),
        )
        for what, licences in LICENCE_TABLE
    ]
    return sections


def doctor_command(
    model: Annotated[
        list[Path] | None, typer.Option(help="a model folder to look at; may be given repeatedly")
    ] = None,
) -> None:
    """Say what is installed, what is missing, and how to get it; exit code 1 if anything is bad."""
    sections = report(model or [])
    for title, findings in sections.items():
        typer.secho(f"\n{title}", bold=True)
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            mark = typer.style(f"{finding.state:5}", fg=COLOURS[finding.state])
            typer.echo(f"  {mark}{finding.subject:{width}}  {finding.text}")
    if any(finding.state is State.BAD for findings in sections.values() for finding in findings):
        raise typer.Exit(1)


def check_package(package: Package) -> Finding:
    """Whether a package is there, in which version; if not, what that costs and how to get it."""
    if not is_installed(package.module):
        return Finding(
            subject=package.requirement,
            state=State.BAD if package.required else State.NOTE,
            text=f"not installed, which is needed for {package.costs}; get it with "
            f"{pip_command([package.requirement])}",
        )
    version = _version(package.requirement)
    if version is not None:
        return Finding(subject=package.requirement, state=State.GOOD, text=version)
    # Another wheel than the one that would be installed, or none that pip knows of.
    others = sorted(set(_distributions().get(package.module, [])))
    text = ", ".join(f"{other} {_version(other)}" for other in others) or "not installed by pip"
    return Finding(subject=package.module, state=State.GOOD, text=text)


def check_shared_modules(distributions: Mapping[str, Sequence[str]]) -> list[Finding]:
    """A note for each module of `SHARED` that several wheels have installed over one another.

    distributions: the names of the wheels by module.
    """
    findings: list[Finding] = []
    for module in sorted(SHARED):
        wheels = sorted(set(distributions.get(module, [])))
        if len(wheels) > 1:
            text = (
                f"{' and '.join(wheels)} have overwritten one another: what the last one lacks is "
                "gone for every program here; uninstall all of them and install the one you need"
            )
            findings.append(Finding(subject=module, state=State.NOTE, text=text))
    return findings


def check_torchvision() -> list[Finding]:
    """A torchvision built for another torch breaks the import of transformers and diffusers."""
    versions = _version("torch"), _version("torchvision")
    builds = {version.partition("+")[2] for version in versions if version and "+" in version}
    if len(builds) < 2:
        return []
    text = f"built for {versions[1]}, torch is {versions[0]}: importing transformers will fail"
    return [Finding(subject="torchvision", state=State.BAD, text=text)]


def check_devices() -> list[Finding]:
    """The devices that torch and onnxruntime can use, with their memory."""
    findings = [Finding(subject="CPU", state=State.GOOD, text=_cpu())]
    if is_installed("torch"):
        torch = _imported("torch")
        findings += [torch] if isinstance(torch, Finding) else _graphics(torch)
    if is_installed("onnxruntime"):
        onnxruntime = _imported("onnxruntime")
        if isinstance(onnxruntime, Finding):
            findings.append(onnxruntime)
        else:
            providers = ", ".join(onnxruntime.get_available_providers())
            findings.append(Finding(subject="human parsing", state=State.GOOD, text=providers))
    return findings


def _graphics(torch: ModuleType) -> list[Finding]:
    findings: list[Finding] = []
    for index in range(torch.cuda.device_count()):
        free, total = torch.cuda.mem_get_info(index)
        text = f"{torch.cuda.get_device_name(index)}, {free / GIB:.1f} of {total / GIB:.1f} GiB"
        findings.append(Finding(subject=f"cuda:{index}", state=State.GOOD, text=f"{text} free"))
    if torch.backends.mps.is_available():
        findings.append(Finding(subject="mps", state=State.GOOD, text="Apple graphics"))
    return findings or [
        Finding(
            subject="graphics card",
            state=State.NOTE,
            text="none that torch can use: the mini checkpoint runs in seconds, the published "
            "networks take minutes a picture",
        )
    ]


def _imported(module: str) -> ModuleType | Finding:
    """A package, or what is wrong with it: any error, for a broken wheel raises what it likes."""
    try:
        return importlib.import_module(module)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        text = f"is installed but cannot be imported ({reason}): install it again"
        return Finding(subject=module, state=State.BAD, text=text)


def check_comfyui(root: Path) -> Finding:
    """Whether this repository lies in a ComfyUI's custom_nodes, and in which version of it."""
    comfyui = comfyui_folder(root)
    if comfyui is None:
        return Finding(
            subject="ComfyUI",
            state=State.NOTE,
            text="not around this folder; for the nodes, put it into ComfyUI/custom_nodes",
        )
    version = comfyui / "comfyui_version.py"
    number = version.read_text(encoding="utf-8").split('"')[1::2] if version.is_file() else []
    return Finding(subject="ComfyUI", state=State.GOOD, text=" ".join([*number, str(comfyui)]))


def comfyui_folder(root: Path) -> Path | None:
    """The ComfyUI that `root` is a custom node pack of, None if it is not one."""
    candidate = root.parent.parent
    inside = root.parent.name == "custom_nodes" and (candidate / "folder_paths.py").is_file()
    return candidate if inside else None


def usual_folders() -> list[Path]:
    """Model folders in the usual places: ./checkpoints, the mini checkpoint, ComfyUI's models."""
    places = [Path("checkpoints"), ROOT / "demo", ROOT / "demo" / "checkpoints"]
    comfyui = comfyui_folder(ROOT)
    if comfyui is not None:
        places += sorted((comfyui / "models" / "ootdiffusion").glob("*"))
    return [place for place in places if (place / "ootd").is_dir()]


def check_models(folder: Path) -> list[Finding]:
    """What a model folder holds, part by part."""
    if not folder.is_dir():
        return [Finding(subject="folder", state=State.BAD, text="there is no such folder")]
    return examine(folder)


@cache
def _distributions() -> Mapping[str, list[str]]:
    """The wheels that have installed each module."""
    return importlib.metadata.packages_distributions()


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    text = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    if hasattr(os, "sysconf") and "SC_PHYS_PAGES" in os.sysconf_names:
        text += f", {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / GIB:.1f} GiB"
    return text


def _commercial(allowed: bool | None) -> str:
    if allowed is None:
        return "(ask the authors)"
    return "(commercial use allowed)" if allowed else "(no commercial use)"
