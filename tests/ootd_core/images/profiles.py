"""Makes small colour profiles (ICC.1, version 2), whose effect a test can compute by itself."""

import struct
from collections.abc import Mapping

import numpy as np

SRGB_PRIMARIES = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7141))
"""X, Y, Z of red, green and blue, adapted to D50."""
D50 = (0.9642, 1.0, 0.8249)


def swapped_profile(gamma: float) -> bytes:
    """RGB with sRGB's primaries in the order green, blue, red, and a plain gamma."""
    green, blue, red = SRGB_PRIMARIES[1], SRGB_PRIMARIES[2], SRGB_PRIMARIES[0]
    curve = _curve(gamma)
    primaries = {b"rXYZ": _xyz(green), b"gXYZ": _xyz(blue), b"bXYZ": _xyz(red)}
    return _profile(b"RGB ", b"XYZ ", primaries | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve))


def grey_profile(gamma: float) -> bytes:
    """One channel with a plain gamma."""
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": _curve(gamma)})


def cmyk_profile() -> bytes:
    """Four inks without colour: cyan, magenta and yellow take a third of the lightness each."""
    inks = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(16, 4)
    lightness = (1 - inks[:, :3].mean(axis=1)) * (1 - inks[:, 3])
    lab = np.stack([lightness * 255, np.full(16, 128), np.full(16, 128)], axis=1)
    line = bytes(range(256))
    matrix = struct.pack(">9i", *(65536 * value for value in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    table = b"mft1" + bytes(4) + bytes([4, 3, 2, 0]) + matrix + line * 4
    table += lab.round().astype(np.uint8).tobytes() + line * 3
    return _profile(b"CMYK", b"Lab ", {b"A2B0": table})


def srgb_encoded(linear: np.ndarray) -> np.ndarray:
    """Linear light in [0, 1] as levels of sRGB (IEC 61966-2-1), 0 to 255."""
    low, high = 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    return 255 * np.where(linear <= 0.0031308, low, high)


def _curve(gamma: float) -> bytes:
    return b"curv" + bytes(4) + struct.pack(">IH", 1, round(gamma * 256)) + bytes(2)


def _xyz(values: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(65536 * value) for value in values))


def _profile(space: bytes, connection: bytes, tags: Mapping[bytes, bytes]) -> bytes:
    name = b"desc" + bytes(4) + struct.pack(">I", 5) + b"test\0" + bytes(79)
    tags = {b"desc": name, b"wtpt": _xyz(D50), b"cprt": b"text" + bytes(4) + b"none\0"} | dict(tags)
    start = 128 + 4 + 12 * len(tags)
    directory, data = struct.pack(">I", len(tags)), b""
    for key, value in tags.items():
        directory += key + struct.pack(">II", start + len(data), len(value))
        data += value + bytes(-len(value) % 4)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", start + len(data))
    header[8:12] = b"\x02\x40\x00\x00"
    header[12:24] = (b"prtr" if space == b"CMYK" else b"mntr") + space + connection
    header[24:36] = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
    header[36:40] = b"acsp"
    header[68:80] = _xyz(D50)[8:]
    return bytes(header) + directory + data
