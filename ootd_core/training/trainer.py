"""A whole training of both UNets, from settings to a folder that a try-on loads.

Composition only: networks to start from, batches of a data set, the loop, validation pictures,
curves, checkpoints. Every process of a run has a `Trainer`; the first one writes. Pictures and
checkpoints of a step are written before its state, so a killed run writes them again when resumed.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..categories import CATEGORIES
from ..checkpoints.networks import DTYPES
from ..checkpoints.whole_files import check_target
from ..checkpoints.writing import save_json
from ..datasets.open import open_dataset
from ..datasets.pairs_file import Split
from ..datasets.photographs import Perception
from ..datasets.sample import TryOnDataset
from ..latents import SCALE
from .curves import TensorBoard, draw_curves, rolling_mean
from .data import DataOptions, DatasetLatents
from .lock import check_free
from .log import Log
from .loop import OnStep, Training
from .lora import Adapters
from .publishing import copy_parts, publish, published_steps
from .settings import TrainSettings
from .start import is_published, load_start
from .tryon import TryOnTask
from .validation import Validation, WriteSheet

if TYPE_CHECKING:
    from accelerate import Accelerator


logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Trained:
    """What a training has written.

    folder: the model folder. checkpoint: of the last step, None for a LoRA, whose two files are in
    `loras`. skipped: the samples that could not be used, counted, and why the first ones were.
    """

    folder: Path
    checkpoint: Path | None
    loras: Path | None
    skipped: str


class Trainer:
    """A training of `settings`, ready to run or to go on."""

    def __init__(
        self,
        settings: TrainSettings,
        accelerator: Accelerator,
        *,
        write_sheet: WriteSheet,
        perception: Perception | None = None,
    ) -> None:
        """write_sheet: lays out validation pictures. perception: makes label maps and keypoints
        that a folder of photographs lacks.

        Raises FileNotFoundError or ValueError, one sentence, for what cannot be trained.
        """
        self.settings = settings
        self.accelerator = accelerator
        self.write_sheet = write_sheet
        self.leads: bool = accelerator.is_main_process
        _check_out(settings, leads=self.leads)
        loop = settings.loop(processes=accelerator.num_processes)
        dataset = self._dataset("train", perception)
        self.networks = load_start(
            settings.start, settings.parts, settings.variant, accelerator.device
        )
        # Encodes half as fast again.
        self.networks.vae.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        for unet in (self.networks.outfitting_unet, self.networks.tryon_unet):
            unet.register_to_config(sample_size=settings.height // SCALE)  # what it is used at
        self.adapters = self._adapters()
        self.data = self._data(dataset)
        self.task = TryOnTask(
            self.networks,
            self.data,
            outfitting_dropout=settings.outfitting_dropout,
            snr_weight_min=settings.snr_weight_min,
            snr_weight_max=settings.snr_weight_max,
            timestep_shift=settings.timestep_shift,
            dream_detail_preservation=settings.dream_detail_preservation,
            noises_per_garment=settings.noises_per_garment,
            gradient_checkpointing=settings.gradient_checkpointing,
            adapters=self.adapters,
            seed=settings.seed,
        )
        self.training = Training(
            self.task,
            loop,
            settings.work,
            accelerator=accelerator,
            identity=settings.identity(),
        )
        self.validation_log = Log(settings.work / "validation.csv")
        self.validation: Validation | None = None
        if self.leads:
            try:
                copy_parts(settings.parts or settings.start, settings.out)
                save_json(settings.work / "settings.json", settings.record())
                self.validation_log.forget_after(self.training.step)
                self.validation = self._validation(perception)
            except BaseException:
                self.training.close()
                raise

    def run(self, on_step: OnStep | None = None) -> Trained:
        """Train to the last step; `on_step` is called after each, and may raise to stop."""
        settings, last = self.settings, self.settings.steps
        board = TensorBoard(settings.work / "tensorboard") if self.leads else None

        def after_step(step: int, total: int, figures: dict[str, float]) -> None:
            if board is not None and step % settings.logging_steps == 0:
                board.add("training", step, {**figures, "rolling_loss": self._rolling_loss()})
            if self._is_due(step, settings.validate_every):
                self._validate(step, board)
            if self._is_due(step, settings.publish_every):
                self._publish(step)
            if on_step is not None:
                on_step(step, total, figures)

        try:
            self.training.run(after_step)
        finally:
            self.task.release()
            self.data.close()
            if board is not None:
                board.close()
        lora = self.adapters is not None
        return Trained(
            folder=settings.out,
            checkpoint=None if lora else settings.out / "ootd" / f"ootd_{settings.variant}"
            / f"checkpoint-{last}",
            loras=settings.out / "loras" if lora else None,
            skipped=self.data.reading.report(),
        )  # fmt: skip

    def _is_due(self, step: int, every: int) -> bool:
        return step % every == 0 or step == self.settings.steps

    def _rolling_loss(self) -> float:
        return float(rolling_mean([row["loss"] for row in self.training.log.rows()])[-1])

    def _validate(self, step: int, board: TensorBoard | None) -> None:
        work = self.settings.work
        if self.validation is not None:
            self.task.release()
            with self.training.ema_weights():
                figures, lines = self.validation()
            self.write_sheet(work / "sheets" / f"step-{step:06d}.png", lines)
            if figures:
                self.validation_log.append({"step": step, **figures})
            if board is not None:
                board.add("validation", step, figures)
        if self.leads:
            draw_curves(work / "curves.png", self.training.log.rows(), self.validation_log.rows())
        self.accelerator.wait_for_everyone()

    def _publish(self, step: int) -> None:
        settings = self.settings
        if self.leads:
            self.task.release()
            dtype = DTYPES[settings.save_precision]
            with self.training.ema_weights():
                if self.adapters is not None:
                    self.adapters.save(settings.out / "loras", dtype=dtype)
                else:
                    publish(
                        settings.out,
                        self.networks,
                        step,
                        dtype=dtype,
                        total_limit=settings.published_total_limit,
                    )
        self.accelerator.wait_for_everyone()

    def _dataset(self, split: Split, perception: Perception | None) -> TryOnDataset:
        settings = self.settings
        return open_dataset(
            settings.data,
            settings.layout,
            split,
            (settings.height, settings.width),
            categories=CATEGORIES[settings.variant],
            limit=settings.max_train_samples if split == "train" else None,
            perception=perception,
        )

    def _adapters(self) -> Adapters | None:
        settings = self.settings
        if not settings.lora_rank:
            return None
        if not is_published(settings.start):
            raise ValueError(
                "A LoRA cannot start from Stable Diffusion 1.5, because its first layer has to be "
                "trained too: start from a try-on checkpoint."
            )
        alpha = settings.lora_alpha or float(settings.lora_rank)
        rank = settings.lora_rank
        return Adapters(self.networks, rank=rank, alpha=alpha, seed=settings.seed).inject()

    def _data(self, dataset: TryOnDataset) -> DatasetLatents:
        settings = self.settings
        return DatasetLatents(
            self.networks,
            dataset,
            DataOptions(
                batch_size=settings.batch,
                seed=settings.seed,
                versions_per_sample=settings.versions_per_sample,
                augmentation=settings.augmentation,
                masks=settings.masks,
                processes=self.accelerator.num_processes,
                num_workers=settings.workers,
            ),
            size=(settings.height, settings.width),
            cache=settings.latents,
        )

    def _validation(self, perception: Perception | None) -> Validation | None:
        settings = self.settings
        if not settings.validation_samples:
            return None
        try:
            dataset = self._dataset("test", perception)
        except (FileNotFoundError, ValueError) as error:
            logger.warning("No validation pictures: the data set has no test split (%s)", error)
            return None
        return Validation(
            self.networks,
            dataset,
            num_images=settings.validation_samples,
            num_inference_steps=settings.validation_steps,
            guidance_scale=settings.guidance_scale,
            seed=settings.seed,
        )


def _check_out(settings: TrainSettings, *, leads: bool) -> None:
    """Raise ValueError for a folder that the training would overwrite, or that is in use.

    Raises WriteError for one that cannot be written to.
    """
    out = settings.out.resolve()
    for name in ("start", "parts"):
        place: Path | None = getattr(settings, name)
        if place is not None and place.resolve() == out:
            raise ValueError(f"out and {name} are both {settings.out}: choose another out.")
    begun = (settings.work / "settings.json").is_file()
    if published_steps(settings.out, settings.variant) and not begun:
        raise ValueError(
            f"out is {settings.out}, which holds a checkpoint of {settings.variant} that was not "
            "trained there: choose another out."
        )
    if leads:
        for place in (settings.work / "settings.json", settings.latents / "latents"):
            check_target(place)
        check_free(settings.work)
