"""What bundled workflows are made of: nodes in columns, and the stages that most of them share.

A workflow is a table of nodes: name -> (class, column, row, group, inputs), in the order in which
it is drawn. An input is a value or a link (name, output). What is drawn but not run (a node whose
model file the user has to bring) is `bypassed` and absent from the API twin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MINI = "mini (built in)"
FULL_BODY = "full body (dc)"
SIZE = "auto"
START, GARMENT, PERSON = (
    "Pictures and model 图像与模型",
    "Garment 服装",
    "Person and mask 人物与遮罩",
)
DRESS, RESULT = "Dress 试穿", "Result 结果"
Link = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node. column, row, group: where it is drawn, groups apart from each other. bypassed:
    drawn, not run. models: files that the frontend offers to download, (name, url, directory)."""

    kind: str
    column: int
    inputs: dict[str, Any]
    group: str
    row: int = 0
    bypassed: bool = False
    models: tuple[dict[str, str], ...] = ()


@dataclass(slots=True)
class Graph:
    """A workflow. note, note_zh: shown in it, in English and in Chinese. app: the widgets of app
    mode, (node, input)."""

    note: str
    note_zh: str
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    app: tuple[tuple[str, str], ...] = ()

    def add(
        self,
        name: str,
        kind: str,
        column: int,
        group: str,
        *,
        row: int = 0,
        bypassed: bool = False,
        models: tuple[dict[str, str], ...] = (),
        **inputs: Any,
    ) -> str:
        self.nodes[name] = Node(
            kind=kind,
            column=column,
            inputs=inputs,
            group=group,
            row=row,
            bypassed=bypassed,
            models=models,
        )
        return name


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """A try-on of several in one workflow: what its nodes' names end in, and where they stand."""

    suffix: str = ""
    row: int = 0
    column: int = 1

    def group(self, title: str) -> str:
        return f"{title} {self.row + 1}" if self.suffix else title


ONLY = Lane()


def garment_stages(graph: Graph, source: Link, category: str, lane: Lane = ONLY) -> None:
    """Loader's garment side: prepare, encode, read. One column."""
    suffix, row = lane.suffix, lane.row
    where = (lane.column, lane.group(GARMENT))
    graph.add(
        f"prepare{suffix}",
        "OOTD_PrepareGarment",
        *where,
        row=row,
        image=source,
        size=SIZE,
        model=("load", 0),
    )
    graph.add(
        f"encode{suffix}",
        "OOTD_GarmentEncoder",
        *where,
        row=row,
        garment=(f"prepare{suffix}", 0),
        vae=("load", 3),
        garment_encoder=("load", 2),
        category=category,
    )
    graph.add(
        f"read{suffix}",
        "OOTD_OutfittingUNet",
        *where,
        row=row,
        outfitting_unet=("load", 1),
        conditioning=(f"encode{suffix}", 0),
        garment_latent=(f"encode{suffix}", 1),
    )


def person_stages(
    graph: Graph,
    source: Link,
    garment: Link,
    category: str,
    lane: Lane = ONLY,
    **mask: Any,
) -> None:
    """Fit, parse, detect, mask. Two columns after the garment's. What `mask` names replaces the
    defaults of the mask's inputs."""
    suffix, row, group = lane.suffix, lane.row, lane.group(PERSON)
    column = lane.column + 1
    fitted = (f"fit{suffix}", 0)
    graph.add(
        *(f"fit{suffix}", "OOTD_FitPerson", column, group),
        row=row,
        image=source,
        size=SIZE,
        mode="auto",
        model=("load", 0),
    )
    graph.add(
        *(f"parse{suffix}", "OOTD_HumanParser", column, group),
        row=row,
        image=fitted,
        checkpoint=MINI,
    )
    graph.add(
        *(f"pose{suffix}", "OOTD_OpenPose", column, group),
        row=row,
        image=fitted,
        checkpoint=MINI,
        openpose_json=mask.pop("openpose_json", ""),
    )
    settings: dict[str, Any] = {
        "image": fitted,
        "category": category,
        "variant": FULL_BODY,
        "mode": "auto",
        "grow": 0,
        "feather": 0.0,
        "keep_hair": False,
        "keep_arms": False,
        "keep_legs": False,
        "keep_scarf": False,
        "label_map": (f"parse{suffix}", 0),
        "pose_keypoint": (f"pose{suffix}", 0),
        "mask_use": "replace",
        "garment": garment,
    }
    graph.add(
        *(f"mask{suffix}", "OOTD_MaskGenerator", column + 1, group),
        row=row,
        **{**settings, **mask},
    )
    graph.add(
        *(f"overlay{suffix}", "PreviewImage", column + 1, group),
        row=row,
        images=(f"mask{suffix}", 1),
    )


def dress_stages(
    graph: Graph,
    original: Link,
    lane: Lane = ONLY,
    *,
    denoiser: Link = ("load", 0),
    save: str = "tryon",
) -> None:
    """Fuse, sample, decode, save. Two columns after the person's."""
    fuse_stage(graph, lane, denoiser)
    fuse = f"fuse{lane.suffix}"
    sample_stage(graph, lane, lane.column + 3, (fuse, 1), (fuse, 2))
    sampled = (f"sample{lane.suffix}", 0)
    decode_stages(graph, original, lane, lane.column + 4, sampled, save)


def fuse_stage(graph: Graph, lane: Lane = ONLY, denoiser: Link = ("load", 0)) -> None:
    suffix = lane.suffix
    graph.add(
        *(f"fuse{suffix}", "OOTD_FusedDenoiser", lane.column + 3, lane.group(DRESS)),
        row=lane.row,
        denoiser=denoiser,
        garment_features=(f"read{suffix}", 0),
        conditioning=(f"encode{suffix}", 0),
        vae=("load", 3),
        person=(f"fit{suffix}", 0),
        mask=(f"mask{suffix}", 0),
        garment_strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
    )


def sample_stage(graph: Graph, lane: Lane, column: int, positive: Link, negative: Link) -> None:
    """KSampler with what was published."""
    fuse = f"fuse{lane.suffix}"
    graph.add(
        *(f"sample{lane.suffix}", "KSampler", column, lane.group(DRESS)),
        row=lane.row,
        model=(fuse, 0),
        seed=1,
        steps=20,
        cfg=2.0,
        sampler_name="uni_pc",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image=(fuse, 3),
        denoise=1.0,
    )


def decode_stages(
    graph: Graph, original: Link, lane: Lane, column: int, latent: Link, save: str
) -> None:
    suffix, group = lane.suffix, lane.group(RESULT)
    graph.add(
        *(f"decode{suffix}", "OOTD_VAEDecode", column, group),
        row=lane.row,
        latent=latent,
        vae=("load", 3),
        original=original,
        mask=(f"mask{suffix}", 0),
        fit=(f"fit{suffix}", 2),
        feather=2.0,
    )
    kind = "SaveImage" if save else "PreviewImage"
    named: dict[str, Any] = {"filename_prefix": save} if save else {}
    graph.add(
        *(f"save{suffix}", kind, column, group),
        row=lane.row,
        images=(f"decode{suffix}", 0),
        **named,
    )
