"""``--dry-run``: what an extraction would read, with which metadata, without decoding anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..data.inputs import Inputs, skipped_files
from ..data.inputs.media_folder import skipped_sentence
from ..data.media import SPLITS, Failure, MediaItem

SHOWN = 10
LONGEST = 40


def dry_run_lines(inputs: Inputs, out: Path) -> Iterator[str]:
    """A table of the first inputs, counts of all, and those that could not be read."""
    shown: list[MediaItem] = []
    failures: list[Failure] = []
    counts: Counter[str] = Counter()
    tags: set[str] = set()
    for item in inputs:
        if isinstance(item, Failure):
            failures.append(item)
            continue
        shown += [item] if len(shown) < SHOWN else []
        counts.update([item.kind, item.split, *["title"] * bool(item.title), *["tags"] * bool(item.tags)])
        tags.update(tag.casefold() for tag in item.tags)
    yield inputs.description
    yield from _table(shown)
    total = counts["video"] + counts["image"]
    if total > len(shown):
        yield f"… and {total - len(shown):,} more"
    yield f"inputs   {counts['video']:,} videos, {counts['image']:,} images, {len(failures):,} that cannot be read"
    yield f"titles   {counts['title']:,} of {total:,}"
    yield f"tags     {counts['tags']:,} of {total:,} have some, {len(tags):,} different"
    yield "splits   " + (", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split]) or "none")
    for failure in failures[:SHOWN]:
        yield f"  {failure.source}: {failure.error.removeprefix(failure.source + ': ')}"
    if len(failures) > SHOWN:
        yield f"  … and {len(failures) - SHOWN:,} more that cannot be read"
    if skipped := skipped_sentence(skipped_files(inputs), "the inputs"):
        yield skipped
    state = "exists: only inputs that it does not hold would be read" if out.exists() else "would be made"
    yield f"{out} {state}"


def _table(items: list[MediaItem]) -> list[str]:
    table = Table(box=None, pad_edge=False)
    for name in ("id", "source", "split", "title", "tags"):
        table.add_column(name, no_wrap=True, overflow="ellipsis", max_width=LONGEST)
    for item in items:
        table.add_row(item.id, item.source, item.split, item.title, ", ".join(item.tags))
    console = Console(width=5 * LONGEST, color_system=None, markup=False, highlight=False, emoji=False)
    with console.capture() as captured:
        console.print(table)
    return [line.rstrip() for line in captured.get().splitlines()]
