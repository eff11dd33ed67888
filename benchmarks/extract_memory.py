"""Peak memory of extraction over 1× and 10× the sample data: it must not grow with the number of videos.

    python benchmarks/extract_memory.py [--copies 1 10] [--encoders tiny|small] [--clips N]

The larger input is the sample repeated in shards whose members have new names and ids, so that nothing is skipped as a
duplicate. Every run is a process of its own; its peak is the kernel's (``ru_maxrss``), all threads and libraries
included. ``tiny`` puts small random encoders in the place of the real ones: decoding, batching, parts and the merge,
which are what could grow, are the same, and the frames are encoded sooner.
"""

from __future__ import annotations

import argparse
import io
import json
import multiprocessing
import resource
import tarfile
import tempfile
import time
from pathlib import Path

SAMPLE = Path(__file__).resolve().parent.parent / "data" / "sample"


def repeat_sample(folder: Path, copies: int, clips: int | None) -> None:
    """Writes ``copies`` of every sample shard, copy k with ``rK-`` before each name and id."""
    for shard in sorted(SAMPLE.glob("*.tar")):
        for copy in range(copies):
            with tarfile.open(shard) as source, tarfile.open(folder / f"{shard.stem}-{copy:02d}.tar", "w") as target:
                for member in source.getmembers()[: clips and 3 * clips]:
                    file = source.extractfile(member)
                    if file is None:
                        continue
                    data = file.read()
                    if member.name.endswith(".json"):
                        fields = json.loads(data)
                        data = json.dumps({**fields, "id": f"r{copy}-{fields['id']}"}).encode()
                    member.name, member.size = f"r{copy}-{member.name}", len(data)
                    target.addfile(member, io.BytesIO(data))


def measure(
    folder: Path, encoders: str, scratch: Path, results: multiprocessing.Queue[tuple[int, float, float]]
) -> None:
    """Extracts ``folder`` in this process; reports videos, seconds and the peak in MiB."""
    from optsg.data.inputs import open_inputs
    from optsg.extract.image_encoder import open_image_encoder, parse_image_encoder
    from optsg.extract.pipeline import extract
    from optsg.extract.presets import PRESETS
    from optsg.extract.text_encoder import open_text_encoder, parse_text_encoder

    image, text = PRESETS["small"]
    if encoders == "tiny":
        from tests.extract.tiny_encoders import save_bert, save_timm

        image = parse_image_encoder(str(save_timm(scratch / "timm", "test_efficientnet")))
        text = parse_text_encoder(str(save_bert(scratch / "bert")))
    started = time.perf_counter()
    summary = extract(
        open_inputs(folder),
        scratch / "feats.h5",
        image_encoder=open_image_encoder(image, device="cpu"),
        text_encoder=open_text_encoder(text, device="cpu"),
    )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    results.put((summary.videos, time.perf_counter() - started, peak))


def main() -> None:
    """Prints one row per size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--copies", type=int, nargs="+", default=[1, 10])
    parser.add_argument("--encoders", choices=["tiny", "small"], default="tiny")
    parser.add_argument("--clips", type=int, help="clips of every shard, all by default")
    arguments = parser.parse_args()
    context = multiprocessing.get_context("spawn")
    print(f"{'copies':>6} {'videos':>8} {'seconds':>8} {'videos/s':>9} {'peak MiB':>9}")
    for copies in arguments.copies:
        with tempfile.TemporaryDirectory() as temporary:
            folder, scratch = Path(temporary) / "shards", Path(temporary) / "scratch"
            folder.mkdir()
            scratch.mkdir()
            repeat_sample(folder, copies, arguments.clips)
            results: multiprocessing.Queue[tuple[int, float, float]] = context.Queue()
            process = context.Process(target=measure, args=(folder, arguments.encoders, scratch, results))
            process.start()
            process.join()
            if process.exitcode:
                raise SystemExit(f"extraction ended with exit code {process.exitcode}")
            videos, seconds, peak = results.get()
        print(f"{copies:>6} {videos:>8,} {seconds:>8.1f} {videos / seconds:>9.1f} {peak:>9,.0f}", flush=True)


if __name__ == "__main__":
    main()
