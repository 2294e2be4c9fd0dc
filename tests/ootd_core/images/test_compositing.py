"""A mask shown over a picture; pasting back is tested beside the files that it is written to."""

import numpy as np

from ootd_core.images.compositing import MASK_COLOUR, MASK_OPACITY, NEW_GARMENT_COLOUR, overlay_mask


def test_a_mask_is_shown_half_transparent_by_its_levels() -> None:
    picture = np.full((1, 3, 3), 100, np.uint8)
    shown = overlay_mask(picture, np.array([[0.0, 0.5, 1.0]], np.float32))
    wanted = [100 + MASK_OPACITY * share * (MASK_COLOUR - 100) for share in (0.0, 0.5, 1.0)]
    assert np.abs(shown[0] - np.array(wanted)).max() <= 0.5
    new = np.array([[True, False, True]])
    both = overlay_mask(picture, np.array([[0.0, 1.0, 1.0]], np.float32), new)
    assert (both[0, 0] == 100).all() and (both[0, 1] == shown[0, 2]).all()
    blue = 100 + MASK_OPACITY * (NEW_GARMENT_COLOUR - 100)
    assert np.abs(both[0, 2] - blue).max() <= 0.5
    assert shown.dtype == np.uint8 and 0.4 < MASK_OPACITY < 0.7
