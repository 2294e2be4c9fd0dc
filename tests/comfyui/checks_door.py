# pyright: basic, reportMissingImports=false, reportAttributeAccessIssue=false
"""What users meet first: wrong choices, odd inputs, files that come and go, words to search for."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import shutil
import weakref
from collections import Counter
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from worker import Inside

MINI = "mini (built in)"
FULL_BODY = "full body (dc)"
POSE = {"people": [], "canvas_width": 192, "canvas_height": 256}


def _refused(call: Callable[[], object], *parts: str) -> str:
    """The one sentence of the error that `call` raises, with these parts."""
    try:
        call()
    except (ValueError, FileNotFoundError) as error:
        text = str(error)
        assert all(part in text for part in parts), f"{text!r} lacks one of {parts}"
        assert "\n" not in text and text.endswith("."), f"not one sentence: {text!r}"
        return text
    raise AssertionError(f"was not refused: {parts}")


def _workflow(inside: Inside, name: str) -> dict[str, Any]:
    path = inside.pack / "workflows" / "api" / f"{name}.json"
    prompt = json.loads(path.read_text(encoding="utf-8"))
    for node in prompt.values():
        if "steps" in node["inputs"]:
            node["inputs"]["steps"] = 1
    return prompt


def _inputs_of(prompt: dict[str, Any], kind: str) -> dict[str, Any]:
    (found,) = [node["inputs"] for node in prompt.values() if node["class_type"] == kind]
    return found


def _problems(prompt: dict[str, Any]) -> list[str]:
    """What ComfyUI says about a prompt before it runs, all of it."""
    import execution

    logging.disable(logging.ERROR)
    try:
        *_, node_errors = asyncio.run(execution.validate_prompt("door", prompt, None))
    finally:
        logging.disable(logging.INFO)
    return [error["details"] for node in node_errors.values() for error in node["errors"]]


def check_every_wrong_choice_is_said_once(inside: Inside) -> str:
    """A typo in any combo of any node: one error that names input, value and choices."""
    from comfy_api.latest import io

    upper, quick = _workflow(inside, "upper_body"), _workflow(inside, "quick_start")
    said = 0
    for kind, node in inside.nodes.items():
        if not kind.startswith("OOTD_"):
            continue
        for slot in node.GET_SCHEMA().inputs:
            if not isinstance(slot, io.Combo.Input):
                continue
            prompt = json.loads(json.dumps(quick if kind == "OOTD_TryOn" else upper))
            if kind == "OOTD_VAEDecode":  # its checkpoint is of no use, and of no harm, without
                _inputs_of(prompt, kind)["restore"] = "background"
            _inputs_of(prompt, kind)[slot.id] = "uper"
            problems = _problems(prompt)
            assert len(problems) == 1, (kind, slot.id, problems)
            for part in (slot.id, "'uper'", slot.options[0]):
                assert part in problems[0], (kind, slot.id, problems)
            said += 1
    assert said >= 20, said
    assert not _problems(upper) and not _problems(quick)
    return f"{said} combos"


def check_a_linked_choice_is_checked_when_it_comes(inside: Inside) -> None:
    person, _, _ = inside.dressed_doll()
    labels = inside.call("OOTD_HumanParser", image=person, checkpoint=MINI)[0]
    _refused(lambda: inside.mask(person, label_map=labels, mode="robst"), "mode", "'robst'")
    _refused(
        lambda: inside.call("OOTD_FitPerson", image=person, size="1x1", mode="auto"), "size", "auto"
    )
    validate = inside.nodes["OOTD_MaskGenerator"].validate_inputs
    assert validate(category=None, variant=FULL_BODY, mode="robust", mask_use="add") is True


def check_odd_keypoints_name_the_input(inside: Inside) -> str:
    person, _, _ = inside.dressed_doll()
    labels = inside.call("OOTD_HumanParser", image=person, checkpoint=MINI)[0]
    coco = {**POSE, "people": [{"pose_keypoints_2d": [10.0, 20.0, 1.0] * 17}]}
    animals = {"animals": [[[0, 0, 1]]], "canvas_width": 192, "canvas_height": 256}
    for odd, part in (
        ("a text", "text"),
        ([], "empty list"),
        ([coco], "17 points"),
        ([animals], "animals"),
        (["frame"], "text"),
        (3, "number"),
        ([{**POSE, "people": {}}], "people"),
    ):
        _refused(
            lambda odd=odd: inside.mask(person, label_map=labels, pose_keypoint=odd),
            "pose_keypoint:",
            part,
        )
        _refused(
            lambda odd=odd: inside.call(
                "OOTD_FitPerson", image=person, size="auto", mode="pad", pose_keypoint=odd
            ),
            "pose_keypoint:",
            part,
        )
        _refused(
            lambda odd=odd: inside.call(
                "OOTD_OpenPose", image=person, checkpoint=MINI, openpose_json=json.dumps(odd)
            ),
            "openpose_json:",
            part,
        )
    # A frame that is no list is what one picture needs.
    alone = inside.mask(person, label_map=labels, pose_keypoint=POSE)[0]
    assert torch.equal(alone, inside.mask(person, label_map=labels, pose_keypoint=[POSE])[0])
    return "7 kinds at 3 nodes"


def check_odd_masks_name_the_input(inside: Inside) -> None:
    person, own, garment = inside.dressed_doll()
    labels = inside.call("OOTD_HumanParser", image=person, checkpoint=MINI)[0]
    nodes: tuple[Callable[[torch.Tensor], Any], ...] = (
        lambda mask: inside.mask(person, mask=mask, label_map=labels),
        lambda mask: inside.call(
            "OOTD_FitPerson", image=person, size="256x192", mode="auto", mask=mask
        ),
        lambda mask: inside.call("OOTD_PrepareGarment", image=garment, size="256x192", mask=mask),
    )
    for call in nodes:
        _refused(lambda call=call: call(own * float("nan")), "mask:", "NaN")
        _refused(lambda call=call: call(own[:, :200]), "mask:", "200x192", "256x192")
        _refused(lambda call=call: call(own * 0.3), "mask:", "0.3", "0.5")
        _refused(lambda call=call: call(own[None, None]), "mask:", "[1, 1, 1, 256, 192]")
        wanted = call(own)[0]
        for odd in (own * 255, (own * 255).to(torch.uint8), own.bool()):
            assert torch.equal(call(odd)[0], wanted), odd.dtype
        call(torch.zeros(1, 64, 64))  # LoadImage's mask of a picture that has none


def check_an_incomplete_folder_is_named_and_listed_last(inside: Inside) -> None:
    import folder_paths

    places, extensions = folder_paths.folder_names_and_paths["ootdiffusion"]
    place = inside.folder / "incomplete"
    mini = inside.pack / "demo" / "checkpoints"
    shutil.copytree(mini, place / "a_half")
    next((place / "a_half").rglob("unet_vton/*.safetensors")).unlink()
    shutil.copytree(mini / "clip-vit-large-patch14", place / "b_clip" / "clip-vit-large-patch14")
    shutil.copytree(mini, place / "c_blind")
    shutil.rmtree(place / "c_blind" / "openpose")
    folder_paths.folder_names_and_paths["ootdiffusion"] = ([str(place)], extensions)
    try:
        names = inside.module("nodes.model_folders").names()
        assert names == ["c_blind", MINI, "a_half", "b_clip"], names
        prompt = _workflow(inside, "quick_start")
        tryon = _inputs_of(prompt, "OOTD_TryOn")
        for name, absent in (("a_half", "unet_vton"), ("b_clip", "ootd"), ("c_blind", "openpose")):
            tryon["checkpoint"] = name
            (problem,) = _problems(prompt)
            assert f"'{name}' is incomplete" in problem and absent in problem, problem
            assert "download" in problem, problem
        # A mask of one's own needs neither parser nor pose network.
        prompt["mask"] = {"class_type": "SolidMask", "inputs": {"value": 1.0}}
        prompt["mask"]["inputs"] |= {"width": 192, "height": 256}
        tryon["mask"] = ["mask", 0]
        assert not _problems(prompt)
        upper = _workflow(inside, "upper_body")
        _inputs_of(upper, "OOTD_ModelLoader")["checkpoint"] = "a_half"
        (problem,) = _problems(upper)
        assert "unet_vton" in problem, problem
    finally:
        folder_paths.folder_names_and_paths["ootdiffusion"] = (places, extensions)


def check_a_replaced_file_is_noticed_by_the_next_run(inside: Inside) -> None:
    """ComfyUI keeps a node's output while its inputs and its fingerprint stay."""
    import folder_paths

    places, extensions = folder_paths.folder_names_and_paths["ootdiffusion"]
    place = inside.folder / "noticed"
    shutil.copytree(inside.pack / "demo" / "checkpoints", place / "doll")
    folder_paths.folder_names_and_paths["ootdiffusion"] = ([str(place)], extensions)
    try:
        for kind in ("OOTD_ModelLoader", "OOTD_HumanParser", "OOTD_OpenPose", "OOTD_TryOn"):
            fingerprint = inside.nodes[kind].fingerprint_inputs
            before = fingerprint(checkpoint="doll", seed=1)
            assert before == fingerprint(checkpoint="doll", seed=2) and before
            (weights,) = place.rglob("unet_vton/*.safetensors")
            stamp = weights.stat()
            os.utime(weights, ns=(1, 1))
            assert fingerprint(checkpoint="doll") != before, kind
            os.utime(weights, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
            assert fingerprint(checkpoint="doll") == before, kind
            assert fingerprint(checkpoint=None) == fingerprint(checkpoint="gone") == ""
        options = inside.nodes["OOTD_ModelLoader"].INPUT_TYPES()["required"]["checkpoint"]
        shutil.copytree(place / "doll", place / "new")
        again = inside.nodes["OOTD_ModelLoader"].INPUT_TYPES()["required"]["checkpoint"]
        assert "new" not in str(options) and "new" in str(again)
    finally:
        folder_paths.folder_names_and_paths["ootdiffusion"] = (places, extensions)


def check_freeing_frees(inside: Inside) -> None:
    """After "free memory" nothing of ours is alive but what somebody else holds."""
    import comfy.model_management

    loaded = inside.call(
        "OOTD_ModelLoader", checkpoint=MINI, variant=FULL_BODY, weight_dtype="bf16"
    )
    again = inside.call("OOTD_ModelLoader", checkpoint=MINI, variant=FULL_BODY, weight_dtype="bf16")
    assert all(one is two for one, two in zip(loaded, again, strict=True))
    models = [weakref.ref(each) for each in loaded]
    del loaded, again
    gc.collect()
    assert not any(model() for model in models), "the loader holds what nobody uses"

    image = torch.rand(1, 256, 192, 3)  # never seen before
    inside.call("OOTD_HumanParser", image=image, checkpoint=MINI)
    inside.call("OOTD_OpenPose", image=image, checkpoint=MINI)
    perceive = inside.module("nodes.perceive")
    patchers = [each.model for each in comfy.model_management.current_loaded_models]
    networks = []
    for cache in (perceive._parser, perceive._body_network):
        (patcher,) = [each for each in patchers if each is cache._value]
        assert patcher.loaded_size() == patcher.model_size() > 0, "ComfyUI does not count it"
        networks.append(weakref.ref(patcher.network()))
        assert patcher.network() is networks[-1](), "loaded twice"
    del patcher, patchers
    comfy.model_management.unload_all_models()
    gc.collect()
    assert not any(network() for network in networks), "a network outlives ComfyUI's unloading"
    assert not comfy.model_management.current_loaded_models
    inside.call("OOTD_HumanParser", image=torch.rand(1, 256, 192, 3), checkpoint=MINI)


@contextmanager
def _counted(inside: Inside) -> Generator[Counter[str]]:
    """How often each of our nodes, and KSampler, is executed, and how often a network looks."""
    counts: Counter[str] = Counter()
    undo: list[tuple[Any, str, Any]] = []

    def count(owner: Any, name: str, label: str) -> None:
        original = owner.__dict__[name]
        function = getattr(owner, name)

        def counting(*inputs: Any, **named: Any) -> Any:
            counts[label] += 1
            if isinstance(original, classmethod):
                return original.__func__(*inputs, **named)
            return function(*inputs, **named)

        undo.append((owner, name, original))
        setattr(
            owner, name, classmethod(counting) if isinstance(original, classmethod) else counting
        )

    for kind, node in inside.nodes.items():
        if kind.startswith("OOTD_"):
            count(node, "execute", kind)
    count(inside.nodes["KSampler"], "sample", "KSampler")
    perceive = inside.module("nodes.perceive")
    count(perceive, "_labels", "parsed")
    count(perceive, "_ranked", "pose found")
    try:
        yield counts
    finally:
        for owner, name, original in undo:
            setattr(owner, name, original)


def check_a_change_redoes_only_what_depends_on_it(inside: Inside) -> str:
    prompt = _workflow(inside, "quick_start")
    for cache in ("_label_maps", "_people"):
        getattr(inside.module("nodes.perceive"), cache)._values.clear()
    executor = inside.executor()
    reports = []
    with _counted(inside) as counts:
        for change, node, value in (
            ("first", "OOTD_TryOn", {}),
            ("seed", "OOTD_TryOn", {"seed": 7}),
            ("nothing", "OOTD_TryOn", {}),
            ("garment", "OOTD_DemoPictures", {"garment": "2-upper"}),
        ):
            counts.clear()
            _inputs_of(prompt, node).update(value)
            errors = inside.run(prompt, executor)
            assert not errors, errors
            reports.append(f"{change}: {dict(sorted(counts.items()))}")
            if change == "first":
                # The person is 3:4 already: the fitted picture is the picture, and seen once.
                assert counts["parsed"] == counts["pose found"] == 1, counts
            if change == "seed":
                assert counts == {"OOTD_TryOn": 1, "KSampler": 1, "OOTD_VAEDecode": 1}, counts
            if change == "nothing":
                assert not counts, counts
            if change == "garment":
                assert not counts["parsed"] and not counts["pose found"], counts
                assert not counts["OOTD_ModelLoader"] and counts["KSampler"] == 1, counts
    return "; ".join(reports)


def check_auto_follows_the_checkpoint(inside: Inside) -> None:
    person, _, garment = inside.dressed_doll()
    denoiser = inside.loaded()[0]
    large = torch.nn.functional.interpolate(person.movedim(-1, 1), (600, 800)).movedim(1, -1)
    for model, height in ((denoiser, 256), (None, 1024)):
        fitted = inside.call("OOTD_FitPerson", image=large, size="auto", mode="pad", model=model)[0]
        prepared = inside.call("OOTD_PrepareGarment", image=garment, size="auto", model=model)[0]
        for picture in (fitted, prepared):
            assert tuple(picture.shape[1:3]) == (height, height * 3 // 4)
    for kind in ("OOTD_FitPerson", "OOTD_PrepareGarment", "OOTD_TryOn"):
        (size,) = [each for each in inside.nodes[kind].GET_SCHEMA().inputs if each.id == "size"]
        assert size.default == "auto" == size.options[0], kind
    warn = inside.module("nodes.fit").size_warning
    assert warn(person, denoiser) == ""
    sentence = warn(torch.zeros(1, 1024, 768, 3), denoiser)
    assert all(part in sentence for part in ("1024x768", "256x192", "auto")), sentence
    assert "\n" not in sentence and sentence.endswith(".")
    published = denoiser.clone()
    published.set_attachments("ootd_trained_height", 1024)
    assert warn(torch.zeros(1, 512, 384, 3), published) == ""
    assert "512" not in warn(torch.zeros(1, 1024, 768, 3), published)
    assert "256x192" in warn(person, published)


def check_nodes_are_found_by_words(inside: Inside) -> str:
    """By names in older frontends, by aliases where the schema has them."""
    schemas = {
        kind: node.GET_SCHEMA() for kind, node in inside.nodes.items() if kind.startswith("OOTD_")
    }
    tryon = schemas["OOTD_TryOn"]
    shown = tryon.display_name.lower()
    for word in ("vton", "virtual", "try on", "garment", "clothes"):
        # Farther from a name's beginning the older frontend's search does not look.
        assert 0 <= shown.find(word) <= 30, (word, shown)
    if not hasattr(tryon, "search_aliases"):
        return "names alone"
    words = ("vton", "virtual try on", "try-on", "clothes", "outfit", "garment")
    for word in (*words, "虚拟试衣", "试穿", "换装", "服装"):
        assert word in tryon.search_aliases, word
    for kind, schema in schemas.items():
        assert {"vton", "virtual try-on", "试穿"} <= set(schema.search_aliases), kind
    return f"{len(tryon.search_aliases)} aliases"


def check_a_missing_requirement_is_said(inside: Inside) -> str:
    """By the pack when it starts, and by a node that needs it: one sentence with the command."""
    requirements = inside.module("ootd_core.requirements")
    original = requirements.is_installed
    requirements.is_installed = lambda module: module not in ("cv2", "onnxruntime")
    records: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: records.append(record.getMessage())
    logger = logging.getLogger(inside.module("nodes.fit").__name__.removesuffix(".fit"))
    logger.addHandler(handler)
    folders = inside.module("nodes.model_folders")
    register = folders.register
    folders.register = lambda: None
    person, own, garment = inside.dressed_doll()
    try:
        extension = vars(inside.module("nodes"))["TryOnExtension"]()
        asyncio.run(extension.get_node_list())
        calls: tuple[Callable[[], object], ...] = (
            lambda: inside.call("OOTD_HumanParser", image=person, checkpoint=MINI),
            lambda: inside.call("OOTD_OpenPose", image=person, checkpoint=MINI),
            lambda: inside.mask(person, mask=own),
            lambda: inside.call("OOTD_FitPerson", image=person, size="auto", mode="pad"),
            lambda: inside.call("OOTD_PrepareGarment", image=garment, size="auto"),
        )
        for call in calls:
            try:
                call()
            except ModuleNotFoundError as error:
                text = str(error)
            else:
                raise AssertionError("a node did without cv2")
            assert "cv2 is not installed: `" in text and " -m pip install " in text, text
            assert "\n" not in text and text.endswith("."), text
    finally:
        requirements.is_installed = original
        folders.register = register
        logger.removeHandler(handler)
    (said,) = records
    assert "cv2, onnxruntime are not installed: `" in said and "pip install" in said, said
    return said


def check_templates_come_in_order(inside: Inside) -> None:
    order = inside.module("nodes.template_order")
    files = {path.stem for path in (inside.pack / "workflows").glob("*.json")}
    assert set(order.ORDER) == files, files ^ set(order.ORDER)
    offered = {"ours": sorted(files, reverse=True), "theirs": ["b", "a"]}
    assert order.ordered(offered) == {"ours": list(order.ORDER), "theirs": ["b", "a"]}
    assert order.ORDER[0] == "quick_start"
