"""What ``optsg-tables`` was asked for."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ...train.config import Size


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """The options of one call, by their names on the command line (``--set`` is ``settings``, ``--system`` is ``systems``).

    A plan has it with the size that ``auto`` came to.
    """

    feats: Path
    out: Path
    tables: tuple[str, ...] = ()
    seeds: tuple[int, ...]
    size: Size | Literal["auto"]
    settings: tuple[str, ...] = ()
    pretrained: tuple[Path, ...] = ()
    systems: tuple[str, ...] = ()
    quick: bool = False
    jobs: int | None = None
    device: str = "auto"
    dry_run: bool = False
    only_write: bool = False

    @property
    def runs(self) -> Path:
        """The folder of all runs."""
        return self.out / "runs"

    def command(self, table: str) -> str:
        """The command that trains and writes one table."""
        words = ["optsg-tables", "--feats", str(self.feats), "--out", str(self.out), "--tables", table]
        words += ["--seeds", ",".join(map(str, self.seeds)), "--size", self.size]
        words += [word for setting in self.settings for word in ("--set", setting)]
        words += [word for run in self.pretrained for word in ("--pretrained", str(run))]
        words += [word for system in self.systems for word in ("--system", system)]
        return shlex.join(words + ["--quick"] * self.quick)
