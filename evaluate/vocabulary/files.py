"""What the command reads and writes: a store, or that of a run; proposals as CSV and as a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from ...data.errors import ConfigError
from ...data.store import FeatureStore, open_store
from ...data.vocabulary.proposal import Proposal, csv_lines
from ...data.whole_files import write_text
from ...train.run_files import CONFIG, read_config
from ..scores.run_store import open_run_store


def open_source(path: Path) -> FeatureStore:
    """A store, or the one that a run was trained on.

    Raises:
        ConfigError: it is not there.
        StoreError: it is damaged.
        RunError: the run's settings cannot be read.
    """
    if (path / CONFIG).is_file():
        return open_run_store(path, read_config(path).store, None)
    if not path.exists():
        raise ConfigError(f"there is neither a run nor a feature store at {path}")
    return open_store(path)


def check_new(files: Iterable[Path | None], *, overwrite: bool) -> None:
    """Raises :class:`ConfigError` where a file is there already: what a person filled in would be lost."""
    for path in filter(None, files):
        if path.exists() and not overwrite:
            raise ConfigError(f"{path} is there already; choose another name, or replace it with --overwrite")


def write_proposals(
    proposals: Sequence[Proposal], source: Path, tags: int, *, csv_file: Path | None, html_file: Path | None
) -> None:
    """Writes what is asked for; errors as :func:`optsg.data.whole_files.write_text`.

    Args:
        source: the store or run, named on the page.
        tags: that it has.
    """
    if csv_file is not None:
        write_text(csv_file, csv_lines(proposals))
    if html_file is not None:
        from .page import proposals_page

        write_text(html_file, [proposals_page(proposals, source=source.name, tags=tags)])
