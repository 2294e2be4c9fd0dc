"""Image to people: fit the image to the network, run it, decode its maps.

Any image size is accepted and its shape is kept. The result is a list, empty where nobody was
found. What that means, and who of several people is meant, is the caller's decision.
"""

import numpy as np
import torch
from numpy.typing import NDArray

from .decode import decode_maps
from .geometry import PoseGeometry
from .network import BodyNetwork
from .person import Person

PADDING_GREY = 128


def detect_people(network: BodyNetwork, image: NDArray[np.uint8]) -> list[Person]:
    """Find the people in an image, in no particular order.

    image: uint8 RGB [H,W,3] of any size. Keypoints are in its pixels. Runs on the device and in
    the precision of the network. Raises ValueError for an array that is no such image and
    where the network's results are not finite.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise ValueError(
            f"An image must be uint8 of shape (height, width, 3), got {image.dtype} "
            f"of shape {image.shape}."
        )
    height, width = image.shape[:2]
    geometry = PoseGeometry.of_image(height=height, width=width)
    weight = next(network.parameters())
    inputs = torch.from_numpy(network_input(image, geometry))[None]
    with torch.inference_mode():
        affinity, heatmap = network(inputs.to(device=weight.device, dtype=weight.dtype))
    affinity, heatmap = affinity[0].float().cpu(), heatmap[0].float().cpu()
    if not (affinity.isfinite().all() and heatmap.isfinite().all()):
        raise ValueError(
            f"The body network gave NaN or infinity in {weight.dtype}: load it as float32, and "
            "check its file if it already is."
        )
    decoded = decode_maps(affinity.numpy(), heatmap.numpy(), geometry)
    return [_to_image(person, geometry, height, width) for person in decoded.people()]


def network_input(image: NDArray[np.uint8], geometry: PoseGeometry) -> NDArray[np.float32]:
    """Fit an image to the network.

    image: uint8 RGB [H,W,3] of the geometry's shape. Returns float32 [3,h,w] in [-0.5,0.5),
    blue, green, red, scaled to the geometry's input and padded with grey to the right and below.
    """
    import cv2

    size = (geometry.input_width, geometry.input_height)
    shrinks = sum(size) < sum(image.shape[:2])
    scaled = cv2.resize(
        image, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    )
    shape = (geometry.padded_height, geometry.padded_width, 3)
    padded = np.full(shape, PADDING_GREY, dtype=np.float32)
    padded[: geometry.input_height, : geometry.input_width] = scaled
    bgr = padded[..., ::-1].transpose(2, 0, 1)  # [h,w,rgb] -> [bgr,h,w]
    return np.ascontiguousarray(bgr / 256 - 0.5, dtype=np.float32)


def _to_image(person: Person, geometry: PoseGeometry, height: int, width: int) -> Person:
    """Move keypoints from the geometry's picture to the image; pixel centres meet."""
    scale = np.array([width / geometry.width, height / geometry.height])
    keypoints = person.keypoints.copy()
    visible = person.visible
    keypoints[visible, :2] = (keypoints[visible, :2] + 0.5) * scale - 0.5
    keypoints[:, :2] = np.clip(keypoints[:, :2], 0, [width - 1, height - 1])
    return Person(keypoints=keypoints, score=person.score)
