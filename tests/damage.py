"""What happens to files on their way: cut, flipped, overwritten, moved bytes."""

import numpy as np


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A copy of `data` with one to three faults of four kinds, more of them near its start."""
    broken = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        size = len(broken)
        if size < 2:
            break
        first = int(rng.integers(min(size, 64) if rng.random() < 0.5 else size))
        second = int(rng.integers(size))
        match int(rng.integers(4)):
            case 0:  # cut
                del broken[max(1, second) :]
            case 1:  # a flipped bit
                broken[first] ^= 1 << int(rng.integers(8))
            case 2:  # overwritten
                length = int(rng.integers(1, 9))
                broken[first : first + length] = rng.bytes(length)
            case _:  # two stretches swapped
                length = min(int(rng.integers(1, 33)), size - max(first, second))
                one, other = slice(first, first + length), slice(second, second + length)
                broken[one], broken[other] = broken[other], broken[one]
    return bytes(broken)
