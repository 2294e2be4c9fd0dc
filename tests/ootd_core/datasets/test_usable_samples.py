from pathlib import Path

import pytest

from ootd_core.datasets.open import open_dataset
from ootd_core.datasets.usable_samples import UsableSamples
from tests.ootd_core.datasets.trees import SIZE, write_viton_hd


@pytest.fixture
def reader(tmp_path: Path) -> UsableSamples:
    """Five samples, of which the second and the fourth cannot be read."""
    tree = write_viton_hd(tmp_path, train=5, test=1)
    cut = tree / "train/image/00001_00.jpg"
    cut.write_bytes(cut.read_bytes()[:500])
    (tree / "train/image-parse-v3/00003_00.png").unlink()
    return UsableSamples(open_dataset(tree, size=SIZE))


def test_unusable_samples_are_left_out_and_nothing_takes_their_place(reader: UsableSamples) -> None:
    for _ in range(2):
        read = [reader.read(index) for index in (4, 3, 2, 1, 0, 1)]
        names = [None if sample is None else sample.name for sample in read]
        assert names == ["00004_00", None, "00002_00", None, "00000_00", None]
    assert reader.skipped.keys() == {1, 3}


def test_each_is_reported_once_by_name_and_file(
    reader: UsableSamples, caplog: pytest.LogCaptureFixture
) -> None:
    for index in (3, 1, 0, 3, 1):
        reader.read(index)
    assert [record.getMessage().split(" ")[0] for record in caplog.records] == [
        "00003_00", "00001_00",
    ]  # fmt: skip
    lines = reader.report().splitlines()
    assert lines[0] == "2 of 5 samples were skipped."
    assert "00001_00" in lines[1] and "image" in lines[1] and "decoded" in lines[1]
    assert "image-parse-v3" in lines[2]
    assert reader.report(lines=1).splitlines()[-1] == "  and 1 more"


def test_what_only_the_reader_finds_out_can_be_left_out_too(reader: UsableSamples) -> None:
    reader.skip(0, "nothing to hide")
    assert reader.read(0) is None
    assert reader.skipped == {0: "nothing to hide"}


def test_a_set_without_a_usable_sample_is_refused(reader: UsableSamples) -> None:
    for index in range(4):
        reader.skip(index, "bad")
    with pytest.raises(ValueError, match="None of the 5 samples can be used; the last one: worse"):
        reader.skip(4, "worse")
