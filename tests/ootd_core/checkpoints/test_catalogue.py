import re
import subprocess
import sys
from pathlib import Path

import pytest

from ootd_core.categories import Variant
from ootd_core.checkpoints.blazepose import BLAZEPOSE
from ootd_core.checkpoints.catalogue import (
    DENOISING_PARTS,
    FILES,
    LICENCE_TABLE,
    OOTD_REPOSITORY,
    Part,
    WeightFile,
    download_command,
    expected_path,
    files_for,
    find,
    missing,
    step_folder,
)
from ootd_core.requirements import pack_command


def put(folder: Path, name: str) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x")
    return path


def catalogue_file(path: str) -> WeightFile:
    return next(file for file in FILES if file.path == path)


def test_every_file_is_named_once_and_pinned() -> None:
    names = [name for file in FILES for name in (file.path, *file.alternatives)]
    assert len(names) == len(set(names))
    for file in FILES:
        assert re.fullmatch("[0-9a-f]{40}", file.revision), file.path
        assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256), file.path
        assert file.size > 0 and file.licences and file.variants


def test_published_files_lie_in_the_repositorys_checkpoints_folder() -> None:
    for file in FILES:
        if file.repository == OOTD_REPOSITORY:
            assert file.repository_path == f"checkpoints/{file.path}"


def test_every_licence_of_a_file_stands_in_the_table() -> None:
    listed = {licence for _, licences in LICENCE_TABLE for licence in licences}
    assert {licence for file in FILES for licence in file.licences} <= listed


def test_a_variant_needs_its_own_unets_and_all_that_is_shared() -> None:
    hd = {file.path for file in files_for(Variant.HALF_BODY)}
    dc = {file.path for file in files_for(Variant.FULL_BODY)}
    assert all("ootd_hd" in path for path in hd - dc)
    assert all("ootd_dc" in path for path in dc - hd)
    assert len(hd - dc) == len(dc - hd) == 4
    assert {file.part for file in files_for(Variant.HALF_BODY)} == set(Part)


def test_the_published_total_is_about_what_the_hub_says() -> None:
    gib = sum(file.size for file in files_for(Variant.HALF_BODY)) / 2**30
    assert 9.0 < gib < 10.0


def test_find_takes_safetensors_before_bin(tmp_path: Path) -> None:
    vae = catalogue_file("ootd/vae/diffusion_pytorch_model.bin")
    assert find(tmp_path, vae) is None
    published = put(tmp_path, "ootd/vae/diffusion_pytorch_model.bin")
    assert find(tmp_path, vae) == published
    converted = put(tmp_path, "ootd/vae/diffusion_pytorch_model.safetensors")
    assert find(tmp_path, vae) == converted


def test_the_highest_step_counts_as_a_number(tmp_path: Path) -> None:
    assert step_folder(tmp_path, Variant.FULL_BODY) is None
    unets = tmp_path / "ootd" / "ootd_dc"
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-last", "checkpoint-99.part"):
        (unets / name).mkdir(parents=True)
    assert step_folder(tmp_path, Variant.FULL_BODY) == unets / "checkpoint-10"
    config = catalogue_file("ootd/ootd_dc/checkpoint-36000/unet_garm/config.json")
    assert find(tmp_path, config) is None
    expected = unets / "checkpoint-10" / "unet_garm" / "config.json"
    assert expected_path(tmp_path, config) == expected
    put(unets, "checkpoint-10/unet_garm/config.json")
    assert find(tmp_path, config) == expected


@pytest.mark.parametrize("variant", Variant)
def test_missing_names_required_files_until_they_are_there(
    variant: Variant, tmp_path: Path
) -> None:
    absent = missing(tmp_path, variant)
    assert absent == [file for file in files_for(variant) if file.required]
    assert missing(tmp_path, variant, DENOISING_PARTS) != absent
    for file in absent[1:]:
        put(tmp_path, (file.path, *file.alternatives)[-1])
    assert missing(tmp_path, variant) == absent[:1]


def test_the_command_names_python_this_project_and_the_whole_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = download_command(Path("models"), Variant.HALF_BODY)
    assert command == pack_command("download", "--variant", "hd", "--to", str(tmp_path / "models"))


def test_catalogue_and_files_need_no_diffusers() -> None:
    code = (
        "import sys\n"
        "from ootd_core.checkpoints import catalogue, locating, reading\n"
        "print(*{'diffusers', 'transformers', 'accelerate', 'cv2'} & set(sys.modules))"
    )
    root = Path(__file__).parents[3]
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == ""


def test_a_file_in_a_wheel_is_pinned_like_the_others() -> None:
    assert BLAZEPOSE.licence in {each for _, licences in LICENCE_TABLE for each in licences}
    assert "==" in BLAZEPOSE.requirement
    for pinned in (BLAZEPOSE, *BLAZEPOSE.files):
        assert re.fullmatch("[0-9a-f]{64}", pinned.sha256) and pinned.size > 0
