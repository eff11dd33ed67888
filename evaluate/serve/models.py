"""The runs of a service, each with the taggers that callers' options describe."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...data.errors import ConfigError, RunError
from ...data.tag_hierarchy import FOUND
from ...data.tag_list import TagList
from ..options import TaggingOptions
from ..tag.file_encoder import Work
from ..tag.file_tagger import FileTagger
from ..tag.group_tagger import TaggerInput
from ..tag.run_tagger import RunTagger, open_tagger
from .batcher import Batcher
from .metrics import Metrics

MOST_TAGGERS = 32
"""Of a run, by what callers asked for; beyond that the one that was not asked for longest is forgotten."""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """How a caller wants files tagged.

    Attributes:
        options: what decides.
        lines: of the caller's own list of tags, ``""`` where there is none.
        listed: that list.
        hierarchy: what separates the parts of tags (:func:`optsg.data.tag_hierarchy.find_separator`).
    """

    options: TaggingOptions
    lines: str = ""
    listed: TagList | None = None
    hierarchy: str = FOUND


class Model:
    """One run that is served.

    Attributes:
        name: callers choose it by.
        files: the run, opened.
        batcher: what works for it.
    """

    def __init__(self, name: str, files: FileTagger, batcher: Batcher, *, device: str):
        self.name, self.files, self.batcher = name, files, batcher
        self._device = device
        self._lock = threading.Lock()
        self._taggers: OrderedDict[tuple[TaggingOptions, str, str], RunTagger] = OrderedDict()

    def tagger(self, wanted: Wanted) -> RunTagger:
        """The tagger for what a caller wants; one that was asked for lately is at hand.

        Raises:
            OptsgError: as :func:`optsg.evaluate.tag.run_tagger.open_tagger`.
        """
        if wanted == Wanted(options=TaggingOptions()):
            return self.files.tagger
        key = (wanted.options, wanted.lines, wanted.hierarchy)
        with self._lock:
            found = self._taggers.get(key)
            if found is None:
                how = {"device": self._device, "hierarchy": wanted.hierarchy}
                found = open_tagger(self.files.run, wanted.options, listed=wanted.listed, **how)
                self._taggers[key] = found
            self._taggers.move_to_end(key)
            while len(self._taggers) > MOST_TAGGERS:
                self._taggers.popitem(last=False)
            return found

    def warm_up(self) -> None:
        """Tags nothing in particular: the first caller does not wait for what a library prepares once."""
        frames = np.zeros((1, self.files.files.frame_dim), np.float16)
        nothing = TaggerInput(frames=frames, patches=np.zeros((0, self.files.files.patch_dim), np.float16))
        self.files.tag_inputs([nothing])
        if self.files.files.knows_encoder:
            self.files.files.pool.start()


def named_runs(runs: Sequence[str]) -> dict[str, Path]:
    """``name=DIR`` or ``DIR``, which is called as its folder is.

    Raises:
        ConfigError: two have one name.
        RunError: a folder is not there.
    """
    found: dict[str, Path] = {}
    for text in runs:
        name, equals, folder = text.partition("=")
        path = Path(folder if equals and not Path(text).is_dir() else text)
        if not path.is_dir():
            raise RunError(f"there is no run folder at {path}; runs are made by optsg-train and lie in runs/")
        name = name if equals and not Path(text).is_dir() else path.resolve().name
        if name in found:
            raise ConfigError(f"two runs are called {name!r}; name them with --run NAME={path}")
        found[name] = path
    return found


@contextmanager
def open_models(
    runs: dict[str, Path],
    *,
    device: str,
    work: Work,
    most: int,
    wait: float,
    metrics: Metrics,
    allow_systems: Collection[str] = (),
) -> Iterator[dict[str, Model]]:
    """Opens runs, warmed up and ready to work; they are closed at the end of the block.

    Raises:
        OptsgError: one cannot be used.
    """
    with ExitStack() as stack:
        models: dict[str, Model] = {}
        for name, path in runs.items():
            files = stack.enter_context(FileTagger.open(path, device=device, work=work, allow_systems=allow_systems))
            batcher = stack.enter_context(Batcher(name, files, most=most, wait=wait, metrics=metrics))
            models[name] = Model(name, files, batcher, device=device)
            models[name].warm_up()
        pools = [model.files.files for model in models.values()]
        metrics.count_restarts(lambda: sum(files.restarts for files in pools))
        yield models
