"""A tagger that needs no model, and a command's work with it."""

from __future__ import annotations

import threading
from pathlib import Path

from optsg.data.predicted_tag import PredictedTag
from optsg.evaluate.tag.outputs.made_with import MadeWith
from optsg.evaluate.tag.outputs.output import open_output
from optsg.evaluate.tag.requests import TagRequests
from optsg.evaluate.tag.tag_files import tag_files
from optsg.evaluate.tag.tagged_file import TaggedFile
from optsg.train.writing.tag_control import VideoTags

GROUP = 4
MADE_WITH = MadeWith(run="fake", run_digest="sha256:00")


class FakeTagger:
    """Tags every file with its own name; every seventh cannot be read, unless ``reads_all``."""

    name, system = "fake", "op-tsg"

    def __init__(self, *, reads_all: bool = False) -> None:
        self.seen: list[str] = []
        self._reads_all = reads_all

    def tag_many(self, requests, *, wishes=None, stop=None):  # noqa: ARG002
        group: list[TaggedFile] = []
        for request in requests:
            self.seen.append(Path(request.path).name)
            number = int(Path(request.path).stem)
            tag = PredictedTag(text=f'tag, "{number}"', score=0.5, novel=True, prompt=1)
            group.append(
                TaggedFile(path=request.path, error="it is bad")
                if number % 7 == 6 and not self._reads_all
                else TaggedFile(path=request.path, title="é", tags=[tag], sidecar=request.sidecar)
            )
            if len(group) == GROUP:
                yield group
                group = []
        if group:
            yield group


def run_all(
    folder: Path,
    out: Path,
    tagger: FakeTagger,
    *,
    made_with: MadeWith = MADE_WITH,
    overwrite: bool = False,
    retry_failed: bool = False,
    sidecars: bool = False,
    advance=lambda _: None,
    warn=lambda _: None,
):
    with open_output(out, None, made_with, overwrite=overwrite, retry_failed=retry_failed) as output:
        return tag_files(
            tagger,
            TagRequests([folder], is_done=output.is_done),
            output,
            wishes=VideoTags(),
            sidecars=sidecars,
            stop=threading.Event(),
            advance=advance,
            warn=warn,
        )
