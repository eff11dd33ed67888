"""Every command of the pages for one kind of reader, followed word by word on a few clips of the sample."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.test_docs import blocks

ROOT = Path(__file__).resolve().parent.parent
INSTALLING = ("make setup", "pip install")
CLIPS = 120
"""So many that a ranker is fitted."""


SHORT = " --set epochs=2"
"""Networks are trained for a moment; sources are fitted in seconds as they are."""


def script(page: str) -> str:
    """The shell blocks of a page, but for its installation."""
    parts = blocks((ROOT / "docs" / page).read_text(encoding="utf-8"), "sh")
    lines = [line for part in parts for line in part.splitlines() if not line.startswith(INSTALLING)]
    return "\n".join(["set -euo pipefail", *map(_shortened, lines)])


def _shortened(line: str) -> str:
    return line + SHORT if line.startswith("optsg-train") and "--system sources" not in line else line


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """Folders as the pages name them: videos with and without tags, and tables about them."""
    with tarfile.open(ROOT / "data" / "sample" / "val.tar") as shard:
        shard.extractall(tmp_path / "all", filter="data")
    clips = sorted((tmp_path / "all").glob("*.mp4"))
    rows = []
    for number, clip in enumerate(clips[: CLIPS + 6]):
        known = json.loads(clip.with_suffix(".json").read_text(encoding="utf-8"))
        folder = "videos" if number < CLIPS else "more"
        name = "one.mp4" if number == 0 else clip.name
        for copy in (folder, "archive" if number < CLIPS else "new"):
            (tmp_path / copy).mkdir(exist_ok=True)
            (tmp_path / copy / name).write_bytes(clip.read_bytes())
        rows.append((folder, {"file_name": name, "title": known["title"], "tags": json.dumps(known["tags"])}))
    for path, wanted in (("archive/metadata.csv", "videos"), ("corrected.csv", "videos"), ("new.csv", "more")):
        with (tmp_path / path).open("w", newline="", encoding="utf-8") as file:
            table = csv.DictWriter(file, ["file_name", "title", "tags"])
            table.writeheader()
            table.writerows(row for folder, row in rows if folder == wanted)
    for name, members in (("train.tar", 240), ("val.tar", 80), ("test.tar", 80)):
        copy_first_members(ROOT / "data" / "sample_icons" / name, tmp_path / "data" / "sample_icons" / name, members)
    return tmp_path


def copy_first_members(shard: Path, out: Path, count: int) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(shard) as old, tarfile.open(out, "w") as new:
        for member in old.getmembers()[:count]:
            new.addfile(member, old.extractfile(member))


def test_a_run_on_titles_from_file_names_is_asked_with_such_titles() -> None:
    """First tags without training write file names as titles into the table that is trained on."""
    tagging = [line for line in script("at-home.md").splitlines() if line.startswith("optsg-tag ")]
    assert [line for line in tagging if "--untrained" not in line and "--title-from-name" not in line] == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("page", ["at-home.md", "for-researchers.md", "for-engineers.md"])
def test_every_command_of_the_page_runs(page: str, here: Path) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script(page)],
        cwd=here,
        env={**os.environ, "PATH": path, "OMP_NUM_THREADS": "2"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    assert "Traceback" not in done.stdout
