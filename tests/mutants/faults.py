"""The deliberate faults: where, which text in place of which, and the tests that should notice.

Each stands for a kind: a sign, a half, an order, a scale, a threshold, a default, a setting that is
dropped on its way. A new kind that got past the tests is a new row, with the test that holds it.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One fault. file: from the root of the tree. old: what stands there exactly once. tests: ids
    of pytest, of which one has to fail."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def problem(self, root: Path) -> str | None:
        """Why the fault cannot be applied to a tree, as a sentence; None if it can."""
        path = root / self.file
        if not path.is_file():
            return f"{self.name}: there is no file {self.file}; mend its row in faults.py."
        count = path.read_text("utf-8").count(self.old)
        if count != 1 or self.old == self.new:
            return (
                f"{self.name}: {self.file} holds its text {count} times, not once; mend its row in "
                f"faults.py ({self.old!r})."
            )
        return None

    def changed(self, root: Path) -> str:
        """The file's text with the fault."""
        return (root / self.file).read_text("utf-8").replace(self.old, self.new)

    @contextmanager
    def applied(self, root: Path) -> Generator[None]:
        """Have the fault in a tree for a while."""
        path = root / self.file
        before, changed = path.read_bytes(), self.changed(root)
        path.write_text(changed, "utf-8")
        try:
            yield
        finally:
            path.write_bytes(before)


@dataclass(frozen=True)
class _Place:
    """A file whose faults the same tests notice."""

    file: str
    tests: tuple[str, ...]

    def __call__(self, name: str, old: str, new: str) -> Fault:
        words = f"{Path(self.file).stem} {name}".replace(",", "").replace("'", "").lower().split()
        return Fault(name="-".join(words), file=self.file, old=old, new=new, tests=self.tests)


def _of(file: str, *tests: str) -> _Place:
    return _Place(file, tests)


CORE, TESTS = "ootd_core", "tests/ootd_core"
fusion = _of(f"{CORE}/fusion.py", f"{TESTS}/test_fusion.py")
conditioning = _of(f"{CORE}/conditioning.py", f"{TESTS}/test_conditioning.py")
latents = _of(f"{CORE}/latents.py", f"{TESTS}/test_latents.py")
interval = _of(f"{CORE}/conditioning.py", f"{TESTS}/test_sampling.py")
sampling = _of(f"{CORE}/sampling.py", f"{TESTS}/test_sampling.py")
pipeline = _of(f"{CORE}/pipeline.py", f"{TESTS}/test_pipeline.py")
request = _of(f"{CORE}/request.py", f"{TESTS}/test_request.py", "tests/tryon/test_options.py")
tensors = _of(f"{CORE}/images/tensors.py", f"{TESTS}/images/test_tensors.py")
fitting = _of(f"{CORE}/images/fitting.py", f"{TESTS}/images/test_fitting.py")
pasting = _of(
    f"{CORE}/images/compositing.py",
    f"{TESTS}/images/test_files.py",
    f"{TESTS}/images/test_compositing.py",
)
restoring = _of(f"{CORE}/images/restoring.py", f"{TESTS}/images/test_restoring.py")
worn_garment = _of(f"{CORE}/images/worn_garment.py", f"{TESTS}/images/test_worn_garment.py")
comparison = _of(f"{CORE}/images/comparison.py", f"{TESTS}/images/test_comparison.py")
agnostic = _of(f"{CORE}/masks/agnostic.py", f"{TESTS}/masks/test_geometry.py")
limbs = _of(f"{CORE}/masks/limbs.py", f"{TESTS}/masks/test_geometry.py")
labels = _of(f"{CORE}/masks/labels.py", f"{TESTS}/masks/test_geometry.py")
reference = _of(f"{CORE}/masks/reference.py", "tests/golden/test_golden.py")
morphology = _of(f"{CORE}/masks/morphology.py", f"{TESTS}/masks/test_morphology.py")
levels = _of(f"{CORE}/masks/levels.py", f"{TESTS}/masks/test_levels.py")
merging = _of(f"{CORE}/checkpoints/lora.py", f"{TESTS}/training/test_lora.py",
              f"{TESTS}/checkpoints/test_lora.py")  # fmt: skip
loss = _of(f"{CORE}/training/tryon.py", f"{TESTS}/training/test_tryon.py")
encoding = _of(f"{CORE}/training/latents.py", f"{TESTS}/training/test_latents.py")
batches = _of(f"{CORE}/training/data.py", f"{TESTS}/training/test_data.py")
loop = _of(f"{CORE}/training/loop.py", f"{TESTS}/training/test_loop.py")
muon = _of(f"{CORE}/training/muon.py", f"{TESTS}/training/test_muon.py")
adapters = _of(f"{CORE}/training/lora.py", f"{TESTS}/training/test_lora.py")
trainer = _of(
    f"{CORE}/training/trainer.py",
    f"{TESTS}/training/test_trainer.py::test_the_averages_are_what_is_published_and_validated",
)
start = _of(f"{CORE}/training/start.py", f"{TESTS}/training/test_start.py")
settings = _of(f"{CORE}/training/settings.py", f"{TESTS}/training/test_settings.py")
augmentation = _of(f"{CORE}/datasets/augmentation.py", f"{TESTS}/datasets/test_augmentation.py")
sample_masks = _of(f"{CORE}/datasets/sample_masks.py", f"{TESTS}/datasets/test_sample_masks.py")
dressing = _of(f"{CORE}/datasets/dressing.py", f"{TESTS}/datasets/test_dressing.py")
scores = _of(f"{CORE}/evaluation/scores.py", f"{TESTS}/evaluation/test_scores.py")
distances = _of(f"{CORE}/evaluation/distances.py", f"{TESTS}/evaluation/test_distances.py")
protocol = _of(f"{CORE}/evaluation/protocol.py", f"{TESTS}/evaluation/test_distances.py")
perceptual = _of(f"{CORE}/evaluation/perceptual.py", f"{TESTS}/evaluation/test_perceptual.py")
decode = _of("openpose/decode.py", "tests/openpose/test_decode.py", "tests/golden/test_golden.py")
json_format = _of("openpose/json_format.py", "tests/openpose/test_json_format.py")
detect = _of("openpose/detect.py", "tests/openpose/test_detect.py")
skeleton = _of("openpose/skeleton.py", "tests/openpose/test_skeleton.py",
               "tests/openpose/test_json_format.py", "tests/golden/test_golden.py")  # fmt: skip
merge = _of("humanparse/merge.py", "tests/humanparse/test_merge.py")
preprocess = _of("humanparse/preprocess.py", "tests/humanparse/test_preprocess.py")
postprocess = _of("humanparse/postprocess.py", "tests/humanparse/test_postprocess.py")
preparation = _of("tryon/preparation.py", "tests/tryon/test_preparation.py")
options = _of("tryon/options.py", "tests/tryon/test_options.py")
try_on = _of(
    "tryon/try_on.py",
    "tests/tryon/test_try_on.py::test_every_setting_reaches_the_pipeline",
    "tests/tryon/test_try_on.py::test_a_lora_changes_the_networks_as_strongly_as_asked",
)
attention = _of("nodes/garment_attention.py", "tests/nodes/test_garment_attention.py")
pictures = _of("nodes/pictures.py", "tests/nodes/test_pictures.py")
plan = _of("catalogue/plan.py", "tests/catalogue/test_plan.py")
content = _of("catalogue/results.py", "tests/catalogue/test_plan.py")
ledger = _of("catalogue/ledger.py", "tests/catalogue/test_ledger.py")
catalogue_run = _of("catalogue/run.py", "tests/catalogue/test_run.py")
cache = _of("catalogue/cache.py", "tests/catalogue/test_cache.py")
warm = _of("catalogue/warm.py", "tests/catalogue/test_worker.py::test_nothing_is_computed_twice")
worker = _of("catalogue/worker.py", "tests/catalogue/test_worker.py")

FAULTS: tuple[Fault, ...] = (
    # The paper's method
    fusion("the garment before the person", "cat([person, garment]", "cat([garment, person]"),
    fusion("garments take turns", "garment.repeat_interleave(samples, dim=0)",
           "garment.repeat(samples, 1, 1)"),
    fusion("values without norm1", "block.attn1.to_v(tokens)", "block.attn1.to_v(features[0])"),
    fusion("read at another timestep", "torch.zeros((), dtype=torch.long",
           "torch.ones((), dtype=torch.long"),
    fusion("eject keeps the garment", "            self.set(None)\n", ""),
    conditioning("hd appends", "torch.cat([text[:, :1], image], dim=1)",
                 "torch.cat([text, image], dim=1)"),
    conditioning("a label of another length", "Variant.FULL_BODY: 3", "Variant.FULL_BODY: 4"),
    conditioning("no label", "LABEL_PROMPTS[category]\n", "LABEL_PROMPTS[Category.UPPER]\n"),
    latents("the person not scaled", ' * vae.config["scaling_factor"]\n\n\ndef decode',
            "\n\n\ndef decode"),
    latents("decoded as it is scaled", 'dtype) / vae.config["scaling_factor"]', "dtype)"),
    latents("another grey", "GREY = 127", "GREY = 128"),
    latents("a mask from 128", "MASK_LEVEL = 127", "MASK_LEVEL = 128"),
    latents("drawn, not the mode", "posterior.mode()", "posterior.sample()"),
    latents("the mean of a latent's pixels", "F.max_pool2d(pixels, SCALE)",
            "F.avg_pool2d(pixels, SCALE)"),
    sampling("guidance swapped", "without + guidance_scale * (with_garment - without)",
             "with_garment + guidance_scale * (without - with_garment)"),
    sampling("both halves at 1", "return guidance_scale > 1", "return guidance_scale >= 1"),
    interval("rounded timesteps cross the interval's end", "end - _ROUNDED if end < 1",
             "end + _ROUNDED if end < 1"),
    sampling("another sampler keeps the speed's levels",
             "levels if scheduler is None else NoiseLevels.EVEN", "levels"),
    sampling("noise not scaled", "noise * scheduler.init_noise_sigma", "noise * 1.0"),
    sampling("input not scaled", "scheduler.scale_model_input(latents, timestep)", "latents"),
    sampling("the person at this step's noise", "timesteps[index + 1 : index + 2]",
             "timesteps[index : index + 1]"),
    sampling("kept and repainted swapped", "(1 - mask) * kept + mask * latents",
             "mask * kept + (1 - mask) * latents"),
    sampling("other noise levels", 'DPMSolverMultistepScheduler", {"timestep_spacing": "linspace"}',
             'DPMSolverMultistepScheduler", {"timestep_spacing": "trailing"}'),
    sampling("fewer LCM steps to pick from", "LCM_MAX_STEPS = 50", "LCM_MAX_STEPS = 40"),
    pipeline("another seed", "manual_seed(each.request.seed)",
             "manual_seed(each.request.seed + 1)"),
    pipeline("noise levels forgotten", "noise_levels=request.noise_levels,", ""),
    pipeline("one seed for the whole batch", "manual_seed(each.request.seed)",
             "manual_seed(request.seed)"),
    pipeline("garments and halves in turn", "torch.stack(list(tensors), dim=1)",
             "torch.stack(list(tensors), dim=0)"),
    pipeline("the other half alone", "states[: len(states) // 2]", "states[len(states) // 2 :]"),
    pipeline("a shared garment of another category",
             "one.category is other.category\n        and ", ""),
    pipeline("the halves swapped", "torch.cat([latents, nothing])",
             "torch.cat([nothing, latents])"),
    pipeline("the original not scaled", "return encode_scaled(", "return encode("),
    pipeline("another rule of repainting", "latent_mask(mask, request.repaint)",
             "latent_mask(mask)"),
    request("another default of repainting", "repaint: Repaint = Repaint.TOUCHED",
            "repaint: Repaint = Repaint.CORNER"),
    request("another default guidance", "guidance_scale: float = 2.0",
            "guidance_scale: float = 1.5"),
    # Pictures
    tensors("cut, not rounded", "levels.round().to(torch.uint8)", "levels.to(torch.uint8)"),
    tensors("red and blue swapped", ".permute(2, 0, 1).unsqueeze(0)",
            ".permute(2, 0, 1).flip(0).unsqueeze(0)"),
    fitting("half a pixel aside", "(moved[:, :2] + 0.5 - (fit.left, fit.top)) / fit.scale - 0.5",
            "(moved[:, :2] - (fit.left, fit.top)) / fit.scale"),
    fitting("and on the way back", "(moved[:, :2] + 0.5) * fit.scale + (fit.left, fit.top) - 0.5",
            "moved[:, :2] * fit.scale + (fit.left, fit.top)"),
    fitting("less room for the person", "PERSON_MARGIN = 0.1", "PERSON_MARGIN = 0.05"),
    fitting("less room for the garment", "GARMENT_MARGIN = 0.04", "GARMENT_MARGIN = 0.1"),
    fitting("a black ground", "_WHITE = 255", "_WHITE = 0"),
    fitting("labels aside", "(np.arange(length) + 0.5) * scale",
            "(np.arange(length) + 3.5) * scale"),
    pasting("the feather in other pixels", "feather * fit.scale", "feather"),
    pasting("result and original swapped", "(1.0 - share) * original[inside] + share *",
            "share * original[inside] + (1.0 - share) *"),
    comparison("SSIM of the whole picture", "similarity[torch.from_numpy(mask)].mean()",
               "similarity.mean()"),
    comparison("SSIM with the rim", "inside = slice(SSIM_RIM, -SSIM_RIM)", "inside = slice(None)"),
    comparison("levels with their sign",
               "np.abs(picture[region].astype(np.float64) - other[region])",
               "(picture[region].astype(np.float64) - other[region])"),
    comparison("PSNR of another peak", "np.log10(255**2 / error)", "np.log10(256**2 / error)"),
    # Masks
    agnostic("no neck", "        region |= neck & ~np.isin(labels, list(HEAD))\n", ""),
    agnostic("the neck without its margin",
             "grow_mask(labels == Label.NECK, round(reference.NECK_MARGIN * scale))",
             "labels == Label.NECK"),
    agnostic("the garment's margin not scaled", "round(reference.GARMENT_MARGIN * scale)",
             "reference.GARMENT_MARGIN"),
    agnostic("a smaller margin of hiding", "HIDING_GARMENT_MARGIN = 16",
             "HIDING_GARMENT_MARGIN = 12"),
    agnostic("thinner arms of hiding", "HIDING_ARM_WIDTH, HIDING_ARM_MARGIN = 72, 12",
             "HIDING_ARM_WIDTH, HIDING_ARM_MARGIN = 60, 12"),
    restoring("no distance from the new garment",
              "np.isin(person, list(CLOTHES)) | np.isin(result, list(CLOTHES))",
              "np.isin(person, list(CLOTHES))"),
    restoring("no distance from the old one",
              "np.isin(person, list(CLOTHES)) | np.isin(result, list(CLOTHES))",
              "np.isin(result, list(CLOTHES))"),
    restoring("what became something else comes back", "(person == result) & ", ""),
    restoring("a distance not scaled", "round(distance * scale)", "round(distance)"),
    worn_garment("a print is a person", " & ~clothes\n", "\n"),
    worn_garment("anybody's skin is enough", "    if not has_a_body(people):",
                 "    if not people:"),
    worn_garment("tips above the waistband", "WAISTBAND = 0.6", "WAISTBAND = 0.0"),
    worn_garment("the ground is painted over", " & (label_map != Label.BACKGROUND)", ""),
    worn_garment("what hides stays", "    if hidden.any():", "    if False:"),
    agnostic("larger specks", "SPECK = 30", "SPECK = 60"),
    agnostic("smaller pieces", "PIECE = 150", "PIECE = 100"),
    agnostic("nearer to the person is theirs", "np.min(others, axis=0) < own",
             "np.min(others, axis=0) > own"),
    agnostic("only the first bystander", "np.min(others, axis=0)", "others[0]"),
    morphology("grown over what is kept", "mask | (changed & ~kept)", "mask | changed"),
    agnostic("fewer joints make a person", "MIN_PERSON_JOINTS = 4", "MIN_PERSON_JOINTS = 3"),
    agnostic("less of a picture is a person", "MIN_PERSON_SHARE = 0.005",
             "MIN_PERSON_SHARE = 0.004"),
    limbs("arms change sides", "Label.RIGHT_ARM: (2, 3, 4), Label.LEFT_ARM: (5, 6, 7)",
          "Label.RIGHT_ARM: (5, 6, 7), Label.LEFT_ARM: (2, 3, 4)"),
    limbs("no reach beyond the wrist", "WRIST_EXTENSION = 1.2", "WRIST_EXTENSION = 1.0"),
    limbs("thinner legs", "LEG_WIDTH = 68", "LEG_WIDTH = 58"),
    limbs("arm widths change variants", "Variant.HALF_BODY: 60, Variant.FULL_BODY: 45",
          "Variant.HALF_BODY: 45, Variant.FULL_BODY: 60"),
    limbs("strokes not scaled", "max(round(width * self.scale), 1)", "max(round(width), 1)"),
    limbs("a shin the other way", "2 * line[1] - line[0]]", "2 * line[0] - line[1]]"),
    limbs("a shorter torso", "1.5 * breadth", "1.2 * breadth"),
    labels("hair stays", "Label.RIGHT_SHOE, Label.BAG}",
           "Label.RIGHT_SHOE, Label.BAG, Label.HAIR}"),
    labels("hands painted over", "{Label.UPPER_CLOTHES, Label.LEFT_ARM, Label.RIGHT_ARM}",
           "{Label.UPPER_CLOTHES, Label.LEFT_ARM}"),
    reference("another margin", "GARMENT_MARGIN, ARM_MARGIN, NECK_MARGIN = 10, 8, 2",
              "GARMENT_MARGIN, ARM_MARGIN, NECK_MARGIN = 10, 6, 2"),
    morphology("a fainter threshold", "MASK_THRESHOLD = 0.5", "MASK_THRESHOLD = 0.4"),
    morphology("larger specks of a person", "SPECK_SHARE = 0.05", "SPECK_SHARE = 0.1"),
    morphology("a deeper frame", "FRAME_SHARE, FRAME_COVER = 0.05",
               "FRAME_SHARE, FRAME_COVER = 0.1"),
    morphology("a shorter feather", "np.float32(pixels + 1.0)", "np.float32(pixels)"),
    levels("the lower value is white", "return (values == high).astype(np.float32)",
           "return (values == low).astype(np.float32)"),
    # Training
    loss("dropout blanks the prompt too",
         "        garment = garment * kept[:, None, None, None]\n",
         "        garment = garment * kept[:, None, None, None]\n"
         "        prompt = prompt * kept[:, None, None]\n"),
    loss("dropout blanks the person too",
         "        garment = garment * kept[:, None, None, None]\n",
         "        garment = garment * kept[:, None, None, None]\n"
         "        agnostic = agnostic * kept[:, None, None, None]\n"),
    loss("dropout the other way", "rng.random() >= outfitting_dropout",
         "rng.random() < outfitting_dropout"),
    loss("no weight of the noise", "return (weight * error).mean()", "return error.mean()"),
    loss("the weight's inverse", "(1 / snr).clamp(minimum, maximum)",
         "snr.clamp(minimum, maximum)"),
    loss("prompts take turns", "prompt = prompt.repeat_interleave(noises, 0)",
         "prompt = prompt.repeat(noises, 1, 1)"),
    loss("agnostic and noisy swapped", "torch.cat([noisy, agnostic], dim=1)",
         "torch.cat([agnostic, noisy], dim=1)"),
    loss("the unusable count", "error.sum() / counted.sum().clamp(min=1)", "error.mean()"),
    loss("the seed ignored", "default_rng((seed, number))", "default_rng((0, number))"),
    loss("no shift", "        timestep_shift: float = 1.0,\n        dream",
         "        timestep_shift: float = 2.0,\n        dream"),
    loss("less of the mistakes", "share = (1 - alphas) ** (power / 2)",
         "share = (1 - alphas) ** power"),
    encoding("a target not scaled", 'latents[2].float() * networks.vae.config["scaling_factor"]',
             "latents[2].float()"),
    encoding("the truth everywhere", "target = np.where(mask[..., None], truth, person)",
             "target = truth"),
    encoding("the truth behind the mask", "agnostic_image(person, mask)",
             "agnostic_image(truth, mask)"),
    encoding("garment and agnostic swapped", "garment=latents[0].float()",
             "garment=latents[1].float()"),
    batches("the person is the truth", "truth=_truth(sample),", "truth=sample.person,"),
    batches("masks by the standard options", "rng, self.options.masks)", "rng)"),
    loop("gradients not clipped", "self.parameters.values(), self.settings.max_grad_norm",
         'self.parameters.values(), float("inf")'),
    loop("no decay for AdamW",
         "                weight_decay=settings.weight_decay,\n                betas",
         "                weight_decay=0.0,\n                betas"),
    loop("no decay for Muon",
         "Muon(hidden, lr=settings.learning_rate, weight_decay=settings.weight_decay)",
         "Muon(hidden, lr=settings.learning_rate)"),
    loop("the average runs ahead", "average.lerp_(self.parameters[key], 1 - decay)",
         "average.lerp_(self.parameters[key], decay)"),
    loop("no quick start of the average",
         "min(self.settings.ema_decay, (1 + self.step) / (10 + self.step))",
         "self.settings.ema_decay"),
    loop("another second moment", "betas=(0.9, settings.adam_beta2)", "betas=(0.9, 0.999)"),
    loop("half of the cosine", "math.cos(math.pi * gone)", "math.cos(math.pi / 2 * gone)"),
    loop("a sum over batches", "self.scaler.scale(loss / turns)", "self.scaler.scale(loss)"),
    muon("a short memory", ".lerp_(gradient, 1 - momentum)", ".lerp_(gradient, momentum)"),
    muon("no look-ahead", 'return gradient.lerp(state["momentum"], momentum)',
         'return state["momentum"].clone()'),
    muon("the size of the shorter side", "max(rows, columns) ** 0.5", "min(rows, columns) ** 0.5"),
    muon("no weight decay", '1 - group["lr"] * group["weight_decay"]', "1.0"),
    adapters("alpha alone", "self.scale = alpha / rank", "self.scale = alpha"),
    merging("strength ignored for good", "else strength * float(alpha) / rank",
            "else float(alpha) / rank"),
    merging("strength not handed on", "merge_lora(unet, state, strength)",
            "merge_lora(unet, state)"),
    merging("strength ignored without alpha", "scale = strength if alpha is None",
            "scale = 1.0 if alpha is None"),
    merging("both files for one UNet", "unets = (networks.outfitting_unet, networks.tryon_unet)",
            "unets = (networks.tryon_unet, networks.outfitting_unet)"),
    trainer("raw weights published",
            "            with self.training.ema_weights():\n                if self.adapters",
            "            if True:\n                if self.adapters"),
    trainer("raw weights validated",
            "            with self.training.ema_weights():\n                figures, lines",
            "            if True:\n                figures, lines"),
    start("the further channels not empty", "torch.zeros_like(first[:, :4])",
          "first[:, :4].clone()"),
    settings("another rate for the paper", '"learning_rate": 5e-5}', '"learning_rate": 1e-4}'),
    # Data sets and evaluation
    augmentation("keypoints one aside", "width - 1 - keypoints[:, 0]", "width - keypoints[:, 0]"),
    augmentation("gamma inverted", "** colours.gamma", "** (1 / colours.gamma)"),
    augmentation("left stays left", "labels=MIRRORED_LABELS[_turned(sample.labels)]",
                 "labels=_turned(sample.labels)"),
    sample_masks("growth not scaled", "round(pixels * sample.labels.shape[0] / REFERENCE_HEIGHT)",
                 "pixels"),
    dressing("another seed", "        seed=seed,\n", "        seed=settings.seed,\n"),
    dressing("no feather", "mask, fit, settings.feather)", "mask, fit)"),
    dressing("the standard scheduler", "        scheduler=settings.scheduler,\n", ""),
    scores("the outside against the truth", "level_error(picture, person, outside)",
           "level_error(picture, person if truth is None else truth, outside)"),
    scores("SSIM against the person", "masked_ssim(picture, truth, mask)",
           "masked_ssim(picture, person, mask)"),
    scores("the real set is the persons",
           "real = judged.person if judged.truth is None else judged.truth",
           "real = judged.person"),
    distances("real and made are one", "metric.update(made, real=False)\n    return float",
              "metric.update(real, real=False)\n    return float"),
    protocol("smaller subsets", "kid_subset_size: int = 1000", "kid_subset_size: int = 100"),
    perceptual("pictures in [0, 1]", "(2 * pictures - 1 - self.shift)", "(pictures - self.shift)"),
    # What sees people
    decode("fainter peaks", "PEAK_THRESHOLD = 0.1", "PEAK_THRESHOLD = 0.02"),
    decode("limbs either way", "along > AFFINITY_THRESHOLD", "np.abs(along) > AFFINITY_THRESHOLD"),
    decode("three joints make a person", "MIN_PARTS = 4", "MIN_PARTS = 3"),
    decode("the sum for the score", "score=float(row[SCORE] / row[PARTS])",
           "score=float(row[SCORE])"),
    decode("x and y of a field swapped", "for axis in (0, 1)], axis=-1",
           "for axis in (1, 0)], axis=-1"),
    json_format("a larger unit square", "NORMALISED_LIMIT = 2.0", "NORMALISED_LIMIT = 3.0"),
    json_format("joints farther outside", "OUTSIDE_LIMIT = 0.5", "OUTSIDE_LIMIT = 0.6"),
    json_format("width for height", "return float(width), float(height)",
                "return float(height), float(width)"),
    json_format("the mean over all joints", "float(points[visible, 2].mean())",
                "float(points[:, 2].mean())"),
    detect("half a pixel aside", "(keypoints[visible, :2] + 0.5) * scale - 0.5",
           "keypoints[visible, :2] * scale"),
    detect("another grey", "PADDING_GREY = 128", "PADDING_GREY = 127"),
    skeleton("the middle hip is a hip", "7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)",
             "7, 8, 10, 11, 12, 13, 14, 15, 16, 17, 18)"),
    merge("larger holes filled", "LARGEST_FILLED_HOLE: Final = 2000",
          "LARGEST_FILLED_HOLE: Final = 2400"),
    merge("the neck is what LIP calls face", "(lip != LipLabel.FACE)", "(lip == LipLabel.FACE)"),
    preprocess("RGB", "table[framed[..., 2 - bgr]]", "table[framed[..., bgr]]"),
    postprocess("the last of equals", "plane > highest", "plane >= highest"),
    # The face
    preparation("less room above the head", "HEAD_ROOM, FOOT_ROOM, SIDE_ROOM = 0.18, 0.08",
                "HEAD_ROOM, FOOT_ROOM, SIDE_ROOM = 0.08, 0.08"),
    preparation("the least prominent", "prominence(person, size), reverse=True",
                "prominence(person, size)"),
    preparation("a larger tolerance", "WHOLE_TOLERANCE = 0.03", "WHOLE_TOLERANCE = 0.04"),
    preparation("the centre does not count", "return extent * completeness * centrality",
                "return extent * completeness"),
    preparation("other thirds", "third < 1 else", "third < 1.5 else"),
    options("a smaller default feather", "feather: float = 2.0", "feather: float = 0.0"),
    options("any height", "self.height % (4 * SCALE)", "self.height % SCALE"),
    try_on("guidance dropped", "                    guidance_scale=options.guidance_scale,\n", ""),
    try_on("the scheduler dropped", "                    scheduler=options.scheduler,\n", ""),
    try_on("one seed for all", "(options.seed + sample) % 2**64", "options.seed"),
    try_on("the feather dropped", "subject.fit, options.feather)", "subject.fit)"),
    try_on("LoRA strength ignored", "merge_loras(networks, folder, strength)",
           "merge_loras(networks, folder)"),
    # The nodes
    attention("strength minus one", "= math.log(strength)", "= strength - 1"),
    attention("the person's share scaled", "bias[-garment.shape[1] :]",
              "bias[: -garment.shape[1]]"),
    attention("garments without norm1", "block.norm1(each.features[number].to(x.device, x.dtype))",
              "each.features[number].to(x.device, x.dtype)"),
    attention("seen at every noise level", "self.last_sigma <= sigma <= self.first_sigma",
              "sigma >= 0"),
    attention("the halves in another order", "return (self, *others)", "return (*others, self)"),
    pictures("cut, not rounded", "* 255).round().to(torch.uint8)", "* 255).to(torch.uint8)"),
    pictures("transparency on black", "colour * alpha + (1 - alpha)", "colour * alpha"),
    pictures("batches of two repeat too", "size not in (1, batch)", "batch % size"),
    # The catalogue
    plan("one picture of several is enough", "there.issuperset(", "not there.isdisjoint("),
    plan("rows as they come", "return person // persons_at_once, garments",
         "return person // persons_at_once, 0 * garments"),
    plan("a warm garment forgotten", "outfit == mine, outfit not in others",
         "False, outfit not in others"),
    content("the weights left out", '        "weights": weights,\n', ""),
    content("the options left out", '        "options": asdict(row.options),\n', ""),
    content("the mask left out", '        "mask": row.mask and digests[row.mask],\n', ""),
    ledger("the first line counts", "if known is None or known[0] <= line",
           "if known is None or known[0] > line"),
    ledger("what was mended still fails", "            failed.pop(row, None)\n",
           "            pass\n"),
    catalogue_run("twins forgotten", "plan.twins.get(finished.task.key, [])", "[]"),
    catalogue_run("what is there said again", "is not RowState.KEPT or not said",
                  "is not None"),
    cache("the newest goes first", "popitem(last=False)", "popitem(last=True)"),
    cache("not looked at again",
          "                entry = self._read(kind, key, read)\n                if",
          "                if"),
    cache("shapes left out", "{array.dtype}{array.shape}", "{array.dtype}"),
    warm("the category left out", "(request.garment, request.category), lambda",
         "(request.garment, request.person), lambda"),
    warm("the mask left out", "(request.person, mask), lambda", "(request.person,), lambda"),
    worker("all fail with one", "                    self._dress([each])\n",
           "                    _fail(each, error)\n"),
    worker("a changed picture taken", "!= digests[address]", "== None"),
)  # fmt: skip
