"""What bundled workflows are made of: nodes in columns, and the stages that most of them share.

A workflow is a table of nodes: name -> (class, column, inputs), in the order in which it is drawn.
An input is a value or a link (name, output). What is drawn but not run (a node whose model file the
user has to bring) is `bypassed` and absent from the API twin.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MINI = "mini (built in)"
FULL_BODY = "full body (dc)"
SIZE = "256x192"
Link = tuple[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node. column: where it is drawn. bypassed: drawn, not run."""

    kind: str
    column: int
    inputs: dict[str, Any]
    title: str = ""
    bypassed: bool = False


@dataclass(slots=True)
class Graph:
    """A workflow. note: shown in it. app: the widgets of app mode, (node, input)."""

    note: str
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    app: tuple[tuple[str, str], ...] = ()

    def add(
        self, name: str, kind: str, column: int, *, bypassed: bool = False, **inputs: Any
    ) -> str:
        self.nodes[name] = Node(kind=kind, column=column, inputs=inputs, bypassed=bypassed)
        return name


def garment_stages(graph: Graph, source: Link, category: str, suffix: str = "") -> None:
    """Loader's garment side: prepare, encode, read."""
    graph.add(f"prepare{suffix}", "OOTD_PrepareGarment", 1, image=source, size=SIZE)
    graph.add(
        f"encode{suffix}",
        "OOTD_GarmentEncoder",
        2,
        garment=(f"prepare{suffix}", 0),
        vae=("load", 3),
        garment_encoder=("load", 2),
        category=category,
    )
    graph.add(
        f"read{suffix}",
        "OOTD_OutfittingUNet",
        3,
        outfitting_unet=("load", 1),
        conditioning=(f"encode{suffix}", 0),
        garment_latent=(f"encode{suffix}", 1),
    )


def person_stages(
    graph: Graph, source: Link, category: str, suffix: str = "", column: int = 1, **mask: Any
) -> None:
    """Fit, parse, detect, mask. What `mask` names replaces the defaults of the mask's inputs."""
    fitted = (f"fit{suffix}", 0)
    graph.add(f"fit{suffix}", "OOTD_FitPerson", column, image=source, size=SIZE, mode="auto")
    graph.add(f"parse{suffix}", "OOTD_HumanParser", column + 1, image=fitted, checkpoint=MINI)
    graph.add(
        f"pose{suffix}",
        "OOTD_OpenPose",
        column + 1,
        image=fitted,
        checkpoint=MINI,
        openpose_json=mask.pop("openpose_json", ""),
    )
    settings: dict[str, Any] = {
        "image": fitted,
        "category": category,
        "variant": FULL_BODY,
        "mode": "robust",
        "grow": 0,
        "feather": 0.0,
        "keep_hair": False,
        "keep_arms": False,
        "keep_legs": False,
        "keep_scarf": False,
        "label_map": (f"parse{suffix}", 0),
        "pose_keypoint": (f"pose{suffix}", 0),
        "mask_use": "replace",
    }
    graph.add(f"mask{suffix}", "OOTD_MaskGenerator", column + 2, **{**settings, **mask})


def dress_stages(
    graph: Graph,
    original: Link,
    suffix: str = "",
    column: int = 4,
    *,
    denoiser: Link = ("load", 0),
    garment: str = "",
    conditions: tuple[Link, Link] | None = None,
    save: str = "tryon",
) -> None:
    """Fuse, sample, decode, save."""
    graph.add(
        f"fuse{suffix}",
        "OOTD_FusedDenoiser",
        column,
        denoiser=denoiser,
        garment_features=(f"read{garment or suffix}", 0),
        conditioning=(f"encode{garment or suffix}", 0),
        vae=("load", 3),
        person=(f"fit{suffix}", 0),
        mask=(f"mask{suffix}", 0),
        garment_strength=1.0,
        start_percent=0.0,
        end_percent=1.0,
    )
    positive, negative = conditions or ((f"fuse{suffix}", 1), (f"fuse{suffix}", 2))
    graph.add(
        f"sample{suffix}",
        "KSampler",
        column + 1 + bool(conditions),
        model=(f"fuse{suffix}", 0),
        seed=1,
        steps=20,
        cfg=2.0,
        sampler_name="uni_pc",
        scheduler="normal",
        positive=positive,
        negative=negative,
        latent_image=(f"fuse{suffix}", 3),
        denoise=1.0,
    )
    decode_stages(
        graph, original, suffix, column + 2 + bool(conditions), (f"sample{suffix}", 0), save
    )


def decode_stages(
    graph: Graph, original: Link, suffix: str, column: int, latent: Link, save: str
) -> None:
    graph.add(
        f"decode{suffix}",
        "OOTD_VAEDecode",
        column,
        latent=latent,
        vae=("load", 3),
        original=original,
        mask=(f"mask{suffix}", 0),
        fit=(f"fit{suffix}", 2),
        feather=2.0,
    )
    if save:
        graph.add(
            f"save{suffix}",
            "SaveImage",
            column + 1,
            images=(f"decode{suffix}", 0),
            filename_prefix=f"{save}",
        )
