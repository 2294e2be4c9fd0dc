"""What the values of a mask mean: from whatever numbers a program wrote to [0, 1].

Programs disagree on white: 1, 255 or 65535. Where only one reading makes a mask, it is taken; where
two do, the mask is refused and both are named.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def mask_levels(values: NDArray[Any]) -> NDArray[np.float32]:
    """Numbers of a mask, of any shape, as float32 in [0, 1]; 1 is repainted.

    Booleans are 0 and 1. Integers of two different values are a hard mask whose higher value is
    repainted; of more values they are soft, and white is 255 or, above that, 65535. Floats are
    soft: in [0, 1] as they are, and with a maximum of 128 to 255 in [0, 255].

    Raises:
        ValueError: no numbers, NaN or infinite, negative, beyond white, or ambiguous.
    """
    if values.size == 0:
        raise ValueError("The mask is empty: it has no pixels.")
    if values.dtype == np.bool_:
        return values.astype(np.float32)
    if values.dtype.kind not in "uif":
        raise ValueError(f"The mask holds values of type {values.dtype}: give numbers or booleans.")
    unusable = int((~np.isfinite(values)).sum())
    if unusable:
        raise ValueError(f"The mask holds {unusable} values that are NaN or infinite.")
    low, high = values.min().item(), values.max().item()
    reach = f"they reach from {low:g} to {high:g}" if low < high else f"all of them are {low:g}"
    if low < 0 or high > 65535:
        raise ValueError(f"The mask's values must lie in [0, 1] or [0, 255], but {reach}.")
    if values.dtype.kind == "f":
        white = 1.0 if high <= 1 else 255.0
        if 1 < high < 128 or high > 255:
            raise ValueError(
                f"The mask's values must lie in [0, 1] or [0, 255], but {reach}: too high for "
                f"the one, {'too high' if high > 255 else 'too low'} for the other; divide by the "
                "value that means white."
            )
        return (values / white).astype(np.float32)
    if low == high == 1:
        raise ValueError(
            "All of the mask's values are 1, which is white where they go up to 1 and black where "
            "they go up to 255: give booleans, or 255 for white."
        )
    if low < high and bool(((values == low) | (values == high)).all()):
        return (values == high).astype(np.float32)
    return (values / (255.0 if high <= 255 else 65535.0)).astype(np.float32)
