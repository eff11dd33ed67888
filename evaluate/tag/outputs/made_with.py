"""What made an output: the run and the options that its tags depend on, kept with it so that nothing else is mixed in.

Files of lines have it beside them, in ``OUT.optsg.json``; a Parquet file has it in its own metadata.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .... import __version__
from ....data.errors import RunError, reason_of
from ....data.foreign.json_reader import JSON_DAMAGE, parse_json, read_bounded
from ....data.tag_list import read_tag_list
from ....data.whole_files import write_text
from ...options import SNAP_TO, TaggingOptions

ANEW = "choose another --out, or add --overwrite to begin anew"


@dataclass(frozen=True, kw_only=True)
class MadeWith:
    """A run and options. What only says how files are worked through or shown is not here.

    Attributes:
        run: the run folder's name.
        run_digest: of its files (:func:`optsg.train.run_files.run_digest`): what the run is, wherever it lies.
        vocabulary, decision, favour, nil_bias, threshold, min_precision: of :class:`TaggingOptions`.
        list_digest: of the tags that ``vocabulary`` lists in a file, whatever the file is called.
        pin, forbid: tags that all files have or have not.
        evidence, segments, write_sidecar, sidecar, hierarchy: what is written besides tags.
        optsg_version: for people.
    """

    run: str
    run_digest: str
    vocabulary: str = "open"
    list_digest: str | None = None
    decision: float | str | None = None
    favour: str | None = None
    nil_bias: float | None = None
    threshold: float | None = None
    min_precision: float | None = None
    pin: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    evidence: bool = False
    segments: bool = False
    write_sidecar: bool = False
    sidecar: tuple[str, ...] = ()
    hierarchy: str | None = None
    optsg_version: str = __version__

    @classmethod
    def now(
        cls,
        run: Path,
        options: TaggingOptions,
        *,
        pin: tuple[str, ...] = (),
        forbid: tuple[str, ...] = (),
        **made: Any,
    ) -> MadeWith:
        """Of a command that is about to run.

        Raises:
            RunError: the run is not finished, or cannot be read.
            ConfigError: the list of tags cannot be read.
        """
        # PyTorch takes seconds to import, and no other part of this file needs it.
        from ....train.run_files import run_digest

        return cls(
            run=run.resolve().name,
            run_digest=run_digest(run),
            list_digest=None if options.list_file is None else _list_digest(options.list_file),
            pin=pin,
            forbid=tuple(sorted(forbid)),
            **made,
            **asdict(options),
        )

    @classmethod
    def without_run(
        cls,
        name: str,
        encoder: Mapping[str, Any],
        options: TaggingOptions,
        *,
        forbid: tuple[str, ...] = (),
        **made: Any,
    ) -> MadeWith:
        """Of a command that tags without a run: ``encoder`` stands in its place; errors as :meth:`now`."""
        said = json.dumps(dict(encoder), sort_keys=True)
        return cls(
            run=name,
            run_digest=f"sha256:{hashlib.sha256(said.encode()).hexdigest()}",
            list_digest=None if options.list_file is None else _list_digest(options.list_file),
            forbid=tuple(sorted(forbid)),
            **made,
            **asdict(options),
        )

    def differences(self, now: MadeWith) -> list[str]:
        """Where ``now`` would make other tags, each as ``--option there ≠ now``."""
        found = []
        if self.run_digest != now.run_digest:
            found.append(_differing("run", self.run, now.run, "other files"))
        if (_kind(self.vocabulary), self.list_digest) != (_kind(now.vocabulary), now.list_digest):
            found.append(_differing("vocabulary", self.vocabulary, now.vocabulary, "other tags"))
        options = (
            "decision",
            "favour",
            "nil_bias",
            "threshold",
            "min_precision",
            "pin",
            "forbid",
            "evidence",
            "segments",
            "write_sidecar",
            "sidecar",
            "hierarchy",
        )
        for name in options:
            there, here = getattr(self, name), getattr(now, name)
            if there != here:
                found.append(_differing(name.replace("_", "-"), _shown(there), _shown(here)))
        return found

    def to_json(self) -> str:
        """For :meth:`from_json`, and for people."""
        return json.dumps(asdict(self), indent=2, ensure_ascii=False) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes) -> MadeWith:
        """What :meth:`to_json` wrote; raises ValueError, TypeError or AttributeError for anything else."""
        values: dict[str, Any] = parse_json(text)
        for name, value in values.items():
            values[name] = tuple(value) if isinstance(value, list) else value
        return cls(**values)


def record_path(out: Path) -> Path:
    """Where it is kept of a file of lines."""
    return out.with_name(f"{out.name}.optsg.json")


def write_record(out: Path, made_with: MadeWith) -> None:
    """Writes it beside a file of lines.

    Raises:
        RunError: it cannot be written.
    """
    write_text(record_path(out), [made_with.to_json()])


def check_record(out: Path, now: MadeWith) -> None:
    """Refuses to go on with a file of lines; errors as :func:`check_made_with`."""
    record = record_path(out)
    try:
        text = read_bounded(record)
    except FileNotFoundError as error:
        raise RunError(f"there is no {record} to say which run and options made {out}; {ANEW}") from error
    except (OSError, ValueError) as error:
        raise RunError(f"{record} cannot be read: {reason_of(error)}") from error
    check_made_with(out, text, now, where=str(record))


def check_made_with(out: Path, there: str | bytes, now: MadeWith, *, where: str) -> None:
    """Refuses to go on with an output.

    Args:
        there: what is kept with it.
        where: that is kept, for people.

    Raises:
        RunError: another run or other options made it, or what is kept says nothing.
    """
    try:
        differences = MadeWith.from_json(there).differences(now)
    except JSON_DAMAGE as error:
        raise RunError(f"{where} is not what this optsg-tag writes ({reason_of(error)}); {ANEW}") from error
    if differences:
        raise RunError(
            f"{out} was made with other options (there ≠ now): {'; '.join(differences)}. Repeat the command with the old "
            f"options, {ANEW}"
        )


def _list_digest(path: Path) -> str:
    tags = read_tag_list(path)
    content = json.dumps([sorted(tags.spelling_of.items()), sorted(tags.blocked), tags.closed])
    return f"sha256:{hashlib.sha256(content.encode()).hexdigest()}"


def _kind(vocabulary: str) -> str:
    """``vocabulary`` without the name of a file."""
    options = TaggingOptions(vocabulary=vocabulary)
    return vocabulary if options.list_file is None else SNAP_TO if vocabulary.startswith(SNAP_TO) else ""


def _differing(option: str, there: str, now: str, what: str = "") -> str:
    return f"--{option} {there} ≠ {now}{f' with {what}' if there == now else ''}"


def _shown(value: object) -> str:
    if value is None or value is False or value == ():
        return "not given"
    if value is True:
        return "given"
    return ", ".join(value) if isinstance(value, tuple) else str(value)
