import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ootd_core.images.fitting import (
    Fit,
    crop_fit,
    fit_image,
    fit_label_map,
    fit_mask,
    fit_onto,
    fit_points,
    prepare_garment,
    unfit_image,
    unfit_label_map,
    unfit_mask,
    unfit_points,
)
from ootd_core.masks.morphology import BoolMask, Box, foreground_box

HEIGHT, WIDTH = 128, 96
side = st.integers(16, 400)


def smooth(height: int, width: int) -> NDArray[np.uint8]:
    """A picture without fine detail, which resampling both ways keeps."""
    y, x = np.mgrid[:height, :width] / max(height, width)
    channels = [127 + 100 * np.sin(3 * x + c) * np.cos(2 * y + c) for c in range(3)]
    return np.stack(channels, axis=-1).astype(np.uint8)


def disc(height: int, width: int, *, cx: float, cy: float, radius: float) -> NDArray[np.bool_]:
    y, x = np.mgrid[:height, :width] + 0.5
    return (x - cx) ** 2 + (y - cy) ** 2 <= radius**2


@given(side, side)
@settings(max_examples=40, deadline=None)
def test_padding_shows_the_whole_picture_and_comes_back(height: int, width: int) -> None:
    image = smooth(height, width)
    canvas, fit = fit_image(image, HEIGHT, WIDTH)
    assert canvas.shape == (HEIGHT, WIDTH, 3)
    assert fit.visible == (0, 0, width, height)
    back = unfit_image(canvas, fit)
    assert back.shape == image.shape
    # The outermost pixels were mixed with the white ground.
    rim = int(3 * max(fit.scale, 1)) + 1
    core = np.s_[rim : height - rim, rim : width - rim]
    if back[core].size and fit.scale < 2:
        assert np.abs(back[core].astype(int) - image[core]).max() <= 12
        assert np.abs(back[core].astype(int) - image[core]).mean() <= 1


@given(side, side, st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_a_crop_contains_its_box_and_lies_in_the_picture(
    height: int, width: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    left, right = sorted(rng.choice(width + 1, 2, replace=False).tolist())
    top, bottom = sorted(rng.choice(height + 1, 2, replace=False).tolist())
    box = (left, top, right, bottom)
    fit = crop_fit((height, width), (HEIGHT, WIDTH), box=box)
    canvas = fit_onto(smooth(height, width), fit)
    assert canvas.shape == (HEIGHT, WIDTH, 3)
    x0, y0, x1, y1 = fit.visible
    assert x0 <= left and y0 <= top and x1 >= right and y1 >= bottom
    for start, length, available in (
        (fit.left, fit.scale * WIDTH, width),
        (fit.top, fit.scale * HEIGHT, height),
    ):
        if length <= available:
            assert start >= -1e-6 and start + length <= available + 1e-6
        else:
            assert start + length / 2 == pytest.approx(available / 2)


@given(side, side, st.integers(0, 2**31))
@settings(max_examples=40, deadline=None)
def test_points_return_exactly(height: int, width: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = np.concatenate(
        [rng.random((18, 2)) * (width - 1, height - 1), rng.random((18, 1))], axis=1
    )
    _, fit = fit_image(smooth(height, width), HEIGHT, WIDTH)
    there = fit_points(points, fit)
    assert (there[:, 2] == points[:, 2]).all()
    assert (there[:, :2] <= (WIDTH, HEIGHT)).all()
    assert unfit_points(there, fit) == pytest.approx(points)


def test_a_picture_of_the_canvas_size_is_untouched() -> None:
    image = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    canvas, fit = fit_image(image, HEIGHT, WIDTH)
    assert (canvas == image).all()
    assert (unfit_image(canvas, fit) == image).all()
    assert (prepare_garment(image, HEIGHT, WIDTH) == image).all()
    mask = image[..., 0] > 99
    assert (fit_mask(mask, fit) == mask).all()
    assert (unfit_mask(mask, fit) == mask).all()


def test_a_crop_at_full_resolution_is_cut_out_exactly() -> None:
    image = np.random.default_rng(0).integers(0, 256, (300, 400, 3), dtype=np.uint8)
    fit = Fit(
        original_height=300, original_width=400,
        height=HEIGHT, width=WIDTH, left=50.0, top=60.0, scale=1.0,
    )  # fmt: skip
    back = unfit_image(image[60 : 60 + HEIGHT, 50 : 50 + WIDTH].copy(), fit)
    assert (back[60 : 60 + HEIGHT, 50 : 50 + WIDTH] == image[60:188, 50:146]).all()
    assert back[:60].max() == 0


@pytest.mark.parametrize(("height", "width"), [(300, 300), (100, 500), (500, 100), (1000, 750)])
def test_nothing_is_stretched_and_everything_is_where_points_say(height: int, width: int) -> None:
    radius = 0.3 * min(height, width)
    cx, cy = 0.45 * width, 0.55 * height
    mask = disc(height, width, cx=cx, cy=cy, radius=radius)
    image = np.where(mask[..., None], np.uint8(0), np.uint8(255)).repeat(3, axis=2)
    canvas, fit = fit_image(image, HEIGHT, WIDTH)
    x, y = fit_points(np.array([[cx - 0.5, cy - 0.5]]), fit)[0] + 0.5
    wanted = disc(HEIGHT, WIDTH, cx=x, cy=y, radius=radius / fit.scale)
    assert ((canvas[..., 0] < 128) != wanted).mean() < 0.004
    assert ((fit_mask(mask, fit) >= 0.5) != wanted).mean() < 0.004
    back = unfit_mask(wanted, fit) > 0
    assert (back != mask).mean() < 0.01


def test_the_ground_is_white_and_not_masked() -> None:
    canvas, fit = fit_image(np.zeros((60, 300, 3), np.uint8), HEIGHT, WIDTH)
    assert (canvas[:40] == 255).all() and (canvas[-40:] == 255).all()
    assert canvas[HEIGHT // 2].max() == 0
    mask = fit_mask(np.ones((60, 300), dtype=bool), fit)
    assert mask[:40].max() == 0 and mask[HEIGHT // 2].min() == 1


def test_a_hard_mask_returns_hard() -> None:
    _, fit = fit_image(smooth(333, 250), HEIGHT, WIDTH)
    back = unfit_mask(disc(HEIGHT, WIDTH, cx=40, cy=60, radius=20), fit)
    assert set(np.unique(back)) == {0, 1}
    soft = unfit_mask(np.full((HEIGHT, WIDTH), 0.5, np.float32), fit)
    assert soft == pytest.approx(np.full(soft.shape, 0.5))


@pytest.mark.parametrize(
    "box", [(10, 10, 10, 20), (20, 10, 10, 20), (200, 0, 210, 10), (-9, -9, -1, -1)]
)
def test_a_crop_needs_a_box_on_the_picture(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="box"):
        crop_fit((100, 100), (HEIGHT, WIDTH), box=box)


def test_other_sizes_than_the_fit_tells_are_refused() -> None:
    _, fit = fit_image(smooth(100, 100), HEIGHT, WIDTH)
    with pytest.raises(ValueError, match="canvas is 50x60 pixels, expected 96x128"):
        unfit_image(smooth(60, 50), fit)
    with pytest.raises(ValueError, match="expected 100x100"):
        fit_mask(np.ones((5, 5), dtype=bool), fit)
    with pytest.raises(ValueError, match="expected 96x128"):
        unfit_mask(np.ones((5, 5), dtype=bool), fit)


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [({"scale": 0.0}, "scale"), ({"height": 0}, "one pixel"), ({"left": 900.0}, "no whole pixel")],
)
def test_impossible_fits_are_refused(changed: dict[str, float], sentence: str) -> None:
    values = {
        "original_height": 100, "original_width": 100,
        "height": HEIGHT, "width": WIDTH, "left": 0.0, "top": 0.0, "scale": 1.0,
    }  # fmt: skip
    with pytest.raises(ValueError, match=sentence):
        Fit(**(values | changed))  # type: ignore[arg-type]


# Garments


def box_around(mask: BoolMask) -> Box:
    box = foreground_box(mask)
    assert box is not None
    return box


@pytest.mark.parametrize(("height", "width"), [(60, 300), (300, 60), (128, 96), (17, 16)])
def test_a_garment_of_any_shape_is_shown_whole_on_white(height: int, width: int) -> None:
    canvas = prepare_garment(np.zeros((height, width, 3), np.uint8), HEIGHT, WIDTH)
    assert canvas.shape == (HEIGHT, WIDTH, 3)
    dark = canvas[..., 0] < 128
    left, top, right, bottom = box_around(dark)
    assert (right - left) / (bottom - top) == pytest.approx(width / height, rel=0.1)
    assert (left + right) / 2 == pytest.approx(WIDTH / 2, abs=1)
    assert (top + bottom) / 2 == pytest.approx(HEIGHT / 2, abs=1)


def test_a_masked_garment_is_cut_out_centred_and_large() -> None:
    mask = disc(300, 300, cx=60, cy=240, radius=40)
    image = np.full((300, 300, 3), 90, np.uint8)
    image[mask] = (200, 0, 0)
    canvas = prepare_garment(image, HEIGHT, WIDTH, mask=mask)
    red = canvas[..., 1] < 100
    left, top, right, bottom = box_around(red)
    assert right - left == pytest.approx(bottom - top, abs=2)
    assert right - left == pytest.approx(WIDTH / 1.08, abs=3)
    assert (left + right, top + bottom) == pytest.approx((WIDTH, HEIGHT), abs=2)
    assert (canvas[:15] == 255).all()


def test_an_empty_garment_mask_is_refused() -> None:
    with pytest.raises(ValueError, match="empty"):
        prepare_garment(smooth(50, 50), HEIGHT, WIDTH, mask=np.zeros((50, 50), dtype=bool))
    with pytest.raises(ValueError, match="garment mask is 4x4"):
        prepare_garment(smooth(50, 50), HEIGHT, WIDTH, mask=np.ones((4, 4), dtype=bool))


def test_a_crop_leaves_a_tenth_of_the_box_on_each_side() -> None:
    """On the side that decides the scale; the box is in the middle."""
    tall = crop_fit((2000, 2000), (HEIGHT, WIDTH), box=(900.0, 600.0, 1100.0, 1400.0))
    assert tall.scale * HEIGHT == pytest.approx(1.2 * 800)
    assert (tall.left + tall.scale * WIDTH / 2, tall.top) == pytest.approx((1000, 600 - 80))
    wide = crop_fit((2000, 2000), (HEIGHT, WIDTH), box=(600.0, 900.0, 1400.0, 1100.0))
    assert wide.scale * WIDTH == pytest.approx(1.2 * 800)
    assert (wide.left, wide.top + wide.scale * HEIGHT / 2) == pytest.approx((600 - 80, 1000))


def test_points_keep_to_the_centres_of_pixels() -> None:
    fit = Fit(
        original_height=256, original_width=192,
        height=HEIGHT, width=WIDTH, left=10.0, top=-20.0, scale=2.0,
    )  # fmt: skip
    corner = np.array([[10.5, -19.5, 0.7]])  # of four pixels, the centre of pixel (0, 0)
    assert fit_points(corner, fit).tolist() == [[0.0, 0.0, 0.7]]
    assert unfit_points(np.array([[3.0, 5.0, 0.2]]), fit).tolist() == [[16.5, -9.5, 0.2]]


def test_labels_go_where_the_picture_goes_and_come_back() -> None:
    labels = np.zeros((300, 300), np.uint8)
    labels[100:200, 120:180] = 4
    fit = crop_fit((300, 300), (HEIGHT, WIDTH), box=(110.0, 90.0, 190.0, 210.0))
    canvas = fit_label_map(labels, fit)
    mask = fit_mask(labels == 4, fit) >= 0.5
    assert ((canvas == 4) == mask).mean() > 0.99
    assert (fit_label_map(labels.repeat(2, 0).repeat(2, 1), fit) == canvas).mean() > 0.99
    back = unfit_label_map(canvas, fit)
    assert ((back == 4) == (labels == 4)).mean() > 0.99
    assert not back[:60].any() and set(np.unique(back)) == {0, 4}
