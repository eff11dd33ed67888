"""Clips and pictures of one colour each, whose tag is the colour, and their features through a random image tower."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
from optsg.data.inputs import open_inputs
from optsg.extract.decoding.sampling import Sampling
from optsg.extract.encoders.image_encoder import open_image_encoder
from optsg.extract.encoders.text_encoder import open_text_encoder
from PIL import Image

from tests.extract.run_extraction import run_extraction
from tests.extract.tiny_encoders import save_bert, save_timm

COLOURS = {"red": (215, 25, 25), "green": (25, 215, 25), "blue": (25, 25, 215)}


def shade(colour: str, number: int) -> tuple[int, int, int]:
    """A colour, a little changed."""
    dice = np.random.default_rng(number)
    red, green, blue = (int(np.clip(value + dice.integers(-25, 25), 0, 255)) for value in COLOURS[colour])
    return red, green, blue


def write_clip(ffmpeg: str, path: Path, rgb: tuple[int, int, int]) -> None:
    """Two seconds of one colour."""
    source = "color=0x{:02x}{:02x}{:02x}:duration=2:size=64x48:rate=5".format(*rgb)
    command = [ffmpeg, "-v", "error", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-pix_fmt", "yuv420p", str(path)]
    subprocess.run(command, check=True)


def write_colours(ffmpeg: str, folder: Path) -> Path:
    """Four clips and six pictures of each colour, with tags and no titles."""
    rows = []
    for colour in COLOURS:
        for number in range(10):
            name = f"{colour}{number}" + (".mp4" if number < 4 else ".png")
            if number < 4:
                write_clip(ffmpeg, folder / name, shade(colour, number))
            else:
                Image.new("RGB", (40, 30), shade(colour, number)).save(folder / name)
            split = "val" if number in (3, 9) else "train"
            rows.append({"file_name": name, "tags": [colour.capitalize()], "split": split})
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def extract_colours(videos: Path, root: Path) -> Path:
    """Their features, two frames a second."""
    tower = save_timm(root / "tower", "test_convnext")
    run_extraction(
        open_inputs(videos),
        root / "feats.h5",
        image_encoder=open_image_encoder({"library": "timm", "folder": str(tower)}, device="cpu", precision="float32"),
        text_encoder=open_text_encoder({"library": "transformers", "folder": str(save_bert(root / "bert", layers=2))}),
        sampling=Sampling(fps=2.0, max_frames=3),
    )
    return root / "feats.h5"
