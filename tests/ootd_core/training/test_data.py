"""Batches: every sample once a pass, read ahead or not, from disk or not, always the same."""

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from ootd_core.categories import Category, Variant
from ootd_core.datasets.augmentation import Augmentation
from ootd_core.datasets.dolls import PaperDolls
from ootd_core.datasets.open import open_dataset
from ootd_core.datasets.photographs import Photographs
from ootd_core.datasets.sample import TryOnDataset, TryOnSample, UnusableSample
from ootd_core.datasets.sample_masks import TrainingMaskOptions, inference_mask
from ootd_core.masks.agnostic import MaskMode
from ootd_core.training import data as module
from ootd_core.training.data import DataOptions, DatasetLatents
from ootd_core.training.latents import encode_pictures
from ootd_core.training.tryon import Draw
from tests.ootd_core.datasets.trees import DrawnPerception, write_folder, write_viton_hd
from tests.ootd_core.small_networks import small_networks

SIZE = (64, 48)


class Damaged:
    """Dolls of which some cannot be read and one has no true picture; counts what is read."""

    def __init__(self, broken: tuple[int, ...] = (), untrue: int | None = None) -> None:
        self.dolls = PaperDolls(SIZE, dolls=6)
        self.broken = broken
        self.untrue = untrue
        self.read: list[int] = []

    def __len__(self) -> int:
        return len(self.dolls)

    def name(self, index: int) -> str:
        return self.dolls.name(index)

    def category(self, index: int) -> Category:
        return self.dolls.category(index)

    def __getitem__(self, index: int) -> TryOnSample:
        self.read.append(index)
        if index in self.broken:
            raise UnusableSample(f"{self.name(index)} is broken")
        sample = self.dolls[index]
        return replace(sample, truth=None) if index == self.untrue else sample


def source(
    dataset: TryOnDataset | None = None, cache: Path | None = None, **options: Any
) -> DatasetLatents:
    dataset = dataset or PaperDolls(SIZE, dolls=6)
    chosen = DataOptions(**{"batch_size": 2, **options})  # pyright: ignore[reportArgumentType]
    return DatasetLatents(small_networks(), dataset, chosen, size=SIZE, cache=cache)


def same(one: list[Draw], other: list[Draw]) -> bool:
    return all(
        a.number == b.number
        and a.counts == b.counts
        and torch.equal(a.latents.target, b.latents.target)
        and torch.equal(a.latents.agnostic, b.latents.agnostic)
        and torch.equal(a.latents.garment, b.latents.garment)
        and torch.equal(a.latents.prompt, b.latents.prompt)
        for a, b in zip(one, other, strict=True)
    )


def test_every_sample_comes_once_a_pass_in_another_order() -> None:
    data = source()
    first, second = ([data.place(n)[0] for n in range(start, start + 6)] for start in (0, 6))
    assert sorted(first) == sorted(second) == list(range(6))
    assert first != second
    assert first != [source(seed=1).place(n)[0] for n in range(6)]


def test_a_batch_depends_on_its_number_alone(tmp_path: Path) -> None:
    plain = source()
    batches = {number: plain.batch(number) for number in (0, 1, 3)}
    kept = source(cache=tmp_path, num_workers=2)
    for _ in range(2):  # encoded, then read
        for number in (3, 0, 1):
            assert same(kept.batch(number), batches[number])
    assert batches[1][0].number == 2 and batches[0][0].latents.target.any()
    kept.close()


def test_larger_batches_hold_the_same_draws() -> None:
    small, large = source(), source(batch_size=4)
    assert same(small.batch(2) + small.batch(3), large.batch(1))


def test_what_is_on_disk_is_not_read_again(tmp_path: Path) -> None:
    first = Damaged()
    data = source(first, tmp_path)
    for number in range(6):
        data.batch(number)
    assert Counter(first.read) == Counter(range(6))
    second = Damaged()
    again = source(second, tmp_path)
    for number in range(6):
        again.batch(number)
    assert second.read == []


def test_other_options_are_other_latents(tmp_path: Path) -> None:
    plain = source(cache=tmp_path, augmentation=Augmentation(flip_probability=0.0))
    mirrored = source(cache=tmp_path, augmentation=Augmentation(flip_probability=1.0))
    a, b = plain.batch(0)[0].latents, mirrored.batch(0)[0].latents
    assert not torch.allclose(a.garment, b.garment)


def test_versions_take_turns() -> None:
    data = source(
        versions_per_sample=2,
        augmentation=Augmentation(flip_probability=0.0, recolour_probability=1.0),
    )
    index = data.place(0)[0]
    visits = [n for n in range(24) if data.place(n)[0] == index]
    assert [data.place(n)[1] for n in visits] == [0, 1, 0, 1]
    draws = [data.batch(n // 2)[n % 2].latents.garment for n in visits]
    assert torch.equal(draws[0], draws[2]) and torch.equal(draws[1], draws[3])
    assert not torch.equal(draws[0], draws[1])


def test_unusable_samples_are_blank_and_named(caplog: pytest.LogCaptureFixture) -> None:
    data = source(Damaged(broken=(1, 4), untrue=2), batch_size=6, num_workers=2)
    for number in (0, 1):
        draws = data.batch(number)
        left_out = {data.place(draw.number)[0] for draw in draws if not draw.counts}
        assert left_out == {1, 2, 4}
        assert not any(draw.latents.target.any() for draw in draws if not draw.counts)
        assert len({data.place(draw.number)[0] for draw in draws}) == 6, "one was read twice"
    report = data.reading.report()
    assert report.startswith("3 of 6 samples were skipped.")
    assert "no picture of the person in the garment" in report
    assert caplog.text.count("is skipped") == 3
    data.close()


def test_a_set_without_a_usable_sample_is_refused() -> None:
    with pytest.raises(ValueError, match="None of the 6 samples can be used"):
        source(Damaged(broken=tuple(range(6))), batch_size=6).batch(0)


def test_half_body_networks_take_upper_garments_only() -> None:
    networks = replace(small_networks(), variant=Variant.HALF_BODY)
    dolls = PaperDolls(SIZE, dolls=6)
    chosen = module.usable_indices(dolls, networks)
    assert chosen == [i for i in range(6) if dolls.category(i) is Category.UPPER]
    lower = PaperDolls(SIZE, dolls=2, categories=[Category.LOWER])
    with pytest.raises(ValueError, match="no garment for variant hd"):
        module.usable_indices(lower, networks)


def test_a_changed_file_has_another_stamp(tmp_path: Path) -> None:
    dataset = open_dataset(write_viton_hd(tmp_path), size=SIZE)
    assert isinstance(dataset, Photographs)
    before = module.sample_stamp(dataset, 0)
    assert before == module.sample_stamp(dataset, 0)
    path = dataset.pairs[0].garment
    path.write_bytes(path.read_bytes() + b" ")
    assert module.sample_stamp(dataset, 0) != before


def test_what_is_seen_otherwise_has_another_stamp(tmp_path: Path) -> None:
    def stamps(folder: Path) -> list[list[Any]]:
        eyes = [DrawnPerception(Category.UPPER), DrawnPerception(Category.LOWER)]
        sets = [open_dataset(folder, size=SIZE, perception=seeing) for seeing in eyes]
        return [module.sample_stamp(dataset, 0) for dataset in sets]

    first, second = stamps(write_folder(tmp_path / "to see", people=1, seen=False))
    assert first != second
    first, second = stamps(write_folder(tmp_path / "seen", people=1))
    assert first == second


def test_dolls_drawn_otherwise_have_another_stamp(monkeypatch: pytest.MonkeyPatch) -> None:
    dataset = PaperDolls(SIZE, dolls=1)
    before = module.sample_stamp(dataset, 0)
    monkeypatch.setattr(module, "DRAWING", module.DRAWING + 1)
    assert module.sample_stamp(dataset, 0) != before


@pytest.mark.parametrize("name", ["batch_size", "versions_per_sample", "processes"])
def test_options_are_checked(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be at least 1, got 0"):
        DataOptions(**{"batch_size": 1, name: 0})  # pyright: ignore[reportArgumentType]


def test_a_draw_is_its_sample_encoded_behind_its_mask() -> None:
    dolls = PaperDolls(SIZE, dolls=6)
    data = source(
        dolls,
        augmentation=Augmentation(flip_probability=0.0),
        masks=TrainingMaskOptions(hide_old_garment_probability=1.0),
    )
    for draw in (draw for number in range(3) for draw in data.batch(number)):
        sample = dolls[data.place(draw.number)[0]]
        assert draw.counts and sample.truth is not None
        wanted = encode_pictures(
            small_networks(),
            person=sample.person,
            garment=sample.garment,
            truth=sample.truth,
            mask=inference_mask(sample, Variant.FULL_BODY, mode=MaskMode.HIDE_OLD_GARMENT),
            category=sample.category,
        )
        for name in ("garment", "agnostic", "target", "prompt"):
            one, other = getattr(draw.latents, name), getattr(wanted, name)
            assert torch.allclose(one, other, rtol=2e-3, atol=1e-3), name  # kept in half precision
