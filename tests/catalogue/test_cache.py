"""What is computed once: in memory, on disk, within bounds, by several workers."""

from __future__ import annotations

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from catalogue.cache import Cache, key_of

KIB = 2**10


def entry(number: int, size: int = KIB) -> dict[str, Tensor]:
    return {"value": torch.full((size,), number, dtype=torch.uint8)}


def ask(cache: Cache, number: int, size: int = KIB) -> int:
    found = cache.once("kind", f"{number:040x}", lambda: entry(number, size))
    return int(found["value"][0])


def test_an_entry_is_made_once_in_memory_and_on_disk(tmp_path: Path) -> None:
    cache = Cache(tmp_path, memory=100 * KIB, disk=10**9)
    assert [ask(cache, 1), ask(cache, 1), ask(cache, 2)] == [1, 1, 2]
    assert cache.made == {"kind": 2}
    later = Cache(tmp_path, memory=100 * KIB, disk=10**9)
    assert [ask(later, 1), ask(later, 2)] == [1, 2] and later.made == {}
    assert later.once("other", f"{1:040x}", lambda: entry(7))["value"][0] == 7
    nowhere = Cache(None, memory=100 * KIB, disk=10**9)
    assert [ask(nowhere, 1), ask(nowhere, 1)] == [1, 1] and nowhere.made == {"kind": 1}


def test_what_is_kept_is_the_same_to_the_bit(tmp_path: Path) -> None:
    made = {"a": torch.randn(3, 4)[:, ::2], "b": torch.tensor([True, False]),
            "c": torch.randn(5, dtype=torch.bfloat16)}  # fmt: skip
    first = Cache(tmp_path, memory=0, disk=10**9).once("kind", "k" * 40, lambda: made)
    again = Cache(tmp_path, memory=0, disk=10**9).once("kind", "k" * 40, dict)
    for found in (first, again):
        assert all(torch.equal(found[name], made[name]) for name in made)


def test_memory_holds_what_was_used_last() -> None:
    cache = Cache(None, memory=10 * KIB, disk=0)
    for number in range(10):
        ask(cache, number)
    ask(cache, 0)  # used again
    ask(cache, 10)  # 1 has to go
    made = cache.made["kind"]
    ask(cache, 0)
    assert cache.made["kind"] == made
    ask(cache, 1)
    assert cache.made["kind"] == made + 1


def test_an_entry_that_would_take_much_of_the_bound_is_not_kept(tmp_path: Path) -> None:
    cache = Cache(tmp_path, memory=16 * KIB, disk=16 * KIB)
    ask(cache, 1, 5 * KIB)
    ask(cache, 1, 5 * KIB)
    assert cache.made == {"kind": 2} and not list(tmp_path.glob("kind/*"))


def test_the_disk_holds_what_was_used_last(tmp_path: Path) -> None:
    bound = 40 * KIB
    for number in range(60):
        ask(Cache(tmp_path, memory=0, disk=bound), number)
        if number == 0:
            continue
        for path in tmp_path.glob("kind/*.safetensors"):  # as if minutes lay between
            os.utime(path, (path.stat().st_mtime - 60, path.stat().st_mtime - 60))
        ask(Cache(tmp_path, memory=0, disk=bound), 0)  # in use all the time
    files = list(tmp_path.glob("kind/*.safetensors"))
    assert sum(path.stat().st_size for path in files) <= bound
    names = {int(path.stem, 16) for path in files}
    assert 0 in names and 59 in names and 1 not in names


def test_a_damaged_file_is_made_again(tmp_path: Path) -> None:
    ask(Cache(tmp_path, memory=0, disk=10**9), 1)
    (path,) = tmp_path.glob("kind/*.safetensors")
    path.write_bytes(path.read_bytes()[:-9])
    cache = Cache(tmp_path, memory=0, disk=10**9)
    assert ask(cache, 1) == 1 and cache.made == {"kind": 1}
    assert ask(Cache(tmp_path, memory=0, disk=10**9), 1) == 1


def test_a_file_that_lacks_what_is_read_is_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ask(Cache(tmp_path, memory=0, disk=10**9), 1)
    (path,) = tmp_path.glob("kind/*.safetensors")
    save_file({"other": torch.zeros(1)}, path)
    for makes in (1, 0):
        cache = Cache(tmp_path, memory=0, disk=10**9)
        made = cache.once("kind", f"{1:040x}", lambda: entry(1), lambda found: found["value"])
        assert made["value"][0] == 1 and cache.made.get("kind", 0) == makes
    assert f"{path} is damaged (it has no 'value') and is made again." in caplog.text


def test_a_disk_that_is_full_costs_no_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("catalogue.cache.save_file", full)
    cache = Cache(tmp_path, memory=100 * KIB, disk=10**9)
    assert [ask(cache, 1), ask(cache, 2), ask(cache, 1)] == [1, 2, 1]
    assert cache.made == {"kind": 2}
    assert caplog.text.count("Nothing more is kept on disk") == 1


@pytest.mark.skipif(os.name == "nt", reason="files are not locked there")
def test_workers_that_want_the_same_at_once_wait_for_the_first(tmp_path: Path) -> None:
    made: list[int] = []

    def slowly() -> dict[str, Tensor]:
        made.append(1)
        time.sleep(0.2)
        return entry(3)

    def work() -> None:
        cache = Cache(tmp_path, memory=0, disk=10**9)
        assert cache.once("kind", "a" * 40, slowly)["value"][0] == 3

    workers = [threading.Thread(target=work) for _ in range(5)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(made) == 1


@dataclass(frozen=True)
class Pair:
    one: object
    other: object


def test_a_key_stands_for_everything() -> None:
    array = np.arange(6, dtype=np.uint8)
    parts = [
        (array,), (array.reshape(2, 3),), (array.reshape(3, 2),), (array.astype(np.int8),),
        (array + 1,), (array[::-1],), (array, None), (array, "x"), (array, 1), (array, True),
        ("ab", "c"), ("a", "bc"), ((1, 2),), (1, 2), (Pair(1, 2),), (Pair(2, 1),),
        (np.zeros((0, 18, 3)),), (torch.arange(6.0),), (1.5,), (np.array(3.0),),
    ]  # fmt: skip
    assert len({key_of(*each) for each in parts}) == len(parts)
    assert key_of(array[::-1].copy()) == key_of(array[::-1])
    assert key_of(Pair(array, (1,))) == key_of(Pair(array.copy(), (1,)))
