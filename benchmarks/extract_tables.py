"""Markdown tables of ``benchmarks/extract.py``: medians over repetitions, and ratios taken within each repetition."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from benchmarks.results_file import table

Records = dict[str, list[dict[str, Any]]]
"""Measurements by name, one for each repetition."""

END_TO_END = {
    "optsg": "optsg-extract",
    "before": "optsg-extract of the other version",
    "float32": "optsg-extract --precision float32",
    "cve": "clip-video-encode 1.3.0",
    "optsg_single": "optsg-extract --workers 1, one thread",
}


def report(records: Records, same: Mapping[str, Any] | None, *, frames: int, workers: int, cores: int) -> str:
    """All tables for which there are measurements."""
    blocks = [
        _end_to_end(records, frames),
        _split(records),
        _halves(records, frames, workers),
        _ratios(records, cores),
        _writer(records),
        _same_frames(same),
    ]
    return "\n\n".join(block for block in blocks if block)


def _median(records: Sequence[Mapping[str, Any]], value: str | Callable[[Mapping[str, Any]], float]) -> float:
    return median(float(r[value]) if isinstance(value, str) else value(r) for r in records)


def _end_to_end(records: Records, frames: int) -> str:
    rows = []
    for name, shown in END_TO_END.items():
        if runs := records.get(name):
            wall, steady = _median(runs, "wall"), _median(runs, "seconds")
            costs = [wall, _median(runs, "startup_seconds"), _median(runs, "cpu"), frames / wall, frames / steady]
            memory = [_median(runs, "main_mib"), _median(runs, "largest_child_mib")]
            rows.append([shown, *(f"{cost:.1f}" for cost in costs), *(f"{mib:,.0f}" for mib in memory)])
    if not rows:
        return ""
    header = ["end to end", "wall s", "of it start-up s", "CPU s", "frames/s", "frames/s without start-up"]
    note = "Start-up: imports and models, with clip-video-encode also its shared memory. CPU seconds include all processes."
    return f"{table([*header, 'peak MiB, main', 'peak MiB, largest worker'], rows)}\n\n{note}"


def _split(records: Records) -> str:
    rows = []
    for name, shown in END_TO_END.items():
        runs = records.get(name)
        if runs and "encode_seconds" in runs[0]:
            parts = [_median(runs, f"{part}_seconds") for part in ("encode", "wait", "finish")]
            whole = _median(runs, "seconds")
            seconds = [whole, *parts, whole - sum(parts), _median(runs, "decode_seconds")]
            rows.append([shown, *(f"{second:.1f}" for second in seconds)])
    header = ["its own split, s", "whole", "encoding", "waiting for decoding", "text and store", "rest"]
    return table([*header, "decoding (CPU, in the workers)"], rows) if rows else ""


def _halves(records: Records, frames: int, workers: int) -> str:
    rows: list[list[str]] = []

    def add(name: str, shown: str, wall: str | None, cpu: str) -> None:
        if runs := records.get(name):
            seconds = _median(runs, cpu)
            waited = f"{_median(runs, wall):.1f}" if wall else ""
            rows.append([shown, waited, f"{seconds:.1f}", f"{frames / seconds:.1f}"])

    add("ffmpeg", f"ffmpeg -vf fps=1, {workers} at a time", "wall", "cpu")
    for name, processes in (("decode", workers), ("decode_single", 1)):
        number = f"{processes} process" + ("es" if processes > 1 else "")
        backend = ", ".join(records[name][0]["backends"]) if records.get(name) else ""
        add(name, f"our decoding, {number}, {backend} (wall: with resizing)", "wall_seconds", "decode_cpu_seconds")
        add(name, f"our resizing to 224 × 224, {number}", None, "resize_cpu_seconds")
    for name in ("encode", "encode_float32", "encode_single"):
        if runs := records.get(name):
            threads = f"{runs[0]['threads']} thread" + ("s" if runs[0]["threads"] > 1 else "")
            add(name, f"forward pass, batch 64, {runs[0]['format']}, {threads}", "wall_seconds", "cpu_seconds")
    return table(["alone", "wall s", "CPU s", "frames per CPU second"], rows) if rows else ""


def _ratios(records: Records, cores: int) -> str:
    ratios: list[tuple[str, tuple[str, ...], Callable[..., float]]] = [
        ("speed against clip-video-encode, end to end", ("cve", "optsg"), lambda c, o: c["wall"] / o["wall"]),
        (
            "speed against clip-video-encode, without start-up",
            ("cve", "optsg"),
            lambda c, o: c["seconds"] / o["seconds"],
        ),
        (
            "speed against clip-video-encode, without start-up, both in float32",
            ("cve", "float32"),
            lambda c, o: c["seconds"] / o["seconds"],
        ),
        (
            "CPU seconds against clip-video-encode, start-up included",
            ("cve", "optsg"),
            lambda c, o: o["cpu"] / c["cpu"],
        ),
        ("speed against the other version, end to end", ("before", "optsg"), lambda b, o: b["wall"] / o["wall"]),
        (
            "speed against the other version, without start-up",
            ("before", "optsg"),
            lambda b, o: b["seconds"] / o["seconds"],
        ),
        ("CPU seconds against the other version", ("before", "optsg"), lambda b, o: o["cpu"] / b["cpu"]),
        (
            "CPU seconds of decoding against ffmpeg",
            ("ffmpeg", "decode"),
            lambda f, d: d["decode_cpu_seconds"] / f["cpu"],
        ),
        (
            "CPU seconds of decoding against ffmpeg, one process of ours",
            ("ffmpeg", "decode_single"),
            lambda f, d: d["decode_cpu_seconds"] / f["cpu"],
        ),
        (
            "one worker, one thread: wall without start-up against the larger half",
            ("optsg_single", "decode_single", "encode_single"),
            lambda o, d, e: o["seconds"] / max(d["wall_seconds"], e["wall_seconds"]),
        ),
        (
            "all cores: wall without start-up against the larger half",
            ("optsg", "decode", "encode"),
            lambda o, d, e: o["seconds"] / max(d["wall_seconds"], e["wall_seconds"]),
        ),
        (
            "all cores: wall without start-up against the CPU seconds of both halves divided by the cores",
            ("optsg", "decode", "encode_single"),
            lambda o, d, e: (
                o["seconds"] * cores / (d["decode_cpu_seconds"] + d["resize_cpu_seconds"] + e["cpu_seconds"])
            ),
        ),
    ]
    rows = []
    for shown, names, ratio in ratios:
        if all(records.get(name) for name in names):
            values = [ratio(*runs) for runs in zip(*(records[name] for name in names), strict=True)]
            rows.append([shown, f"{median(values):.2f}", f"{min(values):.2f} … {max(values):.2f}"])
    if not rows:
        return ""
    note = (
        "With all cores, decoding alone and encoding alone each use every core, so that together they cannot reach the "
        "larger half: the CPU seconds of both, divided by the cores, are the floor there. With one worker and one thread "
        "each half has a core of its own (where there are two), and the larger half is the floor."
    )
    return f"{table(['ratio', 'median', 'least … greatest'], rows)}\n\n{note}"


def _writer(records: Records) -> str:
    runs = records.get("writer")
    if not runs:
        return ""
    rows = [
        [shown, f"{_median(runs, f'{name}_bytes') / 1e6:.0f}", f"{_median(runs, f'{name}_bytes_per_second') / 1e6:.0f}"]
        for name, shown in (
            ("parts", "parts, with fsync"),
            ("merge", "parts to one .h5, with fsync"),
            ("shards", "parts to WebDataset shards"),
        )
    ]
    block = table(["store writing", "MB", "MB/s"], rows)
    sustained = _median(runs, lambda r: r["frames"] / (r["parts_seconds"] + r["merge_seconds"]))
    size = _median(runs, "bytes_per_frame")
    note = f"\n\nA frame takes {size:,.0f} bytes with everything; parts and merge together keep up with {sustained:,.0f} frames/s."
    if encoding := records.get("encode"):
        produced = _median(encoding, lambda r: r["pictures"] / r["wall_seconds"])
        note += (
            f" The encoder alone gives {produced:,.0f} frames/s, {produced * size / 1e6:.2f} MB/s: "
            f"the writer is {sustained / produced:,.0f} times as fast."
        )
    return block + note


def _same_frames(same: Mapping[str, Any] | None) -> str:
    if same is None:
        return ""
    order = "BGR" if same["distance_if_bgr"] < same["distance_if_rgb"] else "RGB"
    return (
        f"Same frames: optsg-extract has {same['frames_ours']}, clip-video-encode {same['frames_theirs']}, "
        f"{'as many' if same['counts_equal'] else 'NOT as many'} for every clip. Of {same['compared']} features of "
        f"clip-video-encode, {same['same_place']} are closest to our frame at the same place. Its model saw {order}: the "
        f"mean distance of its features to those of our frames is {same['distance_if_rgb']:.2f} as RGB and "
        f"{same['distance_if_bgr']:.2f} with red and blue swapped (its resize has no antialiasing)."
    )
