import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ootd_core.categories import Category
from ootd_core.datasets.paper_dolls.body import CANONICAL_FRAMES, CANONICAL_JOINTS, frames
from ootd_core.datasets.paper_dolls.garments import panels, random_garment
from ootd_core.datasets.paper_dolls.patterns import KINDS, Pattern, draw_pattern, random_pattern
from ootd_core.datasets.paper_dolls.picture import draw_garment
from ootd_core.datasets.paper_dolls.sample import DollSample, changed, draw_nobody, draw_sample
from ootd_core.masks.labels import Label

GARMENTS = {
    Category.UPPER: {Label.UPPER_CLOTHES},
    Category.LOWER: {Label.PANTS, Label.SKIRT},
    Category.DRESS: {Label.DRESS},
}


def test_a_seed_is_a_sample() -> None:
    first, again, other = draw_sample(5), draw_sample(5), draw_sample(6)
    for name in ("person", "garment", "truth", "labels", "keypoints"):
        assert np.array_equal(getattr(first, name), getattr(again, name)), name
    assert not np.array_equal(first.person, other.person)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from(Category))
def test_only_the_garment_of_the_category_changes(seed: int, category: Category) -> None:
    doll = draw_sample(seed, height=128, width=96, category=category)
    assert doll.category is category
    assert set(np.unique(doll.truth_labels)) & GARMENTS[category]
    same = doll.labels == doll.truth_labels
    same &= ~np.isin(doll.labels, [*GARMENTS[category], Label.UPPER_CLOTHES, Label.PANTS])
    same &= ~np.isin(doll.labels, [Label.SKIRT])
    # Anti-aliased edges of the garment reach one pixel into what keeps its label.
    changed_pixels = (doll.person != doll.truth).any(2) & same
    assert changed_pixels.mean() < 0.06


@pytest.mark.parametrize("seed", range(6))
def test_visible_joints_lie_on_the_body(seed: int) -> None:
    doll = draw_sample(seed)
    assert doll.keypoints.shape == (18, 3)
    visible = doll.keypoints[doll.keypoints[:, 2] > 0]
    x, y = visible[:, 0].astype(int), visible[:, 1].astype(int)
    assert (doll.labels[y, x] > 0).mean() > 0.9
    nose = doll.keypoints[0]
    assert doll.labels[int(nose[1]), int(nose[0])] == Label.FACE


def test_joints_outside_the_picture_are_missing() -> None:
    seen: list[DollSample] = [draw_sample(seed, height=64, width=48) for seed in range(40)]
    missing = [doll for doll in seen if (doll.keypoints[:, 2] == 0).any()]
    assert missing, "some of 40 people reach out of the picture"
    for doll in missing:
        absent = doll.keypoints[doll.keypoints[:, 2] == 0]
        assert (absent == 0).all()


def test_training_draws_every_category_and_pattern() -> None:
    dolls = [draw_sample(seed, height=64, width=48) for seed in range(80)]
    assert {doll.category for doll in dolls} == set(Category)
    assert {doll.kind for doll in dolls} == set(KINDS)


@pytest.mark.parametrize("category", Category)
def test_the_flat_garment_lies_on_white_and_shows_its_colour(category: Category) -> None:
    rng = np.random.default_rng(1)
    for _ in range(8):
        garment = random_garment(rng, category)
        flat = draw_garment(garment, height=128, width=96)
        assert (flat[0, 0] == 255).all() and (flat[-1, -1] == 255).all()
        ground = np.abs(flat.astype(int) - garment.pattern.ground).sum(2) < 12
        assert ground.mean() > 0.02


def test_a_pattern_spans_latent_cells() -> None:
    rng = np.random.default_rng(5)
    drawn = [random_pattern(rng, (0.0, 0.3)) for _ in range(300)]
    shortest = min(pattern.period for pattern in drawn) * 0.86 * 256  # the smallest whole body
    assert shortest > 2 * 8  # pixels: two cells of an autoencoder of factor 8 at the least


def test_stripes_have_their_period() -> None:
    pattern = Pattern(kind="stripes", ground=(0, 0, 0), figure=(255, 255, 255), period=1 / 16)
    column = draw_pattern(pattern)[:, 0, 0].astype(float)
    spectrum = np.abs(np.fft.rfft(column - column.mean()))
    assert spectrum.argmax() == 16


def test_a_dress_takes_the_place_of_the_whole_outfit() -> None:
    rng = np.random.default_rng(0)
    upper, lower, dress = (random_garment(rng, Category(c)) for c in ("upper", "lower", "dress"))
    other = random_garment(rng, Category.UPPER)
    assert changed((lower, upper), dress) == (dress,)
    assert changed((lower, upper), other) == (lower, other)


def test_long_sleeves_have_more_panels_than_none() -> None:
    rng = np.random.default_rng(3)
    uppers = [random_garment(rng, Category.UPPER) for _ in range(30)]
    counts = {garment.sleeves: len(panels(garment)) for garment in uppers}
    assert counts[0.0] == 1 and counts[1.92] == 5


def test_the_canonical_body_is_its_own_frame() -> None:
    again = frames(CANONICAL_JOINTS, 1.0)
    assert all(np.array_equal(again[part], CANONICAL_FRAMES[part]) for part in CANONICAL_FRAMES)


def test_nobody_is_a_wall_or_a_garment() -> None:
    pictures = [draw_nobody(seed, height=64, width=48) for seed in range(20)]
    white = [(picture[0, 0] == 255).all() for picture in pictures]
    assert any(white) and not all(white)
    walls = [picture for picture, flat in zip(pictures, white, strict=True) if not flat]
    assert all((wall == wall[:, :1]).all() for wall in walls)
