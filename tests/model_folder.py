"""A tiny model folder with both variants, for tests that damage it.

The golden checkpoint has random weights and the published layout. Its full-body UNets stand in for
the half-body ones too, with another first layer, as two variants have the same shapes.
"""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

GOLDEN = Path(__file__).parent / "golden" / "A" / "checkpoints"
LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 3438167540\n"
WEIGHTS = "diffusion_pytorch_model.safetensors"


def make_model_folder(folder: Path) -> Path:
    """Writes the tiny model to `folder`, which must not exist, and returns it."""
    shutil.copytree(GOLDEN, folder)
    hd, dc = folder / "ootd" / "ootd_hd", folder / "ootd" / "ootd_dc"
    shutil.rmtree(hd, ignore_errors=True)
    shutil.copytree(dc, hd)
    for path in hd.glob(f"checkpoint-*/*/{WEIGHTS}"):
        edit_tensor(path, "conv_in.weight", 0.5)
    return folder


def unet(folder: Path, variant: str, name: str) -> Path:
    """The weights of unet_garm or unet_vton."""
    return folder / "ootd" / f"ootd_{variant}" / "checkpoint-36000" / name / WEIGHTS


def edit_tensor(path: Path, key: str, scale: float) -> None:
    """Scales one tensor of a safetensors file."""
    state = load_file(path)
    state[key] = state[key] * scale
    save_file(state, path, metadata={"format": "pt"})


def to_bin(path: Path, *, legacy: bool = False) -> Path:
    """Replaces a safetensors file by the .bin that would have been published in its place."""
    names = {"model": "pytorch_model"}
    target = path.with_name(f"{names.get(path.stem, path.stem)}.bin")
    torch.save(load_file(path), target, _use_new_zipfile_serialization=not legacy)
    path.unlink()
    return target


def truncate(path: Path, keep: float) -> None:
    """Cuts a file off, as an interrupted copy does; keep: the share that stays."""
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * keep)])
