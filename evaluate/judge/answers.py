"""The answers of annotators in an SQLite file: each saved at once, each can be taken back."""

from __future__ import annotations

import sqlite3
from collections.abc import Container, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from ...data.errors import RunError

Verdict = Literal["relevant", "not", "unsure"]


VERDICTS: tuple[Verdict, ...] = get_args(Verdict)


VERSION = 1


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
            with closing(self._connect()) as connection:
                version = int(connection.execute("PRAGMA user_version").fetchone()[0])
                names = {
                    str(row[0]) for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
                }
                if version not in (0, VERSION) or (version == 0 and names - {"answers", "history"}):
                    raise RunError(
                        f"{path} is no file of judgements, or of a newer optsg; choose another with --answers"
                    )
                connection.execute("PRAGMA journal_mode = WAL")
                connection.executescript(SCHEMA)
                connection.execute(f"PRAGMA user_version = {VERSION}")
        except sqlite3.Error as error:
            raise RunError(f"{path} cannot be used for judgements ({error}); choose another with --answers") from error

    def _connect(self) -> sqlite3.Connection:
        # Autocommit: a transaction is opened where it is written, and an answer is on disk when it returns.
        return sqlite3.connect(self.path, timeout=30, isolation_level=None)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with closing(self._connect()) as connection:
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
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT video, tag, verdict FROM answers WHERE annotator = ?", (annotator,))
            return {(video, tag): verdict for video, tag, verdict in rows}

    def annotators(self) -> list[str]:
        """Everybody who answered, in alphabetical order."""
        with closing(self._connect()) as connection:
            rows = connection.execute("SELECT DISTINCT annotator FROM answers ORDER BY annotator")
            return [str(name) for (name,) in rows]

    def all(self) -> list[Answer]:
        """Every answer, by video, tag and annotator."""
        with closing(self._connect()) as connection:
            rows = connection.execute(
                "SELECT video, tag, annotator, verdict FROM answers ORDER BY video, tag, annotator"
            )
            return [
                Answer(video=video, tag=tag, annotator=annotator, verdict=verdict)
                for video, tag, annotator, verdict in rows
            ]
