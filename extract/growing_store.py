"""A store being made or added to: what earlier runs did, the parts of this one, and the finished store at its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ..data.errors import InputError, StoreWriteError
from ..data.media import Failure
from ..data.out_lock import lock_out
from ..data.store import open_store
from ..data.store.corpus import StoredTexts
from ..data.store.files import check_target, recover_store
from ..data.store.merge import merge_parts
from ..data.store.part_writer import Hdf5StoreWriter
from ..data.store.schema import StoreHeader, VideoFeatures
from .encoders.text_encoder import TextEncoder
from .event_log import EventLog
from .options import ExtractionOptions
from .parts import DoneInputs, PartFolder, check_settings
from .summary import ExtractSummary
from .unknown_pieces import UnknownPieces


@dataclass(frozen=True, kw_only=True)
class GrowingStore:
    """The store ``out`` on its way, held by this process alone.

    Attributes:
        out: the finished store.
        parts: what this run and interrupted ones have written.
        base: the finished store that is added to, if there is one.
        header: of the parts and of the finished store.
        done: inputs that need not be read.
        summary: counts of this run.
        log: told about every input.
        strict: raise at the first failure.
    """

    out: Path
    parts: PartFolder
    base: Path | None
    header: StoreHeader
    done: DoneInputs
    summary: ExtractSummary
    log: EventLog
    strict: bool

    def write(self, result: VideoFeatures | Failure, writer: Hdf5StoreWriter) -> None:
        """Writes what one input gave, counts it and logs it.

        Raises:
            InputError: it is a failure, and ``strict``.
        """
        if isinstance(result, Failure):
            if self.strict:
                raise InputError(f"{_described(result)}; --strict makes this fatal")
            writer.add_failure(result)
            self.summary.add_failure(result)
            self.log.failure(result)
        else:
            writer.append(result)
            self.summary.add_features(result)
            self.log.video(result)

    def finish(
        self, description: str, text_encoder: TextEncoder, report_merge: Callable[[int], None] | None = None
    ) -> None:
        """Parts to the finished store, which stays as it was where there are none; ``description`` is of the inputs.

        Raises:
            InputError: nothing could be read, now or before; of a part of a corpus that may be, and the store is empty.
            StoreWriteError: ``out`` cannot be written; the parts are kept.
        """
        self._refuse_nothing(description)
        started = time.perf_counter()
        if self.base is not None and not self.parts.complete():
            self.summary.unchanged = True
        else:
            self._merge(text_encoder, report_merge)
        self.parts.remove()
        self.summary.finish_seconds = time.perf_counter() - started

    def _merge(self, text_encoder: TextEncoder, report_merge: Callable[[int], None] | None) -> None:
        """Notes in summary and log what the tokenizer did not know."""
        paths = self.parts.complete()
        unknown = UnknownPieces(text_encoder.spec())
        tables = unknown.counting(text_encoder.tables(StoredTexts(paths, base=self.base)))
        merge_parts(paths, self.out, self.header, tables, base=self.base, progress=report_merge)
        self.summary.unknown_pieces = unknown.shares()
        if warning := unknown.warning():
            self.summary.warnings.append(warning)
            self.log.warning(warning, self.summary.unknown_pieces)

    def _refuse_nothing(self, description: str) -> None:
        if self.header.part is None and not self.summary.videos + self.summary.images + len(self.done.videos):
            self.parts.remove()
            first = f"; the first: {_described(self.summary.examples[0])}" if self.summary.examples else ""
            failed = self.summary.failed + len(self.done)
            raise InputError(f"nothing could be read of {description}: {failed} failed{first}")


@contextmanager
def open_growing_store(
    out: Path, header: StoreHeader, options: ExtractionOptions, log: EventLog
) -> Iterator[GrowingStore]:
    """Begins, goes on with what lies beside ``out``, or adds to it; nobody else can while the block lasts.

    Raises:
        StoreError: ``out`` or what lies beside it was made with other settings, or another process is writing it.
    """
    with lock_out(out, StoreWriteError):
        recover_store(out)
        check_target(out)
        parts, done = PartFolder(out), DoneInputs()
        base = None
        if options.overwrite:
            parts.remove()
        elif out.exists():
            with open_store(out) as store:
                check_settings(out, "exists already, made", store.header, header)
                done.add(store)
                base, header = out, store.header.before_corpus()
        header = parts.open(header, done)
        done.settle(retry_failed=options.retry_failed)
        log.started(out, header, options, len(done))
        yield GrowingStore(
            out=out,
            parts=parts,
            base=base,
            header=header,
            done=done,
            summary=ExtractSummary(out=out, resumed=len(done)),
            log=log,
            strict=options.strict,
        )


def _described(failure: Failure) -> str:
    source = "" if failure.error.startswith(f"{failure.source}:") else f"{failure.source}: "
    return f"{source}{failure.error}"
