import numpy as np

from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from ootd_core.checkpoints.networks import load_networks
from ootd_core.datasets.paper_dolls.sample import DollSample
from ootd_core.evaluation.dolls import COLUMNS, garment_labels, measure_dolls
from ootd_core.evaluation.features import FeatureNetworks
from ootd_core.images.comparison import colour_error, masked_psnr, masked_ssim
from ootd_core.masks.agnostic import MaskMode
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
