"""The work of one process on one device: tasks in, pictures written, finished rows out.

The try-ons of several tasks wait for one another, so that their requests go through the networks in
one forward. A row that fails does not take the others of its batch with it; where the memory does
not suffice, the batch is halved. Engines of every kind (processes, clusters) run this.
"""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections import OrderedDict
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from catalogue.cache import Cache
from catalogue.engine import Finished, RowState, RowTask, WorkerSettings
from catalogue.results import Results
from catalogue.storage import as_file, is_remote, read
from catalogue.warm import WarmPipeline, WarmTryOn
from ootd_core.checkpoints.networks import DTYPES
from ootd_core.checkpoints.whole_files import WriteError
from ootd_core.images.files import load_image, read_mask
from ootd_core.latents import SCALE
from ootd_core.pipeline import alike
from ootd_core.request import TryOnRequest
from openpose import load_people
from tryon.result import TryOnResult
from tryon.try_on import advance

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from tryon.try_on import Dressing

logger = logging.getLogger(__name__)

INPUT_BYTES = 256 * 2**20
"""Of files of object stores that are kept in memory, since a person comes again and again."""
LARGEST_BATCH, LARGEST_CPU_BATCH = 16, 4
"""Of what is found from the free memory; more gains nothing."""
FORWARD_LAYERS = 64
"""So many layers of the first block's width are held at once, at most."""
USED_MEMORY = 0.8
"""Share of the free memory that a batch may take."""
OUT_OF_MEMORY = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    "STATUS_ALLOC_FAILED",
)
"""What errors of CUDA, of the CPU's allocator, of Windows' and of cuBLAS say."""
MEMORY_ADVICE = "take a smaller height, --offload on a GPU, or end other programs"


@dataclass(kw_only=True, slots=True)
class _Fitting:
    """A task under way: it waits for pictures (request), or has come to an end."""

    task: RowTask
    dressing: Dressing | None = None
    request: TryOnRequest | None = None
    result: TryOnResult | None = None
    error: str | None = None


class Worker:
    """Dresses tasks with the networks of one model folder."""

    def __init__(self, settings: WorkerSettings) -> None:
        """Networks are loaded when they are first needed. Raises as `TryOn.from_pretrained`."""
        self.settings = settings
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        self.results = Results(settings.out, settings.ending, settings.quality)
        self.cache = Cache(settings.cache, memory=settings.cache_memory, disk=settings.cache_disk)
        stamp = f"{settings.weights} {settings.dtype} {torch.device(settings.device).type}"
        self.tryon = WarmTryOn.from_pretrained(
            settings.model, settings.variant, pose_network=settings.pose_network
        )
        self.tryon.to(settings.device, DTYPES[settings.dtype])
        self.tryon.cache, self.tryon.stamp = self.cache, stamp
        if settings.lora is not None:
            self.tryon.load_lora(settings.lora)
        if settings.offloads:
            self.tryon.enable_model_cpu_offload()
        if settings.compiles:
            self.tryon.compile()
        self.batch = settings.batch or 1
        """Rows that go into one forward, for now."""
        self._finds_batch = settings.batch is None
        self._inputs = _Inputs()
        self._pipeline: WarmPipeline | None = None

    @property
    def pipeline(self) -> WarmPipeline:
        """The pipeline on this worker's networks, which are loaded for it."""
        if self._pipeline is None:
            self._pipeline = WarmPipeline(self.tryon.networks, self.cache, self.tryon.stamp)
        return self._pipeline

    def run(self, tasks: Sequence[RowTask]) -> Iterator[Finished]:
        """Dress the persons of tasks, as many at once as `batch` says, and write the results.

        Raises WriteError where no result can be written any more.
        """
        started = time.perf_counter()
        fittings = [_Fitting(task=task) for task in tasks]
        for fitting in fittings:
            self._go_on(fitting, lambda fitting=fitting: self._begin(fitting))
        while waiting := [each for each in fittings if each.request is not None]:
            kind = alike(_asked(waiting[0]))
            same = [each for each in waiting if alike(_asked(each)) == kind]
            self._dress(same[: self.batch])
        for fitting in fittings:
            if fitting.result is not None:
                self._go_on(fitting, lambda fitting=fitting: self._write(fitting))
        share = (time.perf_counter() - started) / max(1, len(tasks))
        for fitting in fittings:
            failed = fitting.error is not None
            yield Finished(
                task=fitting.task,
                state=RowState.FAILED if failed else RowState.DONE,
                seconds=share,
                warnings=() if fitting.result is None else fitting.result.warnings,
                error=fitting.error,
                host=self.settings.host,
            )

    def _begin(self, fitting: _Fitting) -> None:
        """Read the pictures and ask for the first request."""
        row, digests = fitting.task.row, fitting.task.digests
        inputs = self._inputs
        with inputs.path(row.person, digests) as path:
            person = load_image(path)
        garments: list[tuple[NDArray[np.uint8], str]] = []
        for address, category in row.garments:
            with inputs.path(address, digests) as path:
                garments.append((load_image(path), category))
        mask = people = None
        if row.mask is not None:
            with inputs.path(row.mask, digests) as path:
                mask = read_mask(path)
        if row.keypoints is not None:
            height, width, _ = person.shape
            with inputs.path(row.keypoints, digests) as path:
                people = load_people(path, height=height, width=width)
        fitting.dressing = self.tryon.dressing(
            person, garments, options=row.options, mask=mask, people=people
        )
        self._take(fitting, advance(fitting.dressing))

    def _dress(self, fittings: Sequence[_Fitting]) -> None:
        """Send pictures to try-ons that are alike; or halve the batch, or name the one at fault."""
        pipeline = self.pipeline  # networks that cannot be loaded are no row's fault
        try:
            with self._measured(_asked(fittings[0])):
                pictures = pipeline.batch([_asked(each) for each in fittings])
        except Exception as error:
            if is_out_of_memory(error) and len(fittings) > 1:
                self.batch = len(fittings) // 2
                self._finds_batch = False
                logger.warning("Not enough memory for %d rows at once, going on with %d.",
                               len(fittings), self.batch)  # fmt: skip
                _free_memory()
            elif len(fittings) > 1:
                for each in fittings:
                    self._dress([each])
            else:
                _fail(fittings[0], error)
                _free_memory()
            return
        for fitting, picture in zip(fittings, pictures, strict=True):

            def go_on(fitting: _Fitting = fitting, picture: NDArray[np.uint8] = picture) -> None:
                assert fitting.dressing is not None
                self._take(fitting, advance(fitting.dressing, picture))

            self._go_on(fitting, go_on)

    def _write(self, fitting: _Fitting) -> None:
        result = fitting.result
        assert result is not None
        self.results.write(fitting.task.key, result.images, result.mask)

    def _take(self, fitting: _Fitting, step: TryOnRequest | TryOnResult) -> None:
        asks = isinstance(step, TryOnRequest)
        fitting.request = step if asks else None
        fitting.result = None if asks else step

    def _go_on(self, fitting: _Fitting, act: Callable[[], None]) -> None:
        """Do something for one row; what goes wrong is this row's, but for a full place."""
        try:
            act()
        except WriteError:
            raise
        except Exception as error:
            _fail(fitting, error)

    @contextmanager
    def _measured(self, request: TryOnRequest) -> Generator[None]:
        """Find the batch that fits by the first forward, of one row."""
        device = self.tryon.device
        if not self._finds_batch:
            yield
            return
        if device.type == "cuda":
            before = torch.cuda.memory_allocated(device)
            torch.cuda.reset_peak_memory_stats(device)
            yield
            taken = torch.cuda.max_memory_allocated(device) - before
            unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
            self.batch = rows_at_once(torch.cuda.mem_get_info(device)[0] + unused, taken)
        else:
            yield
            if device.type == "cpu":
                channels = self.pipeline.networks.tryon_unet.config["block_out_channels"][0]
                taken = bytes_of_forward(request, channels)
                self.batch = rows_at_once(free_memory(), taken, most=LARGEST_CPU_BATCH)
        self._finds_batch = False


def rows_at_once(free: int, taken_by_one: int, most: int = LARGEST_BATCH) -> int:
    """How many rows go into one forward, from the free bytes and those that one row takes."""
    return max(1, min(most, int(USED_MEMORY * free / max(1, taken_by_one))))


def bytes_of_forward(request: TryOnRequest, channels: int) -> int:
    """About what a forward of one row takes: an upper bound, from the UNet's widest layers.

    channels: of its first block, the one at the latents' size.
    """
    latents = request.mask.size // SCALE**2
    return 2 * request.num_images_per_prompt * FORWARD_LAYERS * channels * latents * 4


def free_memory() -> int:
    """Bytes of main memory that nothing uses; 0 where the system does not say."""
    if hasattr(os, "sysconf") and "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 0


class _Inputs:
    """Files to read, as local paths; those of object stores are fetched, and some kept."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()

    @contextmanager
    def path(self, address: str, digests: dict[str, str]) -> Generator[Path]:
        """A path to what lies at an address, for as long as the context lasts.

        Raises OSError if it is not there or is no longer what was planned with; errors about the
        path that are raised within speak of the address.
        """
        content = self._content(address)
        if hashlib.sha256(content).hexdigest() != digests[address]:
            self._kept.pop(address, None)
            raise OSError(f"{address} has changed since this run began: run again.")
        with as_file(address, content) as path:
            yield path

    def _content(self, address: str) -> bytes:
        if address not in self._kept:
            content = read(address)
            if not is_remote(address):
                return content
            self._kept[address] = content
            while sum(map(len, self._kept.values())) > INPUT_BYTES and len(self._kept) > 1:
                self._kept.popitem(last=False)
        self._kept.move_to_end(address)
        return self._kept[address]


def _asked(fitting: _Fitting) -> TryOnRequest:
    assert fitting.request is not None
    return fitting.request


def _fail(fitting: _Fitting, error: Exception) -> None:
    fitting.request = fitting.result = None
    if isinstance(error, ValueError | OSError):
        fitting.error = " ".join(str(error).split())
    elif is_out_of_memory(error):
        fitting.error = f"There is not enough memory for this row alone: {MEMORY_ADVICE}."
    else:
        logger.error("A defect of this project, in row %d.", fitting.task.row.number,
                     exc_info=error)  # fmt: skip
        fitting.error = f"{type(error).__name__}: {' '.join(str(error).split())}"


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory lacks: torch has an error of its own for a GPU, a RuntimeError for a CPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and any(said in text for said in OUT_OF_MEMORY)


def _free_memory() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
