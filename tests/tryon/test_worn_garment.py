"""Garments that somebody wears in their picture, and what of the original comes back."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ootd_core.categories import Category
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.datasets.paper_dolls.picture import draw_garment, draw_person
from ootd_core.datasets.paper_dolls.sample import (
    changed,
    draw_nobody,
    draw_sample,
    random_garment,
    random_person,
)
from ootd_core.images.comparison import masked_psnr
from ootd_core.images.worn_garment import lay_worn_garment, shows_a_person
from tryon import TryOn, TryOnOptions
from tryon.perception import PersonNetworks

QUICK = TryOnOptions(num_inference_steps=4)
SIZE = {"height": 256, "width": 192}


@pytest.fixture(scope="module")
def mini() -> TryOn:
    return TryOn.from_pretrained()


@pytest.fixture(scope="module")
def drawn() -> dict[str, Any]:
    """Somebody, a dress lying flat, somebody else who wears it, and the truth."""
    rng = np.random.default_rng(1)
    dress = random_garment(rng, Category.DRESS)
    old = (random_garment(rng, Category.LOWER), random_garment(rng, Category.UPPER))
    me, other = (random_person(np.random.default_rng(seed), Category.DRESS) for seed in (3, 504))
    worn = draw_person(other, changed(old, dress), **SIZE)
    return {
        "person": draw_person(me, old, **SIZE).image,
        "flat": draw_garment(dress, **SIZE),
        "worn": worn.image,
        "labels": worn.labels,
        "truth": draw_person(me, changed(old, dress), **SIZE).image,
    }


def without_parser(mini: TryOn, monkeypatch: pytest.MonkeyPatch, people: int) -> None:
    """As BlazePose alone sees: joints and a person mask."""
    found = [np.ones((18, 3))] * people
    monkeypatch.setattr(mini.person_networks, "has_parser", False)
    monkeypatch.setattr(PersonNetworks, "people", lambda *_: found)


def test_a_dress_from_a_worn_picture_gives_nearly_what_the_flat_one_gives(
    mini: TryOn, drawn: dict[str, Any]
) -> None:
    def dressed(garment: str, **settings: Any) -> Any:
        return mini(drawn["person"], drawn[garment], "dress", options=QUICK, **settings)

    flat = dressed("flat")
    where = np.asarray(flat.mask) > 0
    pictures = {
        "flat": flat,
        "worn": dressed("worn", garment_photo="worn"),
        "untold": dressed("worn"),
    }
    psnr = {
        name: masked_psnr(np.asarray(result.images[0]), drawn["truth"], where)
        for name, result in pictures.items()
    }
    assert psnr["worn"] > psnr["untold"] + 2 and psnr["worn"] > psnr["flat"] - 5, psnr
    auto = dressed("worn", garment_photo="auto").images[0]
    assert auto.tobytes() == pictures["worn"].images[0].tobytes()
    assert dressed("flat", garment_photo="auto").images[0].tobytes() == flat.images[0].tobytes()


def test_the_cut_out_is_what_dresses_and_what_the_mask_measures(
    mini: TryOn, drawn: dict[str, Any]
) -> None:
    labels = mini.person_networks.labels(drawn["worn"])
    by_hand = lay_worn_garment(drawn["worn"], labels, Category.DRESS, 256, 192)
    asked = [
        mini.dressing(drawn["person"], picture, "dress", options=options)
        for picture, options in (
            (drawn["worn"], TryOnOptions(garment_photo="worn")),  # pyright: ignore[reportArgumentType]
            (by_hand, TryOnOptions()),
        )
    ]
    first, second = (next(each) for each in asked)
    assert np.array_equal(first.garment, by_hand) and np.array_equal(second.garment, by_hand)
    assert np.array_equal(first.mask, second.mask)
    alone = mini.mask(drawn["person"], "dress", garment=drawn["worn"], garment_photo="worn")
    assert not any("not measured" in said for said in alone.warnings)


def test_a_mask_cuts_a_garment_out_without_a_parser(
    mini: TryOn, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    cut_out = drawn["labels"] == 7
    painted = np.zeros((256, 192), np.float32)
    painted[100:200, 60:130] = 1
    without_parser(mini, monkeypatch, people=1)

    def asked(**arguments: Any) -> Any:
        return next(
            mini.dressing(drawn["person"], [(drawn["worn"], "dress")], mask=painted, **arguments)
        )

    garment = asked(garment_mask=[cut_out]).garment
    assert (garment[:6] == 255).all() and 0.1 < (garment < 245).any(axis=-1).mean() < 0.8
    assert np.array_equal(garment, asked(garment_mask=cut_out).garment)
    worn = TryOnOptions(garment_photo="worn")  # pyright: ignore[reportArgumentType]
    assert np.array_equal(garment, asked(garment_mask=[cut_out], options=worn).garment)
    with pytest.raises(ValueError, match=r"no parser for photographs.*--garment-mask"):
        asked(options=worn)
    with pytest.raises(ValueError, match="2 garment masks and 1 garments"):
        asked(garment_mask=[cut_out, None])
    with pytest.raises(ValueError, match="garment_mask: the mask is black throughout"):
        asked(garment_mask=[np.zeros_like(cut_out)])
    with pytest.raises(ValueError, match="garment_mask: The mask is 128x"):
        asked(garment_mask=[cut_out[::2]])


def test_without_a_parser_somebody_in_the_garments_picture_is_said(
    mini: TryOn, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = TryOnOptions(garment_photo="auto")  # pyright: ignore[reportArgumentType]
    for people, said in ((1, "seems to show a person"), (0, None)):
        without_parser(mini, monkeypatch, people)
        picture, warnings = mini._laid_flat(  # pyright: ignore[reportPrivateUsage]
            drawn["worn"], Category.DRESS, None, options
        )
        assert picture is drawn["worn"]
        assert [said in each for each in warnings] == [True] if said else not warnings


def test_the_bundled_parser_takes_no_flat_garment_for_somebody(mini: TryOn) -> None:
    networks = mini.person_networks

    def shown(picture: np.ndarray) -> bool:
        return shows_a_person(networks.labels(picture), networks.people(picture))

    for seed in (127, 156):  # checks and stripes that the parser alone takes for skin
        doll = draw_sample(seed)
        assert not shown(doll.garment), seed
        assert shown(doll.truth), seed
    assert not shown(draw_nobody(107, **SIZE))


def test_the_original_comes_back_and_the_mask_says_where(
    mini: TryOn, drawn: dict[str, Any]
) -> None:
    def dressed(**settings: Any) -> tuple[np.ndarray, np.ndarray]:
        result = mini(drawn["person"], drawn["flat"], "dress", options=QUICK, **settings)
        return np.asarray(result.images[0]), np.asarray(result.mask) > 0

    plain, everything = dressed()
    ground, less = dressed(restore="background")
    skin, least = dressed(restore="background and skin")
    assert least.sum() < less.sum() < everything.sum() and not (less & ~everything).any()
    for picture, redrawn in ((ground, less), (skin, least)):
        assert np.array_equal(picture[~redrawn], drawn["person"][~redrawn])
        deep = redrawn & (picture == plain).all(axis=-1)
        assert deep.sum() > 0.8 * redrawn.sum(), "what stays redrawn is as before, but for the seam"


def test_restoring_without_a_parser_is_refused_before_the_work(
    mini: TryOn, drawn: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    without_parser(mini, monkeypatch, people=1)
    with pytest.raises(ValueError, match=r"restore is .background., .* no parser"):
        mini(drawn["person"], drawn["flat"], "dress", restore="background")


def test_a_parser_that_only_restoring_needs_is_asked_for_before_the_work(
    drawn: dict[str, Any], tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(MINI_CHECKPOINT, folder)
    shutil.rmtree(folder / "humanparsing")
    mask = np.zeros((256, 192), np.float32)
    mask[100:200, 60:130] = 1
    dressing = TryOn.from_pretrained(folder).dressing(
        drawn["person"], drawn["flat"], "dress", mask=mask,
        options=TryOnOptions(restore="background"),  # pyright: ignore[reportArgumentType]
    )  # fmt: skip
    with pytest.raises(FileNotFoundError, match="The human parser lacks"):
        next(dressing)


def test_a_mask_of_ones_own_and_restoring_go_together(mini: TryOn, drawn: dict[str, Any]) -> None:
    mask = np.zeros((256, 192), np.float32)
    mask[60:220, 20:170] = 1
    given: dict[str, Any] = {"options": TryOnOptions(num_inference_steps=1), "mask": mask}
    whole, less = (
        np.asarray(mini(drawn["person"], drawn["flat"], "dress", restore=restore, **given).mask)
        for restore in ("none", "background")
    )
    assert 0 < np.count_nonzero(less) < np.count_nonzero(whole)
