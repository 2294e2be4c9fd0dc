"""`batch --servers` as a user meets it, on a ComfyUI without networks."""

from __future__ import annotations

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from ootd_core.images.files import load_image
from tests.catalogue.comfyui_stub import StubServer, stub_servers
from tests.catalogue.drawn_catalogue import small_catalogue, write_manifest
from tests.cli.test_tryon import run


@pytest.fixture
def stub() -> Generator[StubServer]:
    with stub_servers(1) as (server,):
        yield server


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    return small_catalogue(tmp_path / "in", 2, 2)


def test_a_catalogue_goes_through_servers(
    monkeypatch: pytest.MonkeyPatch,
    stub: StubServer,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = tmp_path / "out"
    asked = ("batch", "--servers", stub.address, "--manifest", manifest, "--out", str(out))
    assert run(monkeypatch, *asked, "--json-lines") == 0
    said = capsys.readouterr()
    lines = [json.loads(line) for line in said.out.splitlines()]
    assert {line["name"]: line["state"] for line in lines} == dict.fromkeys(
        ("p0g0", "p0g1", "p1g0", "p1g1"), "done"
    )
    for line in lines:
        (file,) = line["files"]
        assert load_image(out / file).shape == (64, 48, 3) and line["host"] == stub.address
    assert "4 rows done, 0 there before, 0 failed." in said.err
    assert run(monkeypatch, *asked) == 0
    assert "0 rows done, 4 there before" in capsys.readouterr().err
    assert run(monkeypatch, *asked, "--steps", "3") == 0
    assert "4 rows done" in capsys.readouterr().err, "another picture, another address"
    assert run(monkeypatch, *asked, "--steps", "20") == 0
    assert "4 there before" in capsys.readouterr().err, "the workflow's own number"
    assert run(monkeypatch, *asked, "--seed", "2000", "--quiet", "--only-failures") == 0
    assert not (out / "masks").exists()


def test_values_of_the_command_line_reach_the_workflow(
    monkeypatch: pytest.MonkeyPatch, stub: StubServer, tmp_path: Path
) -> None:
    small_catalogue(tmp_path / "in", 1, 1)
    sent: list[dict[str, object]] = []
    wrong_with = stub._wrong_with  # pyright: ignore[reportPrivateUsage]

    def see(node: dict[str, dict[str, object]]) -> object:
        if str(node["class_type"]) == "OOTD_TryOn":
            sent.append(node["inputs"])
        return wrong_with(node)

    monkeypatch.setattr(stub, "_wrong_with", see)
    folders = ("--persons", tmp_path / "in/persons", "--garments", tmp_path / "in/garments")
    asked = ("batch", "--servers", stub.address, *folders, "--category", "dress")
    more = ("--seed", "9", "--steps", "4", "--guidance", "1.5", "--height", "512", "--mask-mode",
            "hide_old_garment")  # fmt: skip
    assert run(monkeypatch, *asked, *more, "--out", tmp_path / "out") == 0
    (inputs,) = sent
    assert (inputs["seed"], inputs["steps"], inputs["cfg"]) == (9, 4, 1.5)
    assert (inputs["size"], inputs["mask_mode"], inputs["category"]) == (
        "512x384", "hide old garment", "dress",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--servers", "a:8188"), "Server 1 of --servers must be an address such as"),
        (("--workflow", "dress"), "--workflow needs --servers."),
        (("--set", "seed=2.seed"), "--set needs --servers."),
        (("--servers", "http://a", "--dtype", "fp16"), "--dtype does not go with --servers"),
        (("--servers", "http://a", "--cache-disk", "1"), "--cache-disk does not go with --servers"),
        (("--servers", "http://a", "--workflow", "nowhere"), "There is no workflow nowhere"),
        (("--servers", "http://a", "--workflow", "full_outfit"), "takes 2 pictures for garment"),
        (("--servers", "http://a", "--feather", "7"), "sets feather, but quick_start has no input"),
        (("--servers", "http://a", "--header-file", "nowhere"), "There is no header file at"),
        (("--servers", "http://a", "--server-wait", "inf"), "--server-wait is inf, but must be a"),
        (("--servers", "http://a", "--server-timeout", "nan"), "--server-timeout"),
        (("--servers", "http://a", "--ca-file", "nowhere"), "There is no file of certificates at"),
    ],
)
def test_what_cannot_be_used_is_said_before_the_work(
    monkeypatch: pytest.MonkeyPatch,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    sentence: str,
) -> None:
    asked = ("batch", "--manifest", manifest, "--out", tmp_path / "out")
    assert run(monkeypatch, *asked, *options) == 2
    said = capsys.readouterr()
    assert sentence in said.err and "Traceback" not in said.err
    assert not (tmp_path / "out").exists()


def test_servers_that_are_not_there_end_it_with_2(
    monkeypatch: pytest.MonkeyPatch,
    manifest: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with stub_servers(1) as (gone,):
        address = gone.address
    asked = ("batch", "--servers", address, "--manifest", manifest, "--out", tmp_path / "out")
    assert run(monkeypatch, *asked, "--server-wait", "0") == 2
    said = capsys.readouterr().err
    assert f"Error: No server is left to go on with. {address} does not answer" in said


def test_check_looks_at_servers_and_workflow(
    monkeypatch: pytest.MonkeyPatch,
    stub: StubServer,
    manifest: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    asked = ("batch", "check", "--servers", stub.address, "--manifest", manifest)
    assert run(monkeypatch, *asked) == 0
    said = capsys.readouterr().out
    assert "In quick_start a row sets person (1[0]), garment (1[1]), mask (2.mask)" in said
    assert "No input is known for keypoints, which stay as they are in it: give --set" in said
    assert "4 of 4 rows can be dressed" in said and not stub.asked["/prompt"]
    stub.garbage["/system_stats"] = '{"system": null}'
    assert run(monkeypatch, *asked) == 1
    sentence = f"{stub.address} answers /system_stats, but not as a ComfyUI does."
    assert sentence in capsys.readouterr().out
    del stub.garbage["/system_stats"]
    stub.classes = {"LoadImage", "SaveImage"}
    assert run(monkeypatch, *asked) == 1
    said = capsys.readouterr().out
    lacking = "LoadImageMask, OOTD_DemoPictures, OOTD_TryOn"
    assert f"{stub.address} has no nodes {lacking} of the workflow." in said
    stub.secret = ("X-Key", "s3cr3t")
    assert run(monkeypatch, *asked) == 1
    assert "it wants credentials" in capsys.readouterr().out
    monkeypatch.setenv("OOTD_SERVER_HEADERS", "X-Key: s3cr3t")
    rows = [json.loads(line) for line in manifest.read_text().splitlines()]
    write_manifest(manifest, [row | {"options": {"feather": 7}} for row in rows])
    assert run(monkeypatch, *asked) == 1
    said = capsys.readouterr().out
    assert said.count("sets feather, but quick_start has no input for it") == 4
    assert "s3cr3t" not in said
