"""`batch` with everything in an object store: moto's server speaks S3 as a real one does."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from catalogue import storage
from catalogue.ledger import read_ledger
from tests.catalogue.drawn_catalogue import small_catalogue
from tests.cli.test_batch import QUICK
from tests.cli.test_tryon import run


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Generator[Any]:
    """A bucket `shop` behind s3://, whose address stands in the environment."""
    server_of = pytest.importorskip("moto.server", reason="moto is not installed")
    pytest.importorskip("s3fs", reason="s3fs is not installed")
    fsspec = pytest.importorskip("fsspec")
    server = server_of.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("FSSPEC_S3_ENDPOINT_URL", f"http://{host}:{port}")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    settings: dict[str, Any] = {}
    fsspec.config.set_conf_env(settings)  # what fsspec does when it is imported
    monkeypatch.setitem(fsspec.config.conf, "s3", settings["s3"])
    storage._filesystem_of.cache_clear()  # pyright: ignore[reportPrivateUsage]
    files = fsspec.filesystem("s3")
    files.mkdir("shop")
    yield files
    storage._filesystem_of.cache_clear()  # pyright: ignore[reportPrivateUsage]
    files.clear_instance_cache()
    server.stop()


@pytest.mark.slow
def test_a_bucket_holds_manifest_pictures_results_and_report(
    store: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = small_catalogue(tmp_path / "in", 3, 1)
    (tmp_path / "in/persons/person01.png").write_bytes(b"no picture")
    text = manifest.read_text()
    for path in (tmp_path / "in").rglob("*.png"):
        store.pipe_file(f"shop/in/{path.name}", path.read_bytes())
        text = text.replace(str(path), path.name)
    store.pipe_file("shop/in/manifest.jsonl", text.encode())
    address, out = "s3://shop/in/manifest.jsonl", "s3://shop/out"

    assert run(monkeypatch, "batch", "check", "--manifest", address, "--no-estimate") == 1
    said = capsys.readouterr().out
    assert "Row 2: s3://shop/in/person01.png is not an image" in said
    assert "2 of 3 rows can be dressed" in said

    words = ("batch", "--manifest", address, "--out", out, *QUICK)
    assert run(monkeypatch, *words) == 1
    assert "2 rows done, 0 there before, 1 failed." in capsys.readouterr().err
    lines = {line["name"]: line for line in read_ledger(out)}
    for name in ("p0g0", "p2g0"):
        with store.open(f"shop/out/{lines[name]['files'][0]}") as file:
            assert Image.open(file).size == (48, 64)
    (failure,) = store.cat_file("shop/out/failures.jsonl").splitlines()
    assert json.loads(failure)["name"] == "p1g0"

    before = {each["Key"]: each["LastModified"] for each in results_in(store)}
    assert len(before) == 4
    assert run(monkeypatch, *words) == 1
    assert "0 rows done, 2 there before, 1 failed." in capsys.readouterr().err
    assert {each["Key"]: each["LastModified"] for each in results_in(store)} == before

    assert run(monkeypatch, "batch", "report", "--out", out) == 0
    said = capsys.readouterr().out
    assert "3 rows, 7 new thumbnails, 1 pictures cannot be shown: s3://shop/out/report/" in said
    assert "With --to FOLDER it is written to this machine" in said
    assert store.exists("shop/out/report/index.html")
    here = tmp_path / "here"
    assert run(monkeypatch, "batch", "report", "--out", out, "--to", here) == 0
    assert len(list(here.rglob("*.jpg"))) == 7 and (here / "index.html").is_file()


def results_in(store: Any) -> list[dict[str, Any]]:
    found = store.find("shop/out", detail=True).values()
    return [each for each in found if "/results/" in each["Key"] or "/masks/" in each["Key"]]
