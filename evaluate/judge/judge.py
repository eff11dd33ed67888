"""What ``optsg-judge`` does: serves the questions about some runs, or reports the answers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...data.errors import RunError
from ...data.inputs.source_files import MediaBytes, SourceFinder
from ...data.store import FeatureStore
from ...data.whole_files import write_text
from ...train.run_files import read_config
from ..scores.run_store import open_run_store
from .answers import AnswerFile
from .questions import Questions, Sample, read_questions
from .results import report_csv, report_text, results_of
from .server import JudgingServer
from .site import JudgingSite
from .teaching import apply_answers

ANSWERS = "judgements.sqlite"


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the command line asks for; ``answers``, ``feats``, ``videos`` and ``teach`` are ``None`` where it says nothing."""

    runs: tuple[Path, ...]
    split: str
    all_tags: bool
    sample: Sample | None
    answers: Path | None
    feats: Path | None
    videos: Path | None
    port: int
    seed: int
    teach: int | None = None

    @property
    def answer_path(self) -> Path:
        """The file of answers: by default in the first run's folder."""
        return self.answers or self.runs[0] / ANSWERS

    def questions(self) -> Questions:
        """What is asked; errors as :func:`read_questions`."""
        every = self.all_tags or self.teach is not None
        questions = read_questions(self.runs, self.split, all_tags=every, sample=self.sample)
        return questions if self.teach is None else questions.most_worth(self.teach)

    def answers_given(self) -> AnswerFile:
        """The answers.

        Raises:
            RunError: there are none.
        """
        if not self.answer_path.is_file():
            raise RunError(f"there are no answers at {self.answer_path}; judge first, or say where with --answers FILE")
        return AnswerFile(self.answer_path)


def report(options: Options, csv: Path | None, announce: Callable[[str], None]) -> None:
    """Announces the results as they stand, and writes them as CSV.

    Raises:
        RunError: predictions or answers are missing, or a file cannot be written.
    """
    results = results_of(options.questions(), options.answers_given())
    announce(report_text(results).rstrip("\n"))
    if csv is not None:
        write_text(csv, [report_csv(results)])


def apply(options: Options, feats: Path, device: str, announce: Callable[[str], None]) -> None:
    """Writes the answers into a store as tags, and announces what became of them.

    Raises:
        OptsgError: there are no answers or predictions, or the store cannot be read or written.
    """
    questions = read_questions(options.runs, options.split, all_tags=True)
    spellings = {question.key: question.tag for question in questions.asked}
    taught = apply_answers(feats, options.answers_given().all(), spellings, device=device)
    announce(taught.sentence(feats))


def serve(options: Options, announce: Callable[[str], None], stop: threading.Event) -> None:
    """Serves the page until ``stop``.

    Raises:
        OptsgError: predictions are missing, the store or the answers cannot be opened, no video is found, or the port
            is taken.
    """
    questions = options.questions()
    if not questions.asked:
        raise RunError(
            f"the runs wrote no novel tags for {options.split!r}, so there is nothing to judge"
            + ("" if options.all_tags else "; --all-tags asks for every tag")
        )
    with _open_store(options) as store:
        media = find_media(questions, store, options.videos)
        site = JudgingSite(
            questions,
            AnswerFile(options.answer_path),
            media=media,
            still=_stills(store),
            seed=options.seed,
        )
        wanted = len({question.video for question in questions.asked})
        announce(f"{len(questions.asked):,} tags of {wanted:,} videos; answers: {options.answer_path}")
        if missing := wanted - len(media):
            announce(
                "1 video was not found; a still stands in for it"
                if missing == 1
                else f"{missing:,} videos were not found; a still stands in for each"
            )
        serve_site(site, options.port, announce, stop)


def serve_site(site: JudgingSite, port: int, announce: Callable[[str], None], stop: threading.Event) -> None:
    """Serves a site until ``stop``; errors as :class:`JudgingServer`."""
    with JudgingServer(site, port) as server:
        announce(f"judge:   {server.url}")
        announce(f"results: {server.url}results  (names the runs: not for annotators at work)")
        announce("Ctrl-C ends it; every answer is saved when it is given")
        stop.wait()


def _open_store(options: Options) -> FeatureStore:
    run = options.runs[0]
    return open_run_store(run, read_config(run).store, options.feats)


def _stills(store: FeatureStore) -> Callable[[str], bytes]:
    row_of = {video: row for row, video in enumerate(store.ids())}

    def still(video: str) -> bytes:
        return store.thumbnail(row_of[video]) if video in row_of else b""

    return still


def find_media(questions: Questions, store: FeatureStore, videos: Path | None) -> dict[int, MediaBytes]:
    """The files of the videos that are asked about, by number.

    Args:
        questions: what is asked.
        store: says where each video came from.
        videos: the folder that was extracted; without it, the current folder and the store's are tried.

    Raises:
        RunError: none of them is there.
    """
    roots: Sequence[Path] = [Path(), store.path.absolute().parent] if videos is None else [videos]
    finder = SourceFinder(roots)
    row_of = {video: row for row, video in enumerate(store.ids())}
    found: dict[int, MediaBytes] = {}
    example = ""
    for number in sorted({question.video for question in questions.asked}):
        row = row_of.get(questions.videos[number].id)
        if row is None:
            continue
        example = example or store.source(row)
        if (media := finder.find(store.source(row))) is not None:
            found[number] = media
    if not found:
        looked = " and ".join(str(root.absolute()) for root in roots)
        raise RunError(
            f"none of the videos is in {looked} (the first is {example!r}); "
            "say with --videos FOLDER which folder was extracted"
        )
    return found
