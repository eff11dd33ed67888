"""Killed (−9) at any moment and begun again, an extraction ends as if nothing had happened."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store

from tests.extract.decoding.painted_clips import ClipMaker
from tests.extract.same_store import assert_same_store

ROOT = Path(__file__).resolve().parents[2]
INPUTS = 26
EARLIER = 9
"""Inputs of the store that is there already where new ones are added."""


@pytest.fixture(scope="module")
def videos(make_clip: ClipMaker, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of clips of 1 to 6 seconds, one of them cut off, and two files that are no video."""
    folder = tmp_path_factory.mktemp("killed")
    rows = []
    for number in range(INPUTS - 2):
        clip = make_clip(f"item{number % 7}.mp4", frames=5 + 10 * (number % 7))
        shutil.copy(clip, folder / f"clip{number:02d}.mp4")
        rows.append({"file_name": f"clip{number:02d}.mp4", "title": f"clip {number}", "tags": ["cat", f"tag {number}"]})
    (folder / "broken.mp4").write_text("no video")
    (folder / "zero.mp4").write_bytes(b"")
    cut = make_clip("long.mkv", frames=450, rate=5)
    (folder / "clip05.mp4").write_bytes(cut.read_bytes()[: int(cut.stat().st_size * 0.6)])
    (folder / "metadata.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return folder


@dataclass
class Extractor:
    """The process that starts extractions."""

    process: subprocess.Popen[str]

    def run(self, out: Path, *, limit: int = INPUTS, kill_after: float | None = None) -> tuple[int, float]:
        """One attempt: exit code (−9 when the kill came before the end) and seconds."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        started = time.monotonic()
        self.process.stdin.write(f"{out} {limit}\n")
        self.process.stdin.flush()
        child = int(self.process.stdout.readline())
        if kill_after is not None and not select.select([self.process.stdout], [], [], kill_after)[0]:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(child, signal.SIGKILL)
        return int(self.process.stdout.readline()), time.monotonic() - started


@pytest.fixture(scope="module")
def extractor(videos: Path, tiny_timm_folder: Path, tiny_bert_folder: Path) -> Iterator[Extractor]:
    command = [sys.executable, "-m", "tests.extract.killed_extraction", str(videos)]
    with subprocess.Popen(
        [*command, str(tiny_timm_folder), str(tiny_bert_folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        yield Extractor(process)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


def kill_often(extractor: Extractor, tmp_path: Path, *, kills: int, seed: int) -> None:
    """Extractions into one file, into a store that is there already, and into shards, until there were enough kills."""
    moments = random.Random(seed)
    reference = tmp_path / "reference.h5"
    code, whole = extractor.run(reference)
    assert code == 0
    done = number = 0
    while done < kills:
        form = ("file.h5", "added.h5", "shards")[number % 3]
        out, base = tmp_path / f"{number}-{form}", 0
        number += 1
        if form == "added.h5":
            base = EARLIER
            assert extractor.run(out, limit=base)[0] == 0
        for attempt in itertools.count():
            kill_after = moments.uniform(0, whole) if done < kills else None
            code, seconds = extractor.run(out, kill_after=kill_after)
            if code == 0:
                # The first run is often the slowest; moments after the end of one would kill nothing.
                whole = min(whole, seconds) if attempt == 0 and not base else whole
                break
            assert code == -signal.SIGKILL
            done += 1
            if out.exists():  # whole at any moment: the old one or the new one
                with open_store(out) as store:
                    assert len(store) + len(store.failures) in (base, INPUTS)
        assert_same_store(out, reference)
        assert verify_store(out).problems == []
        assert not list(tmp_path.glob(f"{out.name}.*")), "something was left behind"


def test_two_kills(extractor: Extractor, tmp_path: Path) -> None:
    kill_often(extractor, tmp_path, kills=2, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_a_hundred_kills(extractor: Extractor, tmp_path: Path) -> None:
    kill_often(extractor, tmp_path, kills=100, seed=1)
