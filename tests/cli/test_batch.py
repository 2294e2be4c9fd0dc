"""`batch` as a user meets it: a catalogue dressed, checked, stopped, killed and gone on with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from catalogue.engine import WorkerSettings
from catalogue.ledger import read_ledger
from catalogue.local import LocalEngine
from catalogue.manifest import ManifestRow
from cli.batch import batch_command
from cli.batch_check import check_command
from cli.batch_engine import EngineChoice
from ootd_core.checkpoints.networks import choose_device
from ootd_core.images.files import load_image
from tests.catalogue.drawn_catalogue import small_catalogue, small_pictures, write_manifest
from tests.cli.test_tryon import run

ROOT = Path(__file__).resolve().parents[2]
QUICK = ("--steps", "1", "--height", "64", "--device", "cpu", "--feather", "0")
FOLDERS = (
    "--persons", "{in}/persons", "--garments", "{in}/garments", "--category", "dress",
)  # fmt: skip


def batch(monkeypatch: pytest.MonkeyPatch, manifest: Path, out: Path | str, *more: str) -> int:
    return run(monkeypatch, "batch", "--manifest", manifest, "--out", str(out), *QUICK, *more)


def test_a_catalogue_is_dressed_and_then_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = small_catalogue(tmp_path / "in", 3, 1), tmp_path / "out"
    person = tmp_path / "in/persons/person01.png"
    good = person.read_bytes()
    person.write_bytes(b"no picture")
    assert batch(monkeypatch, manifest, out, "--json-lines") == 1
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert {line["name"]: line["state"] for line in lines} == {
        "p0g0": "done", "p1g0": "failed", "p2g0": "done",
    }  # fmt: skip
    for line in lines:
        if line["state"] == "done":
            (file,) = line["files"]
            assert load_image(out / file).shape == (64, 48, 3)
    assert "2 rows done, 0 there before, 1 failed." in said.err
    assert "failures.jsonl there says what went wrong" in said.err
    (failure,) = (out / "failures.jsonl").read_text().splitlines()
    assert json.loads(failure)["name"] == "p1g0"
    person.write_bytes(good)
    assert batch(monkeypatch, manifest, out, "--only-failures") == 0
    assert "1 row done, 0 there before, 0 failed." in capsys.readouterr().err
    assert batch(monkeypatch, manifest, out, "--quiet") == 0
    said = capsys.readouterr()
    assert said.out == said.err == ""
    assert batch(monkeypatch, manifest, out, "--only-failures") == 0
    assert "No row of this manifest and these options failed before" in capsys.readouterr().err
    assert batch(monkeypatch, manifest, out, "--seed", "1") == 0
    assert "0 rows done, 3 there before" in capsys.readouterr().err, "each row names its seed"


def test_rows_are_known_again_whatever_folder_the_command_is_given_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = small_catalogue(tmp_path / "in", 2, 1), tmp_path / "out"
    rows = [json.loads(line) for line in manifest.read_text("utf-8").splitlines()]
    for row in rows:
        for name in ("person", "garment", "mask"):
            row[name] = Path(row[name]).relative_to(tmp_path / "in").as_posix()
    write_manifest(manifest, rows)
    settings: list[WorkerSettings] = []

    def make(_choice: EngineChoice, given: WorkerSettings, devices: list[str]) -> LocalEngine:
        settings.append(given)
        return LocalEngine(given, devices)

    monkeypatch.setattr(EngineChoice, "make", make)
    person = tmp_path / "in/persons/person01.png"
    good = person.read_bytes()
    person.write_bytes(b"no picture")
    monkeypatch.chdir(tmp_path / "in")
    assert batch(monkeypatch, Path("manifest.jsonl"), "../out") == 1
    person.write_bytes(good)
    monkeypatch.chdir(tmp_path)
    Path("cache").mkdir()
    more = ("--only-failures", "--cache", "cache")
    assert batch(monkeypatch, Path("in/manifest.jsonl"), "out", *more) == 0
    said = capsys.readouterr().err
    assert "1 row done, 0 there before, 0 failed." in said
    assert len({line["id"] for line in read_ledger(str(out))}) == 2
    assert {each.out for each in settings} == {str(out)}, "a worker has another current folder"
    assert [each.cache for each in settings] == [out / "cache", tmp_path / "cache"]
    monkeypatch.chdir(out)
    assert run(monkeypatch, "batch", "report", "--out", ".") == 0
    assert capsys.readouterr().out.startswith("2 rows, 7 new thumbnails: ")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text there")
def test_a_file_whose_name_is_no_utf_8_is_dressed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = small_catalogue(tmp_path / "in", 2, 1), tmp_path / "out"
    good, missing = (json.loads(line) for line in manifest.read_text("utf-8").splitlines())
    odd = str(tmp_path / "in/persons/a\udce9.png")
    Path(good["person"]).rename(odd)
    write_manifest(
        manifest,
        [good | {"person": odd, "name": "a\udce9"}, missing | {"person": f"{odd}.png"}],
    )
    assert batch(monkeypatch, manifest, out, "--json-lines") == 1
    states = [json.loads(line)["state"] for line in capsys.readouterr().out.splitlines()]
    assert sorted(states) == ["done", "failed"]
    assert batch(monkeypatch, manifest, out) == 1
    assert "0 rows done, 1 there before, 1 failed." in capsys.readouterr().err
    assert run(monkeypatch, "batch", "report", "--out", out) == 0
    assert capsys.readouterr().out.startswith("2 rows, 4 new thumbnails, 1 pictures cannot")
    assert run(monkeypatch, "batch", "check", "--manifest", manifest, "--no-estimate") == 1
    assert r"a\udce9.png.png" in capsys.readouterr().out


def test_shards_do_it_together(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    people, clothes = tmp_path / "p", tmp_path / "g"
    small_pictures(people, 2, "person")
    small_pictures(clothes, 2, "garment")
    masks = small_catalogue(tmp_path / "in")
    for shard in ("1/2", "2/2"):
        assert batch(monkeypatch, masks, tmp_path / "out", "--shard", shard, "--batch", "2") == 0
        assert "2 rows done, 0 there before" in capsys.readouterr().err
    assert batch(monkeypatch, masks, tmp_path / "out") == 0
    assert "0 rows done, 4 there before" in capsys.readouterr().err
    folders = ["--persons", str(people), "--garments", str(clothes), "--category", "dress"]
    code = run(monkeypatch, "batch", "check", *folders, "--no-estimate", *QUICK[:6])
    assert code == 0
    said = capsys.readouterr().out
    assert "4 of 4 rows can be dressed: 2 persons, 2 garments, 4 samplings." in said


def test_a_store_holds_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fsspec = pytest.importorskip("fsspec")
    store = fsspec.filesystem("memory")
    manifest = small_catalogue(tmp_path / "in", 1, 1)
    text = manifest.read_text()
    for path in (tmp_path / "in").rglob("*.png"):
        name = f"memory://shop/{path.name}"
        store.pipe_file(f"/shop/{path.name}", path.read_bytes())
        text = text.replace(str(path), name)
    store.pipe_file("/shop/manifest.jsonl", text.encode())
    address, out = "memory://shop/manifest.jsonl", "memory://shop/out"
    for expected in ("1 row done, 0 there before", "0 rows done, 1 there before"):
        code = run(monkeypatch, "batch", "--manifest", address, "--out", out, *QUICK)
        assert code == 0
        assert expected in capsys.readouterr().err
    (line,) = read_ledger(out)
    assert store.exists(f"/shop/out/{line['files'][0]}")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--out", "{out}"), "Name the pictures: --manifest FILE, or --persons"),
        (("--manifest", "{in}/manifest.jsonl"), "Say where the results go: --out FOLDER"),
        (("--manifest", "{in}/none.csv", "--out", "{out}"), "There is no file at"),
        (
            ("--manifest", "{in}/manifest.jsonl", "--out", "{out}", "--persons", "x"),
            "A manifest names all pictures: give it without --persons",
        ),
        (
            ("--manifest", "{in}/manifest.jsonl", "--out", "{out}", "--batch", "0"),
            "--batch is '0', but must be auto or a whole number",
        ),
        (
            ("--manifest", "{in}/manifest.jsonl", "--out", "{out}", "--shard", "3/2"),
            "The shard is '3/2'",
        ),
        (
            ("--manifest", "{in}/manifest.jsonl", "--out", "{out}", "--format", "doc"),
            "has the ending .doc",
        ),
        (
            ("--manifest", "{in}/manifest.jsonl", "--out", "{out}", "--steps", "2000"),
            "num_inference_steps is 2000",
        ),
        (
            ("--manifest", "{in}/manifest.jsonl", "--out", "{out}", "--model", "{in}"),
            "{in}",
        ),
        (
            ("--manifest", "{in}/manifest.jsonl", "--out", "{out}", "--lora", "{in}"),
            "There is no outfitting.safetensors and tryon.safetensors in {in}",
        ),
        (("--manifest", "{in}/bad.jsonl", "--out", "{out}"), "Row 1: category is 'hat'"),
        (("--manifest", "{in}/manifest.jsonl", "--out", ""), "Say where the results go: --out"),
        (
            (*FOLDERS, "--out", "{in}/persons/new"),
            "--out {in}/persons/new lies in --persons {in}/persons, so that the next run would",
        ),
        ((*FOLDERS, "--out", "{in}/garments"), "{in}/garments lies in --garments {in}/garments"),
        (
            ("--persons", "{out}/results/ab", *FOLDERS[2:], "--out", "{out}"),
            "--persons {out}/results/ab lies among the results in --out {out}",
        ),
        (("--manifest", "{out}/failures.jsonl", "--out", "{out}"), "move the manifest elsewhere"),
        (("--manifest", "{out}/ledger/a.csv", "--out", "{out}"), "move the manifest elsewhere"),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_what_cannot_be_done_is_refused_before_the_work(
    words: tuple[str, ...],
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"in": str(tmp_path / "in"), "out": str(tmp_path / "out")}
    small_catalogue(tmp_path / "in", 1, 1)
    row = {"person": "p.png", "garment": "g.png", "category": "hat"}
    write_manifest(tmp_path / "in" / "bad.jsonl", [row])
    given = [word.format(**places) for word in words]
    assert run(monkeypatch, "batch", *given, "--device", "cpu") == 2
    said = capsys.readouterr().err
    assert said.count("Error") == 1 and sentence.format(**places) in said, said
    assert not (tmp_path / "out").exists()


def test_a_check_names_everything(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = small_catalogue(tmp_path, 3, 2)
    (tmp_path / "persons/person02.png").write_bytes(b"no picture")
    rows: list[dict[str, Any]] = [json.loads(line) for line in manifest.read_text().splitlines()]
    rows += [rows[0] | {"name": "again"}, rows[0] | {"category": "hat"}]
    write_manifest(manifest, rows)
    code = run(
        monkeypatch, "batch", "check", "--manifest", manifest, "--steps", "1", "--height", "64",
        "--device", "cpu", "--samples", "2",
    )  # fmt: skip
    assert code == 1
    *faults, counts, cost = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in faults] == ["Row 5", "Row 6", "Row 8", "Row 7"]
    assert "person02.png is not an image" in faults[0]
    assert faults[2].startswith("Row 8: category is 'hat'")
    assert faults[3] == "Row 7: asks for the same as row 1."
    assert counts == "4 of 8 rows can be dressed: 2 persons, 2 garments, 8 samplings."
    assert re.match(r"About 0:0\d:\d\d \(h:mm:ss\) at .* MiB of results", cost)


def test_a_check_is_asked_as_the_batch_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest, out = small_catalogue(tmp_path / "in", 1, 1), tmp_path / "out"
    words = (
        "--manifest", manifest, "--out", out, *QUICK, "--seed", "3", "--engine", "local",
        "--format", "jpg", "--quality", "50", "--mask-mode", "robust", "--sampler", "ddim",
        "--shard", "1/2", "--only-failures", "--cache-disk", "1", "--json-lines", "--threads", "1",
    )  # fmt: skip
    estimated: list[WorkerSettings] = []
    rows: list[ManifestRow] = []

    def estimate(good: list[ManifestRow], settings: WorkerSettings, _found: object) -> None:
        rows.extend(good)
        estimated.append(settings)

    monkeypatch.setattr("catalogue.check.estimate", estimate)
    assert run(monkeypatch, "batch", "check", *words) == 0
    assert "1 of 1 rows can be dressed" in capsys.readouterr().out and not out.exists()
    (row,), (settings,) = rows, estimated
    assert (row.options.num_inference_steps, row.options.height) == (1, 64)
    assert (row.options.mask_mode, row.options.scheduler) == ("robust", "ddim")
    assert (settings.ending, settings.quality, settings.threads) == (".jpg", 50, 1)
    assert run(monkeypatch, "batch", "check", *words, "--engine", "ray", "--device", "cuda") == 0
    assert estimated[1].device == choose_device("auto"), "the GPUs are the cluster's"
    assert run(monkeypatch, "batch", "check", *words, "--nonsense") == 2
    assert "No such option" in capsys.readouterr().err
    batch, check = (signature(each).parameters for each in (batch_command, check_command))
    assert check.keys() - batch.keys() == {"no_estimate"} and not batch.keys() - check.keys()


def started(manifest: Path, out: Path, *more: str) -> subprocess.Popen[bytes]:
    words = ["batch", "--manifest", str(manifest), "--out", str(out), *QUICK, *more]
    return subprocess.Popen(
        [sys.executable, "-m", "cli", *words],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
    )


def wait_for(process: subprocess.Popen[bytes], is_there: Callable[[], object]) -> None:
    deadline = time.monotonic() + 300
    while not is_there() and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def wait_for_results(process: subprocess.Popen[bytes], out: Path, count: int) -> None:
    wait_for(process, lambda: len(list(out.glob("results/*/*.png"))) >= count)


@pytest.mark.slow
def test_killed_five_times_it_ends_with_every_row_once(tmp_path: Path) -> None:
    manifest, out = small_catalogue(tmp_path / "in", 5, 4), tmp_path / "out"
    (tmp_path / "in/persons/person03.png").write_bytes(b"no picture")
    random = np.random.default_rng(1)
    for _ in range(5):
        there = len(list(out.glob("results/*/*.png")))
        process = started(manifest, out, "--batch", str(random.integers(1, 4)))
        wait_for_results(process, out, there + int(random.integers(1, 3)))
        time.sleep(float(random.uniform(0, 0.1)))
        process.kill()
        process.communicate()
        for path in out.glob("results/*/*.png"):
            assert load_image(path).shape == (64, 48, 3), "no half file"
    process = started(manifest, out)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 1, said
    good = {f"p{p}g{g}" for p in (0, 1, 2, 4) for g in range(4)}
    lines = list(read_ledger(str(out)))
    done = Counter(line["name"] for line in lines if line["state"] == "done")
    last = {line["name"]: line["state"] for line in lines}
    assert {name for name, state in last.items() if state != "failed"} == good
    assert set(done.values()) <= {1} and set(done) <= good, "none is done after it was recorded"
    assert len(list(out.glob("results/*/*.png"))) == len(good)
    failures = [json.loads(line) for line in (out / "failures.jsonl").read_text().splitlines()]
    assert [line["name"] for line in failures] == [f"p3g{g}" for g in range(4)]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is no signal to a single process there")
def test_ctrl_c_ends_after_the_rows_under_way_and_twice_at_once(tmp_path: Path) -> None:
    manifest, out = small_catalogue(tmp_path / "in", 4, 5), tmp_path / "out"
    process = started(manifest, out, "--batch", "1")
    wait_for_results(process, out, 1)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    assert process.returncode == 130
    text = said.decode()
    assert "Ending after the rows that are under way; again to end at once." in text
    assert "left: the same command goes on where this one stopped" in text
    results = len(list(out.glob("results/*/*.png")))
    assert 1 <= results < 20
    assert len([line for line in read_ledger(str(out)) if line["state"] == "done"]) == results
    cache = tmp_path / "cache"
    slow = ("--batch", "1", "--steps", "1000", "--cache", str(cache))
    process = started(manifest, out, *slow)
    wait_for(process, lambda: list(cache.glob("*/*.safetensors")))  # a row is under way
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    while b"again to end at once" not in (line := process.stderr.readline()):
        assert line, "it ended before it was told twice"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=300)
    text = said.decode()
    assert process.returncode == 130 and "Traceback" not in text
    assert "rows done" not in text, "the summary of a run that came to its end"
    assert len(list(out.glob("results/*/*.png"))) == results, "the row under way was not waited for"
