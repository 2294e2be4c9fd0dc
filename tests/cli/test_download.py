import hashlib
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cli.download import FileState, fetch, matches
from ootd_core import requirements
from ootd_core.categories import Variant
from ootd_core.checkpoints.catalogue import WeightFile, files_for
from ootd_core.checkpoints.locating import locate
from ootd_core.checkpoints.whole_files import WriteError
from tests.cli.hub import LARGE, Hub, serve, url_path

FILES = [replace(file, sha256=None) for file in files_for(Variant.HALF_BODY)]
UNET = next(
    file for file in FILES if file.path.endswith("unet_vton/diffusion_pytorch_model.safetensors")
)
VAE = next(file for file in FILES if file.path.endswith("vae/diffusion_pytorch_model.bin"))
CONFIG = next(file for file in FILES if file.path.endswith("vae/config.json"))


def address(file: WeightFile) -> str:
    return url_path(file.repository, file.revision, file.repository_path)


def content(file: WeightFile) -> bytes:
    """Bytes of its own for every file: large ones for weights, JSON for configs."""
    seed = hashlib.sha256(file.path.encode()).hexdigest()
    if file.path.endswith(".json"):
        return f'{{"file": "{seed}"}}'.encode()
    return seed.encode() * (LARGE // 16)


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    contents = {address(file): content(file) for file in FILES}
    contents["/levihsu/OOTDiffusion/resolve/main/checkpoints/ootd/unwanted.bin"] = b"x" * LARGE
    with serve(contents) as running:
        yield running


def get(hub: Hub, folder: Path, files: list[WeightFile] = FILES) -> list[FileState]:
    planned = fetch(files, folder, endpoint=hub.endpoint, report=lambda line: None)
    return [item.state for item in planned]


def test_everything_arrives_and_nothing_else_is_asked_for(hub: Hub, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    assert set(get(hub, folder)) == {FileState.ABSENT}
    for file in FILES:
        assert (folder / file.path).read_bytes() == content(file)
    assert {path for _, path, _ in hub.requests} == {address(file) for file in FILES}
    assert len([path for path in folder.rglob("*") if path.is_file()]) == len(FILES)


def test_a_second_call_downloads_nothing(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path)
    before = len(hub.downloads())
    assert set(get(hub, tmp_path)) == {FileState.THERE}
    assert len(hub.downloads()) == before == len(FILES)


def test_a_broken_transfer_goes_on_where_it_ended(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In whole chunks of 10 MB, other than here; the pause before is huggingface_hub's."""
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 500)
    monkeypatch.setattr("huggingface_hub.file_download.time.sleep", lambda seconds: None)
    hub.break_after = [LARGE // 2]
    get(hub, tmp_path, [UNET])
    assert (tmp_path / UNET.path).read_bytes() == content(UNET)
    assert hub.downloads() == [(address(UNET), None), (address(UNET), f"bytes={LARGE // 2}-")]


def test_the_next_call_goes_on_where_an_earlier_one_ended(hub: Hub, tmp_path: Path) -> None:
    """The start of the file stays as .part when the server is down for good."""
    whole = content(UNET)
    hub.broken = {address(UNET)}
    with pytest.raises(ValueError, match="run the same command again, it resumes"):
        get(hub, tmp_path, [UNET])
    (partial,) = tmp_path.rglob("*.part")
    partial.write_bytes(whole[:4321])
    hub.broken.clear()
    hub.requests.clear()
    get(hub, tmp_path, [UNET])
    assert hub.downloads() == [(address(UNET), "bytes=4321-")]
    assert (tmp_path / UNET.path).read_bytes() == whole
    assert not list(tmp_path.rglob("*.part"))


def test_the_start_of_another_revision_is_not_continued(hub: Hub, tmp_path: Path) -> None:
    hub.broken = {address(UNET)}
    with pytest.raises(ValueError):
        get(hub, tmp_path, [UNET])
    (partial,) = tmp_path.rglob("*.part")
    partial.write_bytes(b"another revision")
    hub.broken.clear()
    hub.contents[address(UNET)] = b"new" * LARGE
    get(hub, tmp_path, [UNET])
    assert (tmp_path / UNET.path).read_bytes() == b"new" * LARGE


@pytest.mark.parametrize("file", [UNET, CONFIG])
def test_changed_content_is_not_let_in(file: WeightFile, hub: Hub, tmp_path: Path) -> None:
    changed = bytearray(content(file))
    changed[10] ^= 1
    hub.served[address(file)] = bytes(changed)
    with pytest.raises(ValueError, match=r"did not arrive as .*its hash is wrong"):
        get(hub, tmp_path, [file])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    hub.served.clear()
    assert get(hub, tmp_path, [file]) == [FileState.ABSENT]


@pytest.mark.parametrize("file", [UNET, CONFIG])
def test_the_catalogues_hash_has_the_last_word(file: WeightFile, hub: Hub, tmp_path: Path) -> None:
    wrong = replace(file, sha256="0" * 64)
    with pytest.raises(ValueError, match=r"The server has another .* than the catalogue"):
        get(hub, tmp_path, [wrong])
    assert not (tmp_path / file.path).exists()
    right = replace(file, sha256=hashlib.sha256(content(file)).hexdigest())
    assert get(hub, tmp_path, [right]) == [FileState.ABSENT]


def test_a_damaged_file_is_replaced(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / UNET.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"<!doctype html>")
    assert get(hub, tmp_path, [UNET]) == [FileState.DAMAGED]
    assert path.read_bytes() == content(UNET)
    assert [other for other in path.parent.iterdir()] == [path]


def test_a_whole_file_that_differs_is_kept_beside(hub: Hub, tmp_path: Path) -> None:
    path = tmp_path / CONFIG.path
    path.parent.mkdir(parents=True)
    path.write_text('{"mine": true}')
    assert get(hub, tmp_path, [CONFIG]) == [FileState.DIFFERENT]
    assert path.read_bytes() == content(CONFIG)
    assert path.with_name("config.json.old").read_text() == '{"mine": true}'


def test_swapped_files_of_equal_size_are_put_right(hub: Hub, tmp_path: Path) -> None:
    get(hub, tmp_path, [UNET])
    path = tmp_path / UNET.path
    path.write_bytes(path.read_bytes()[::-1])
    get(hub, tmp_path, [UNET])
    assert path.read_bytes() == content(UNET)


def test_a_converted_file_stands_in_for_the_published_one(hub: Hub, tmp_path: Path) -> None:
    converted = VAE.alternatives[0]
    path = tmp_path / converted
    path.parent.mkdir(parents=True)
    path.write_bytes((2).to_bytes(8, "little") + b"{}")
    assert get(hub, tmp_path, [VAE]) == [FileState.THERE]
    path.write_bytes(b"")
    assert get(hub, tmp_path, [VAE]) == [FileState.ABSENT]


def test_a_file_that_the_hub_does_not_have_is_named(hub: Hub, tmp_path: Path) -> None:
    del hub.contents[address(CONFIG)]
    with pytest.raises(ValueError, match=r"ootd/vae/config\.json could not be fetched") as caught:
        get(hub, tmp_path, [CONFIG])
    assert "\n" not in str(caught.value)


def test_a_login_page_is_refused_at_the_first_file(hub: Hub, tmp_path: Path) -> None:
    hub.login = b"<!DOCTYPE html><title>Sign in</title>"
    with pytest.raises(ValueError, match=r"is no mirror of the hub but, say, a login page"):
        get(hub, tmp_path)
    assert len(hub.requests) == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("page", "found"),
    [
        (b"<!DOCTYPE html><title>Sign in</title>", "is a web page"),
        (b'{"error": "Too many downloads"}', "is a server's error message"),
    ],
)
def test_what_comes_in_a_files_place_is_refused_at_its_first_bytes(
    page: bytes, found: str, hub: Hub, tmp_path: Path
) -> None:
    for file in FILES:  # as long as announced: the hash would tell after gigabytes
        hub.served[address(file)] = page.ljust(len(content(file)))
    with pytest.raises(
        ValueError, match=rf"What came for ootd/model_index\.json {found}"
    ) as caught:
        get(hub, tmp_path)
    assert "\n" not in str(caught.value) and len(hub.downloads()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_busy_server_is_waited_for_as_it_asks(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    lines: list[str] = []
    monkeypatch.setattr("cli.download.time.sleep", pauses.append)
    hub.busy = [(429, "7"), (503, "9999"), (503, "")]
    fetch([CONFIG], tmp_path, endpoint=hub.endpoint, report=lines.append)
    assert pauses == [7.0, 60.0, 8.0]
    assert lines[0] == "The server is busy: ootd/vae/config.json is asked for again in 7 s."
    assert (tmp_path / CONFIG.path).read_bytes() == content(CONFIG)


def test_a_server_that_stays_busy_is_given_up(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("cli.download.time.sleep", pauses.append)
    hub.busy = [(503, "1")] * 50
    with pytest.raises(ValueError, match=r"could not be fetched .*503.*run the same command again"):
        get(hub, tmp_path, [CONFIG])
    assert pauses == [1.0] * 5


def test_a_disk_that_fills_up_on_the_way_is_named(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
        with pytest.raises(WriteError, match=r"\.part cannot be written .* it resumes"):
            get(hub, tmp_path, [UNET])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert get(hub, tmp_path, [UNET]) == [FileState.ABSENT]


def test_a_full_disk_is_noticed_before_the_download(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr("cli.download.shutil.disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"bytes are needed in .*, but only 10 are free"):
        get(hub, tmp_path)
    assert not hub.downloads()


def test_without_a_connection_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="check the connection") as caught:
        fetch(FILES, tmp_path / "model", endpoint="http://127.0.0.1:9", report=print)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "model").exists()


def test_the_environment_names_the_mirror_and_can_forbid_it(hub: Hub, tmp_path: Path) -> None:
    """huggingface_hub reads its environment when it is imported, hence the other process."""
    code = (
        "import sys; from pathlib import Path; from dataclasses import replace;"
        "from cli.download import fetch; from ootd_core.checkpoints.catalogue import FILES;"
        "fetch([f for f in FILES if 'vae' in f.path], Path(sys.argv[1]));"
        "print('without torch' if 'torch' not in sys.modules else '')"
    )
    environment = os.environ | {"HF_ENDPOINT": hub.endpoint, "NO_PROXY": "127.0.0.1,localhost"}

    def run(**more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "model")],
            cwd=Path(__file__).parents[2],
            env=environment | more,
            capture_output=True,
            text=True,
        )

    offline = run(HF_HUB_OFFLINE="1")
    assert offline.returncode == 1 and "could not be fetched" in offline.stderr
    assert not hub.requests
    online = run()
    assert online.returncode == 0, online.stderr
    assert (tmp_path / "model" / VAE.path).read_bytes() == content(VAE)
    assert "0 of 2 files are there" in online.stdout and "without torch" in online.stdout


def test_hashes_of_both_kinds(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"hello\n")
    assert matches(path, 6, None) and not matches(path, 7, None)
    assert matches(path, 6, "ce013625030ba8dba906f756967f9e9ca394464a")
    assert not matches(path, 6, "ce013625030ba8dba906f756967f9e9ca394464b")
    assert matches(path, 6, hashlib.sha256(b"hello\n").hexdigest())


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for Python is a script of sh")
def test_a_shell_runs_what_a_message_prints(
    hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With spaces in the names of Python, this project and the model folder, from elsewhere.

    It ends at the first hash that the catalogue knows: the real file is not in this hub.
    """
    python = tmp_path / "my python" / "python"
    python.parent.mkdir()
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    python.chmod(0o755)
    project = tmp_path / "my project"
    project.symlink_to(requirements.ROOT, target_is_directory=True)
    monkeypatch.setattr(sys, "executable", str(python))
    monkeypatch.setattr(requirements, "ROOT", project)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError) as caught:
        locate(Path("my models"), Variant.HALF_BODY)
    command = str(caught.value).split("`")[1]
    (tmp_path / "elsewhere").mkdir()
    result = subprocess.run(
        command,
        shell=True,
        cwd=tmp_path / "elsewhere",
        env=os.environ | {"HF_ENDPOINT": hub.endpoint, "NO_PROXY": "127.0.0.1,localhost"},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 2, result.stderr
    assert "The server has another clip-vit-large-patch14/model.safetensors" in result.stderr
    asked = {path for _, path, _ in hub.requests}
    assert address(CONFIG) in asked and address(VAE) in asked
