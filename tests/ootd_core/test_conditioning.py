"""The prompt rules. Their numbers are held against the reference in tests/golden."""

from typing import Any

import numpy as np
import pytest
import torch

from ootd_core.categories import Category, Variant, check_category
from ootd_core.conditioning import combine, encode_prompt
from tests.ootd_core.small_networks import small_networks

TEXT = torch.arange(1.0, 7.0).reshape(1, 3, 2)
IMAGE = torch.tensor([[-1.0, -2.0]])


def test_half_body_replaces_the_end_token() -> None:
    prompt = combine(Variant.HALF_BODY, TEXT[:, :2], IMAGE)
    assert prompt.tolist() == [[[1.0, 2.0], [-1.0, -2.0]]]


def test_full_body_appends() -> None:
    prompt = combine(Variant.FULL_BODY, TEXT, IMAGE)
    assert prompt.tolist() == [[[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [-1.0, -2.0]]]


def test_a_batch_stays_a_batch() -> None:
    prompt = combine(Variant.FULL_BODY, TEXT.repeat(3, 1, 1), IMAGE.repeat(3, 1))
    assert prompt.shape == (3, 4, 2)


@torch.no_grad()
def test_label_and_garment_make_the_prompt() -> None:
    networks = small_networks()
    encoders: dict[str, Any] = {
        "text_encoder": networks.text_encoder,
        "tokenizer": networks.tokenizer,
        "image_encoder": networks.image_encoder,
        "image_processor": networks.image_processor,
    }
    red = np.full((40, 30, 3), (200, 0, 0), np.uint8)
    blue = red[..., ::-1]
    upper = encode_prompt(Variant.FULL_BODY, Category.UPPER, red, **encoders)
    lower = encode_prompt(Variant.FULL_BODY, Category.LOWER, red, **encoders)
    other = encode_prompt(Variant.FULL_BODY, Category.UPPER, blue, **encoders)
    half = encode_prompt(Variant.HALF_BODY, Category.UPPER, red, **encoders)
    assert upper.shape == (1, 4, 32)
    assert half.shape == (1, 2, 32)
    assert not torch.equal(upper[:, 1], lower[:, 1]), "the label is read"
    assert torch.equal(upper[:, 3], lower[:, 3])
    assert not torch.equal(upper[:, 3], other[:, 3]), "the garment is seen"
    assert torch.equal(upper[:, :3], other[:, :3])
    assert torch.equal(half[:, 1], upper[:, 3])


@pytest.mark.parametrize("category", [Category.LOWER, Category.DRESS])
def test_half_body_takes_upper_garments_only(category: Category) -> None:
    check_category(Variant.FULL_BODY, category)
    check_category(Variant.HALF_BODY, Category.UPPER)
    with pytest.raises(ValueError, match=f"not '{category}': use the full-body variant"):
        check_category(Variant.HALF_BODY, category)
