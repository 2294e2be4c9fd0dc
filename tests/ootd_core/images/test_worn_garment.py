import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.datasets.paper_dolls.sample import draw_sample
from ootd_core.images.comparison import srgb_to_lab
from ootd_core.images.worn_garment import lay_worn_garment, shows_a_person, worn_garment_mask
from ootd_core.masks.labels import Label


def drawn(category: Category, seed: int = 7) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A doll in a garment [H, W, 3], its label map, and the garment lying flat."""
    doll = draw_sample(seed, category=category)
    return doll.truth, doll.truth_labels, doll.garment


@pytest.mark.parametrize("category", list(Category))
def test_a_worn_garment_lies_on_white_as_a_flat_one_does(category: Category) -> None:
    picture, labels, flat = drawn(category)
    laid = lay_worn_garment(picture, labels, category, 256, 192)
    assert laid.shape == flat.shape and laid.dtype == np.uint8
    on_it = (laid < 245).any(axis=-1)
    rows, columns = (np.unique(each) for each in np.nonzero(on_it))
    assert rows[0] >= 5 and rows[-1] < 251 and columns[0] >= 4 and columns[-1] < 188, "a margin"
    assert rows[-1] - rows[0] > 230 or columns[-1] - columns[0] > 170, "it fills the picture"
    flat_on = (flat < 245).any(axis=-1)
    means = np.stack([laid[on_it].mean(axis=0), flat[flat_on].mean(axis=0)])
    difference = np.linalg.norm(np.subtract(*srgb_to_lab(means / 255)))
    assert difference < 8, f"mean colours differ by {difference:.1f}"


def test_what_hides_the_middle_of_a_garment_is_painted_over() -> None:
    picture, labels, _ = drawn(Category.DRESS)
    rows, columns = np.nonzero(labels == Label.DRESS)
    y, x = int(np.median(rows)), int(np.median(columns))
    assert (labels[y - 9 : y + 9, x - 9 : x + 9] == Label.DRESS).all()
    plain = lay_worn_garment(picture, labels, Category.DRESS, 256, 192)
    picture, labels = picture.copy(), labels.copy()
    picture[y - 5 : y + 5, x - 5 : x + 5] = (250, 0, 250)
    labels[y - 5 : y + 5, x - 5 : x + 5] = Label.LEFT_ARM
    hidden = lay_worn_garment(picture, labels, Category.DRESS, 256, 192).astype(int)
    assert np.abs(hidden - plain).mean() < 2
    pink = (hidden[..., 0] > 200) & (hidden[..., 1] < 60) & (hidden[..., 2] > 200)
    assert not pink.any()
    labels[labels == Label.LEFT_ARM] = Label.BACKGROUND  # what is seen through it stays open
    seen = lay_worn_garment(picture, labels, Category.DRESS, 256, 192)
    assert ((seen > 250).all(axis=-1) & (plain < 245).any(axis=-1)).sum() > 60


def test_tips_above_a_waistband_are_left_out() -> None:
    labels = np.zeros((256, 192), np.uint8)
    labels[100:180, 60:120] = Label.PANTS
    labels[80:100, 60:63] = Label.PANTS
    mask = worn_garment_mask(labels, Category.LOWER)
    assert not mask[:99].any() and mask[100:180, 60:120].all()


def test_a_person_is_told_from_a_flat_garment() -> None:
    dolls = [draw_sample(seed) for seed in range(12)]
    for doll in dolls:
        assert shows_a_person(doll.truth_labels, [doll.keypoints])
        assert not shows_a_person(doll.truth_labels, [])
    people = [dolls[0].keypoints]
    labels = np.zeros((256, 192), np.uint8)
    labels[40:200, 40:150] = Label.UPPER_CLOTHES
    assert not shows_a_person(labels, people)
    labels[80:120, 80:110] = Label.FACE  # a print
    assert not shows_a_person(labels, people)
    labels[10:40, 80:110] = Label.FACE
    assert shows_a_person(labels, people)
    few = dolls[0].keypoints * (np.arange(18) < 5)[:, None]
    assert not shows_a_person(labels, [few]) and shows_a_person(labels, [few, *people])


def test_of_several_people_the_largest_ones_garment_is_taken() -> None:
    labels = np.zeros((256, 300), np.uint8)
    labels[20:240, 10:100] = Label.FACE
    labels[60:200, 20:90] = Label.DRESS
    labels[100:220, 200:260] = Label.DRESS
    mask = worn_garment_mask(labels, Category.DRESS)
    assert mask[60:200, 20:90].all() and not mask[:, 150:].any()


def test_what_cannot_be_cut_out_is_said() -> None:
    picture, labels, _ = drawn(Category.DRESS)
    with pytest.raises(ValueError, match=r"nobody who wears .* 'lower' \(looked for: pants or sk"):
        lay_worn_garment(picture, labels, Category.LOWER, 256, 192)
    belt = np.where(labels == Label.DRESS, np.uint8(Label.BELT), labels)
    with pytest.raises(ValueError, match="category 'dress'"):
        worn_garment_mask(belt, Category.DRESS)
    with pytest.raises(ValueError, match="The label map is 96x128 pixels, expected 192x256"):
        lay_worn_garment(picture, labels[::2, ::2], Category.DRESS, 256, 192)
