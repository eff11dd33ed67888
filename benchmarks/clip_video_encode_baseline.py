"""Runs clip-video-encode 1.3.0 on local weights; for ``benchmarks/extract.py``, with the Python of CVE's own environment.

    CVE_PYTHON benchmarks/clip_video_encode_baseline.py CLIPS DEST --model FOLDER [--nth 30] [--frame-workers 2]

Changed of CVE: the model comes from FOLDER in place of a download. A torchvision whose compiled half does not fit the
installed PyTorch is made importable (``data/torchvision_compat.py`` says how). Everything else, batches of 256 and
float32 included, is as installed. The last line printed is JSON: seconds until it starts to read videos (imports, model,
4 GB of shared memory filled with zeros), and from then on. The environment (CVE's own requirements name versions of
2022, which know neither today's PyTorch nor today's Python):

    python3.11 -m venv cve-venv
    cve-venv/bin/pip install 'setuptools<81' torch==2.13.0
    cve-venv/bin/pip install --no-deps torchvision==0.28.0
    cve-venv/bin/pip install --no-deps --no-build-isolation clip-video-encode==1.3.0
    cve-venv/bin/pip install video2numpy==2.3.0 open_clip_torch safetensors webdataset fsspec tqdm 'pandas<3' 'pyarrow<20'
"""

from __future__ import annotations

import argparse
import importlib
import json
import time
from pathlib import Path
from typing import Any

STARTED = time.perf_counter()


def make_torchvision_importable() -> None:
    """Declares the operators whose compiled half is missing."""
    import torch

    if not hasattr(torch.ops.torchvision, "nms"):
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["kept"] = library  # a schema disappears with its library object


def load(folder: Path, device: str) -> tuple[Any, None, None]:
    """What ``open_clip.create_model_and_transforms`` returns, as far as CVE uses it."""
    import open_clip
    from safetensors.torch import load_file

    config = json.loads((folder / "open_clip_config.json").read_text(encoding="utf-8"))
    model = open_clip.CLIP(**config["model_cfg"])
    model.load_state_dict(load_file(folder / "open_clip_model.safetensors"))
    return model.eval().to(device), None, None


def main() -> None:
    """Encodes every .mp4 of a folder into DEST/NUMBER.npy, numbered in the order of their names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("dest", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--nth", type=int, default=30)
    parser.add_argument("--frame-workers", type=int, default=1)
    parser.add_argument("--frame-memory", type=int, default=4, help="GB of shared memory, CVE's default.")
    arguments = parser.parse_args()
    make_torchvision_importable()
    module: Any = importlib.import_module("clip_video_encode.clip_video_encode")
    reading_at = 0.0

    def create(_name: str, *, device: str, **_: Any) -> tuple[Any, None, None]:
        return load(arguments.model, device)

    start_reading = module.FrameReader.start_reading

    def note_time_and_start(reader: Any) -> None:
        nonlocal reading_at
        reading_at = time.perf_counter()
        start_reading(reader)

    module.open_clip.create_model_and_transforms = create
    module.FrameReader.start_reading = note_time_and_start
    arguments.dest.mkdir(parents=True, exist_ok=True)
    module.clip_video_encode(
        [str(path) for path in sorted(arguments.clips.glob("*.mp4"))],
        str(arguments.dest),
        take_every_nth=arguments.nth,
        frame_workers=arguments.frame_workers,
        frame_memory_size=arguments.frame_memory,
    )
    seconds = {"startup_seconds": reading_at - STARTED, "seconds": time.perf_counter() - reading_at}
    print(json.dumps(seconds), flush=True)


if __name__ == "__main__":
    main()
