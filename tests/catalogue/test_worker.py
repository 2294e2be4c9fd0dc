"""The work of one process: results equal to those of `TryOn`, in batches, whatever fails beside."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from catalogue import worker as worker_module
from catalogue.engine import RowState, RowTask, WorkerSettings
from catalogue.manifest import ManifestRow
from catalogue.results import Results
from catalogue.warm import WarmPipeline
from catalogue.worker import Worker, bytes_of_forward, rows_at_once
from humanparse import HumanParser
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.catalogue import DEMO_SAMPLES, MINI_CHECKPOINT
from ootd_core.checkpoints.networks import Networks, load_networks
from ootd_core.checkpoints.whole_files import WriteError
from ootd_core.images.files import load_image, read_mask
from ootd_core.masks.agnostic import MaskMode
from ootd_core.request import TryOnRequest
from tests.catalogue.drawn_catalogue import (
    QUICK,
    rows_of,
    settings_for,
    small_catalogue,
    small_pictures,
)
from tryon import TryOn, perception
from tryon.perception import SeenPerson


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(MINI_CHECKPOINT, Variant.FULL_BODY)


@pytest.fixture(autouse=True)
def loaded(networks: Networks, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mini's networks are loaded once for all tests."""
    monkeypatch.setattr("tryon.try_on.load_networks", lambda *_, **__: networks)


def tasks_of(rows: Sequence[ManifestRow], first: int = 0) -> list[RowTask]:
    return [
        RowTask(
            row=row,
            key=f"{number:032x}",
            digests={a: hashlib.sha256(Path(a).read_bytes()).hexdigest() for a in row.addresses},
        )
        for number, row in enumerate(rows, first)
    ]


def picture(settings: WorkerSettings, task: RowTask, number: int = 0) -> np.ndarray:
    samples = task.row.options.num_images_per_prompt
    name = Results(settings.out).files(task.key, samples)[number]
    return load_image(Path(settings.out, name))


def alone(row: ManifestRow) -> Any:
    return TryOn.from_pretrained()(
        row.person, list(row.garments), options=row.options, mask=row.mask
    )


def test_a_batch_writes_what_each_row_would_be_alone(tmp_path: Path) -> None:
    rows = rows_of(small_catalogue(tmp_path / "in"), replace(QUICK, num_images_per_prompt=2))
    settings = settings_for(tmp_path / "out", batch=4, cache=tmp_path / "cache")
    worker, tasks = Worker(settings), tasks_of(rows)
    finished = list(worker.run(tasks))
    assert [each.task.key for each in finished] == [task.key for task in tasks]
    assert {each.state for each in finished} == {RowState.DONE}
    assert all(each.seconds > 0 and each.host.endswith(" cpu") for each in finished)
    for task in tasks:
        expected = alone(task.row)
        for number, image in enumerate(expected.images):
            difference = np.abs(picture(settings, task, number).astype(int) - np.asarray(image))
            assert difference.max() <= 1
        mask = read_mask(Path(settings.out, worker.results.mask_file(task.key)))
        assert np.array_equal(mask > 0, np.asarray(expected.mask) > 0)


def test_one_row_at_a_time_is_the_same_to_the_bit(tmp_path: Path) -> None:
    rows = rows_of(small_catalogue(tmp_path / "in"))
    tasks = tasks_of(rows)
    for cache in (tmp_path / "cache", tmp_path / "cache", None):  # made, found, none
        settings = settings_for(tmp_path / f"out{cache}".replace("/", "-"), cache=cache)
        worker = Worker(settings)
        for task in tasks:
            (finished,) = worker.run([task])
            assert finished.state is RowState.DONE, finished.error
            expected = np.asarray(alone(task.row).images[0])
            assert np.array_equal(picture(settings, task), expected)


def test_an_outfit_beside_single_garments(tmp_path: Path) -> None:
    rows = rows_of(small_catalogue(tmp_path / "in"))
    outfit = replace(
        rows[0], garments=rows[0].garments + ((rows[1].garments[0][0], Category.LOWER),)
    )
    tall = replace(rows[2], options=replace(QUICK, height=96))
    settings = settings_for(tmp_path / "out", batch=8)
    tasks = tasks_of([outfit, rows[1], tall, rows[3]])
    finished = list(Worker(settings).run(tasks))
    assert [each.state for each in finished] == [RowState.DONE] * 4
    for task in tasks:
        expected = np.asarray(alone(task.row).images[0])
        assert np.abs(picture(settings, task).astype(int) - expected).max() <= 2


def test_a_row_that_fails_takes_no_other_with_it(tmp_path: Path) -> None:
    rows = rows_of(small_catalogue(tmp_path / "in", 4, 1))
    Path(rows[1].person).write_bytes(b"no picture")
    Path(rows[3].person).unlink()
    tasks = [
        RowTask(row=row, key=f"{number:032x}", digests={**each.digests})
        for number, (row, each) in enumerate(zip(rows[:3], tasks_of(rows[:3]), strict=True))
    ]
    missing = RowTask(row=rows[3], key="f" * 32, digests=dict.fromkeys(rows[3].addresses, "0"))
    changed = replace(tasks[2], digests=dict.fromkeys(tasks[2].digests, "0"))
    settings = settings_for(tmp_path / "out", batch=8)
    finished = list(Worker(settings).run([tasks[0], tasks[1], missing, changed]))
    assert [each.state for each in finished] == ["done", "failed", "failed", "failed"]
    said = [each.error for each in finished]
    assert said[0] is None and picture(settings, tasks[0]).shape == (64, 48, 3)
    assert said[1] is not None and "person01.png is not an image that can be read" in said[1]
    assert said[2] is not None and said[2].startswith("There is no file at ")
    assert said[3] is not None and said[3].endswith("has changed since this run began: run again.")
    written = [path for path in Path(settings.out).rglob("*") if path.is_file()]
    assert len(written) == 2, "a picture and its mask"


def test_networks_that_fail_for_one_row_name_that_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = WarmPipeline.batch

    def fragile(self: WarmPipeline, requests: Sequence[TryOnRequest], *more: Any) -> Any:
        if any(request.seed == 10 for request in requests):
            raise ValueError("The picture holds NaN.")
        return original(self, requests, *more)

    monkeypatch.setattr(WarmPipeline, "batch", fragile)
    tasks = tasks_of(rows_of(small_catalogue(tmp_path / "in")))
    finished = list(Worker(settings_for(tmp_path / "out", batch=4)).run(tasks))
    assert [each.error for each in finished] == [None, None, "The picture holds NaN.", None]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
        MemoryError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_too_large_a_batch_is_halved(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    original = WarmPipeline.batch

    def small(self: WarmPipeline, requests: Sequence[TryOnRequest], *more: Any) -> Any:
        sizes.append(len(requests))
        if len(requests) > 1:
            raise error
        return original(self, requests, *more)

    monkeypatch.setattr(WarmPipeline, "batch", small)
    tasks = tasks_of(rows_of(small_catalogue(tmp_path / "in")))
    worker = Worker(settings_for(tmp_path / "out", batch=4))
    assert {each.state for each in worker.run(tasks)} == {RowState.DONE}
    assert sizes == [4, 2, 1, 1, 1, 1] and worker.batch == 1

    def never(*_: Any) -> Any:
        raise error

    monkeypatch.setattr(WarmPipeline, "batch", never)
    (finished,) = worker.run(tasks[:1])
    assert finished.error is not None and "not enough memory for this row alone" in finished.error


def test_a_defect_is_no_reason_to_stop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise KeyError("nonsense")

    monkeypatch.setattr(worker_module, "read_mask", broken)
    (finished,) = Worker(settings_for(tmp_path / "out")).run(
        tasks_of(rows_of(small_catalogue(tmp_path / "in", 1, 1)))
    )
    assert finished.error == "KeyError: 'nonsense'" and "A defect of this project" in caplog.text


def test_a_full_disk_ends_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    tasks = tasks_of(rows_of(small_catalogue(tmp_path / "in", 1, 1)))
    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(WriteError, match="cannot be written: the disk is full"):
        list(Worker(settings_for(tmp_path / "out")).run(tasks))
    assert not [path for path in (tmp_path / "out").rglob("*") if path.is_file()]


def test_a_store_that_takes_nothing_ends_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    refused = iter([True, True, False, True, True, True])

    def write(address: str, content: bytes) -> None:
        if "/masks/" in address and next(refused):
            raise OSError(f"{address} cannot be written (no answer).")

    monkeypatch.setattr("catalogue.results.write", write)
    tasks = tasks_of(rows_of(small_catalogue(tmp_path / "in", 3, 2)))
    worker = Worker(settings_for("memory://silent", batch=1))
    states = [finished.state for task in tasks[:5] for finished in worker.run([task])]
    assert states == ["failed", "failed", "done", "failed", "failed"]
    sentence = r"^The results of 3 rows one after the other .* run again .* \(no answer\)\.$"
    with pytest.raises(WriteError, match=sentence):
        list(worker.run(tasks[5:]))


def test_the_batch_that_fits_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert rows_at_once(80, 10) == 6 and rows_at_once(5, 10) == 1
    assert rows_at_once(10**6, 1) == 16 and rows_at_once(10**6, 1, most=4) == 4
    tasks = tasks_of(rows_of(small_catalogue(tmp_path / "in")))
    for free, expected in ((10**12, 4), (0, 1)):
        monkeypatch.setattr(worker_module, "free_memory", lambda free=free: free)
        worker = Worker(settings_for(tmp_path / f"out{free}", batch=None))
        assert worker.batch == 1
        list(worker.run(tasks[:1]))
        assert worker.batch == expected


def test_an_estimate_grows_with_the_picture() -> None:
    black = np.zeros((64, 48, 3), np.uint8)
    asked = TryOnRequest(
        person=black, garment=black, mask=np.ones((64, 48), bool), category=Category.UPPER
    )
    two = replace(asked, num_images_per_prompt=2)
    assert bytes_of_forward(two, 32) == 2 * bytes_of_forward(asked, 32)
    assert bytes_of_forward(asked, 320) == 10 * bytes_of_forward(asked, 32)


def test_inputs_in_a_store(tmp_path: Path) -> None:
    fsspec = pytest.importorskip("fsspec")
    memory = fsspec.filesystem("memory")
    (row,) = rows_of(small_catalogue(tmp_path / "in", 1, 1))
    (task,) = tasks_of([row])
    names = {address: f"memory://in/{Path(address).name}" for address in row.addresses}
    for address, name in names.items():
        memory.pipe_file(name.partition("://")[2], Path(address).read_bytes())
    far = replace(
        row,
        person=names[row.person],
        garments=tuple((names[address], category) for address, category in row.garments),
        mask=names[str(row.mask)],
    )
    digests = {names[address]: digest for address, digest in task.digests.items()}
    out = "memory://out-of-worker"
    worker = Worker(settings_for(out))
    far_task = RowTask(row=far, key="a" * 32, digests=digests)
    (finished,) = worker.run([far_task])
    assert finished.state is RowState.DONE, finished.error
    content = memory.cat_file(f"/out-of-worker/results/aa/{'a' * 32}.png")
    (tmp_path / "there.png").write_bytes(content)
    assert np.array_equal(load_image(tmp_path / "there.png"), np.asarray(alone(row).images[0]))
    memory.pipe_file("/in/person00.png", b"no picture")
    broken = {**digests, names[row.person]: hashlib.sha256(b"no picture").hexdigest()}
    (finished,) = Worker(settings_for(out)).run([replace(far_task, digests=broken)])
    assert finished.error is not None
    assert finished.error.startswith("memory://in/person00.png is not an image"), finished.error


class Counted:
    """Calls of each network, as the hardware would see them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *several: Networks) -> None:
        self.calls: dict[str, int] = {}
        self.hooks = [
            module.register_forward_pre_hook(self._counter(name))
            for networks in several
            for name, module in (
                ("vae", networks.vae.encoder),
                ("clip", networks.image_encoder),
                ("text", networks.text_encoder),
                ("outfitting", networks.outfitting_unet),
            )
        ]
        parse, detect = HumanParser.__call__, perception.detect_people
        see, find = self._counter("parser"), self._counter("pose")
        monkeypatch.setattr(HumanParser, "__call__", lambda *given: see() or parse(*given))
        monkeypatch.setattr(perception, "detect_people", lambda *given: find() or detect(*given))

    def _counter(self, name: str) -> Any:
        lock = threading.Lock()

        def count(*_: Any) -> None:
            with lock:
                self.calls[name] = self.calls.get(name, 0) + 1

        return count

    def take(self) -> dict[str, int]:
        """The calls since the last time."""
        calls, self.calls = self.calls, {}
        return calls

    def remove(self) -> None:
        for hook in self.hooks:
            hook.remove()


def test_nothing_is_computed_twice(
    networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """3 persons x 2 garments, seen by the real parser and pose network."""
    people = [DEMO_SAMPLES / f"{n}-person.png" for n in ("1-upper", "3-lower", "5-dress")]
    clothes = small_pictures(tmp_path / "g", 2, "garment")
    robust = replace(QUICK, mask_mode=MaskMode.ROBUST)
    rows = [
        ManifestRow(
            number=1, person=str(person), garments=((str(garment), Category.DRESS),),
            options=robust, name=f"{person.stem} {garment.stem}",
        )
        for garment in clothes
        for person in people
    ]  # fmt: skip
    counted = Counted(monkeypatch, networks)
    try:
        settings = settings_for(tmp_path / "out", cache=tmp_path / "cache", batch=2)
        worker, tasks = Worker(settings), tasks_of(rows)
        first = [each for task in range(0, 6, 2) for each in worker.run(tasks[task : task + 2])]
        assert {each.state for each in first} == {RowState.DONE}
        # The VAE: 3 persons, 3 masked persons (the mask is of person and category), 2 garments.
        once = {"parser": 3, "pose": 3, "vae": 3 + 3 + 2, "clip": 2, "text": 2, "outfitting": 2}
        assert counted.take() == once
        assert len(list((tmp_path / "cache" / "mask").iterdir())) == 3
        seeds = [replace(row, options=replace(robust, seed=5)) for row in rows]
        list(worker.run(tasks_of(seeds, 6)))
        assert counted.take() == {}, "another seed of the same pairs"
        later = Worker(replace(settings, out=str(tmp_path / "out2")))
        list(later.run(tasks))
        assert counted.take() == {}, "another run, from the disk"
        for task in tasks:
            assert np.array_equal(picture(later.settings, task), picture(settings, task))
        longer = replace(robust, mask_grow=3)
        list(worker.run(tasks_of([replace(row, options=longer) for row in rows], 12)))
        assert counted.take() == {"vae": 3}, "another mask of each person"
        before = len(list((tmp_path / "cache" / "agnostic").iterdir()))
        by_garment = [replace(row, options=QUICK) for row in rows]
        list(worker.run(tasks_of(by_garment, 18)))
        masks = len(list((tmp_path / "cache" / "agnostic").iterdir())) - before
        assert counted.take() == {"vae": masks} and 0 < masks <= 6, "a mask of each pair"
    finally:
        counted.remove()


def test_two_workers_side_by_side_share_what_is_made(
    networks: Networks, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has every pair, in another order, so that they meet at the same entries."""
    rows = rows_of(small_catalogue(tmp_path / "in", 3, 3))
    others = load_networks(MINI_CHECKPOINT, Variant.FULL_BODY)
    counted = Counted(monkeypatch, networks, others)
    workers = [
        Worker(settings_for(tmp_path / f"out{n}", cache=tmp_path / "cache")) for n in range(2)
    ]
    workers[1].tryon.__dict__["networks"] = others

    def begin(worker: Worker, tasks: list[RowTask]) -> None:
        for task in tasks:
            row = task.row
            dressing = worker.tryon.dressing(
                row.person, list(row.garments), options=row.options, mask=row.mask
            )
            with torch.inference_mode():
                worker.pipeline.encode(next(dressing))

    try:
        tasks = tasks_of(rows)
        threads = [
            threading.Thread(target=begin, args=(workers[0], tasks)),
            threading.Thread(target=begin, args=(workers[1], tasks[::-1])),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert counted.take() == {"vae": 3 + 3 + 3, "clip": 3, "text": 3, "outfitting": 3}
    finally:
        counted.remove()


def test_settings_name_the_worker_and_its_format(tmp_path: Path) -> None:
    (task,) = tasks_of(rows_of(small_catalogue(tmp_path / "in", 1, 1)))
    settings = settings_for(tmp_path / "out", ending=".jpg", quality=70)
    list(Worker(settings).run([task]))
    (path,) = (tmp_path / "out" / "results").rglob("*.jpg")
    assert Image.open(path).format == "JPEG"
    with pytest.raises(ValueError, match=r"has the ending \.doc"):
        Worker(settings_for(tmp_path / "out", ending=".doc"))


def test_everything_that_a_network_sees_of_people_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random = np.random.default_rng(2)
    people = [
        SeenPerson(keypoints=random.random((18, 3)), hands=random.random((2, 3, 3)),
                   feet=random.random((2, 2, 3)), mask=random.random((64, 48)).astype(np.float32)),
        SeenPerson(keypoints=random.random((18, 3))),
    ]  # fmt: skip
    pictures: list[np.ndarray] = []
    monkeypatch.setattr(
        perception.PersonNetworks, "see", lambda _self, picture: pictures.append(picture) or people
    )
    black = np.zeros((64, 48, 3), np.uint8)
    for _ in range(2):
        networks = Worker(settings_for(tmp_path, cache=tmp_path / "cache")).tryon.person_networks
        for expected, found in zip(people, networks.see(black), strict=True):
            for name in ("keypoints", "hands", "feet", "mask"):
                wanted, got = getattr(expected, name), getattr(found, name)
                assert got is wanted is None or np.array_equal(got, wanted), name
    assert len(pictures) == 1
    people.clear()
    networks = Worker(settings_for(tmp_path)).tryon.person_networks
    assert networks.see(black + 1) == [] == networks.people(black + 1)


def test_a_pose_network_of_choice_is_that_of_the_try_on(tmp_path: Path) -> None:
    worker = Worker(settings_for(tmp_path, pose_network="mini"))
    assert worker.tryon.person_networks.pose_network == "mini"
