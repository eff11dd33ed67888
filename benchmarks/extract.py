"""Extraction end to end, beside clip-video-encode, ``ffmpeg -vf fps=1`` and each half of the work alone.

    python benchmarks/extract.py --cve-python CVE_PYTHON --write
    python benchmarks/extract.py --count 2 --seconds 5 --repetitions 1 --only optsg ffmpeg

Makes 720p30 h264 clips and a randomly initialised ViT-B-32 once (in ``--work``), then runs every measurement
``--repetitions`` times in turn, each in a fresh process. Tables have medians; ratios are taken within one repetition, and
their median is printed with the least and the greatest. ``--write`` puts the tables into ``benchmarks/RESULTS.md``.

  optsg     optsg-extract, processes and threads as by default
  float32   the same with --precision float32, the number format of clip-video-encode
  cve       clip-video-encode 1.3.0 with the same weights, every 30th frame; needs --cve-python, the Python of an
            environment made as ``clip_video_encode_baseline.py`` says
  ffmpeg    ffmpeg -threads 1 -vf fps=1 to raw video that is thrown away, one process per clip, as many at once as workers
  decode    our decoding and resizing without an encoder, as many processes as workers
  encode    the forward pass alone, as many random pictures as the clips have frames
  overlap   optsg-extract, decode and encode with one worker and one thread
  writer    bytes per second of the feature store's writer
  before    optsg-extract of another version: ``--against`` is a folder with its package ``optsg``
            (``git archive --prefix=optsg/ COMMIT | tar x -C FOLDER``)
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from benchmarks.clips import FPS, ClipSet, make_clips, run_ffmpeg  # noqa: E402
from benchmarks.extract_tables import Records, report  # noqa: E402
from benchmarks.measured_process import ITS_EXTRACT, OPTSG_EXTRACT, available_processors, run_measured  # noqa: E402
from benchmarks.results_file import command, described_machine, write_results  # noqa: E402

BENCHMARKS = Path(__file__).resolve().parent
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Bench:
    """What all measurements share.

    Attributes:
        clips: the videos.
        work: folder for clips, models and outputs.
        workers: decoding processes.
        cve_python: interpreter of clip-video-encode's environment.
        cve_frame_workers: its reading processes.
        against: folder with another version's package.
        pictures: of the forward pass alone.
    """

    clips: ClipSet
    work: Path
    workers: int
    cve_python: Path | None
    cve_frame_workers: int
    against: Path | None
    pictures: int

    @property
    def image_encoder(self) -> Path:
        """The random ViT-B-32."""
        return self.work / "models" / "vit-b-32"

    @property
    def store(self) -> Path:
        """What optsg-extract writes."""
        return self.work / "out" / "feats.h5"

    @property
    def cve_out(self) -> Path:
        """What clip-video-encode writes."""
        return self.work / "out" / "clip-video-encode"

    def before(self) -> Record:
        """As :meth:`optsg`, by the other version."""
        return self.optsg(environment={"PYTHONPATH": str(self.against)}, program=(sys.executable, "-c", ITS_EXTRACT))

    def optsg(
        self,
        *options: str,
        environment: Mapping[str, str] | None = None,
        program: tuple[str | Path, ...] = (OPTSG_EXTRACT,),
    ) -> Record:
        """optsg-extract on the clips; the seconds of its log do not count imports and the loading of encoders."""
        shutil.rmtree(self.store.parent, ignore_errors=True)
        self.store.parent.mkdir(parents=True)
        log = self.work / "extract.jsonl"
        log.unlink(missing_ok=True)
        encoders = ["--image-encoder", self.image_encoder, "--text-encoder", self.work / "models" / "bert"]
        outputs = ["--out", self.store, "--json-log", log, "--quiet"]
        words = map(str, (*program, self.clips.folder, *outputs, *encoders, *options))
        usage = run_measured([*words], environment=environment)
        finished = json.loads(log.read_text(encoding="utf-8").splitlines()[-1])
        if finished["event"] != "finished" or finished["frames"] != self.clips.frames:
            raise SystemExit(f"expected {self.clips.frames} frames of {self.clips.folder}, found {finished}")
        return {**usage.costs(), **finished, "startup_seconds": usage.wall - finished["seconds"]}

    def cve(self) -> Record:
        """clip-video-encode on the clips."""
        assert self.cve_python is not None
        shutil.rmtree(self.cve_out, ignore_errors=True)
        options = ["--model", self.image_encoder, "--nth", FPS, "--frame-workers", self.cve_frame_workers]
        script = BENCHMARKS / "clip_video_encode_baseline.py"
        usage = run_measured(
            [str(word) for word in (self.cve_python, "-W", "ignore", script, self.clips.folder, self.cve_out, *options)]
        )
        return {**usage.costs(), **json.loads(usage.stdout.splitlines()[-1])}

    def ffmpeg(self) -> Record:
        """Decoding by ffmpeg."""

        def decode(path: Path) -> None:
            run_ffmpeg(["-threads", "1", "-i", str(path), "-vf", "fps=1", "-f", "rawvideo", os.devnull])

        before, started = _children_cpu(), time.perf_counter()
        with ThreadPoolExecutor(self.workers) as pool:
            list(pool.map(decode, self.clips.paths))
        return {"wall": time.perf_counter() - started, "cpu": _children_cpu() - before}

    def decode(self, workers: int) -> Record:
        """Decoding by optsg."""
        return self._script("decode_alone.py", "--workers", str(workers), *map(str, self.clips.paths))

    def encode(self, *options: str, environment: Mapping[str, str] | None = None) -> Record:
        """The forward pass."""
        words = [str(self.image_encoder), "--pictures", str(self.pictures), *options]
        return self._script("encode_alone.py", *words, environment=environment)

    def writer(self) -> Record:
        """The feature store's writer."""
        return self._script("store_writing.py", "--folder", str(self.work))

    def same_frames(self) -> Record:
        """Compares the outputs of optsg and clip-video-encode."""
        words = [self.store, self.cve_out, self.clips.folder, self.image_encoder]
        return self._script("same_frames.py", *map(str, words))

    def _script(self, name: str, *words: str, environment: Mapping[str, str] | None = None) -> Record:
        usage = run_measured([sys.executable, BENCHMARKS / name, *words], environment=environment)
        record: Record = json.loads(usage.stdout.splitlines()[-1])
        return record


def measurements(bench: Bench, only: list[str] | None) -> dict[str, Callable[[], Record]]:
    """What to run, by name."""
    groups: dict[str, dict[str, Callable[[], Record]]] = {
        "optsg": {"optsg": bench.optsg},
        "cve": {"cve": bench.cve},
        "float32": {"float32": lambda: bench.optsg("--precision", "float32")},
        "ffmpeg": {"ffmpeg": bench.ffmpeg},
        "decode": {"decode": lambda: bench.decode(bench.workers)},
        "encode": {"encode": bench.encode, "encode_float32": lambda: bench.encode("--precision", "float32")},
        "overlap": {
            "optsg_single": lambda: bench.optsg("--workers", "1", environment=ONE_THREAD),
            "decode_single": lambda: bench.decode(1),
            "encode_single": lambda: bench.encode(environment=ONE_THREAD),
        },
        "writer": {"writer": bench.writer},
        "before": {"before": bench.before},
    }
    if unknown := set(only or ()) - set(groups):
        raise SystemExit(f"--only {' '.join(sorted(unknown))}: expected some of {' '.join(groups)}")
    if bench.cve_python is None:
        del groups["cve"]
        print("clip-video-encode is left out: no --cve-python", file=sys.stderr)
    if bench.against is None:
        del groups["before"]
    return {name: run for group, runs in groups.items() if not only or group in only for name, run in runs.items()}


def run_all(
    bench: Bench, runs: dict[str, Callable[[], Record]], repetitions: int, json_file: Path | None
) -> tuple[Records, Record | None]:
    """Every measurement once, then again; where clip-video-encode took part, outputs are compared once as well."""
    records: Records = {name: [] for name in runs}
    same: Record | None = None
    for repetition in range(repetitions):
        for name, run in runs.items():
            started = time.perf_counter()
            records[name].append(run())
            took = time.perf_counter() - started
            print(f"repetition {repetition + 1} of {repetitions}: {name}, {took:.1f} s", file=sys.stderr, flush=True)
            if same is None and name == "cve" and "optsg" in runs:
                same = bench.same_frames()
            if json_file is not None:
                json_file.write_text(json.dumps({"same_frames": same, **records}, indent=1), encoding="utf-8")
    return records, same


def _children_cpu() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def main() -> None:
    """Prints the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12, help="different clips [12]")
    parser.add_argument("--seconds", type=int, default=30, help="length of a clip, at most 60 [30]")
    parser.add_argument("--repeat", type=int, default=2, help="names under which each clip is read [2]")
    parser.add_argument("--repetitions", type=int, default=3, help="[3]")
    parser.add_argument("--workers", type=int, default=available_processors(), help="[one per processor]")
    parser.add_argument("--cve-python", type=Path, help="compare with clip-video-encode, installed for this Python")
    parser.add_argument("--cve-frame-workers", type=int, help="its reading processes [--workers; its own default is 1]")
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="compare with the package optsg in this folder")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="some of the measurements above")
    parser.add_argument(
        "--work", type=Path, default=Path(tempfile.gettempdir()) / "optsg-benchmark", help="[%(default)s]"
    )
    parser.add_argument("--json", type=Path, help="write every single measurement to this file")
    parser.add_argument("--write", action="store_true", help="put the tables into benchmarks/RESULTS.md")
    arguments = parser.parse_args()
    work: Path = arguments.work.resolve()
    subprocess.run([sys.executable, BENCHMARKS / "random_models.py", work / "models"], check=True)  # noqa: S603
    clips = make_clips(work, arguments.count, arguments.seconds, arguments.repeat)
    bench = Bench(
        clips=clips,
        work=work,
        workers=arguments.workers,
        cve_python=arguments.cve_python,
        cve_frame_workers=arguments.cve_frame_workers or arguments.workers,
        against=arguments.against and arguments.against.resolve(),
        pictures=clips.frames,
    )
    runs = measurements(bench, arguments.only)
    records, same = run_all(bench, runs, arguments.repetitions, arguments.json)
    machine = described_machine(["torch", "open_clip_torch", "av", "h5py"])
    heading = f"`{command()}`\n\n{machine} {clips.described}; repetitions: {arguments.repetitions}."
    numbers = {"frames": clips.frames, "workers": bench.workers, "cores": available_processors()}
    text = heading + "\n\n" + report(records, same, **numbers)
    print(text)
    if arguments.write:
        write_results("Extraction", text)


if __name__ == "__main__":
    main()
