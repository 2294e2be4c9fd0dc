"""The picture of docs/masks.md is drawn anew in one call."""

from pathlib import Path

import numpy as np

from benchmarks.mask_picture import COLUMNS, DOLLS, main
from ootd_core.images.compositing import MASK_COLOUR, NEW_GARMENT_COLOUR
from ootd_core.images.files import load_image


def test_it_has_a_line_for_each_person_and_both_colours(tmp_path: Path) -> None:
    main(out=tmp_path / "masks.png")
    sheet = load_image(tmp_path / "masks.png").astype(np.int16)
    assert sheet.shape[0] > 300 * len(DOLLS) and sheet.shape[1] > 200 * len(COLUMNS)
    masks = sheet[:, sheet.shape[1] // 2 : 3 * sheet.shape[1] // 4]
    for colour in (MASK_COLOUR, NEW_GARMENT_COLOUR):
        strongest, weakest = int(np.argmax(colour)), int(np.argmin(colour))
        assert ((masks[..., strongest] - masks[..., weakest]) > 100).mean() > 0.01
