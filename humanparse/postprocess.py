"""Class scores of a network -> a label map at the picture's size.

Scores are read in two linear steps: enlarged to the network's frame (bilinear, corners on corners),
then sampled at the picture's pixels. Both are separable, so together they are one matrix per axis,
and a class costs two small matrix products instead of two resized planes. Classes are compared one
at a time: memory stays at a few planes for a picture of any size.
"""

import numpy as np
from numpy.typing import NDArray

from .alignment import Size, axis_taps, network_pixels_per_image_pixel
from .labels import LabelMap


def label_map(scores: NDArray[np.float32], *, network: Size, image: Size) -> LabelMap:
    """The class with the highest score at each pixel (the first of equals).

    `scores` [classes, h, w] at any resolution covers the frame `network` = (height, width) into
    which `preprocess.network_input` fitted a picture of size `image`. Returns uint8 [H, W].
    """
    step = network_pixels_per_image_pixel(image=image, network=network)
    to_rows, to_columns = (
        (
            axis_taps(
                axis, source_length=network[axis], target_length=image[axis], step=step
            ).matrix()
            @ enlargement(scores.shape[1 + axis], network[axis])
        ).astype(np.float32)
        for axis in (0, 1)
    )
    labels = np.zeros(image, np.uint8)
    highest = to_rows @ scores[0] @ to_columns.T
    for label in range(1, len(scores)):
        plane = to_rows @ scores[label] @ to_columns.T
        labels[plane > highest] = label
        np.maximum(highest, plane, out=highest)
    return labels


def enlargement(length: int, target_length: int) -> NDArray[np.float64]:
    """Bilinear resizing with first on first and last on last pixel: [target_length, length]."""
    position = np.linspace(0, length - 1, target_length)
    first = np.floor(position).astype(np.intp)
    second = np.minimum(first + 1, length - 1)
    matrix = np.zeros((target_length, length))
    rows = np.arange(target_length)
    matrix[rows, first] += 1 - (position - first)
    matrix[rows, second] += position - first
    return matrix
