"""Loads a model folder into stock diffusers and transformers networks.

Modules are built from config.json and filled by name, every key and shape accounted for:
`from_pretrained` would take a random layer for a missing one and go to the network for a missing
file. Names that older library versions wrote (the published VAE and text encoder are that old) are
translated. Keys of a config that a network does not know are left out; what they leave
undetermined, the shapes of the weights decide.
"""

import inspect
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch
import transformers
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import Tensor, nn
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

from .categories import Variant
from .checkpoint_files import IN_CHANNELS, PartFiles, locate, verify
from .weight_files import read_json
from .weights import TEXT_PREFIX

if TYPE_CHECKING:
    from transformers import CLIPImageProcessor

Module = TypeVar("Module", bound=nn.Module)

logger = logging.getLogger(__name__)

DTYPES = (torch.float32, torch.float16, torch.bfloat16)

# Names of a VAE's attention layers before diffusers 0.12, and today's.
RENAMED_ATTENTION = {
    ".query.": ".to_q.",
    ".key.": ".to_k.",
    ".value.": ".to_v.",
    ".proj_attn.": ".to_out.0.",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Networks:
    """The networks of one variant, in evaluation mode, frozen, on one device in one dtype.

    scheduler_config: the file's content, for `sampling.make_scheduler`.
    """

    variant: Variant
    vae: AutoencoderKL
    text_encoder: CLIPTextModel
    tokenizer: CLIPTokenizer
    image_encoder: CLIPVisionModelWithProjection
    image_processor: "CLIPImageProcessor"
    outfitting_unet: UNet2DConditionModel
    tryon_unet: UNet2DConditionModel
    scheduler_config: dict[str, Any]
    device: torch.device
    dtype: torch.dtype


def load_networks(
    folder: Path,
    variant: Variant,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> Networks:
    """Loads every network that a try-on with `variant` needs from a model folder.

    Raises FileNotFoundError (something is missing) or ValueError (something is damaged, swapped or
    does not fit its config, or the dtype is not a floating-point one), each with one sentence that
    names file, folder and the command that helps.
    """
    if dtype not in DTYPES:
        raise ValueError(f"Networks run in float32, float16 or bfloat16, not in {dtype}.")
    device = torch.device(device)
    paths = locate(folder, variant)
    verify(paths)
    networks = Networks(
        variant=variant,
        vae=load_vae(paths.vae, device, dtype),
        text_encoder=load_text_encoder(paths.text_encoder, device, dtype),
        tokenizer=_load_tokenizer(paths.tokenizer, paths.text_encoder.remedy),
        image_encoder=load_image_encoder(paths.image_encoder, device, dtype),
        image_processor=_load_image_processor(paths.image_processor, paths.image_encoder.remedy),
        outfitting_unet=load_unet(paths.outfitting_unet, device, dtype),
        tryon_unet=load_unet(paths.tryon_unet, device, dtype),
        scheduler_config=read_json(paths.scheduler, remedy=paths.vae.remedy),
        device=device,
        dtype=dtype,
    )
    _check_widths(networks, (paths.text_encoder, paths.image_encoder))
    return networks


def load_unet(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> UNet2DConditionModel:
    """One of the two UNets; which one, and so conv_in's channels, is `files.part`."""
    config = read_json(files.config, remedy=files.remedy)
    expected = IN_CHANNELS[files.part]
    if config.get("in_channels", expected) != expected:
        raise ValueError(
            f"config.json in {files.config.parent} says in_channels {config['in_channels']}, but "
            f"the {files.part} has {expected}: {files.remedy}."
        )
    config["in_channels"] = expected
    unet = _build(UNet2DConditionModel, config, files)
    return _fill(unet, files.read_state_dict(), files, device, dtype)


def load_vae(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> AutoencoderKL:
    """The VAE, published with today's or with the older names of its attention layers."""
    vae = _build(AutoencoderKL, read_json(files.config, remedy=files.remedy), files)
    state = {_renamed_attention(key): value for key, value in files.read_state_dict().items()}
    return _fill(vae, state, files, device, dtype)


def load_text_encoder(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> CLIPTextModel:
    """CLIP's text tower."""
    config = read_json(files.config, remedy=files.remedy)
    text_encoder = _build_clip(CLIPTextModel, CLIPTextConfig, config, files)
    return _fill(text_encoder, files.read_state_dict(), files, device, dtype)


def load_image_encoder(
    files: PartFiles, device: torch.device, dtype: torch.dtype = torch.float32
) -> CLIPVisionModelWithProjection:
    """CLIP's vision tower with its projection, from a file of both towers or of this one alone."""
    config = read_json(files.config, remedy=files.remedy)
    if "vision_config" in config:
        width = {k: v for k, v in config.items() if k == "projection_dim"}
        config = config["vision_config"] | width
    image_encoder = _build_clip(CLIPVisionModelWithProjection, CLIPVisionConfig, config, files)
    state = {
        key: value
        for key, value in files.read_state_dict().items()
        if key.startswith(("vision_model.", "visual_projection."))
    }
    return _fill(image_encoder, state, files, device, dtype)


def _load_tokenizer(folder: Path, remedy: str) -> CLIPTokenizer:
    read_json(folder / "vocab.json", remedy=remedy)
    return CLIPTokenizer.from_pretrained(str(folder), local_files_only=True)


def _load_image_processor(path: Path, remedy: str) -> "CLIPImageProcessor":
    """The processor that works with Pillow, whose pixels the networks were trained on.

    transformers 5 gave its name to one that resizes with torchvision; before that there was one.
    """
    name = "CLIPImageProcessorPil"
    factory = getattr(transformers, name if hasattr(transformers, name) else name[:-3])
    return factory.from_dict(read_json(path, remedy=remedy))


def _build(factory: type[Module], config: Mapping[str, Any], files: PartFiles) -> Module:
    """The module on the meta device: no memory, and no time spent on random numbers."""
    try:
        with torch.device("meta"):
            return factory(**_known(factory, config))
    except (TypeError, ValueError, IndexError, KeyError, RuntimeError) as error:
        raise _unfit(files, f"builds no {files.part} ({error})", files.config) from error


def _build_clip(
    factory: Callable[[Any], Module],
    config_factory: Callable[..., Any],
    config: Mapping[str, Any],
    files: PartFiles,
) -> Module:
    try:
        clip_config = config_factory(**_known(config_factory, config))
        with torch.device("meta"):
            tower = factory(clip_config)
    except (TypeError, ValueError, KeyError, RuntimeError) as error:
        raise _unfit(files, f"builds no {files.part} ({error})", files.config) from error
    # Not part of any file since transformers 4.31, and so left on the meta device by the filling.
    for module in tower.modules():
        ids = getattr(module, "position_ids", None)
        if isinstance(ids, Tensor):
            module.position_ids = torch.arange(ids.shape[-1], device="cpu").expand(ids.shape)
    return tower


def _known(factory: Callable[..., Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a config that `factory` takes; the others are about files and versions."""
    parameters = inspect.signature(factory).parameters
    left_out = sorted(key for key in config if key not in parameters)
    logger.debug("Config keys left out: %s", left_out)
    return {key: value for key, value in config.items() if key in parameters}


def _fill(
    module: Module,
    state: Mapping[str, Tensor],
    files: PartFiles,
    device: torch.device,
    dtype: torch.dtype,
) -> Module:
    """Gives the module the tensors as its own, in `dtype` on `device`; frozen, for evaluation.

    Raises ValueError unless `state` holds every tensor of the module in its shape and no other.
    """
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    state = _aligned(state, wanted)
    absent = [key for key in wanted if key not in state]
    unknown = [key for key in state if key not in wanted]
    reshaped = [key for key in wanted if key in state and wanted[key] != tuple(state[key].shape)]
    if absent or unknown or reshaped:
        raise _unfit(files, _mismatch(absent, unknown, reshaped, state, wanted), files.weights)
    converted = {key: value.to(device, dtype, copy=True) for key, value in state.items()}
    module.load_state_dict(converted, strict=True, assign=True)
    return module.to(device).requires_grad_(False).eval()


def _aligned(state: Mapping[str, Tensor], wanted: Mapping[str, object]) -> dict[str, Tensor]:
    """The tensors under the names of the installed library version.

    transformers 5 dropped the text tower's prefix; before 4.31 position ids were saved.
    """
    aligned = {key: value for key, value in state.items() if not key.endswith("position_ids")}
    has = any(key.startswith(TEXT_PREFIX) for key in aligned)
    wants = any(key.startswith(TEXT_PREFIX) for key in wanted)
    if has and not wants:
        return {key.removeprefix(TEXT_PREFIX): value for key, value in aligned.items()}
    if wants and not has:
        return {TEXT_PREFIX + key: value for key, value in aligned.items()}
    return aligned


def _renamed_attention(key: str) -> str:
    if ".attentions." in key:
        for old, new in RENAMED_ATTENTION.items():
            key = key.replace(old, new)
    return key


def _mismatch(
    absent: list[str],
    unknown: list[str],
    reshaped: list[str],
    state: Mapping[str, Tensor],
    wanted: Mapping[str, tuple[int, ...]],
) -> str:
    found: list[str] = []
    if absent:
        found.append(f"lacks {len(absent)} of {len(wanted)} tensors (first {absent[0]})")
    if unknown:
        found.append(f"has {len(unknown)} that do not belong (first {unknown[0]})")
    if reshaped:
        key = reshaped[0]
        found.append(
            f"has {len(reshaped)} of another shape (first {key}: {tuple(state[key].shape)}, "
            f"expected {wanted[key]})"
        )
    return "does not fit its config.json: it " + " and ".join(found)


def _unfit(files: PartFiles, what: str, path: Path) -> ValueError:
    return ValueError(f"{path.name} in {path.parent} {what}: {files.remedy}.")


def _check_widths(networks: Networks, towers: tuple[PartFiles, PartFiles]) -> None:
    """A CLIP of another size than the UNets were trained with loads, and would fail in use."""
    expected = networks.tryon_unet.config["cross_attention_dim"]
    widths = (
        networks.text_encoder.config.hidden_size,
        networks.image_encoder.config.projection_dim,
    )
    for files, width in zip(towers, widths, strict=True):
        if width != expected:
            raise _unfit(
                files, f"gives {width} channels where the UNets take {expected}", files.weights
            )
