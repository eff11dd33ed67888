"""A store being made or added to: what earlier runs did, the parts of this one, and the finished store at its end.

Where the tokenizer does not know many word pieces of titles and tags, a warning says so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ..data.errors import InputError
from ..data.media import Failure
from ..data.store import open_store
from ..data.store.corpus import StoredTexts
from ..data.store.files import check_target, locked_store
from ..data.store.merging.merge import merge_parts
from ..data.store.part_writer import Hdf5StoreWriter
from ..data.store.relabeling import relabel_store
from ..data.store.schema import StoreHeader, TextModelTables, VideoFeatures
from ..data.word_pieces import TitleTokenizer
from .corrections import Corrections
from .encoders.text_encoder import TextEncoder
from .event_log import EventLog
from .options import ExtractionOptions
from .parts import DoneInputs, PartFolder, check_settings
from .summary import ExtractSummary


@dataclass(frozen=True, kw_only=True)
class GrowingStore:
    """The store ``out`` on its way, held by this process alone.

    Attributes:
        out: the finished store.
        parts: what this run and interrupted ones have written.
        base: the finished store that is added to, if there is one.
        header: of the parts and of the finished store.
        done: inputs that need not be read.
        corrections: what metadata says of them by now.
        summary: counts of this run.
        log: told about every input.
        strict: raise at the first failure.
    """

    out: Path
    parts: PartFolder
    base: Path | None
    header: StoreHeader
    done: DoneInputs
    corrections: Corrections
    summary: ExtractSummary
    log: EventLog
    strict: bool

    def write(self, result: VideoFeatures | Failure, writer: Hdf5StoreWriter) -> None:
        """Writes what one input gave, counts it and logs it.

        Raises:
            InputError: it is a failure, and ``strict``.
        """
        if isinstance(result, VideoFeatures) and (twin := self.done.known.twin(result)) is not None:
            result = _known_as(twin, result)
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
        """Parts and corrections to the finished store, which stays as it was where there are none.

        Args:
            description: of the inputs.
            text_encoder: frozen.
            report_merge: called with numbers of videos while they are written.

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
        self._correct(text_encoder, report_merge)
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

    def _correct(self, text_encoder: TextEncoder, report_merge: Callable[[int], None] | None) -> None:
        """Applies what was corrected of videos that earlier runs had done; counts it in the summary."""
        self.done.known.close()
        self.summary.kept = self.corrections.kept
        self.summary.warnings += filter(None, [self.corrections.warning(), self.corrections.again.warning()])
        with open_store(self.out) as store:
            self.corrections.settle(store)
        if self.corrections:
            relabel_store(
                self.out,
                self.corrections.changes,
                make_text=lambda _, corpus: text_encoder.tables(corpus),
                spellings=self.corrections.spellings(),
                without_failures=self.corrections.mended,
                progress=report_merge,
            )
            self.summary.unchanged = False
            self.summary.add_corrections(self.corrections)
        if not self.summary.unchanged:
            self._warn_of_missing_labels()

    def _warn_of_missing_labels(self) -> None:
        """Training needs tags, and learns much less without titles."""
        with open_store(self.out) as store:
            lengths = {name: int(store.column(f"videos/{name}").lengths().sum()) for name in ("title", "tags")}
            missing = [
                what for what, name in (("a title", "title"), ("tags", "tags")) if len(store) and not lengths[name]
            ]
        if missing:
            self.summary.warnings.append(
                f"no video has {' or '.join(missing)}; the same command with --dry-run shows what metadata is read, and "
                "what is added to it later is applied without decoding"
            )

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
    with locked_store(out):
        check_target(out)
        parts, done = PartFolder(out), DoneInputs()
        base = None
        if options["overwrite"]:
            parts.remove()
        elif out.exists():
            with open_store(out) as store:
                check_settings(out, "exists already, made", store.header, header)
                done.add(store)
                base, header = out, store.header.before_corpus()
        header = parts.open(header, done)
        done.settle(retry_failed=options["retry_failed"])
        log.started(out, header, options, len(done))
        yield GrowingStore(
            out=out,
            parts=parts,
            base=base,
            header=header,
            done=done,
            corrections=Corrections(known=done.known),
            summary=ExtractSummary(out=out, resumed=len(done)),
            log=log,
            strict=options["strict"],
        )


def _known_as(twin: str, video: VideoFeatures) -> Failure:
    """Under two ids a file could be in the training and in the test set."""
    error = f"{video.source}: the store has this file as {twin!r}; give it this id in the metadata, or begin anew with --overwrite"
    return Failure(id=video.id, source=video.source, stage="decode", error=error, digest=video.digest)


def _described(failure: Failure) -> str:
    source = "" if failure.error.startswith(f"{failure.source}:") else f"{failure.source}: "
    return f"{source}{failure.error}"


MOST_UNKNOWN = 0.01
"""Share of unknown pieces above which people are warned: they are lost for input and can never be written."""


Tokens = Callable[[Sequence[str]], list[list[int]]]


@dataclass
class _Count:
    pieces: int = 0
    unknown: int = 0

    @property
    def share(self) -> float:
        return self.unknown / self.pieces if self.pieces else 0.0


@dataclass
class UnknownPieces:
    """Counts while a store is written.

    Attributes:
        encoder: the text encoder's description.
    """

    encoder: Mapping[str, Any]
    _counts: dict[str, _Count] = field(default_factory=lambda: {"titles": _Count(), "tags": _Count()})

    def counting(self, tables: TextModelTables) -> TextModelTables:
        """The same tables; whatever they cut into pieces from now on is counted, special tokens aside."""
        tokenizer = TitleTokenizer.from_json(tables.tokenizer_json)
        unknown = tokenizer.unknown_id
        specials = tokenizer.special_ids - {unknown}

        def counted(tokens: Tokens, count: _Count) -> Tokens:
            def cut(texts: Sequence[str]) -> list[list[int]]:
                rows = tokens(texts)
                for row in rows:
                    count.pieces += sum(1 for piece in row if piece not in specials)
                    count.unknown += row.count(unknown) if unknown is not None else 0
                return rows

            return cut

        return replace(
            tables,
            title_tokens=counted(tables.title_tokens, self._counts["titles"]),
            tag_tokens=counted(tables.tag_tokens, self._counts["tags"]),
        )

    def shares(self) -> dict[str, float]:
        """Share of unknown pieces of ``titles`` and of ``tags``, 0 to 1."""
        return {name: count.share for name, count in self._counts.items()}

    def warning(self) -> str | None:
        """A sentence with the shares and what to do, where one of them is above :data:`MOST_UNKNOWN`."""
        shares = self.shares()
        if max(shares.values()) <= MOST_UNKNOWN:
            return None
        name = self.encoder.get("name") or self.encoder.get("package") or self.encoder.get("folder")
        return (
            f"{shares['titles']:.1%} of the word pieces of titles and {shares['tags']:.1%} of those of tags are unknown to "
            f"the tokenizer of {name}; they are lost for the model: choose another preset (--preset clip-zh for Chinese) or "
            "--text-encoder characters"
        )
