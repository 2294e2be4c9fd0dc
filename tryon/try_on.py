"""`TryOn`: one model folder as one call, from pictures of any size to pictures of that size.

A garment is put on in five stages: fit the person to 3:4, look (label map and keypoints), mask,
dress, paste back. An outfit is several garments, one after the other. Every network is loaded when
it is first needed and kept. What had to be done without is said in the result's warnings.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ootd_core.categories import Category, Variant, as_category, check_category
from ootd_core.checkpoints.acceleration import (
    AUTO,
    check_compile,
    check_offload,
    choose_dtype,
    compile_denoiser,
    use_channels_last,
)
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.locating import locate, verify
from ootd_core.checkpoints.lora import check_lora, merge_loras
from ootd_core.checkpoints.networks import DTYPES, Networks, choose_device, load_networks
from ootd_core.checkpoints.reading import read_json
from ootd_core.checkpoints.verification import trained_size
from ootd_core.images.compositing import paste_back
from ootd_core.images.files import as_image
from ootd_core.images.fitting import (
    Fit,
    fit_mask,
    fit_onto,
    fit_points,
    prepare_garment,
    size_of,
    unfit_label_map,
    unfit_mask,
    unfit_points,
)
from ootd_core.images.restoring import Restore, restored_region
from ootd_core.images.worn_garment import (
    GarmentPhoto,
    has_a_body,
    lay_worn_garment,
    shows_a_person,
)
from ootd_core.latents import SCALE, binary_mask
from ootd_core.masks.agnostic import (
    NO_PERSON,
    AgnosticMask,
    MaskMode,
    agnostic_mask,
)
from ootd_core.masks.morphology import MASK_THRESHOLD, BoolMask, SoftMask
from ootd_core.masks.person_region import person_region_mask
from ootd_core.pipeline import TryOnPipeline
from ootd_core.request import TryOnRequest
from ootd_core.sampling import OnStep
from openpose import Person

from .arguments import (
    AnyImage,
    GarmentOfOutfit,
    garment_masks,
    joints_of,
    mask_array,
    outfit_of,
)
from .options import TryOnOptions, options_of
from .perception import PersonNetworks, SeenPerson, nearest_person
from .preparation import (
    ChosenPerson,
    Keypoints,
    LabelMap,
    PoseNetwork,
    choose_fit,
    choose_person,
    crops,
    fitted_person,
    own_mask,
    person_box,
)
from .result import STAGES, RunProgress, TryOnResult, timed

Picture = NDArray[np.uint8]
MASK_HEIGHT = 1024
"""Of the picture in which a mask alone is drawn, in pixels."""
MAYBE_WORN = (
    "The garment's picture seems to show a person, and nothing here tells their clothes apart: it "
    "is taken as it is. Give a mask of the garment (--garment-mask), or a picture of it alone."
)
WORN_WITHOUT_PARSER = (
    "The garment is worn in its picture, and the model folder has no parser for photographs, which "
    "would tell it apart: give a mask of the garment (--garment-mask), or a picture of it alone."
)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Subject:
    """The person who is meant on the networks' canvas, and how they come there."""

    fit: Fit
    person: ChosenPerson


Dressing = Generator[TryOnRequest, NDArray[np.uint8], TryOnResult]
"""A try-on that waits for its pictures: see `TryOn.dressing`."""


class TryOn:
    """Dresses people in garments with the networks of one model folder."""

    def __init__(
        self, folder: Path, variant: Variant, pose_network: PoseNetwork = PoseNetwork.AUTO
    ) -> None:
        self.folder = folder
        self.variant = variant
        self.pose_network = pose_network
        self.device = torch.device("cpu")
        self._dtype: torch.dtype | None = None
        self._loras: list[tuple[Path, float]] = []
        self._offloads = self._compiles = False

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path = MINI_CHECKPOINT,
        variant: Variant | str = Variant.FULL_BODY,
        *,
        pose_network: PoseNetwork | str = PoseNetwork.AUTO,
        only_masks: bool = False,
    ) -> Self:
        """A try-on with the networks of a folder in the published layout.

        Args:
            folder: the bundled mini checkpoint by default, which dresses drawn dolls only.
            variant: "hd", half body, for upper garments; "dc", full body, for all of them.
            pose_network: a `PoseNetwork` or its name: what finds people.
            only_masks: for `mask` alone, which needs no denoising networks in the folder.

        The files are looked for and checked; networks are loaded when they are first needed. Raises
        FileNotFoundError or ValueError, one sentence, if something is missing or damaged.
        """
        try:
            variant = Variant(variant)
        except ValueError:
            names = ", ".join(Variant)
            raise ValueError(f"variant is '{variant}', but must be one of {names}.") from None
        if variant is Variant.HALF_BODY and Path(folder).resolve() == MINI_CHECKPOINT:
            raise ValueError("The bundled mini checkpoint is full body only: choose variant dc.")
        try:
            pose_network = PoseNetwork(pose_network)
        except ValueError:
            names = ", ".join(PoseNetwork)
            raise ValueError(
                f"pose_network is '{pose_network}', but must be one of {names}."
            ) from None
        if not isinstance(folder, str | Path):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise ValueError(f"The model folder is {folder!r}, but must be a path.")
        if not only_masks:
            verify(locate(Path(folder), variant))
        return cls(Path(folder), variant, pose_network)

    def to(
        self, device: str | torch.device | None = None, dtype: torch.dtype | None = None
    ) -> Self:
        """Run on another device, in another dtype. Networks that are loaded are loaded again.

        Raises ValueError for a device that this machine does not have.
        """
        if device is not None:
            self.device = torch.device(choose_device(str(device)))
        self._dtype = self._dtype if dtype is None else dtype
        for cached in ("networks", "person_networks"):
            self.__dict__.pop(cached, None)
        return self

    @property
    def dtype(self) -> torch.dtype:
        """What the networks compute in: as `choose_dtype` chooses, unless `to` was given one."""
        return self._dtype or DTYPES[choose_dtype(AUTO, str(self.device))]

    def enable_model_cpu_offload(self) -> Self:
        """Keep the networks in main memory, but for those of the stage that runs.

        Parser and pose network run on the CPU. Slower, and the device needs memory for its largest
        network alone. Raises ValueError where
        the device (see `to`) is the CPU.
        """
        check_offload(str(self.device))
        self._offloads = True
        for cached in ("networks", "person_networks"):
            self.__dict__.pop(cached, None)
        return self

    def compile(self) -> Self:
        """Compile the denoiser with torch.compile: minutes at first, then faster steps.

        Worth it for many pictures of one size. Raises ValueError, one sentence, where the device
        (see `to`) has no compiler.
        """
        check_compile(str(self.device))
        self._compiles = True
        self.__dict__.pop("networks", None)
        return self

    def load_lora(self, folder: str | Path, strength: float = 1.0) -> Self:
        """Add a LoRA that `train` wrote. Raises FileNotFoundError; ValueError when it is read."""
        check_lora(Path(folder))
        self._loras.append((Path(folder), strength))
        self.__dict__.pop("networks", None)
        return self

    @cached_property
    def networks(self) -> Networks:
        """The denoising networks. Raises FileNotFoundError or ValueError naming what is wrong."""
        networks = load_networks(
            self.folder,
            self.variant,
            device=self.device,
            dtype=self.dtype,
            offload=self._offloads,
        )
        for folder, strength in self._loras:
            merge_loras(networks, folder, strength)
        use_channels_last(networks)
        if self._compiles:
            compile_denoiser(networks)
        return networks

    @cached_property
    def person_networks(self) -> PersonNetworks:
        """The human parser and the pose network."""
        device = "cpu" if self._offloads else str(self.device)
        return PersonNetworks(
            self.folder, self.variant, device=device, pose_network=self.pose_network
        )

    def __call__(
        self,
        person: AnyImage,
        garment: AnyImage | Sequence[GarmentOfOutfit],
        category: Category | str | None = None,
        *,
        options: TryOnOptions | None = None,
        mask: AnyImage | None = None,
        garment_mask: AnyImage | Sequence[AnyImage | None] | None = None,
        people: Sequence[Keypoints | Person] | None = None,
        on_step: OnStep | None = None,
        **settings: Any,
    ) -> TryOnResult:
        """Dress a person.

        Args:
            person, garment: pictures of any size. A list of (picture, category) is an outfit, put
                on one after the other.
            category: "upper", "lower" or "dress"; of a single garment.
            options: or its fields as keywords (`num_inference_steps=10`), which win.
            mask: of the person's picture, what is repainted, in place of a generated one: an array
                [H, W], a PIL image or a file's path. Black throughout means none.
            garment_mask: of the garment's picture, where the garment is: all else becomes white.
                Of an outfit a list, one for each garment or None.
            people: keypoints [18, 3] each, or what `openpose.load_people` gives, in pixels of the
                person's picture, in place of detected ones.
            on_step: called after every step with (step from 1, steps of all garments, latents);
                may raise to cancel.

        Raises ValueError or FileNotFoundError, one sentence, for input that cannot be used. Bad
        options and categories are refused before any network is loaded.
        """
        options = replace(options_of(options), **settings)
        outfit = outfit_of(garment, category, self.variant)
        progress = RunProgress(on_step, options, len(outfit))
        dressing = self.dressing(
            person, outfit, options=options, mask=mask, garment_mask=garment_mask, people=people
        )
        seconds: dict[str, float] = {}
        step = advance(dressing)
        while isinstance(step, TryOnRequest):
            if "networks" not in self.__dict__:
                with timed(seconds, "load networks"):
                    _ = self.networks
            with timed(seconds, "dress"):
                pictures = TryOnPipeline(self.networks)(step, progress.next_run())
            step = advance(dressing, pictures)
        seconds |= step.seconds
        return replace(step, seconds={s: seconds[s] for s in STAGES if s in seconds})

    def dressing(
        self,
        person: AnyImage,
        garment: AnyImage | Sequence[GarmentOfOutfit],
        category: Category | str | None = None,
        *,
        options: TryOnOptions | None = None,
        mask: AnyImage | None = None,
        garment_mask: AnyImage | Sequence[AnyImage | None] | None = None,
        people: Sequence[Keypoints | Person] | None = None,
    ) -> Dressing:
        """Dress a person step by step, for those who dress many at once.

        The arguments are those of a call. A generator: it yields what to ask of a pipeline, is sent
        the pictures uint8 [samples, H, W, 3] and returns the result. For an outfit it asks once for
        the first garment, and once for each picture and further garment. Raises as a call does,
        when it is first asked. The result's seconds leave out what is done outside of it.
        """
        options = options_of(options)
        outfit = outfit_of(garment, category, self.variant)
        options.check_outfit([kind for _, kind in outfit])
        original = as_image(person)
        garments = [(as_image(picture), kind) for picture, kind in outfit]
        cut_outs = garment_masks(garment_mask, [picture for picture, _ in garments])
        painted = own_mask(mask_array(mask), size_of(original))
        joints = joints_of(people)
        self._check_restore(options)
        seconds: dict[str, float] = {}
        with timed(seconds, "see the person"):
            laid = [
                self._laid_flat(picture, kind, cut_out, options)
                for (picture, kind), cut_out in zip(garments, cut_outs, strict=True)
            ]
            subject = self._meet(original, painted, joints, options)
        warnings = [*(said for _, each in laid for said in each), *subject.person.warnings]
        garments = [(flat, kind) for (flat, _), (_, kind) in zip(laid, garments, strict=True)]
        if mask is not None and painted is None:
            warnings.append("The mask is black throughout, so it was made from the picture.")
        images, label_map = [original], None
        redrawn = np.zeros(size_of(original), np.float32)
        for number, (picture, kind) in enumerate(garments):
            dressed: list[Picture] = []
            # The first garment gives so many images; each further one is put on each of these.
            for sample, image in enumerate(images):
                canvas = fit_onto(image, subject.fit)
                with timed(seconds, "see the person"):
                    if painted is not None:
                        repaint = binary_mask(fit_mask(painted, subject.fit))
                    else:
                        generated, label_map = self._see_mask(
                            canvas, subject, picture, kind, options.of_garment(number)
                        )
                        repaint = generated.mask
                        warnings += [each for each in generated.warnings if each not in warnings]
                results = yield TryOnRequest(
                    person=canvas,
                    garment=prepare_garment(picture, *size_of(canvas)),
                    mask=repaint,
                    category=kind,
                    num_inference_steps=options.num_inference_steps,
                    guidance_scale=options.guidance_scale,
                    guidance_start=options.guidance_start,
                    guidance_end=options.guidance_end,
                    seed=(options.seed + sample) % 2**64,
                    num_images_per_prompt=1 if number else options.num_images_per_prompt,
                    scheduler=options.scheduler,
                    noise_levels=options.noise_levels,
                )
                with timed(seconds, "paste back"):
                    before = label_map
                    if painted is not None and options.restore is not Restore.NONE:
                        before = self.person_networks.labels(canvas)
                    for result in results:
                        changed = repaint & ~self._restored(before, result, options)
                        dressed.append(
                            paste_back(image, result, changed, subject.fit, options.feather)
                        )
                        redrawn = np.maximum(redrawn, unfit_mask(changed, subject.fit))
            images = dressed
        return TryOnResult(
            images=[Image.fromarray(image) for image in images],
            mask=Image.fromarray(np.round(redrawn * 255).astype(np.uint8)),
            warnings=tuple(warnings),
            label_map=None if label_map is None else unfit_label_map(label_map, subject.fit),
            keypoints=_unfit_keypoints(subject),
            seconds=seconds,
        )

    def mask(
        self,
        person: AnyImage,
        category: Category | str,
        *,
        garment: AnyImage | None = None,
        garment_mask: AnyImage | None = None,
        options: TryOnOptions | None = None,
        people: Sequence[Keypoints | Person] | None = None,
        **settings: Any,
    ) -> TryOnResult:
        """The mask of a try-on alone, for this or any other inpainting model.

        Args are those of a call, but the garment need not be known yet; of the options those of
        mask, fit, person and `garment_photo` count. The height is `MASK_HEIGHT` unless it is
        given. Raises as a call does.
        """
        options = replace(options_of(options), **settings)
        options = replace(options, height=options.height or MASK_HEIGHT)
        category = as_category(category)
        check_category(self.variant, category)
        options.check_outfit([category])
        original, flat = as_image(person), None if garment is None else as_image(garment)
        joints = joints_of(people)
        seconds: dict[str, float] = {}
        with timed(seconds, "see the person"):
            said: tuple[str, ...] = ()
            if flat is not None:
                (cut_out,) = garment_masks(garment_mask, [flat])
                flat, said = self._laid_flat(flat, category, cut_out, options)
            subject = self._meet(original, None, joints, options)
            canvas = fit_onto(original, subject.fit)
            found, label_map = self._see_mask(canvas, subject, flat, category, options)
        redrawn = unfit_mask(found.mask, subject.fit)
        return TryOnResult(
            images=[],
            mask=Image.fromarray(np.round(redrawn * 255).astype(np.uint8)),
            warnings=(*said, *subject.person.warnings, *found.warnings),
            label_map=None if label_map is None else unfit_label_map(label_map, subject.fit),
            keypoints=_unfit_keypoints(subject),
            seconds=seconds,
        )

    def _meet(
        self,
        original: Picture,
        painted: SoftMask | None,
        people: Sequence[Keypoints] | None,
        options: TryOnOptions,
    ) -> _Subject:
        """Find the person who is meant, and how they come onto the networks' canvas."""
        size, canvas = size_of(original), self.canvas_size(options)
        if painted is not None:
            box = person_box(size, mask=painted)
            fit = choose_fit(size, canvas, choice=options.fit, box=box)
            return _Subject(fit=fit, person=ChosenPerson())
        if not crops(size, canvas, options.fit):
            fit = choose_fit(size, canvas)
            on_canvas = self._people(original, fit, people)
            chosen = choose_person(on_canvas, canvas, person_index=options.person_index)
            return _Subject(fit=fit, person=chosen)
        everybody = self.person_networks.people(original) if people is None else people
        chosen = choose_person(everybody, size, person_index=options.person_index)
        if self.person_networks.has_parser:
            foreground = self.person_networks.labels(original)
        else:
            foreground = _foreground(self._find(original, chosen))
        box = person_box(size, label_map=foreground, person=chosen)
        fit = choose_fit(size, canvas, choice=options.fit, box=box)
        if people is not None:
            return _Subject(fit=fit, person=fitted_person(chosen, fit))
        # Looked at again, for the person is larger now, and no longer one of several.
        nearer = choose_person(self._people(original, fit, None), canvas)
        return _Subject(fit=fit, person=replace(nearer, warnings=chosen.warnings))

    def _people(
        self, original: Picture, fit: Fit, given: Sequence[Keypoints] | None
    ) -> list[Keypoints]:
        """Everybody's joints [18, 3] on the canvas: given ones are brought there."""
        if given is None:
            return self.person_networks.people(fit_onto(original, fit))
        return [fit_points(person, fit) for person in given]

    def _see_mask(
        self,
        canvas: Picture,
        subject: _Subject,
        garment: Picture | None,
        category: Category,
        options: TryOnOptions,
    ) -> tuple[AgnosticMask, LabelMap | None]:
        """What is repainted, from the label map or, where nothing parses, from the person mask."""
        if self.person_networks.has_parser:
            label_map = self.person_networks.labels(canvas)
            return self._mask(label_map, subject, garment, category, options), label_map
        seen = self._find(canvas, subject.person)
        if seen is None or seen.mask is None:
            raise ValueError(NO_PERSON)
        length, sleeves = options.reach()
        found = person_region_mask(
            seen.mask,
            subject.person.keypoints,
            category=category,
            picture=canvas,
            hands=seen.hands,
            feet=seen.feet,
            garment=garment if options.mask_mode is MaskMode.AUTO else None,
            length=length,
            sleeves=sleeves,
            grow=options.mask_grow,
            bystanders=subject.person.bystanders,
        )
        return found, None

    def _laid_flat(
        self, picture: Picture, category: Category, mask: SoftMask | None, options: TryOnOptions
    ) -> tuple[Picture, tuple[str, ...]]:
        """A garment's picture as the networks want it, and warnings; a flat one as it is."""
        canvas = self.canvas_size(options)
        if mask is not None:
            return prepare_garment(picture, *canvas, mask=mask), ()
        if options.garment_photo is GarmentPhoto.FLAT:
            return picture, ()
        is_told = options.garment_photo is GarmentPhoto.WORN
        if not self.person_networks.has_parser:
            if is_told:
                raise ValueError(WORN_WITHOUT_PARSER)
            somebody = has_a_body(self.person_networks.people(picture))
            return picture, (MAYBE_WORN,) if somebody else ()
        label_map = self.person_networks.labels(picture)
        if not is_told and not shows_a_person(label_map, self.person_networks.people(picture)):
            return picture, ()
        return lay_worn_garment(picture, label_map, category, *canvas), ()

    def _check_restore(self, options: TryOnOptions) -> None:
        if options.restore is Restore.NONE:
            return
        if not self.person_networks.has_parser:
            raise ValueError(
                f"restore is '{options.restore}', which compares label maps of person and result, "
                "but the model folder has no parser for photographs: leave restore at 'none'."
            )
        _ = self.person_networks.parser  # what is missing or damaged is said before the work

    def _restored(
        self, before: LabelMap | None, result: Picture, options: TryOnOptions
    ) -> BoolMask:
        """Where the original comes back inside the mask [height, width]."""
        if before is None or options.restore is Restore.NONE:
            return np.zeros(size_of(result), np.bool_)
        return restored_region(before, self.person_networks.labels(result), options.restore)

    def _find(self, picture: Picture, person: ChosenPerson) -> SeenPerson | None:
        """The person chosen as they are seen in a picture; None where they are not."""
        if person.keypoints is None:
            return None
        return nearest_person(self.person_networks.see(picture), person.keypoints)

    def _mask(
        self,
        label_map: LabelMap,
        subject: _Subject,
        garment: Picture | None,
        category: Category,
        options: TryOnOptions,
    ) -> AgnosticMask:
        length, sleeves = options.reach()
        return agnostic_mask(
            label_map,
            subject.person.keypoints,
            category=category,
            variant=self.variant,
            mode=options.mask_mode,
            garment=garment,
            length=length,
            sleeves=sleeves,
            grow=options.mask_grow,
            bystanders=subject.person.bystanders,
        )

    def canvas_size(self, options: TryOnOptions) -> tuple[int, int]:
        """Height and width of the networks' picture: `options.height`, or as trained."""
        height = options.height or self._trained_height
        return height, height * 3 // 4 // SCALE * SCALE

    @cached_property
    def _trained_height(self) -> int:
        unet = locate(self.folder, self.variant).tryon_unet
        size = trained_size(read_json(unet.config, remedy=unet.remedy))
        if size is None:
            raise ValueError(f"{unet.config} tells no sample_size: {unet.remedy}.")
        return SCALE * size


def advance(
    dressing: Dressing, pictures: NDArray[np.uint8] | None = None
) -> TryOnRequest | TryOnResult:
    """Go on with a try-on: what it asks for next, or its result. pictures: None to begin."""
    try:
        return next(dressing) if pictures is None else dressing.send(pictures)
    except StopIteration as ended:
        return ended.value


def _foreground(person: SeenPerson | None) -> LabelMap | None:
    """Where a person is, as a label map of 0 and 1."""
    if person is None or person.mask is None:
        return None
    return (person.mask >= MASK_THRESHOLD).astype(np.uint8)


def _unfit_keypoints(subject: _Subject) -> Keypoints | None:
    keypoints = subject.person.keypoints
    if keypoints is None:
        return None
    return np.where(keypoints[:, 2:] > 0, unfit_points(keypoints, subject.fit), 0.0)
