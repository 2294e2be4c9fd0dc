import subprocess
import sys
from pathlib import Path

import pytest

from ootd_core.training.lock import LOCK, FolderLock, check_free

ROOT = Path(__file__).parents[3]
HOLDER = """
import sys
from pathlib import Path
from ootd_core.training.lock import FolderLock
lock = FolderLock(Path(sys.argv[1]))
lock.acquire()
print("taken", flush=True)
sys.stdin.read()
"""


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    words = [sys.executable, "-c", HOLDER, str(tmp_path / "work")]
    with subprocess.Popen(
        words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "taken\n"
        with pytest.raises(ValueError, match=rf"\(process {holder.pid} on .*another folder\."):
            check_free(tmp_path / "work")
        holder.kill()
    check_free(tmp_path / "work")
    lock = FolderLock(tmp_path / "work")
    lock.acquire()
    lock.release()


def test_it_is_taken_once_and_given_back(tmp_path: Path) -> None:
    check_free(tmp_path / "none")
    assert not (tmp_path / "none").exists()
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.acquire()
    with pytest.raises(ValueError, match="at work in"):
        second.acquire()
    first.release()
    second.acquire()
    second.release()
    second.release()


def test_a_holder_that_has_not_written_yet_is_refused_without_its_name(tmp_path: Path) -> None:
    first = FolderLock(tmp_path)
    first.acquire()
    (tmp_path / LOCK).write_text("")
    with pytest.raises(ValueError, match="Another training is at work"):
        check_free(tmp_path)
    first.release()
