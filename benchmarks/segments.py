"""Do a tag's segments lie where its object is? Videos put together from two, of which only one half has the tag.

    python benchmarks/segments.py --run runs/latest [--run runs/other] [--feats feats.h5] [--write]

As in ``benchmarks/evidence.py``, two test videos that share no tag are cut to as many frames and set one behind the other, here
without a title, so that nothing but the pictures says where a tag belongs. Of the tags that the run predicts for the whole, those
that are annotated for one half alone are asked for their segments: do they lie mostly in that half? Chance is 50 %. How much
of the segments' time lies in that half, and how much of the half they cover, is given as means.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # a script finds only its own folder

from optsg.data.batching import Batch  # noqa: E402
from optsg.data.tags import tag_key  # noqa: E402
from optsg.evaluate.scores.run_store import open_run_store  # noqa: E402
from optsg.evaluate.tag.evidence import evidence_for_people, explain  # noqa: E402
from optsg.evaluate.tag.run_tagger import RunTagger  # noqa: E402
from optsg.evaluate.tag.segments import Segment, segments_of  # noqa: E402
from optsg.train.run.run import Run, load_run  # noqa: E402

from benchmarks.evidence import BATCH, Composed, compose, composed_options  # noqa: E402
from benchmarks.options import publish  # noqa: E402
from benchmarks.results_file import table  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Segments of one tag: how much of their time lies in its half, and how much of the half they cover."""

    inside: float
    covered: float


def placed(segments: Sequence[Segment], half: int, middle: float, end: float) -> Placed:
    """Where the segments of a tag of one half lie, in seconds of the whole."""
    begins, ends = (middle, end) if half else (0.0, middle)
    inside = sum(max(0.0, min(one.end, ends) - max(one.start, begins)) for one in segments)
    return Placed(inside=inside / sum(one.end - one.start for one in segments), covered=inside / (ends - begins))


def ask(run: Run, videos: Sequence[Composed], patch_dim: int) -> Iterator[Placed | None]:
    """For each predicted tag of one half where its segments lie; ``None`` where it has none."""
    no_patches = np.zeros((0, patch_dim), np.float16)
    titles = run.tokenizer.encode_titles([""] * len(videos))
    batch = Batch.from_features([video.frames for video in videos], [no_patches] * len(videos), titles).to(run.device)
    tags = [
        [tag for tag in predicted if any(tag_key(tag.text) in half for half in video.tags)]
        for predicted, video in zip(RunTagger(run).predict(batch), videos, strict=True)
    ]
    for video, predicted, evidence in zip(videos, tags, explain(run.system, batch, tags), strict=True):
        times = [float(second) for second in range(len(video.frames))]  # a frame each second
        for tag, found in zip(predicted, evidence, strict=True):
            shown = evidence_for_people(found, times=times, title="", tokenizer=run.tokenizer)
            segments = segments_of(shown, duration=float(len(times)))
            half = 0 if tag_key(tag.text) in video.tags[0] else 1
            yield placed(segments, half, len(times) / 2, float(len(times))) if segments else None


def report(runs: Sequence[Path], feats: Path | None, pairs: int, seed: int) -> str:
    """The table, one run a row."""
    rows = []
    for path in runs:
        run = load_run(path, device="cpu")
        with open_run_store(run.path, run.config.store, feats) as store:
            composed, width = list(compose(store, pairs, seed)), store.header.patch_dim
        starts = range(0, len(composed), BATCH)
        asked = [one for start in starts for one in ask(run, composed[start : start + BATCH], width)]
        found = [one for one in asked if one is not None]
        right = sum(one.inside > 0.5 for one in found)
        rows.append(
            [
                f"`{run.config.system}`, {path.name}",
                f"{len(composed):,}",
                f"{100 * right / max(1, len(found)):.1f} % of {len(found):,}",
                f"{100 * float(np.mean([one.inside for one in found])):.0f} %",
                f"{100 * float(np.mean([one.covered for one in found])):.0f} %",
                f"{len(asked) - len(found):,}",
            ]
        )
    heads = ["run", "composed videos", "tags with segments mostly in their half", "of their time in it"]
    return table([*heads, "of the half covered", "tags without segments"], rows)


def main(words: Sequence[str] | None = None) -> None:
    """Prints the table as Markdown."""
    options = composed_options(__doc__)
    arguments = options.parse_args(words)
    publish(arguments, "Segments", report(arguments.run, arguments.feats, arguments.pairs, arguments.seed))


if __name__ == "__main__":
    main()
