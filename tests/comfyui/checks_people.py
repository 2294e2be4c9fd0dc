# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""Several people in a picture: nodes and command line dress the same one, and say so."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file

if TYPE_CHECKING:
    from worker import Inside


class _Heard(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.sentences: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.sentences.append(record.getMessage())


def _try_on(inside: Inside, picture: Any, **inputs: Any) -> tuple[np.ndarray, list[str]]:
    """Run Try On Garment on a picture from a file; what it redrew, and what was said."""
    Image.fromarray(picture).save(inside.folder / "input" / "people.png")
    prompt: dict[str, Any] = {
        "1": {"class_type": "LoadImage", "inputs": {"image": "people.png"}},
        "2": {
            "class_type": "OOTD_DemoPictures",
            "inputs": {"person": "1-upper", "garment": "1-upper"},
        },
        "3": {
            "class_type": "OOTD_TryOn",
            "inputs": {
                "person": ["1", 0],
                "garment": ["2", 1],
                "checkpoint": "mini (built in)",
                "variant": "full body (dc)",
                "category": "upper",
                "size": "auto",
                "mask_mode": "robust",
                "seed": 0,
                "steps": 1,
                "cfg": 2.0,
                "sampler_name": "euler",
                "scheduler": "normal",
                "weight_dtype": "auto",
                **inputs,
            },
        },
        "4": {"class_type": "MaskToImage", "inputs": {"mask": ["3", 1]}},
        "5": {
            "class_type": "SaveImage",
            "inputs": {"images": ["4", 0], "filename_prefix": f"people_{len(str(inputs))}"},
        },
    }
    heard = _Heard()
    logging.getLogger().addHandler(heard)
    try:
        errors = inside.run(prompt)
    finally:
        logging.getLogger().removeHandler(heard)
    assert not errors, errors
    newest = max(
        (inside.folder / "output").glob("people_*.png"), key=lambda path: path.stat().st_mtime_ns
    )
    return np.asarray(Image.open(newest).convert("L")), heard.sentences


def check_the_person_of_the_command_line_is_dressed(inside: Inside) -> str:
    """A bystander comes first; person_index asks for the bystander."""
    reference = load_file(inside.reference)
    picture = reference["people.picture"].numpy()
    same = []
    for index in (0, 1):
        mask, said = _try_on(inside, picture, person_index=index)
        wanted = reference[f"people.mask.{index}"].numpy()
        same.append(float(((mask > 127) == (wanted > 127)).mean()))
        assert any("2 people" in sentence for sentence in said), said
    assert min(same) > 0.99, same
    return f"masks alike: {same}"


def check_fit_person_takes_hands_and_feet_along(inside: Inside) -> None:
    person = torch.rand(1, 256, 256, 3)
    points = [value for joint in range(18) for value in (60 + 8 * joint, 20 + 12 * joint, 1.0)]
    foot = [value for point in range(6) for value in (100 + point, 200 + point, 1.0)]
    hand = [value for point in range(21) for value in (150 + point, 90 + point, 1.0)]
    pose = [
        {
            "people": [
                {
                    "pose_keypoints_2d": points,
                    "foot_keypoints_2d": foot,
                    "hand_left_keypoints_2d": hand,
                }
            ],
            "canvas_height": 256,
            "canvas_width": 256,
        }
    ]
    found = inside.call(
        "OOTD_FitPerson", image=person, size="256x192", mode="pad", pose_keypoint=pose
    )[3]
    (moved,) = found[0]["people"]
    body = np.reshape(moved["pose_keypoints_2d"], (-1, 3))
    scale = (body[1, 0] - body[0, 0]) / 8
    for name, flat in (("foot_keypoints_2d", foot), ("hand_left_keypoints_2d", hand)):
        before, after = np.reshape(flat, (-1, 3)), np.reshape(moved[name], (-1, 3))
        seen = after[:, 2] > 0
        expected = body[0, :2] + scale * (before[:, :2] - (60, 20))
        assert seen.any() and np.allclose(after[seen, :2], expected[seen], atol=1e-3), after
    assert moved["hand_right_keypoints_2d"] == [], "there was none"


def check_an_unpainted_mask_means_none(inside: Inside) -> None:
    """Load Image gives 64x64 zeros where a picture has no alpha channel."""
    picture = load_file(inside.reference)["people.picture"].numpy()
    with_mask, _ = _try_on(inside, picture, mask=["1", 1])
    without, _ = _try_on(inside, picture)
    assert np.array_equal(with_mask, without) and without.any()


def check_a_mask_of_ones_own_keeps_the_person_in_sight(inside: Inside) -> None:
    """The fit shows the whole person, whatever small place is masked."""
    image = torch.ones(1, 1000, 1000, 3)
    mask = torch.zeros(1, 1000, 1000)
    mask[:, 400:450, 500:560] = 1
    for speck in (0, 1):
        mask[:, 3, 990] = speck
        canvas, _, fits, *_ = inside.call(
            "OOTD_FitPerson", image=image, size="256x192", mode="auto", mask=mask
        )
        assert canvas.shape == (1, 256, 192, 3)
        left, top, right, bottom = fits[0].visible
        assert (top, bottom) == (0, 1000) and left <= 250 and right >= 800, fits[0]


def check_size_follows_the_checkpoint(inside: Inside) -> None:
    """Size auto is what the connected model was trained at, 1024x768 without one."""
    model = inside.loaded()[0]
    image = inside.picture("1-upper-person.png")
    for node, key in (("OOTD_FitPerson", {"mode": "auto"}), ("OOTD_PrepareGarment", {})):
        with_model = inside.call(node, image=image, size="auto", model=model, **key)[0]
        without = inside.call(node, image=image, size="auto", **key)[0]
        assert with_model.shape[1:3] == (256, 192) and without.shape[1:3] == (1024, 768)
