"""`doctor`: what is installed, what is missing, what that costs and which command gets it.

Looks at packages, devices, ComfyUI, model folders and licences, and changes nothing. Packages are
looked up, not imported (torch and onnxruntime apart, which know the devices), so that the report
comes also where one of them is broken.
"""

import importlib.metadata
import importlib.util
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from cli.model_folder import Finding, State
from ootd_core.checkpoints.catalogue import LICENCE_TABLE

console = Console()

ROOT = Path(__file__).resolve().parents[1]
COLOURS = {State.GOOD: "green", State.NOTE: "yellow", State.BAD: "red"}
GIB = 2**30


@dataclass(frozen=True, kw_only=True, slots=True)
class Package:
    """A package and what does not work without it.

    distributions: names under which it is installed with pip, the usual one first.
    """

    module: str
    distributions: tuple[str, ...]
    costs: str
    required: bool = True


PACKAGES = (
    Package(module="torch", distributions=("torch",), costs="everything"),
    Package(module="numpy", distributions=("numpy",), costs="everything"),
    Package(module="PIL", distributions=("pillow",), costs="reading and writing pictures"),
    Package(module="safetensors", distributions=("safetensors",), costs="loading weights"),
    Package(module="einops", distributions=("einops",), costs="the fused attention"),
    Package(module="transformers", distributions=("transformers",), costs="reading the prompt"),
    Package(module="huggingface_hub", distributions=("huggingface_hub",), costs="`download`"),
    Package(
        module="diffusers",
        distributions=("diffusers",),
        costs="the command line and training (the ComfyUI nodes do without)",
        required=False,
    ),
    Package(
        module="accelerate",
        distributions=("accelerate",),
        costs="training (the ComfyUI nodes do without)",
        required=False,
    ),
    Package(
        module="cv2",
        distributions=("opencv-python-headless", "opencv-python", "opencv-contrib-python"),
        costs="masks and pose detection",
        required=False,
    ),
    Package(
        module="onnxruntime",
        distributions=("onnxruntime-gpu", "onnxruntime", "onnxruntime-directml"),
        costs="human parsing: bring your own mask or label map",
        required=False,
    ),
)

Report = dict[str, list[Finding]]


def report(folders: Sequence[Path] = ()) -> Report:
    """All findings by section. folders: model folders to look at beside those found by themselves.

    A named folder that does not exist is BAD; the usual places are passed over if they are empty.
    """
    sections: Report = {
        "Packages": [check_package(package) for package in PACKAGES] + check_torchvision(),
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
        console.print(Text(f"\n{title}", style="bold"), soft_wrap=True)
        width = max(len(finding.subject) for finding in findings)
        for finding in findings:
            mark = Text(f"  {finding.state:5}", style=COLOURS[finding.state])
            console.print(mark + f"{finding.subject:{width}}  {finding.text}", soft_wrap=True)
    if any(finding.state is State.BAD for findings in sections.values() for finding in findings):
        raise typer.Exit(1)


def check_package(package: Package) -> Finding:
    """Whether a package is there, in which version; if not, what that costs and how to get it."""
    for distribution in package.distributions:
        if importlib.util.find_spec(package.module) is not None and _version(distribution):
            return Finding(
                subject=distribution, state=State.GOOD, text=_version(distribution) or ""
            )
    name = package.distributions[0]
    return Finding(
        subject=name,
        state=State.BAD if package.required else State.NOTE,
        text=f"not installed, which costs {package.costs}; get it with "
        f"{sys.executable} -m pip install {name}",
    )


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
    if importlib.util.find_spec("torch") is not None:
        import torch

        for index in range(torch.cuda.device_count()):
            free, total = torch.cuda.mem_get_info(index)
            text = f"{torch.cuda.get_device_name(index)}, {free / GIB:.1f} of {total / GIB:.1f} GiB"
            findings.append(Finding(subject=f"cuda:{index}", state=State.GOOD, text=f"{text} free"))
        if torch.backends.mps.is_available():
            findings.append(Finding(subject="mps", state=State.GOOD, text="Apple graphics"))
        if len(findings) == 1:
            findings.append(
                Finding(
                    subject="graphics card",
                    state=State.NOTE,
                    text="none that torch can use: the mini checkpoint runs in seconds, the "
                    "published networks take minutes a picture",
                )
            )
    if importlib.util.find_spec("onnxruntime") is not None:
        import onnxruntime

        providers = ", ".join(onnxruntime.get_available_providers())
        findings.append(Finding(subject="human parsing", state=State.GOOD, text=providers))
    return findings


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
    if importlib.util.find_spec("torch") is None:
        return [Finding(subject="folder", state=State.NOTE, text="looked at once torch is there")]
    from cli.model_folder import examine

    return examine(folder)


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
