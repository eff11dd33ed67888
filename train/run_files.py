"""The files of a run folder: which there are, whether it is whole, what it is worth, weights in and out.

``config.json``        settings, input sizes, the decoder's word pieces, where the features came from
``model.safetensors``  all weights that predictions need, float32; none of a system without a network
``tokenizer.json``     the text encoder's tokenizer
``tag_table.json``     the training tags with counts, spellings and word pieces
``retrieval.safetensors``  the training items as an index, in systems that look things up
``decision.json``      the system's scalar tuned on validation
``calibration.json``   what its scores are worth on validation
``tag_embeddings.safetensors``  the training tags' embeddings
``recall.safetensors``, ``sentence_model.safetensors``  the sources of tags beside the model, and the text model that they read titles with
``ranker.json``, ``ranked_calibration.json``  the ranker over all of them, and what its probabilities are worth
``memory_additions.safetensors``  examples and tags that the run was given after training
``log.jsonl``          one line per event; ``tensorboard/`` the same as curves; ``state/`` for ``--resume``

Every file is whole or not there. What is in them, the systems know (:mod:`optsg.train.run.run`).
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ..data.errors import ConfigError, RunError, StoreError, reason_of
from ..data.foreign.json_reader import LARGE_FILE, check_is_file, read_bounded
from ..data.store import FeatureStore, open_store
from ..data.store.digests import file_digest
from ..data.tag_table import TagTable
from ..data.whole_files import json_text, whole_file, write_text
from ..data.word_pieces import TitleTokenizer
from .config import RunConfig

CONFIG, MODEL, TOKENIZER = "config.json", "model.safetensors", "tokenizer.json"
TAG_TABLE, DECISION, LOG = "tag_table.json", "decision.json", "log.jsonl"
NEEDED = (CONFIG, MODEL, TOKENIZER, TAG_TABLE, DECISION)
RETRIEVAL, CALIBRATION = "retrieval.safetensors", "calibration.json"
TAG_EMBEDDINGS = "tag_embeddings.safetensors"
RECALL, SENTENCE_MODEL = "recall.safetensors", "sentence_model.safetensors"
RANKER, RANKED_CALIBRATION = "ranker.json", "ranked_calibration.json"
RANKING = (RECALL, SENTENCE_MODEL, RANKER, RANKED_CALIBRATION)
"""What a run with a ranker has."""
ADDITIONS = "memory_additions.safetensors"
FURTHER = (RETRIEVAL, CALIBRATION, TAG_EMBEDDINGS, *RANKING, ADDITIONS)
"""What some runs have."""
START = "start.safetensors"
"""The weights that a run with ``--init-from`` starts with; it needs the other run no more."""
STATE_FOLDER = "state"
RUNS, LATEST = Path("runs"), "latest"
"""Where runs lie unless told otherwise, and the link in there to the run that commands take unless told otherwise."""


def is_trained(path: Path) -> bool:
    """Whether a run folder has every file that a finished run has."""
    return all((path / name).is_file() for name in NEEDED)


def check_finished(path: Path) -> None:
    """Raises RunError where a run folder, or a file that a finished run has, is not there."""
    if not path.is_dir():
        raise RunError(f"there is no run folder at {path}; train one with: optsg-train --feats STORE")
    if missing := [name for name in NEEDED if not (path / name).is_file()]:
        raise RunError(f"{path} has no {missing[0]}; the run is not finished (optsg-train --resume) or was damaged")


def read_config(path: Path) -> RunConfig:
    """The settings of a run folder.

    Raises:
        RunError: they are missing, damaged or of a newer optsg.
    """
    try:
        return RunConfig.from_json(read_bounded(path / CONFIG).decode())
    except (ConfigError, OSError, ValueError) as error:
        raise RunError(f"{path / CONFIG}: {reason_of(error)}") from error


def read_tokenizer(path: Path) -> TitleTokenizer:
    """The tokenizer of a run folder.

    Raises:
        RunError: it is missing or damaged.
    """
    try:
        return TitleTokenizer.from_json(read_bounded(path / TOKENIZER, LARGE_FILE).decode())
    except (StoreError, OSError, ValueError) as error:
        raise RunError(f"{path / TOKENIZER}: {reason_of(error)}") from error


def find_store(run: Path, trained_on: Mapping[str, Any]) -> Path:
    """Where the store is that a run was trained on: where it was said to be then, from here or from where the run was made.

    A run folder that has been moved together with its store, or lies beside it, finds it too. Of several that are there,
    the run's own comes before another store of the same name, such as that of the folder in which the command is given.
    Where nothing is found, the path as it was said: whoever opens it says that it is not there.

    Args:
        trained_on: ``store`` of the run's configuration: ``path`` and ``header``.
    """
    said, here = Path(str(trained_on.get("path"))), run.resolve()
    # `runs/NAME` was made two folders below the working directory, which a relative path started from.
    around = [folder / said for folder in (here.parent.parent, here.parent, here)]
    beside = [folder / said.name for folder in (here.parent, here)]
    there: dict[Path, Path] = {}
    for path in (said, *around, *beside):
        if is_there(path):
            there.setdefault(path.resolve(), path)
    found = list(there.values())
    if len(found) > 1:
        found.sort(key=lambda path: not _is_own_store_at(path, trained_on))
    return found[0] if found else said


def is_there(path: Path) -> bool:
    """Whether there is something that can be seen at a path out of a file; a path that no system takes leads nowhere."""
    try:
        return path.exists()
    except OSError:  # a name that is too long, a folder that may not be looked into
        return False


def is_own_store(store: FeatureStore, trained_on: Mapping[str, Any]) -> bool:
    """Whether it is the store that a run was trained on, which may have grown or been corrected since; as :func:`find_store`."""
    return bool(json.loads(store.header.to_json()) == trained_on.get("header"))


def _is_own_store_at(path: Path, trained_on: Mapping[str, Any]) -> bool:
    try:
        with open_store(path) as store:
            return is_own_store(store, trained_on)
    except StoreError:
        return False


def run_digest(path: Path) -> str:
    """``sha256:…`` of all files that a run's tags depend on; the same wherever the folder lies, and under any name.

    Raises:
        RunError: a file is missing or cannot be read.
    """
    check_finished(path)
    digest = hashlib.sha256()
    try:
        for name in (*NEEDED, *FURTHER):
            if (path / name).is_file():
                digest.update(f"{name} {file_digest(path / name)}\n".encode())
    except OSError as error:
        raise RunError(f"{error.filename} cannot be read: {error.strerror}") from error
    return f"sha256:{digest.hexdigest()}"


def fetch_run(path_or_hub_id: str | Path) -> Path:
    """The run folder itself, or the local copy of a Hugging Face repository of that name.

    Raises:
        RunError: neither is there.
    """
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        return folder
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(str(path_or_hub_id), allow_patterns=[*NEEDED, *FURTHER, "README.md"]))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise RunError(
            f"{path_or_hub_id} is neither a run folder nor a Hugging Face repository within reach "
            f"({type(error).__name__})"
        ) from error


def load_weights(model: nn.Module, path: Path, training_only: tuple[str, ...] = (), *, mapped: bool = False) -> None:
    """Loads a file of weights into a model of the same configuration.

    Args:
        model: takes them, float32 or not.
        path: ``model.safetensors`` of a run folder, or a file like it.
        training_only: what the names of weights begin with that only training needs; they are not in the file and stay.
        mapped: weights stay in the file, from which pages are read as they are needed, in place of those that the model has.

    Raises:
        RunError: the file is missing, damaged or of another model.
    """
    check_weights(model, path, training_only)
    had = model.state_dict()
    own = {name: value for name, value in had.items() if name.startswith(training_only)}
    try:
        found = {name: value.to(had[name].dtype) for name, value in load_file(path).items()}
        model.load_state_dict({**own, **found}, strict=True, assign=mapped)
    except (SafetensorError, OSError, RuntimeError) as error:
        raise RunError(f"{path} does not hold this run's weights: {reason_of(error)}") from error


def check_weights(model: nn.Module, path: Path, training_only: tuple[str, ...] = ()) -> None:
    """Compares the header of a file of weights with a model, which may be an outline without numbers (device ``meta``).

    So a configuration that announces a model of another size is refused before there is memory for that model.

    Raises:
        RunError: as :func:`load_weights`.
    """
    expected = {
        name: tuple(value.shape)
        for name, value in model.state_dict().items()
        if not training_only or not name.startswith(training_only)
    }
    try:
        check_is_file(path)
        with safe_open(path, framework="pt") as file:
            found = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118 - no dict
    except (SafetensorError, OSError, ValueError) as error:
        raise RunError(f"{path} does not hold this run's weights: {reason_of(error)}") from error
    for name in sorted({*expected, *found}):
        if expected.get(name) != found.get(name):
            there, due = (
                f"of the shape {shapes[name]}" if name in shapes else "missing" for shapes in (found, expected)
            )
            due = due if name in expected else "none"
            raise RunError(f"{path} does not hold this run's weights: {name} is {there}, expected {due}")


def create_run(path: Path, config: RunConfig, tag_table: TagTable, tokenizer: TitleTokenizer) -> None:
    """Makes the run folder and writes everything that is known before training.

    Raises:
        RunError: it cannot be written.
    """
    with write_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    write_text(path / TOKENIZER, [tokenizer.to_json()])
    tag_table.save(path / TAG_TABLE)
    write_text(path / CONFIG, [config.to_json()])  # last: a folder without it holds no run


def load_tensors(path: Path) -> tuple[dict[str, Tensor], Mapping[str, str]]:
    """The tensors and texts that :func:`save_tensors` wrote.

    Raises SafetensorError, OSError, ValueError or RuntimeError where it is missing or damaged: who reads it says what to do.
    """
    check_is_file(path)
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, file.metadata() or {}  # noqa: SIM118 - no dict


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], *, metadata: Mapping[str, str] | None = None, digest: Path | None = None
) -> None:
    """Writes a safetensors file; a reader sees the old file or the new one.

    Args:
        metadata: texts for the file's header.
        digest: file to write the SHA-256 to first, in the form of ``sha256sum``: no new file is without its digest.

    Raises:
        RunError: it cannot be written; an earlier one is kept.
    """
    with whole_file(path) as temporary:
        try:
            # Copied on the CPU: a device may have no room for it.
            copies = {name: tensor.to("cpu", copy=True).contiguous() for name, tensor in tensors.items()}
            temporary.touch()  # safetensors gives its files to the owner alone; they get what every new file here gets
            mode = stat.S_IMODE(temporary.stat().st_mode)
            save_file(copies, temporary, metadata=None if metadata is None else dict(metadata))
            temporary.chmod(mode)
        except SafetensorError as error:
            raise OSError(str(error)) from error
        if digest is not None:
            write_text(digest, [f"{file_digest(temporary)}  {path.name}\n"])


def save_weights(path: Path, weights: Mapping[str, Tensor]) -> None:
    """Writes ``model.safetensors`` of a run folder; a reader sees the old file or the new one, never half of one."""
    save_tensors(path / MODEL, {name: weight.detach().float().cpu() for name, weight in weights.items()})


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Writes JSON; errors as :func:`optsg.train.run_files.save_tensors`."""
    write_text(path, [json_text(values, indent=2), "\n"])


def point_latest(run: Path, runs: Path = RUNS, *, begun: bool = False) -> None:
    """Makes ``runs/latest`` a relative link to a run folder.

    Args:
        begun: the run is yet to be trained. A trained one stays the latest until then: it is what others tag with. That the
            link can be written is seen all the same, before hours of training and not after them.

    Raises:
        RunError: there can be no such link.
    """
    latest = runs / LATEST
    with write_errors(latest):
        runs.mkdir(parents=True, exist_ok=True)
        stays = begun and latest.is_symlink() and is_trained(latest)
        target = latest.readlink() if stays else os.path.relpath(run.resolve(), runs.resolve())
        temporary = runs / f".latest-{os.getpid()}"
        temporary.symlink_to(target, target_is_directory=True)
        temporary.replace(latest)


def stopped_run(runs: Path = RUNS) -> Path | None:
    """The newest run in a folder that was begun after its latest, trained run, and is not trained to the end."""
    latest = runs / LATEST
    if not is_trained(latest):
        return None
    began = {
        folder: (folder / CONFIG).stat().st_mtime_ns
        for folder in (latest, *runs.iterdir())
        if (folder / CONFIG).is_file()
    }
    newer = [folder for folder in began if began[folder] > began[latest] and not is_trained(folder)]
    return max(newer, key=began.__getitem__, default=None)


@contextmanager
def write_errors(path: Path) -> Iterator[None]:
    """Turns the operating system's refusals into one sentence."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{path} cannot be written: {reason_of(error)}") from error
