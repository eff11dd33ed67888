"""Files that are whole or not there."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

import pytest
from optsg.data.errors import RunError
from optsg.data.whole_files import check_is_replaceable, lock_out, write_text


def test_no_file_takes_the_place_of_a_pipe(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    said = re.escape(f"{pipe} cannot be written: it is no file but a pipe, socket or device")
    with pytest.raises(RunError, match=said):
        write_text(pipe, ["text"])
    with pytest.raises(RunError, match=said), lock_out(pipe, RunError):
        pass
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert [path.name for path in tmp_path.iterdir()] == ["pipe"]


@pytest.mark.parametrize("name", ["null", "stdout", "stderr"])
def test_devices_and_their_names_are_none_that_a_file_may_have(name):
    with pytest.raises(OSError, match="no file but a pipe, socket or device"):
        check_is_replaceable(Path("/dev") / name)


def test_files_folders_and_what_is_not_there_may_be_replaced(tmp_path):
    (tmp_path / "file").write_text("old")
    for name in ("file", ".", "new"):
        check_is_replaceable(tmp_path / name)
    write_text(tmp_path / "file", ["new"])
    assert (tmp_path / "file").read_text() == "new"
