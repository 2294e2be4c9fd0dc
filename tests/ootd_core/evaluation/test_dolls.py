import numpy as np
import pytest

from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.networks import load_networks
from ootd_core.datasets.paper_dolls.sample import DollSample, draw_sample
from ootd_core.evaluation.dolls import COLUMNS, garment_labels, measure_dolls
from ootd_core.evaluation.features import FeatureNetworks
from ootd_core.evaluation.scores import Scorer
from ootd_core.images.comparison import colour_error, masked_psnr, masked_ssim
from ootd_core.masks.agnostic import MaskMode, agnostic_mask
from ootd_core.masks.labels import Label
from tests.ootd_core.small_networks import small_networks


def test_the_ceiling_and_the_ablations_are_measured_where_the_garment_is() -> None:
    seen: list[tuple[DollSample, dict[str, np.ndarray]]] = []
    scorers = measure_dolls(
        load_networks(MINI_CHECKPOINT, Variant.FULL_BODY),
        range(1, 2),
        FeatureNetworks(),
        num_inference_steps=1,
        guidance_scale=2.0,
        mask_mode=MaskMode.ROBUST,
        ablations=True,
        on_doll=lambda doll, pictures: seen.append((doll, pictures)),
    )
    assert list(scorers) == list(COLUMNS)
    means = {name: scorer.by_category()["all"] for name, scorer in scorers.items()}
    assert {row.pictures for row in means.values()} == {1}
    assert (means["ceiling"].mask_psnr or 0) > (means["full"].mask_psnr or 0) + 2
    ((doll, pictures),) = seen
    mask = pictures["mask"].astype(bool)
    worn = mask & np.isin(doll.truth_labels, garment_labels(doll))
    scores = scorers["full"].samples[0]
    assert (scores.mask_psnr, scores.mask_ssim, scores.colour_error) == (
        masked_psnr(pictures["full"], doll.truth, mask),
        masked_ssim(pictures["full"], doll.truth, mask),
        colour_error(pictures["full"], doll.truth, worn),
    )


class Eyes:
    """Sees what is asked for: whoever is in the picture, their labels and joints are these."""

    def __init__(self, labels: np.ndarray, keypoints: np.ndarray | None) -> None:
        self.seen = labels, keypoints
        self.pictures: list[np.ndarray] = []

    def labels(self, person: np.ndarray) -> np.ndarray:
        self.pictures.append(person)
        return self.seen[0]

    def keypoints(self, person: np.ndarray) -> np.ndarray | None:
        return self.seen[1]

    def stamp(self) -> str:
        return "eyes"


def measured(
    eyes: Eyes, *, perceive: bool, seed: int = 1
) -> tuple[dict[str, Scorer], list[np.ndarray]]:
    masks: list[np.ndarray] = []
    scorers = measure_dolls(
        small_networks(),
        range(seed, seed + 1),
        FeatureNetworks(),
        num_inference_steps=1,
        guidance_scale=1.0,
        mask_mode=MaskMode.ROBUST,
        ablations=False,
        perception=eyes,
        perceive=perceive,
        on_doll=lambda doll, pictures: masks.append(pictures["mask"].astype(bool)),
    )
    return scorers, masks


def drawn(seed: int = 1) -> DollSample:
    size = 8 * int(small_networks().tryon_unet.config["sample_size"])
    return draw_sample(seed, height=size, width=size * 3 // 4)


def test_what_is_seen_makes_the_mask_only_if_asked() -> None:
    doll = drawn()
    blind_below = doll.labels.copy()
    blind_below[doll.labels.shape[0] // 2 :] = 0
    eyes = Eyes(blind_below, doll.keypoints)
    (told,), (seen,) = (measured(eyes, perceive=perceive)[1] for perceive in (False, True))
    truly, as_seen = (
        agnostic_mask(
            labels,
            doll.keypoints,
            category=doll.category,
            variant=Variant.FULL_BODY,
            mode=MaskMode.ROBUST,
        )
        for labels in (doll.labels, blind_below)
    )
    assert (told == truly.mask).all()
    assert (seen == as_seen.mask).all() and (seen != told).any()


def test_change_and_shape_are_measured_beyond_the_mask() -> None:
    doll = drawn()
    worn = np.isin(doll.truth_labels, garment_labels(doll))
    eyes = Eyes(doll.truth_labels, doll.keypoints)
    scorers, (mask,) = measured(eyes, perceive=False)
    scores = scorers["ceiling"].samples[0]
    assert scores.garment_iou == 1.0  # they see the truth in every picture
    half = np.where(worn & (np.arange(len(worn)) % 2 == 0)[:, None], 0, doll.truth_labels)
    scorers, _ = measured(Eyes(half.astype(np.uint8), doll.keypoints), perceive=False)
    assert scorers["full"].samples[0].garment_iou == pytest.approx(0.5, abs=0.1)
    assert len(eyes.pictures) == 2  # the pictures made, not the person
    changed = (doll.person != doll.truth).any(-1)
    in_all = {masked_psnr(made, doll.truth, mask | changed) for made in eyes.pictures}
    assert scores.changed_psnr in in_all


def test_a_dress_taken_for_a_top_and_a_skirt_has_its_shape() -> None:
    doll = drawn(0)
    assert doll.category is Category.DRESS
    dress = doll.truth_labels == Label.DRESS
    seen = doll.truth_labels.copy()
    seen[dress] = Label.UPPER_CLOTHES
    seen[dress & (np.arange(len(dress)) > len(dress) // 2)[:, None]] = Label.SKIRT
    assert len(set(seen[dress])) == 2
    scorers, _ = measured(Eyes(seen, doll.keypoints), perceive=False, seed=0)
    assert scorers["ceiling"].samples[0].garment_iou == 1.0
    seen[seen == Label.SKIRT] = Label.PANTS  # which are no part of a dress
    scorers, _ = measured(Eyes(seen, doll.keypoints), perceive=False, seed=0)
    assert 0 < (scorers["ceiling"].samples[0].garment_iou or 0) < 1


def test_a_doll_that_is_not_seen_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    nothing = Eyes(np.zeros_like(drawn().labels), None)
    scorers, masks = measured(nothing, perceive=True)
    assert scorers == {} and masks == []
    assert "Doll 1 is left out: No person was found" in caplog.text


def test_without_ablations_there_are_none() -> None:
    scorers = measure_dolls(
        small_networks(),
        range(1),
        FeatureNetworks(),
        num_inference_steps=1,
        guidance_scale=1.0,
        mask_mode=MaskMode.ROBUST,
        ablations=False,
    )
    assert list(scorers) == ["ceiling", "full"]
