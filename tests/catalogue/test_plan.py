"""What is to be done, in which order, under which key."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from catalogue.engine import RowTask
from catalogue.manifest import ManifestRow
from catalogue.plan import (
    Plan,
    WarmQueue,
    digests_of,
    in_order,
    make_plan,
    shard_of,
    weights_stamp,
)
from catalogue.results import Results
from ootd_core.categories import Category, Variant
from ootd_core.checkpoints.blazepose import BLAZEPOSE
from ootd_core.checkpoints.catalogue import MINI_CHECKPOINT
from tests.catalogue.drawn_catalogue import (
    QUICK,
    rows_of,
    settings_for,
    small_catalogue,
)


def row(person: str, garment: str, number: int = 1, **changes: Any) -> ManifestRow:
    given: dict[str, Any] = {
        "number": number, "person": person, "garments": ((garment, Category.DRESS),),
        "options": QUICK, "name": f"{person}{garment}",
    }  # fmt: skip
    return ManifestRow(**(given | changes))


def names(rows: list[ManifestRow]) -> str:
    return " ".join(each.name for each in rows)


def test_garments_come_together_and_persons_in_blocks() -> None:
    rows = [row(person, garment) for person in "pqrs" for garment in "abc"]
    assert names(in_order(rows)) == "pa qa ra sa pb qb rb sb pc qc rc sc"
    blocks = "pa qa pb qb pc qc ra sa rb sb rc sc"
    assert names(in_order(rows, persons_at_once=2)) == blocks


def test_shards_are_equal_parts_of_the_order() -> None:
    rows = [row(person, garment) for person in "pqr" for garment in "abcd"]
    parts = [shard_of(rows, f"{i}/5") for i in range(1, 6)]
    assert [len(part) for part in parts] == [2, 2, 3, 2, 3]
    assert [each for part in parts for each in part] == in_order(rows)
    for wrong in ("0/5", "6/5", "1", "a/b", "1/0", "-1/2"):
        with pytest.raises(ValueError, match=f"The shard is '{wrong}'"):
            shard_of(rows, wrong)
    with pytest.raises(ValueError, match=r"^The shard is '1/5+\.\.\.', but must be i/n"):
        shard_of(rows, "1/" + "5" * 5000)


def plan_of(manifest: Path, out: Path, **changes: Any) -> Plan:
    settings = settings_for(out, **changes)
    return make_plan(rows_of(manifest), settings, Results(str(out)))


def keys(plan: Plan) -> dict[str, str]:
    return {each.name: key for each, key in plan.todo}


def write_results(plan: Plan, out: Path, *some: str) -> None:
    for each, key in plan.todo:
        if each.name in some:
            for name in Results(str(out)).files(key, each.options.num_images_per_prompt):
                path = out / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(b"a picture")


def test_what_is_there_is_not_done_again_whatever_it_is_called(tmp_path: Path) -> None:
    manifest, out = small_catalogue(tmp_path / "in"), tmp_path / "out"
    plan = plan_of(manifest, out)
    assert len(plan.todo) == plan.total == 4 and len(set(keys(plan).values())) == 4
    write_results(plan, out, "p0g0", "p1g1")
    again = plan_of(manifest, out)
    assert {each.name for each, _ in again.kept} == {"p0g0", "p1g1"}
    assert {each.name for each, _ in again.todo} == {"p0g1", "p1g0"}
    shutil.move(tmp_path / "in", tmp_path / "elsewhere")
    moved = tmp_path / "elsewhere"
    text = (moved / "manifest.jsonl").read_text().replace(str(tmp_path / "in"), str(moved))
    (moved / "manifest.jsonl").write_text(text)
    assert len(plan_of(moved / "manifest.jsonl", out).kept) == 2


def test_an_empty_result_is_made_anew(tmp_path: Path) -> None:
    manifest, out = small_catalogue(tmp_path / "in", 1, 2), tmp_path / "out"
    plan = plan_of(manifest, out)
    write_results(plan, out, "p0g0", "p0g1")
    results = Results(str(out))
    (file,) = results.files(keys(plan)["p0g1"], 1)
    (out / file).write_bytes(b"")
    assert [each.name for each, _ in plan_of(manifest, out).todo] == ["p0g1"]
    assert [results.has(key, 1) for _, key in plan.todo] == [True, False]


def test_a_name_that_no_file_can_have_is_a_fault_of_its_row(tmp_path: Path) -> None:
    (good,) = rows_of(small_catalogue(tmp_path / "in", 1, 1))
    bad = [replace(good, person=str(tmp_path / name)) for name in ("a\0b.png", "\ud800.png")]
    plan = make_plan([good, *bad], settings_for(tmp_path), Results(str(tmp_path)))
    assert [each for each, _ in plan.todo] == [good]
    assert [each for each, _ in plan.unreadable] == bad
    assert all("no file can have such a name" in why for _, why in plan.unreadable)


def test_a_key_stands_for_all_that_makes_the_picture(tmp_path: Path) -> None:
    manifest = small_catalogue(tmp_path / "in", 1, 1)
    (line,) = rows_of(manifest)

    def key(changed: ManifestRow = line, **changes: Any) -> str:
        results = Results(
            str(tmp_path), changes.pop("ending", ".png"), changes.pop("quality", None)
        )
        ((_, found),) = make_plan([changed], settings_for(tmp_path, **changes), results).todo
        return found

    plain = key()
    assert plain == key(replace(line, name="other", number=9))
    others = [
        key(weights="another"),
        key(dtype="fp16"),
        key(variant=Variant.HALF_BODY),
        key(ending=".jpg"),
        key(ending=".jpg", quality=80),
        key(replace(line, options=replace(QUICK, seed=99))),
        key(replace(line, options=replace(QUICK, guidance_end=0.5))),
        key(replace(line, mask=None)),
        key(replace(line, mask=line.person)),
        key(replace(line, keypoints=line.mask)),
        key(replace(line, garments=((line.garments[0][0], Category.LOWER),))),
        key(replace(line, garments=line.garments * 2)),
        key(replace(line, person=line.garments[0][0])),
    ]
    assert len({plain, *others}) == 1 + len(others)
    Path(line.person).write_bytes(Path(line.person).read_bytes() + b" ")
    assert key() != plain


def test_rows_that_ask_for_the_same_are_done_once(tmp_path: Path) -> None:
    manifest = small_catalogue(tmp_path, 1, 1)
    (line,) = rows_of(manifest)
    shutil.copy(line.person, tmp_path / "copy.png")
    rows = [line, replace(line, number=2, person=str(tmp_path / "copy.png"), name="twin")]
    plan = make_plan(rows, settings_for(tmp_path), Results(str(tmp_path)))
    ((_, key),) = plan.todo
    assert [each.name for each in plan.twins[key]] == ["twin"] and plan.total == 2


def test_what_cannot_be_read_is_known_before_the_work(tmp_path: Path) -> None:
    manifest = small_catalogue(tmp_path, 2, 1)
    (tmp_path / "persons" / "person01.png").unlink()
    plan = plan_of(manifest, tmp_path / "out")
    ((bad, sentence),) = plan.unreadable
    assert bad.name == "p1g0" and sentence.startswith("There is no file at")
    assert [each.name for each, _ in plan.todo] == ["p0g0"]


def test_a_result_of_several_pictures_is_there_if_all_are(tmp_path: Path) -> None:
    manifest, out = small_catalogue(tmp_path, 1, 1), tmp_path / "out"
    (line,) = rows_of(manifest, replace(QUICK, num_images_per_prompt=2))
    plan = make_plan([line], settings_for(out), Results(str(out)))
    write_results(plan, out, "p0g0")
    again = make_plan([line], settings_for(out), Results(str(out)))
    assert len(again.kept) == 1
    (first, *_) = sorted(out.rglob("*-1.png"))
    first.unlink()
    assert len(make_plan([line], settings_for(out), Results(str(out))).todo) == 1


def test_every_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    monkeypatch.setattr("catalogue.plan.read", lambda each: read.append(each) or each.encode())
    seen: list[tuple[int, int]] = []
    rows = rows_of(small_catalogue(tmp_path, 3, 2))
    make_plan(rows, settings_for(tmp_path), Results(str(tmp_path)), lambda *n: seen.append(n))
    assert len(read) == len(set(read)) == 3 + 2 + 1
    assert seen == [(n, 6) for n in range(1, 7)]
    assert digests_of([]) == {}


def test_the_stamp_of_the_weights_is_of_their_content(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = tmp_path / "model"
    shutil.copytree(MINI_CHECKPOINT, copy)
    stamp = weights_stamp(MINI_CHECKPOINT, Variant.FULL_BODY, None)
    assert weights_stamp(copy, Variant.FULL_BODY, None, tmp_path / "cache") == stamp
    hashed: list[Path] = []
    monkeypatch.setattr("catalogue.plan.sha256_of", lambda path: hashed.append(path) or "0")
    assert weights_stamp(copy, Variant.FULL_BODY, None, tmp_path / "cache") == stamp
    assert not hashed, "what has not changed is not read again"
    monkeypatch.undo()
    (weights,) = copy.glob("ootd/ootd_dc/*/unet_vton/*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    changed = weights_stamp(copy, Variant.FULL_BODY, None, tmp_path / "cache")
    lora = tmp_path / "lora"
    lora.mkdir()
    (lora / "tryon.safetensors").write_bytes(b"x")
    with_lora = weights_stamp(copy, Variant.FULL_BODY, lora, tmp_path / "cache")
    mini = weights_stamp(copy, Variant.FULL_BODY, None, pose_network="mini")
    blazepose = weights_stamp(copy, Variant.FULL_BODY, None, pose_network="blazepose")
    (copy / "blazepose").mkdir()
    for file in BLAZEPOSE.files:
        (copy / file.path).parent.mkdir(exist_ok=True)
        (copy / file.path).write_bytes(b"x")
    seen = weights_stamp(copy, Variant.FULL_BODY, None, pose_network="blazepose")
    assert len({stamp, changed, with_lora, mini, blazepose, seen}) == 6


@pytest.mark.parametrize("content", ["[1]", '{"a": 1, "b": [1]}', "[" * 100_000, "{", '"a"'])
def test_damaged_hashes_of_weights_are_none(content: str, tmp_path: Path) -> None:
    stamp = weights_stamp(MINI_CHECKPOINT, Variant.FULL_BODY, None, tmp_path)
    kept = tmp_path / "weights.json"
    whole = kept.read_text("utf-8")
    kept.write_text(content)
    assert weights_stamp(MINI_CHECKPOINT, Variant.FULL_BODY, None, tmp_path) == stamp
    assert kept.read_text("utf-8") == whole


def task(name: str) -> RowTask:
    return RowTask(row=row(name[0], name[1]), key=name, digests={})


def test_workers_go_on_with_the_garment_that_they_have_warm() -> None:
    queue = WarmQueue(
        iter([task(name) for name in ["pa", "qa", "ra", "sa", "pb", "qb", "rb", "sb", "pc", "qc"]])
    )

    def take(worker: str, count: int) -> str:
        return " ".join(each.key for each in queue.take(worker, count))

    assert take("one", 2) == "pa qa"
    assert take("two", 2) == "pb qb", "another garment for another worker"
    assert take("one", 2) == "ra sa"
    assert take("two", 2) == "rb sb"
    assert take("one", 1) == "pc"
    queue.give_back([task("xz"), task("yz")])
    assert take("two", 9) == "xz yz qc", "what nobody has warm first, then whatever is left"
    assert take("one", 1) == ""
    queue = WarmQueue(iter([task(name) for name in ["pa", "qa", "pb"]]))
    assert take("one", 1) == "pa" and take("two", 1) == "pb"
    queue = WarmQueue(iter([task(name) for name in ["pa", "qa", "pb"]]))
    assert take("one", 1) == "pa"
    queue.give_back([task("xz")])
    assert take("one", 1) == "qa", "its own before what comes first"
    queue = WarmQueue(iter([task(name) for name in ["pa", "qa", "pb"]]))
    assert take("one", 1) == "pa"
    queue.forget("one")
    assert take("two", 1) == "qa", "nobody has it warm any more"


def test_a_worker_takes_what_it_has_begun_first_and_leaves_what_others_are_to_do() -> None:
    queue = WarmQueue(iter([task(name) for name in ["pa", "qa", "pb"]]))

    def take(**which: set[str]) -> list[str]:
        return [each.key for each in queue.take("one", 1, **which)]

    assert take(skip={"pa"}) == ["qa"]
    assert take(first={"pb"}) == ["pb"], "though it has another garment warm"
    assert take(skip={"pa"}) == [] and take() == ["pa"]


def test_the_queue_looks_a_bounded_way_ahead() -> None:
    asked: list[int] = []

    def tasks() -> Any:
        for number in range(1000):
            asked.append(number)
            yield task("pa")

    WarmQueue(tasks(), ahead=10).take("one", 1)
    assert len(asked) <= 11
