import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ootd_core.categories import Category, Variant
from ootd_core.datasets.dressing import DressSettings
from ootd_core.evaluation.features import FeatureNetworks
from ootd_core.evaluation.measurement import measure
from ootd_core.evaluation.try_ons import (
    DressedSample,
    KeptPictures,
    Unusable,
    dress_all,
    fingerprint,
    made_by,
)
from tests.ootd_core.evaluation.drawn_set import HEIGHT, WIDTH, DrawnSet
from tests.ootd_core.evaluation.stand_ins import stand_ins
from tests.ootd_core.small_networks import FOLDER, small_networks

SETTINGS = DressSettings(num_inference_steps=1)


def dressed(dataset: DrawnSet, kept: KeptPictures | None = None) -> list[DressedSample]:
    results = dress_all(small_networks(), dataset, SETTINGS, kept=kept)
    return [result for result in results if isinstance(result, DressedSample)]


def test_every_sample_is_dressed_inside_its_mask_only() -> None:
    results = dressed(DrawnSet())
    assert [result.sample.name for result in results] == [f"people/{n}.jpg" for n in range(4)]
    for result in results:
        assert result.picture.shape == (HEIGHT, WIDTH, 3)
        assert np.array_equal(result.picture[~result.mask], result.sample.person[~result.mask])
        assert not np.array_equal(result.picture, result.sample.person)
        assert not result.kept


def test_raw_pictures_are_the_decoders_everywhere() -> None:
    settings = replace(SETTINGS, feather=None)
    (result,) = dress_all(small_networks(), DrawnSet(), settings, limit=1)
    assert isinstance(result, DressedSample)
    outside = ~result.mask
    assert not np.array_equal(result.picture[outside], result.sample.person[outside])


def test_unusable_samples_are_left_out_with_the_reason() -> None:
    dataset = DrawnSet(unreadable=(1,), nobody=(2,))
    results = list(dress_all(small_networks(), dataset, SETTINGS))
    assert [isinstance(result, DressedSample) for result in results] == [True, False, False, True]
    damaged, nobody = results[1:3]
    assert damaged == Unusable(name="people/1.jpg", reason="people/1.jpg is damaged.")
    assert isinstance(nobody, Unusable) and "No person was found" in nobody.reason
    assert nobody.reason.startswith("people/2.jpg cannot be masked: ")


def test_half_body_networks_refuse_a_dress_before_anything_is_made() -> None:
    networks = replace(small_networks(), variant=Variant.HALF_BODY)
    dataset = DrawnSet()
    with pytest.raises(ValueError, match="half-body"):
        next(dress_all(networks, dataset, SETTINGS))
    assert dataset.reads == 0


def test_kept_pictures_are_used_again(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, {"steps": 1})
    first = dressed(DrawnSet(), kept)
    marked = np.full((HEIGHT, WIDTH, 3), 9, np.uint8)
    kept.put("people/1.jpg", marked)
    kept.path("people/2.jpg").write_bytes(b"half a picture")
    again = dressed(DrawnSet(), KeptPictures(tmp_path, {"steps": 1}))
    assert [result.kept for result in again] == [True, True, False, True]
    assert np.array_equal(again[1].picture, marked)
    assert np.array_equal(again[2].picture, first[2].picture)  # made again, by the same noise
    assert not any(result.kept for result in dressed(DrawnSet(), KeptPictures(tmp_path, {})))


def test_the_folder_tells_what_made_its_pictures(tmp_path: Path) -> None:
    kept = KeptPictures(tmp_path, {"steps": 1})
    assert json.loads((kept.folder / "made-by.json").read_text()) == {"steps": 1}
    assert kept.folder.name == fingerprint({"steps": 1})
    assert kept.path("a/../b").parent == kept.folder
    assert kept.path("a/b") != kept.path("a_b")


def test_whatever_changes_a_picture_changes_the_hash(tmp_path: Path) -> None:
    networks = small_networks()

    def hashed(
        settings: DressSettings = SETTINGS,
        dataset: DrawnSet | None = None,
        source: str = "a",
        model: Path = FOLDER,
    ) -> str:
        return fingerprint(
            made_by(settings, model, networks, dataset or DrawnSet(), {"path": source})
        )

    model = tmp_path / "model"
    for file in FOLDER.rglob("*"):
        target = model / file.relative_to(FOLDER)
        if file.is_dir():
            target.mkdir(parents=True, exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(file)
    same = hashed()
    assert same == hashed() == hashed(model=model)
    others = [
        hashed(replace(SETTINGS, guidance_scale=1.0)),
        hashed(replace(SETTINGS, feather=None)),
        hashed(dataset=DrawnSet(categories=(Category.UPPER,))),
        hashed(source="b"),
    ]
    (unet,) = model.glob("ootd/ootd_dc/*/unet_vton/*.safetensors")
    content = unet.read_bytes()
    unet.unlink()
    unet.write_bytes(content)
    os.utime(unet, (1, 1))
    others.append(hashed(model=model))
    assert len({same, *others}) == 6


def test_measuring_a_paired_set() -> None:
    seen: list[str] = []
    result = measure(
        small_networks(),
        DrawnSet(unreadable=(1,)),
        SETTINGS,
        stand_ins(),
        on_sample=lambda one: seen.append(type(one).__name__),
    )
    assert list(result.scores) == ["upper", "dress", "all"]
    assert result.scores["all"].pictures == len(result.samples) == 3
    assert seen == ["DressedSample", "Unusable", "DressedSample", "DressedSample"]
    assert [one.name for one in result.unusable] == ["people/1.jpg"]
    overall = result.scores["all"]
    assert overall.fid is not None and overall.lpips is not None and overall.ssim is not None
    assert overall.outside_error == 0.0
    assert overall.mask_psnr is not None and 0 < overall.mask_psnr < 30


def test_measuring_an_unpaired_set() -> None:
    result = measure(small_networks(), DrawnSet(paired=False), SETTINGS, FeatureNetworks(), limit=2)
    overall = result.scores["all"]
    assert overall.pictures == 2 and overall.outside_error == 0.0
    assert (overall.ssim, overall.mask_psnr, overall.fid) == (None, None, None)


def test_a_set_without_a_usable_sample() -> None:
    dataset = DrawnSet(unreadable=(0, 1, 2, 3))
    with pytest.raises(ValueError, match=r"None of the 4 .*; the first: people/0.jpg is damaged"):
        measure(small_networks(), dataset, SETTINGS, FeatureNetworks())
