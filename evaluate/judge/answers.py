"""The answers of annotators in an SQLite file: each saved at once, each can be taken back."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Container, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import check_is_file

Verdict = Literal["relevant", "not", "unsure"]


VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


VERSION = 1

OWN_NAMES = ("answers", "history", "history_of_annotator")

LONGEST_SECONDS = 60
"""For which the file is held open; a damaged one may send SQLite around in circles."""

STEPS_AT_ONCE = 100_000
"""Instructions of SQLite between two looks at the clock."""


SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    video TEXT NOT NULL,
    tag TEXT NOT NULL,
    annotator TEXT NOT NULL,
    verdict TEXT NOT NULL CHECK (verdict IN ('relevant', 'not', 'unsure')),
    answered TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    PRIMARY KEY (video, tag, annotator)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS history (
    number INTEGER PRIMARY KEY,
    annotator TEXT NOT NULL,
    video TEXT NOT NULL,
    tag TEXT NOT NULL,
    previous TEXT
);
CREATE INDEX IF NOT EXISTS history_of_annotator ON history (annotator, number);
"""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What an annotator said about a tag (its key) of a video (its id)."""

    video: str
    tag: str
    annotator: str
    verdict: Verdict


class AnswerFile:
    """A file of answers. Every call opens it anew, so threads and processes can share one file."""

    def __init__(self, path: Path):
        """Opens or makes the file.

        Raises:
            RunError: it cannot be made, or is something else.
        """
        self.path = path
        try:
            if path.exists():
                check_is_file(path)
            with self._opened() as connection:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                # Views and triggers of a file from elsewhere would run with every question that is asked of it.
                names = {str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master")}
                own = {name for name in names if name in OWN_NAMES or name.startswith("sqlite_")}
                kinds = {str(row[0]) for row in connection.execute("SELECT type FROM sqlite_master")}
                if version not in (0, VERSION) or names != own or kinds - {"table", "index"}:
                    raise RunError(
                        f"{path} is no file of judgements, or of a newer optsg; choose another with --answers"
                    )
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(SCHEMA)
                connection.execute(f"PRAGMA user_version = {VERSION}")
        except OSError as error:
            raise self._damage(error) from error

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        """The file, opened; what SQLite cannot do, or not within a minute, is one sentence."""
        try:
            # Autocommit: a transaction is opened where it is written, and an answer is on disk when it returns.
            with closing(sqlite3.connect(self.path, timeout=30, isolation_level=None)) as connection:
                deadline = time.monotonic() + LONGEST_SECONDS
                connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS_AT_ONCE)
                connection.execute("PRAGMA trusted_schema = OFF")
                yield connection
        except (sqlite3.Error, UnicodeError, OverflowError) as error:
            raise self._damage(error) from error

    def _damage(self, error: BaseException) -> RunError:
        return RunError(
            f"{self.path} cannot be used for judgements ({reason_of(error)}); choose another with --answers"
        )

    def _answer(self, video: object, tag: object, annotator: object, verdict: object) -> Answer:
        if (
            not (isinstance(video, str) and isinstance(tag, str) and isinstance(annotator, str))
            or verdict not in VERDICTS
        ):
            raise self._damage(ValueError("an answer in it is none"))
        return Answer(video=video, tag=tag, annotator=annotator, verdict=verdict)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._opened() as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")

    def save(self, answer: Answer) -> None:
        """Saves an answer, in place of the annotator's earlier one."""
        place = (answer.video, answer.tag, answer.annotator)
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT verdict FROM answers WHERE video = ? AND tag = ? AND annotator = ?", place
            ).fetchone()
            connection.execute(
                "INSERT INTO history (video, tag, annotator, previous) VALUES (?, ?, ?, ?)", (*place, row and row[0])
            )
            connection.execute(
                "INSERT INTO answers (video, tag, annotator, verdict) VALUES (?, ?, ?, ?) "
                "ON CONFLICT (video, tag, annotator) DO UPDATE SET verdict = excluded.verdict, answered = CURRENT_TIMESTAMP",
                (*place, answer.verdict),
            )

    def undo(self, annotator: str, among: Container[tuple[str, str]]) -> tuple[str, str] | None:
        """Takes the annotator's last answer back; the one before it stands again.

        Args:
            annotator: who answered.
            among: videos and tags that may be meant; answers to others, given in another session, stay as they are.

        Returns:
            The video and the tag that it was about, ``None`` if there is nothing to take back.
        """
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT number, video, tag, previous FROM history WHERE annotator = ? ORDER BY number DESC",
                (annotator,),
            )
            row = next((row for row in rows if (row[1], row[2]) in among), None)
            rows.close()
            if row is None:
                return None
            number, video, tag, previous = row
            connection.execute("DELETE FROM history WHERE number = ?", (number,))
            if previous is None:
                connection.execute(
                    "DELETE FROM answers WHERE video = ? AND tag = ? AND annotator = ?", (video, tag, annotator)
                )
            else:
                connection.execute(
                    "UPDATE answers SET verdict = ?, answered = CURRENT_TIMESTAMP "
                    "WHERE video = ? AND tag = ? AND annotator = ?",
                    (previous, video, tag, annotator),
                )
            return str(video), str(tag)

    def of_annotator(self, annotator: str) -> dict[tuple[str, str], Verdict]:
        """One annotator's verdicts by video and tag."""
        with self._opened() as connection:
            rows = connection.execute("SELECT video, tag, verdict FROM answers WHERE annotator = ?", (annotator,))
            answers = [self._answer(video, tag, annotator, verdict) for video, tag, verdict in rows]
        return {(answer.video, answer.tag): answer.verdict for answer in answers}

    def annotators(self) -> list[str]:
        """Everybody who answered, in alphabetical order."""
        with self._opened() as connection:
            rows = connection.execute("SELECT DISTINCT annotator FROM answers ORDER BY annotator")
            return [str(name) for (name,) in rows]

    def all(self) -> list[Answer]:
        """Every answer, by video, tag and annotator."""
        with self._opened() as connection:
            rows = connection.execute(
                "SELECT video, tag, annotator, verdict FROM answers ORDER BY video, tag, annotator"
            )
            return [self._answer(*row) for row in rows]
