"""``--ray``: extraction on a local Ray cluster of two workers. Without Ray these tests are skipped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from optsg.data.errors import ClusterError
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.extract import extract, pipeline
from optsg.extract.cluster import encoding_worker
from optsg.extract.cluster.encoding_worker import EncodingWorker
from optsg.extract.summary import ExtractSummary

from tests.extract.decoding.painted_clips import ClipMaker
from tests.extract.same_store import assert_same_store

ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'optsg[ray]'")
from optsg.extract.cluster import ray_engine  # noqa: E402 - it needs Ray

pytestmark = pytest.mark.filterwarnings("default")  # Ray's own

CLIPS = 12


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """Two processors, no dashboard, no statistics of use."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        try:
            ray.init(address="local", num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
            yield
        finally:
            ray.shutdown()


@pytest.fixture
def videos(make_clip: ClipMaker, tmp_path: Path) -> Path:
    """Clips with titles and tags, and two files that are no videos."""
    folder = tmp_path / "videos"
    folder.mkdir()
    rows = ["file_name,title,tags"]
    for number in range(CLIPS):
        shutil.copy(make_clip(f"ray{number % 3}.mp4", frames=12 + 9 * (number % 3)), folder / f"{number:02}.mp4")
        rows.append(f'{number:02}.mp4,clip {number},"cat {number % 4}, animal"')
    for name in ("05-broken.mp4", "zz-broken.mp4"):
        (folder / name).write_text("no video")
    (folder / "metadata.csv").write_text("\n".join(rows) + "\n")
    return folder


def worker_pids(starter: int | None = None) -> set[int]:
    """Processes of Ray's actors on the cluster that a process has started, by default this one."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            name = (folder / "cmdline").read_bytes()
            raylet = _parent(folder)
            if name.startswith(b"ray::MapWorker") and _parent(Path("/proc") / str(raylet)) == (starter or os.getpid()):
                found.add(int(folder.name))
        except OSError:  # it has ended
            continue
    return found


def _parent(folder: Path) -> int:
    return int((folder / "stat").read_text().rpartition(")")[2].split()[1])


class StopHere(Exception):  # noqa: N818 - it is no error
    pass


@pytest.mark.slow
def test_a_store_that_is_gone_on_with_on_workers_that_are_killed_is_that_of_one_machine(
    cluster: None,
    videos: Path,
    tmp_path: Path,
    tiny_timm_folder: Path,
    tiny_bert_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(encoding_worker, "INPUTS_PER_BLOCK", 2)
    monkeypatch.setattr(pipeline, "INPUTS_PER_PART", 3)
    monkeypatch.chdir(videos.parent)
    encoders: dict[str, Any] = {
        "image_encoder": str(tiny_timm_folder),
        "text_encoder": str(tiny_bert_folder),
        "device": "cpu",
        "precision": "float32",
        "workers": 1,
    }

    def stop_at_four(summary: ExtractSummary) -> None:
        if summary.done == 4:
            raise StopHere

    with pytest.raises(StopHere):
        extract("videos", tmp_path / "shards", on_input=stop_at_four, **encoders)
    assert len(list((tmp_path / "shards.parts").glob("part-*.h5"))) == 1

    killed: set[int] = set()

    def kill_all(summary: ExtractSummary) -> None:
        # All of them: whether a lost one is replaced while others have nothing left to do is Ray's choice.
        if not killed:
            killed.update(worker_pids())
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    summary = extract("videos", tmp_path / "shards", ray="auto", on_input=kill_all, **encoders)
    assert (summary.resumed, summary.videos, summary.failed) == (3, CLIPS - 3, 2)
    assert killed
    assert not killed & worker_pids()

    extract("videos", tmp_path / "local", **encoders)
    assert_same_store(tmp_path / "shards", tmp_path / "local")
    assert verify_store(tmp_path / "shards").problems == []


class DyingWorker(EncodingWorker):
    """Ends its process with every block."""

    def __call__(self, _table: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_block_over_which_worker_after_worker_is_lost_is_given_up(
    cluster: None,
    videos: Path,
    tmp_path: Path,
    tiny_timm_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    monkeypatch.setattr(ray_engine, "EncodingWorker", DyingWorker)
    monkeypatch.setattr(ray_engine, "LOSSES_PER_BLOCK", 1)
    with pytest.raises(ClusterError, match=r"^extraction on Ray was given up: "):
        extract(
            videos,
            tmp_path / "out",
            image_encoder=str(tiny_timm_folder),
            text_encoder="characters",
            device="cpu",
            ray="auto",
        )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.parts", "videos"]


@pytest.mark.slow
def test_the_command_starts_a_cluster_of_its_own_and_stops_when_it_is_asked_to(
    videos: Path, tmp_path: Path, tiny_timm_folder: Path
) -> None:
    program = [sys.executable, "-m", "optsg.extract.cli", str(videos), "--out", str(tmp_path / "out")]
    options = ["--image-encoder", str(tiny_timm_folder), "--text-encoder", "characters", "--device", "cpu"]
    with subprocess.Popen([*program, *options, "--ray", "local"], stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            until = time.monotonic() + 120
            while not worker_pids(process.pid) and time.monotonic() < until:
                time.sleep(0.5)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=60) == 143
            assert "stopped; " in process.stderr.read()
        finally:
            process.kill()
    program.append("--limit=2")
    result = subprocess.run([*program, *options, "--ray", "local", "-q"], timeout=200, check=False)
    assert result.returncode == 0
    with open_store(tmp_path / "out") as store:
        assert store.ids() == ["00", "01"]
