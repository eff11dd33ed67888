"""A store on a disk that fills up: one sentence at any moment, and no crash of the HDF5 library."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from optsg.data.store import open_store
from optsg.data.store.hdf5.file import DiskFile

from tests.data.inputs.odd_videos import write_part
from tests.tiny_world import tiny_videos, write_tiny_store

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
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(root), str(limit)],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert result.returncode == 7, result.stderr
    assert result.stdout == "s.h5.part cannot be written: File too large; what was finished before is kept\n"


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


MERGE = """
import resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from optsg.data.errors import StoreWriteError
from optsg.data.store.conversion import convert_store
from optsg.data.store.merging.merge import merge_parts
from tests.tiny_world import tiny_header, tiny_text_tables
out = Path(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
try:
    if sys.argv[4] == "merge":
        merge_parts([Path("a.h5")], out, tiny_header(), tiny_text_tables(), base=out)
    else:
        convert_store(Path("s.h5"), out, overwrite=True)
except StoreWriteError as error:
    print(error)
    sys.exit(7)
"""


@pytest.mark.parametrize(
    ("command", "limit", "out", "name"),
    [
        ("merge", 100, "out.h5", "out.h5.tmp"),
        pytest.param("merge", 60_000, "out.h5", "out.h5.tmp", marks=pytest.mark.slow),
        pytest.param("merge", 100, "out", "out.tmp/shard-000000.tar", marks=pytest.mark.slow),
        ("convert", 60_000, "out.h5", "out.h5.tmp"),
        ("convert", 60_000, "out", "out.tmp/shard-000000.tar"),
    ],
)
def test_a_full_disk_leaves_the_old_store_and_nothing_else(
    tmp_path: Path, command: str, limit: int, out: str, name: str
) -> None:
    write_tiny_store(tmp_path / "s.h5", tiny_videos(300))
    write_tiny_store(tmp_path / out, tiny_videos(3))
    write_part(tmp_path / "a.h5", tiny_videos(300))
    root = Path(__file__).resolve().parents[3]
    result = subprocess.run(
        [sys.executable, "-c", MERGE, str(root), str(limit), out, command],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert (result.returncode, result.stderr) == (7, "")
    assert result.stdout == f"{name} cannot be written: File too large; what was finished before is kept\n"
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(["a.h5", "s.h5", out])
    with open_store(tmp_path / out) as store:
        assert len(store) == 3
