"""``--dry-run``: what an extraction would read, with which metadata, without decoding anything."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from ..data.inputs import Inputs, left_out_thumbnails, skipped_files, tables_of
from ..data.inputs.media_folder import left_out
from ..data.media import SPLITS, Failure, MediaItem
from ..data.tags import tag_key

SHOWN = 10
LONGEST = 40


def dry_run_lines(inputs: Inputs, out: Path, *, overwrites: bool = False) -> Iterator[str]:
    """A table of the first inputs, counts of all, those that could not be read, and what would become of ``out``."""
    shown: list[MediaItem] = []
    failures: list[Failure] = []
    counts: Counter[str] = Counter()
    tags: Counter[str] = Counter()
    per_video: list[int] = []
    for item in inputs:
        if isinstance(item, Failure):
            failures.append(item)
            continue
        shown += [item] if len(shown) < SHOWN else []
        counts.update([item.kind, item.split, *["title"] * bool(item.title), *["tags"] * bool(item.tags)])
        tags.update(item.tags)
        per_video += [len(item.tags)] if item.tags else []
    yield inputs.description
    yield from _table(shown)
    spelling_of: dict[str, str] = {}
    totals: Counter[str] = Counter()  # of a tag in all its spellings, as the store counts it
    for tag, count in tags.most_common():
        totals[spelling_of.setdefault(tag_key(tag), tag)] += count
    total = counts["video"] + counts["image"]
    if total > len(shown):
        yield f"… and {total - len(shown):,} more"
    yield f"inputs   {counts['video']:,} videos, {counts['image']:,} images, {len(failures):,} that cannot be read"
    yield f"titles   {counts['title']:,} of {total:,}"
    yield f"tags     {counts['tags']:,} of {total:,} have some, {len(totals):,} different"
    yield "splits   " + (", ".join(f"{split} {counts[split]:,}" for split in SPLITS if counts[split]) or "none")
    if tags:
        yield "often    " + ", ".join(f"{tag} {count:,}" for tag, count in totals.most_common(SHOWN))
        mean = sum(per_video) / len(per_video)
        yield f"a video  {min(per_video)} to {max(per_video)} tags, {mean:.1f} on average, where it has some"
    yield from _columns(inputs)
    for failure in failures[:SHOWN]:
        yield f"  {failure.source}: {failure.error.removeprefix(failure.source + ': ')}"
    if len(failures) > SHOWN:
        yield f"  … and {len(failures) - SHOWN:,} more that cannot be read"
    yield from left_out(skipped_files(inputs), left_out_thumbnails(inputs), "the inputs")
    there = "would be replaced" if overwrites else "exists: only inputs that it does not hold would be read"
    yield f"{out} {there if out.exists() else 'would be made'}"


def _columns(inputs: Inputs) -> Iterator[str]:
    """Which columns are read as what, how many rows have something in them, and what looks misread."""
    folder = tables_of(inputs)
    surveys = [] if folder is None else folder.surveys()
    for survey in surveys[:SHOWN]:
        columns = survey.table.columns
        read = [
            f"{name if name == column else f'{column} as {name}'} {survey.filled[name]:,}"
            for name, column in columns.source.items()
        ]
        others = [column or "(no name)" for column in columns.found if column not in columns.source.values()]
        not_read = f"; not read: {', '.join(others)}" if others else ""
        yield f"columns  {survey.label}, {survey.rows:,} rows: {', '.join(read)}{not_read}"
    if len(surveys) > SHOWN:
        yield f"columns  … and of {len(surveys) - SHOWN:,} more tables"
    notes = list(dict.fromkeys(note for survey in surveys for note in survey.notes()))
    yield from (f"note: {note}" for note in notes[:SHOWN])
    if len(notes) > SHOWN:
        yield f"note: … and {len(notes) - SHOWN:,} more"


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
