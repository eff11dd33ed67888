"""Clips with the frame number painted into every frame, made by ffmpeg at test time."""

from __future__ import annotations

import subprocess
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

WIDTH, HEIGHT, BITS = 192, 64, 12
"""Two rows of blocks: the number's bits in the upper one, their complement in the lower one."""

H264 = ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "20", "-bf", "2")


def painted(number: int) -> NDArray[np.uint8]:
    """(HEIGHT, WIDTH, 3) picture that spells ``number`` in black and white blocks."""
    bits = np.array([(number >> bit) & 1 for bit in range(BITS)], dtype=np.uint8) * 255
    rows = np.repeat(np.repeat(np.stack([bits, 255 - bits]), HEIGHT // 2, axis=0), WIDTH // BITS, axis=1)
    return np.repeat(rows[:, :, None], 3, axis=2)


def read_number(image: Image.Image) -> int:
    """The number that a decoded picture spells; fails where it spells none, for instance when it lies on its side."""
    assert image.size == (WIDTH, HEIGHT)
    blocks = np.asarray(image.convert("L"), dtype=np.float32).reshape(2, HEIGHT // 2, BITS, WIDTH // BITS)
    means = blocks[:, 8:-8, :, 4:-4].mean(axis=(1, 3))
    assert np.abs(means[0] - means[1]).min() > 60, "the picture spells no number"
    return int(sum(1 << bit for bit in range(BITS) if means[0, bit] > means[1, bit]))


@dataclass(frozen=True)
class ClipMaker:
    """Makes clips with ffmpeg in one folder, each one once."""

    program: str
    folder: Path

    def __call__(
        self, name: str, *, frames: int, rate: float = 10, inputs: Sequence[str] = (), options: Sequence[str] = H264
    ) -> Path:
        """A clip of ``frames`` painted frames; ``inputs`` and ``options`` go to ffmpeg before and after its input."""
        recipe = repr((frames, rate, *inputs, *options)).encode()
        path = self.folder / f"{zlib.crc32(recipe):08x}" / name  # two tests may use one name for different clips
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            self.encode(path, frames=frames, rate=rate, inputs=inputs, options=options)
        return path

    def encode(
        self, path: Path, *, frames: int, rate: float = 10, inputs: Sequence[str] = (), options: Sequence[str] = H264
    ) -> None:
        """The same, at any path."""
        pixels = b"".join(painted(number).tobytes() for number in range(frames))
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(rate), "-i", "pipe:0"]
        self.run(*inputs, *source, *options, path, pixels=pixels)

    def run(self, *arguments: str | Path, pixels: bytes = b"") -> None:
        """Any other use of ffmpeg."""
        command = [self.program, "-y", "-v", "error", *map(str, arguments)]
        result = subprocess.run(command, input=pixels, capture_output=True, check=False)
        assert result.returncode == 0, result.stderr.decode()
