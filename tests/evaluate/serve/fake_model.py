"""A model that needs no weights: it tags every file with its name, slowly where that is wanted."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any

from optsg.data.media import MediaItem
from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.tag.requests import TagRequest
from optsg.evaluate.tag.tagged_file import TaggedFile


def request_for(name: str) -> TagRequest:
    item = MediaItem(id=name, source=name, kind="image", title="", tags=(), split="none", payload=b"")
    return TagRequest(path=name, item=item)


class FakeRunTagger:
    def check(self, wishes: Any) -> None:
        """Nothing contradicts itself."""


class FakeEncoder:
    """Reads nothing; ``go`` holds back everything until it is set."""

    frame_dim, patch_dim, knows_encoder, restarts = 2, 2, True, 0
    encoder = None

    def __init__(self, group: int = 4, workers: int = 2) -> None:
        self.work = SimpleNamespace(group=group)
        self.workers = workers
        self.go = threading.Event()
        self.go.set()
        self.seen: list[str] = []

    def read(self, request: TagRequest) -> Any:
        self.go.wait(60)
        self.seen.append(request.path)
        if request.path == "unreadable":
            raise RuntimeError("nobody expected that")
        return SimpleNamespace(path=request.path)

    def encode(self, read: list[Any]) -> list[Any]:
        return read


class FakeFiles:
    """In place of :class:`optsg.evaluate.tag.file_tagger.FileTagger`."""

    system, warnings = "fake", ()

    def __init__(self, **how: int) -> None:
        self.files = FakeEncoder(**how)
        self.tagger = FakeRunTagger()
        self.groups: list[list[str]] = []

    def outcomes(self, group: Any, wishes: Any, *, tagger: Any = None, **says: Any) -> list[TaggedFile]:  # noqa: ARG002
        names = [request.path for request, _ in group]
        self.groups.append(names)
        if "poison" in names:
            raise RuntimeError("it upsets the model")
        return [TaggedFile(path=name, tags=[PredictedTag(text=name, score=0.5, novel=True)]) for name in names]

    def close(self) -> None:
        pass
