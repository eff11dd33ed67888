"""Clips that cost about as much to decode as videos from the web do: 720p30 h264 with motion and noise, made by ffmpeg.

x264's preset ``medium`` with its default GOP and B-frames, constant quality 23: 3 to 6 Mbit/s.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

FPS = 30
_PATTERN = "testsrc2=size=1280x720:rate=30,scroll=horizontal={shift}:vertical={shift}"
_NOISE = "noise=alls={noise}:allf=t:all_seed={number}"
_FRACTAL = "mandelbrot=size=640x360:rate=30:maxiter=300:start_scale={scale},scale=1280:720:flags=bilinear"
GRAPHS = (
    f"{_PATTERN},{_NOISE}",
    f"{_FRACTAL},{_NOISE}",
    f"{_PATTERN}[a];{_FRACTAL}[b];[a][b]blend=all_mode=average,{_NOISE}",
)


@dataclass(frozen=True, kw_only=True)
class ClipSet:
    """A folder of clips of equal length.

    Attributes:
        folder: holds them and a ``metadata.jsonl``.
        paths: in the order of their names.
        seconds: length of one clip.
        different: how many different clips there are; the others are the same under other names.
    """

    folder: Path
    paths: tuple[Path, ...]
    seconds: int
    different: int

    @property
    def frames(self) -> int:
        """Pictures at one per second."""
        return len(self.paths) * self.seconds

    @property
    def described(self) -> str:
        """Number, length, format and bit rate."""
        rate = sum(path.stat().st_size for path in self.paths) * 8 / (len(self.paths) * self.seconds) / 1e6
        kind = f"1280×720, {FPS} fps, h264, {rate:.1f} Mbit/s on average"
        return f"{len(self.paths)} clips ({self.different} different) × {self.seconds} s, {kind}"


def make_clips(work: Path, count: int, seconds: int, repeat: int) -> ClipSet:
    """Clips in ``work/clips-COUNTxSECONDS``, those that are there already taken as they are, each under some names."""
    kinds = work / f"clips-{count}x{seconds}"
    kinds.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        path = kinds / f"clip-{number:03d}.mp4"
        if not path.exists():
            print(f"making clip {number + 1} of {count}", file=sys.stderr, flush=True)
            _make_clip(path, number, seconds)
    folder = kinds.with_name(f"{kinds.name}-{repeat}-times")
    shutil.rmtree(folder, ignore_errors=True)
    repeat_files(kinds, folder, count * repeat)
    paths = tuple(sorted(folder.glob("*.mp4")))
    lines = [{"file_name": p.name, "title": f"clip {n}", "tags": ["cat", f"tag {n % 7}"]} for n, p in enumerate(paths)]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "metadata.jsonl").write_text(text, encoding="utf-8")
    return ClipSet(folder=folder, paths=paths, seconds=seconds, different=count)


def _make_clip(path: Path, number: int, seconds: int) -> None:
    graph = GRAPHS[number % len(GRAPHS)].format(
        shift=0.001 * (1 + number), noise=6, number=number, scale=1.0 + 0.2 * number
    )
    source = ["-f", "lavfi", "-i", graph, "-t", str(seconds)]
    coding = ["-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "medium", "-crf", "23"]
    temporary = path.with_suffix(".tmp.mp4")
    run_ffmpeg([*source, *coding, str(temporary)])
    temporary.replace(path)


def make_tiny_clips(folder: Path, count: int = 20) -> Path:
    """Different clips of 1 to 3 s, 160×120, in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        source = f"testsrc2=size=160x120:rate=15,hue=h={number * 17},noise=alls=6:allf=t:all_seed={number}"
        length = ["-t", str(1 + number % 3), "-pix_fmt", "yuv420p"]
        run_ffmpeg(["-f", "lavfi", "-i", source, *length, str(folder / f"{number:03d}.mp4")])
    return folder


def repeat_files(kinds: Path, folder: Path, count: int) -> None:
    """``count`` files in ``folder``, the videos of ``kinds`` again and again under new names (as links)."""
    paths = [path.resolve() for path in sorted(kinds.glob("*.mp4"))]
    folder.mkdir()
    for number in range(count):
        link = folder / f"clip-{number:06d}.mp4"
        try:
            link.hardlink_to(paths[number % len(paths)])
        except OSError:  # on another disk
            shutil.copyfile(paths[number % len(paths)], link)


def run_ffmpeg(arguments: list[str]) -> None:
    """Runs the ``ffmpeg`` of the path; SystemExit where there is none."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise SystemExit("ffmpeg is not on the path; the benchmark makes its clips with it")
    subprocess.run([program, "-v", "error", "-nostdin", "-y", *arguments], check=True)  # noqa: S603
