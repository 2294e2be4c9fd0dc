from pathlib import Path

import numpy as np
import pytest

from humanparse.labels import ATR_CLASSES, LIP_CLASSES
from humanparse.network import ParsingNetwork, execution_providers
from tests.damage import damaged
from tests.humanparse.networks import Side, write_network

CUDA = "CUDAExecutionProvider"
CPU = "CPUExecutionProvider"
IMAGE = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)


def open_network(path: Path, classes: int = ATR_CLASSES, device: str = "cpu") -> ParsingNetwork:
    return ParsingNetwork(path, classes=classes, open_size=20, device=device)


@pytest.mark.parametrize(
    ("size", "frame"),
    [((24, 24), (24, 24)), ((32, 24), (32, 24)), (("height", "width"), (20, 20))],
)
def test_frame_is_read_from_the_file(
    tmp_path: Path, size: tuple[Side, Side], frame: tuple[int, int]
) -> None:
    network = open_network(write_network(tmp_path / "a.onnx", classes=ATR_CLASSES, size=size))

    labels = network(IMAGE)

    assert network.size == frame
    assert labels.shape == IMAGE.shape[:2]
    assert len(np.unique(labels)) > 1


@pytest.mark.parametrize(
    ("device", "expected"),
    [
        ("cuda", [(CUDA, {}), CPU]),
        ("cuda:1", [(CUDA, {"device_id": 1}), CPU]),
        ("cpu", [CPU]),
        ("mps", [CPU]),
    ],
)
def test_cuda_is_used_where_it_is_asked_for(device: str, expected: list[object]) -> None:
    assert execution_providers(device, [CUDA, CPU]) == expected
    assert execution_providers(device, [CPU]) == [CPU]


def test_other_devices_run_on_the_cpu(tmp_path: Path) -> None:
    path = write_network(tmp_path / "a.onnx", classes=ATR_CLASSES, size=(24, 24))

    np.testing.assert_array_equal(
        open_network(path, device="mps")(IMAGE), open_network(path)(IMAGE)
    )


def test_missing_file_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"absent\.onnx"):
        open_network(tmp_path / "absent.onnx")


@pytest.mark.parametrize("share", [0.0, 0.5, 0.99])
def test_truncated_file_is_refused(tmp_path: Path, share: float) -> None:
    path = write_network(tmp_path / "a.onnx", classes=ATR_CLASSES, size=(24, 24))
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])

    with pytest.raises(ValueError, match=r"a\.onnx in .* cannot be opened"):
        open_network(path)(IMAGE)


@pytest.mark.parametrize("seed", range(40))
def test_damaged_bytes_are_read_or_refused_with_a_sentence(tmp_path: Path, seed: int) -> None:
    path = write_network(tmp_path / "a.onnx", classes=ATR_CLASSES, size=(24, 24))
    path.write_bytes(damaged(path.read_bytes(), np.random.default_rng(seed)))

    try:
        open_network(path)(IMAGE)
    except ValueError as error:
        assert "a.onnx" in str(error) and "\n" not in str(error)


def test_other_content_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_text("<html>404</html>")

    with pytest.raises(ValueError, match="cannot be opened"):
        open_network(path)(IMAGE)


def test_one_output_is_too_few(tmp_path: Path) -> None:
    path = write_network(tmp_path / "a.onnx", classes=ATR_CLASSES, size=(24, 24), outputs=1)

    with pytest.raises(ValueError, match=r"has 1 output\(s\)"):
        open_network(path)(IMAGE)


def test_other_number_of_classes_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "a.onnx", classes=LIP_CLASSES, size=(24, 24))

    with pytest.raises(ValueError, match="swapped"):
        open_network(path)(IMAGE)


def test_other_number_of_channels_is_refused(tmp_path: Path) -> None:
    path = write_network(tmp_path / "a.onnx", classes=ATR_CLASSES, size=(24, 24), channels=4)

    with pytest.raises(ValueError, match="another model"):
        open_network(path)(IMAGE)
