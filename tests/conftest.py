"""What every test shares: no network, one thread, the sample data, and clips made on the spot."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Before any test module imports transformers or torch, which read these once.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ.setdefault("OMP_NUM_THREADS", "1")

# What is found out about encoders is kept for this run of the tests alone; removed when the interpreter ends.
KEPT = tempfile.TemporaryDirectory(prefix="optsg-tests-")
os.environ.setdefault("OPTSG_CACHE", KEPT.name)

ROOT = Path(__file__).resolve().parent.parent

CODEC_ARGUMENTS = {
    "h264": ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p"),
    "vp9": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-pix_fmt", "yuv420p"),
    "mpeg4": ("-c:v", "mpeg4"),
    "av1": ("-c:v", "libaom-av1", "-cpu-used", "8", "-usage", "realtime", "-pix_fmt", "yuv420p"),
    "ffv1": ("-c:v", "ffv1"),
    "gif": ("-c:v", "gif"),
}


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread() -> Iterator[None]:
    """One thread: sums do not depend on the machine, and tiny models lose nothing but the waiting for each other."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def sample_dir() -> Path:
    """The sample data: three WebDataset shards."""
    return ROOT / "data" / "sample"


@pytest.fixture(scope="session")
def ffmpeg() -> str:
    """The ffmpeg program. Its absence skips a test on a developer's machine and fails it in CI."""
    program = shutil.which("ffmpeg")
    if program is None:
        message = "ffmpeg is not on PATH; the tests make their clips with it (apt-get install ffmpeg)"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    return program


@pytest.fixture
def clip_factory(ffmpeg: str, tmp_path: Path) -> Callable[..., Path]:
    """Makes short test clips: ``clip_factory("a.mp4", duration=2.0, size=(64, 48), fps=10.0, codec="h264")``.

    A relative name lies in the test's ``tmp_path``; folders are made. The picture is ffmpeg's ``testsrc``: it changes every
    second. ``source`` is any other lavfi source (``color=red``), ``extra`` goes to ffmpeg before the output's name.
    """

    def make(
        name: str | Path = "clip.mp4",
        *,
        duration: float = 2.0,
        size: tuple[int, int] = (64, 48),
        fps: float = 10.0,
        codec: str = "h264",
        source: str = "testsrc",
        extra: tuple[str, ...] = (),
    ) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        separator = ":" if "=" in source else "="
        lavfi = f"{source}{separator}duration={duration}:size={size[0]}x{size[1]}:rate={fps}"
        command = [ffmpeg, "-v", "error", "-nostdin", "-y", "-threads", "1", "-f", "lavfi", "-i", lavfi]
        command += [*CODEC_ARGUMENTS[codec], "-threads", "1", *extra, str(path)]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            pytest.fail(f"ffmpeg could not make {path.name}: {result.stderr.strip()}")
        return path

    return make
