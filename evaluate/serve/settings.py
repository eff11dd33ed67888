"""How a service is run, and its limits."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...data.errors import ConfigError
from ..tag.file_encoder import Work

MIB = 1 << 20

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Options of ``optsg-serve``.

    Attributes:
        host, port: where it listens; port 0 is a free one.
        root: the folder whose files may be named; ``None``: none may.
        token: what callers have to say; ``None``: nothing.
        work: how files are worked through.
        queue: files that may be under way or wait; with more, callers are asked to come again.
        wait: seconds that a file waits for others to share its batch.
        upload: bytes of a request.
        upload_seconds: that a request may take to arrive.
        drain_seconds: that accepted requests get after SIGTERM.
        allow_systems: as in :func:`optsg.train.run.run.load_run`.
    """

    host: str = LOOPBACK[0]
    port: int = 8000
    root: Path | None = None
    token: bytes | None = None
    work: Work
    queue: int = 128
    wait: float = 0.02
    upload: int = 512 * MIB
    upload_seconds: float = 300.0
    drain_seconds: float = 60.0
    allow_systems: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.queue < 1:
            raise ConfigError(f"--queue {self.queue} is out of range; expected 1 or more")
        if self.upload < 1:
            raise ConfigError("--max-upload is out of range; expected 1 or more MiB")
        if not 0 <= self.wait <= 10:
            raise ConfigError(f"--wait {self.wait:g} is out of range; expected 0 to 10 seconds")
        if not 0 <= self.drain_seconds <= 1e6:
            raise ConfigError(f"--drain {self.drain_seconds:g} is out of range; expected 0 to 1000000 seconds")


LEAST_TOKEN = 16
"""Characters; a shorter one can be guessed."""


def read_token(path: Path) -> bytes:
    """The secret in a file, without the white space around it.

    Raises:
        ConfigError: the file cannot be read, or holds no such thing.
    """
    try:
        token = path.read_bytes().strip()
    except OSError as error:
        raise ConfigError(f"the token {path} cannot be read: {error.strerror or error}") from error
    if len(token) < LEAST_TOKEN or not all(0x21 <= byte <= 0x7E for byte in token):
        raise ConfigError(
            f"the token in {path} is none: expected at least {LEAST_TOKEN} visible ASCII characters in one line"
        )
    return token
