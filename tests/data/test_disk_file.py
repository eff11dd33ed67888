"""A store on a disk that fills up: one sentence at any moment, and no crash of the HDF5 library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from optsg.data.disk_file import DiskFile

PROGRAM = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from optsg.data.errors import StoreWriteError
from tests.tiny_world import tiny_videos, write_tiny_store
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    write_tiny_store(Path("s.h5"), tiny_videos(300))
except StoreWriteError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.parametrize("limit", [100, 5_000, 60_000])
def test_a_full_disk_is_an_error_and_no_crash(tmp_path: Path, limit: int) -> None:
    root = Path(__file__).resolve().parents[2]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root), str(limit)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 7, result.stderr
    assert result.stdout == "s.h5 cannot be written: File too large; what was finished before is kept\n"


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = DiskFile(tmp_path / "f")
    assert file.write(b"abcdef") == 6
    file.seek(2)
    buffer = bytearray(6)
    assert file.readinto(buffer) == 6
    assert bytes(buffer) == b"cdef\0\0"
    file.close()
    assert (tmp_path / "f").read_bytes() == b"abcdef"
    assert file.error is None
