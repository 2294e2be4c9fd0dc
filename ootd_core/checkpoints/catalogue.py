"""The one catalogue of published files: where each comes from, what it is for, under which licence.

A model folder is laid out like the `checkpoints` folder of the published repository, so that a
folder made for any other OOTDiffusion program works here, and the other way round. Everything else
(finding, downloading, diagnosing, the licence table) reads this file. Revisions are pinned.

`sha256` is filled in only where a public record ties a hash to this very file. For all others the
download trusts what the hub itself reports for the pinned revision: the sha256 of a large file, the
git blob hash of a small one. Standard library only.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path, PurePath

from ..categories import Variant
from ..requirements import pack_command

OOTD_REPOSITORY = "levihsu/OOTDiffusion"
OOTD_REVISION = "d33c517dc1b0718ea1136533e3720bb08fae641b"
CLIP_REPOSITORY = "openai/clip-vit-large-patch14"
CLIP_REVISION = "32bd64288804d66eefd0ccbe215aa642df71cc41"

CLIP_FOLDER = "clip-vit-large-patch14"
PUBLISHED_STEP = 36000
TEXT_PREFIX = "text_model."
"""Of the text encoder's tensors in the published file."""

MIB = 2**20
WEIGHT_ENDINGS = frozenset({".safetensors", ".bin", ".pth", ".pt", ".ckpt"})

MINI_CHECKPOINT = Path(__file__).resolve().parents[2] / "demo" / "checkpoints"
"""The small checkpoint that comes with this project; it dresses drawn dolls, not photographs."""
DEMO_SAMPLES = MINI_CHECKPOINT.parent / "samples"
"""Drawn persons, garments and true pictures for it: NUMBER-CATEGORY-{person,garment,truth}.png."""


class Part(StrEnum):
    """What a file belongs to; every part has a folder of its own."""

    VAE = "VAE"
    TEXT_ENCODER = "text encoder"
    TOKENIZER = "tokenizer"
    SCHEDULER = "noise schedule"
    IMAGE_ENCODER = "image encoder"
    OUTFITTING_UNET = "outfitting UNet"
    TRYON_UNET = "try-on UNet"
    PIPELINE = "pipeline description"
    PARSER = "human parser"
    POSE = "pose network"


DENOISING_PARTS = frozenset(
    {
        Part.VAE,
        Part.TEXT_ENCODER,
        Part.TOKENIZER,
        Part.SCHEDULER,
        Part.IMAGE_ENCODER,
        Part.OUTFITTING_UNET,
        Part.TRYON_UNET,
    }
)
"""Needed by every try-on. The parser and the pose network are not, given a mask."""

UNET_FOLDERS: dict[Part, str] = {
    Part.OUTFITTING_UNET: "unet_garm",
    Part.TRYON_UNET: "unet_vton",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Licence:
    """Terms of a weight or of code; `commercial_use` is None where no terms were published."""

    name: str
    url: str
    commercial_use: bool | None


APACHE = Licence(
    name="Apache-2.0", url="https://www.apache.org/licenses/LICENSE-2.0", commercial_use=True
)
MIT = Licence(
    name="MIT", url="https://github.com/openai/CLIP/blob/main/LICENSE", commercial_use=True
)
CC_BY_NC_SA = Licence(
    name="CC BY-NC-SA 4.0",
    url="https://creativecommons.org/licenses/by-nc-sa/4.0/",
    commercial_use=False,
)
OPENRAIL = Licence(
    name="CreativeML OpenRAIL-M, with use restrictions",
    url="https://huggingface.co/spaces/CompVis/stable-diffusion-license",
    commercial_use=True,
)
OPENPOSE = Licence(
    name="CMU OpenPose, academic or non-profit use only",
    url="https://github.com/CMU-Perceptual-Computing-Lab/openpose/blob/master/LICENSE",
    commercial_use=False,
)
SCHP = Licence(
    name="SCHP: code MIT, no terms published for the weights",
    url="https://github.com/GoGoDuck912/Self-Correction-Human-Parsing",
    commercial_use=None,
)

LICENCE_TABLE: tuple[tuple[str, tuple[Licence, ...]], ...] = (
    ("This project's code and the built-in mini checkpoint", (APACHE,)),
    ("OOTDiffusion UNets (hd, dc), fine-tuned from Stable Diffusion 1.5", (CC_BY_NC_SA, OPENRAIL)),
    ("VAE and text encoder of Stable Diffusion 1.5", (OPENRAIL,)),
    ("CLIP ViT-L/14 image encoder", (MIT,)),
    ("Human parsing networks (ATR, LIP)", (SCHP,)),
    ("OpenPose body network", (OPENPOSE,)),
    ("BlazePose, detector and landmarks (MediaPipe)", (APACHE,)),
)
"""What is used, and the terms it stands under; where there are several, all of them apply."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WeightFile:
    """One published file.

    path: inside the model folder, with `/`. repository_path: inside the repository. size: bytes,
    rounded for small files; to announce a download, not to verify it. variants: who needs it.
    alternatives: other names under which the same content is accepted in a model folder.
    required: False for what loading can do without.
    """

    path: str
    repository: str
    repository_path: str
    revision: str
    licences: tuple[Licence, ...]
    size: int
    part: Part
    variants: frozenset[Variant] = frozenset(Variant)
    alternatives: tuple[str, ...] = ()
    sha256: str | None = None
    required: bool = True

    @property
    def names(self) -> list[str]:
        """All accepted names, the best first: safetensors, in full precision, in one file."""
        return sorted(
            (self.path, *self.alternatives),
            key=lambda name: (".safetensors" not in name, ".fp16." in name, ".index." in name),
        )


def _saved_as(path: str) -> tuple[str, ...]:
    """The other names under which diffusers and transformers save the same weights."""
    folder, _, name = path.rpartition("/")
    stem = name.partition(".")[0]
    single = "diffusion_pytorch_model" if stem.startswith("diffusion") else "model"
    pickled = "diffusion_pytorch_model" if stem.startswith("diffusion") else "pytorch_model"
    names = [
        f"{folder}/{first}.{ending}"
        for first, format_ in ((single, "safetensors"), (pickled, "bin"))
        for ending in (
            format_,
            f"fp16.{format_}",
            f"{format_}.index.json",
            f"{format_}.index.fp16.json",
        )
    ]
    return tuple(other for other in names if other != path)


def _ootd(
    path: str,
    part: Part,
    size: int,
    *licences: Licence,
    variants: frozenset[Variant] = frozenset(Variant),
    alternatives: tuple[str, ...] = (),
    required: bool = True,
) -> WeightFile:
    return WeightFile(
        path=path,
        repository=OOTD_REPOSITORY,
        repository_path=f"checkpoints/{path}",
        revision=OOTD_REVISION,
        licences=licences,
        size=size,
        part=part,
        variants=variants,
        alternatives=alternatives,
        required=required,
    )


def _clip(
    name: str, size: int, sha256: str, alternatives: tuple[str, ...] = (), required: bool = True
) -> WeightFile:
    return WeightFile(
        path=f"{CLIP_FOLDER}/{name}",
        repository=CLIP_REPOSITORY,
        repository_path=name,
        revision=CLIP_REVISION,
        licences=(MIT,),
        size=size,
        part=Part.IMAGE_ENCODER,
        alternatives=alternatives,
        sha256=sha256,
        required=required,
    )


def _unet(variant: Variant, part: Part) -> tuple[WeightFile, WeightFile]:
    folder = f"ootd/ootd_{variant}/checkpoint-{PUBLISHED_STEP}/{UNET_FOLDERS[part]}"
    only = frozenset({variant})
    weights = f"{folder}/diffusion_pytorch_model"
    return (
        _ootd(f"{folder}/config.json", part, 1_800, CC_BY_NC_SA, OPENRAIL, variants=only),
        _ootd(
            f"{weights}.safetensors",
            part,
            3279 * MIB,
            CC_BY_NC_SA,
            OPENRAIL,
            variants=only,
            alternatives=_saved_as(f"{weights}.safetensors"),
        ),
    )


FILES: tuple[WeightFile, ...] = (
    _ootd("ootd/model_index.json", Part.PIPELINE, 500, CC_BY_NC_SA, required=False),
    _ootd("ootd/scheduler/scheduler_config.json", Part.SCHEDULER, 300, OPENRAIL),
    _ootd("ootd/tokenizer/vocab.json", Part.TOKENIZER, 1_060_000, OPENRAIL),
    _ootd("ootd/tokenizer/merges.txt", Part.TOKENIZER, 525_000, OPENRAIL),
    _ootd("ootd/tokenizer/special_tokens_map.json", Part.TOKENIZER, 500, OPENRAIL, required=False),
    _ootd("ootd/tokenizer/tokenizer_config.json", Part.TOKENIZER, 800, OPENRAIL, required=False),
    _ootd("ootd/text_encoder/config.json", Part.TEXT_ENCODER, 600, OPENRAIL),
    _ootd(
        "ootd/text_encoder/pytorch_model.bin",
        Part.TEXT_ENCODER,
        470 * MIB,
        OPENRAIL,
        alternatives=_saved_as("ootd/text_encoder/pytorch_model.bin"),
    ),
    _ootd("ootd/vae/config.json", Part.VAE, 700, OPENRAIL),
    _ootd(
        "ootd/vae/diffusion_pytorch_model.bin",
        Part.VAE,
        319 * MIB,
        OPENRAIL,
        alternatives=_saved_as("ootd/vae/diffusion_pytorch_model.bin"),
    ),
    _clip("config.json", 4_500, "8a09b467700c58138c29d53c605b34ebc69beaadd13274a8a2af8ad2c2f4032a"),
    _clip(
        "preprocessor_config.json",
        300,
        "910e70b3956ac9879ebc90b22fb3bc8a75b6a0677814500101a4c072bd7857bd",
    ),
    _clip(
        "model.safetensors",
        1_710_540_580,
        "a2bf730a0c7debf160f7a6b50b3aaf3703e7e88ac73de7a314903141db026dcb",
        alternatives=_saved_as(f"{CLIP_FOLDER}/model.safetensors"),
    ),
    *(
        file
        for variant in Variant
        for part in (Part.OUTFITTING_UNET, Part.TRYON_UNET)
        for file in _unet(variant, part)
    ),
    _ootd("humanparsing/parsing_atr.onnx", Part.PARSER, 254 * MIB, SCHP),
    _ootd("humanparsing/parsing_lip.onnx", Part.PARSER, 254 * MIB, SCHP),
    _ootd(
        "openpose/ckpts/body_pose_model.pth",
        Part.POSE,
        200 * MIB,
        OPENPOSE,
        alternatives=("openpose/ckpts/body_pose_model.safetensors",),
    ),
)


def files_for(variant: Variant, parts: Collection[Part] = frozenset(Part)) -> list[WeightFile]:
    """The catalogue's files of these parts that `variant` uses, in the catalogue's order."""
    return [file for file in FILES if variant in file.variants and file.part in parts]


def step_folder(folder: Path, variant: Variant) -> Path | None:
    """`checkpoint-N` of `variant` with the highest N in a model folder, None if there is none."""
    steps = [
        (int(match[1]), path)
        for path in (folder / "ootd" / f"ootd_{variant}").glob("checkpoint-*")
        if path.is_dir() and (match := re.fullmatch(r"checkpoint-(\d+)", path.name))
    ]
    return max(steps)[1] if steps else None


def find(folder: Path, file: WeightFile) -> Path | None:
    """Where `file` lies in a model folder, under any accepted name; None if it is not there.

    Safetensors is preferred where a folder holds both formats, and full precision over half. UNets
    are looked for in the checkpoint of the highest step, whatever that step is.
    """
    for name in file.names:
        path = expected_path(folder, file, name)
        if path.is_file():
            return path
    return None


def stranger_for(folder: Path, file: WeightFile) -> Path | None:
    """The one weights file that lies where a missing one belongs, under a name of its own."""
    if PurePath(file.path).suffix == ".json" or file.part is Part.PARSER:
        return None
    place = expected_path(folder, file)
    found = [path for path in sorted(place.parent.glob("*")) if path.suffix in WEIGHT_ENDINGS]
    return found[0] if len(found) == 1 else None


def expected_path(folder: Path, file: WeightFile, name: str | None = None) -> Path:
    """Where `file` belongs in a model folder, as `name` (default: its published name)."""
    name = name or file.path
    published = f"checkpoint-{PUBLISHED_STEP}/"
    if file.part in UNET_FOLDERS and published in name:
        (variant,) = file.variants
        steps = step_folder(folder, variant)
        if steps is not None:
            return steps / name.split(published)[1]
    return folder / name


def missing(
    folder: Path, variant: Variant, parts: Collection[Part] = frozenset(Part)
) -> list[WeightFile]:
    """The required files of these parts that a model folder does not hold under any name."""
    return [
        file for file in files_for(variant, parts) if file.required and find(folder, file) is None
    ]


def download_command(folder: Path, variant: Variant) -> str:
    """The command line that puts what `variant` needs, and lacks, into a model folder.

    It is complete: a shell runs it as printed, in any folder.
    """
    return pack_command("download", "--variant", variant, "--to", str(folder.absolute()))
