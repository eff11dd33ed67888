"""Every reader of the product: a small valid file or folder for it, and how it reads one as a whole."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import sqlite3
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from optsg.data.errors import RunError
from optsg.data.inputs.folder_input import read_sidecar
from optsg.data.inputs.metadata.metadata_table import open_metadata_table
from optsg.data.inputs.opening import open_inputs
from optsg.data.inputs.ready_features import open_ready_features
from optsg.data.inputs.source_files import SourceFinder
from optsg.data.predicted_tag import PredictedTag
from optsg.data.sidecars.files import read_beside
from optsg.data.sidecars.json_file import merged_json_tags
from optsg.data.sidecars.nfo import merged_nfo
from optsg.data.sidecars.text import merged_text_tags
from optsg.data.sidecars.xmp import merged_xmp
from optsg.data.store import open_store
from optsg.data.store.verification import verify_store
from optsg.data.tag_list import read_tag_list
from optsg.data.tag_table import TagRow, TagTable
from optsg.data.vocabulary.decisions import read_decisions
from optsg.data.vocabulary.proposal import COLUMNS, Proposal, csv_line
from optsg.data.word_pieces import TitleTokenizer
from optsg.evaluate.judge.answers import Answer, AnswerFile
from optsg.evaluate.scores.predictions import read_predictions
from optsg.evaluate.scores.saved import read_training_history
from optsg.evaluate.tag.outputs.made_with import MadeWith
from optsg.evaluate.tag.outputs.output import open_output
from optsg.evaluate.tag.tagged_file import TaggedFile
from optsg.extract.store.info import info_lines
from optsg.train.confidence.calibration import Calibration, Scaling
from optsg.train.confidence.precision_curve import STEPS, PrecisionCurve
from optsg.train.loop.saved_states import read_progress
from optsg.train.recall.additions import Additions
from optsg.train.run.plan import RunRequest, new_run, plan_run
from optsg.train.run.run import load_run
from optsg.train.run_files import DECISION, read_config, save_weights, write_json
from optsg.train.systems.registry import start_system

from tests.data.inputs.odd_videos import odd_failures, odd_videos
from tests.tiny_world import TINY_SETTINGS, tiny_videos, write_tiny_store


@dataclass(frozen=True)
class Reader:
    """One reader.

    Attributes:
        make: writes what is valid at a path.
        read: reads all of it.
        name: of the file or folder.
        targets: of a folder, the files to damage.
    """

    make: Callable[[Path], object]
    read: Callable[[Path], object]
    name: str
    targets: tuple[str, ...] = ("",)


def make_store(path: Path) -> None:
    write_tiny_store(path, [*odd_videos()[:4], *tiny_videos(9)], failures=odd_failures())


def read_store(path: Path) -> None:
    """What ``optsg-store info`` and ``verify``, planning a training and reading its batches take."""
    verify_store(path)
    with open_store(path) as store:
        info_lines(store, failures=None)
        for row in range(len(store)):
            store.features(row)
        plan_run(store, path, system="op-tsg", size="small", settings=TINY_SETTINGS, seed=0)
        store.model_inputs(np.arange(len(store)))
        store.title_encoder_weights()


def make_tar(path: Path) -> None:
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for number in range(4):
            text = json.dumps({"id": f"v{number}", "title": "Ein Titel", "tags": ["cat", "dog"]}).encode()
            for suffix, data in (("mp4", b"video"), ("json", text), ("txt", b"A caption")):
                member = tarfile.TarInfo(f"folder/{'long ' * (40 * (number == 3))}v{number}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))


def read_tar(path: Path) -> None:
    list(open_inputs(path))
    SourceFinder([path.parent]).find(f"{path.name}/folder/v1.mp4")


ROWS = [
    {"file_name": f"v{number}.mp4", "id": f"v{number}", "title": "A cat", "tags": ["cat", "the dog"], "split": "train"}
    for number in range(4)
]


def make_jsonl(path: Path) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))


def make_json_list(path: Path) -> None:
    path.write_text(json.dumps(ROWS))


def make_csv(path: Path) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(ROWS[0]))
        writer.writeheader()
        writer.writerows({**row, "tags": "cat, the dog"} for row in ROWS)


def make_parquet(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(ROWS), path)


PICTURES = [
    {"image": {"bytes": b"picture", "path": f"v{number}.png"}, "text": "A cat", "tags": ["cat", "the dog"]}
    for number in range(4)
]


def make_dataset(path: Path) -> None:
    pq.write_table(pa.Table.from_pylist(PICTURES), path)


def make_saved_dataset(path: Path) -> None:
    """A set as ``Dataset.save_to_disk`` writes it."""
    path.mkdir()
    table = pa.Table.from_pylist(PICTURES)
    with pa.OSFile(str(path / "data.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=2)
    (path / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data.arrow"}], "_split": "train"}))
    (path / "dataset_info.json").write_text("{}")


def read_dataset(path: Path) -> None:
    list(open_inputs(path))


def read_table(path: Path) -> None:
    list(open_metadata_table(path).rows())
    (path.parent / "v1.mp4").touch()
    list(open_inputs(path.parent, metadata=path))


def make_info(path: Path) -> None:
    path.write_text(json.dumps({"id": "v", "title": "A cat", "tags": ["cat"], "formats": [{"fps": 25.0}], "n": 1e3}))


ARRAY = np.linspace(0, 1, 24).reshape(4, 6).astype(np.float32)


def make_npz(path: Path) -> None:
    np.savez_compressed(path, v=ARRAY, w=ARRAY)


def make_h5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["v"] = ARRAY
        file.create_dataset("w", data=ARRAY, chunks=(2, 6), compression="gzip")


def read_features(path: Path) -> None:
    features = open_ready_features(path.parent if path.suffix == ".npy" else path)
    features.read("v")
    features.read("v" if path.suffix == ".npy" else "w")


RUN_FILES = (
    "config.json",
    "model.safetensors",
    "tokenizer.json",
    "tag_table.json",
    "decision.json",
    "calibration.json",
)


def make_run(path: Path) -> None:
    """A run as training leaves it, its weights random."""
    feats = write_tiny_store(path.with_name("feats.h5"), tiny_videos(20))
    with contextlib.chdir(path.parent):
        new_run(RunRequest(feats=feats, run=path, size="small", settings=TINY_SETTINGS, device="cpu"))
    with open_store(feats) as store:
        tokenizer = TitleTokenizer.from_json(store.tokenizer_json)
        system = start_system(store, read_config(path), TagTable.load(path / "tag_table.json"), tokenizer)
    weights = system.model.state_dict()
    save_weights(
        path, {name: w for name, w in weights.items() if not name.startswith(system.model.training_only or "-")}
    )
    write_json(path / DECISION, system.scalar.not_tuned())
    counts = np.ones(STEPS, np.int64)
    scaling = Scaling(temperature=1.0, offset=0.0)
    curve = PrecisionCurve(tags=counts, right=counts, effect=np.ones(STEPS), true_tags=STEPS)
    Calibration(known=scaling, novel=scaling, curve=curve, ece_before=0.0, ece_after=0.0).save(
        path / "calibration.json"
    )
    events = [{"event": "epoch", "step": n, "epoch": n, "train_loss": 1.5} for n in range(3)]
    (path / "log.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events))
    (path / "state").mkdir(exist_ok=True)
    write_json(path / "state" / "progress.json", {"step": 3, "epoch_sums": {}, "finished": True})


def read_run(path: Path) -> None:
    run = load_run(path, device="cpu")
    assert run.calibration is not None
    run.calibration.curve.points()
    assert torch.device("cpu") == run.device
    read_training_history(path / "log.jsonl")
    read_progress(path)


def make_additions(path: Path) -> None:
    """Two rounds of examples of a run with two tags."""
    path.mkdir()
    found = Additions.none(2, 4, 3)
    for number, name in enumerate(("cat", "Dog")):
        row = TagRow(name.lower(), name, (5, 6))
        vectors, embeddings = np.full((2, 4), 0.5, np.float32), np.ones((1, 3), np.float32)
        tags = [[0, 2 + number], [2 + number]]
        found = found.with_round("more.h5", [f"v{number}", "w"], vectors, tags, [None, [1]], [row], embeddings)
    found.save(path)


def read_additions(path: Path) -> None:
    found = Additions.load(path)
    assert found is not None
    table = TagTable(keys=("a", "b"), spellings=("a", "b"), counts=np.array([2, 1]), tokens=((1,), (2,)))
    try:
        found.extended(table)
    except ValueError as error:
        raise RunError(f"{path} does not fit: {error}") from error
    found.without_last_round()


def make_tag_list(path: Path) -> None:
    path.write_text('# tags\n*\ncat\n"a, b", dog => Dog\n!owl\n=T-shirt\n')


def make_decisions(path: Path) -> None:
    names = ("cta", 'a "b", c', "=1")
    proposals = [
        Proposal(kind="alias", tag=name, into="cat", score=0.5, evidence="x", count_tag=1, count_into=2)
        for name in names
    ]
    lines = [csv_line((*proposal.cells(), "yes")) for proposal in proposals]
    path.write_text("".join([csv_line(COLUMNS), *lines]), encoding="utf-8")


def make_predictions(path: Path) -> None:
    tag = {"tag": "cat", "score": 0.5, "novel": False, "prompt": 3}
    path.write_text(
        "".join(json.dumps({"id": f"v{n}", "title": "t", "true": ["cat"], "tags": [tag]}) + "\n" for n in range(4))
    )


def make_answers(path: Path) -> None:
    answers = AnswerFile(path)
    for tag in ("cat", "dog"):
        answers.save(Answer(video="v", tag=tag, annotator="Ann", verdict="relevant"))
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = DELETE")  # all in one file


def read_answers(path: Path) -> None:
    answers = AnswerFile(path)
    answers.all()
    answers.annotators()
    answers.save(Answer(video="w", tag="cat", annotator="Ann", verdict="not"))
    answers.undo("Ann", {("w", "cat")})


MADE_WITH = MadeWith(run="run", run_digest="sha256:00", pin=("cat",), threshold=0.5)


HUGGING_FACE = "metadata.jsonl"


def kind_of(name: str) -> str | None:
    return "hf" if name == HUGGING_FACE else None


def make_tagged(name: str) -> Callable[[Path], None]:
    """An output of ``optsg-tag`` that was finished once; where it is a table, it was gone on with and interrupted."""

    def make(path: Path) -> None:
        path.mkdir()
        tag = PredictedTag(text="cat", score=0.5, novel=False, prompt=3, written="kitten", distance=0.25)
        files = [TaggedFile(path=f"v{n}.mp4", title="A cat", tags=[tag, tag]) for n in range(3)]
        files.append(TaggedFile(path="broken.mp4", error="broken.mp4: it is damaged"))
        with contextlib.chdir(path):
            with open_output(Path(name), kind_of(name), MADE_WITH) as output:
                output.write(files)
                output.finish()
            with open_output(Path(name), kind_of(name), MADE_WITH) as output:
                output.write([TaggedFile(path="w.mp4", title="A dog", tags=[tag])])

    return make


def read_tagged(path: Path) -> None:
    """Goes on with it, tries failed files again, and finishes."""
    names = ("tags.jsonl", "tags.csv", "tags.parquet", HUGGING_FACE)
    out = Path(next(file.name for file in path.iterdir() if file.name in names))
    for retry_failed in (False, True):
        with (
            contextlib.chdir(path),
            open_output(out, kind_of(out.name), MADE_WITH, retry_failed=retry_failed) as output,
        ):
            if output.claim("broken.mp4"):
                output.write([TaggedFile(path="broken.mp4", error="broken.mp4: it is damaged")])
            output.finish()


def tagged_targets(name: str) -> tuple[str, ...]:
    journal = f"{name}.unfinished.jsonl"
    record = () if name.endswith(".parquet") or name == HUGGING_FACE else (f"{name}.optsg.json",)
    return (name, journal, f"{journal}.optsg.json", *record)


XMP, NFO = merged_xmp(None, ["animal/cat", "lake"], separator="/"), merged_nfo(None, ["cat", "lake"], title="A & B")
TEXT, JSON = b"cat, red_panda, lake\n", b'{"caption": "A cat", "tags": ["cat", "lake"]}'


def read_and_merge(merge: Callable[..., bytes]) -> Callable[[Path], object]:
    """Reads a file beside a video, and adds a tag to it."""

    def read(path: Path) -> None:
        read_beside([path])
        merge(path.read_bytes(), ["new"])

    return read


READERS = {
    "beside, XMP": Reader(lambda path: path.write_bytes(XMP), read_and_merge(merged_xmp), "v.mp4.xmp"),
    "beside, nfo": Reader(lambda path: path.write_bytes(NFO), read_and_merge(merged_nfo), "v.nfo"),
    "beside, text": Reader(lambda path: path.write_bytes(TEXT), read_and_merge(merged_text_tags), "v.txt"),
    "beside, JSON": Reader(lambda path: path.write_bytes(JSON), read_and_merge(merged_json_tags), "v.json"),
    "store, one file": Reader(make_store, read_store, "s.h5"),
    "store, shards": Reader(make_store, read_store, "s", ("index.json", "tables.h5", "shard-000000.tar")),
    "tar samples": Reader(make_tar, read_tar, "shard.tar"),
    "metadata, JSON lines": Reader(make_jsonl, read_table, "metadata.jsonl"),
    "metadata, JSON list": Reader(make_json_list, read_table, "list.json"),
    "metadata, CSV": Reader(make_csv, read_table, "metadata.csv"),
    "metadata, Parquet": Reader(make_parquet, read_table, "metadata.parquet"),
    "data set, Parquet": Reader(make_dataset, read_dataset, "set.parquet"),
    "data set, Arrow": Reader(make_saved_dataset, read_dataset, "set", ("data.arrow", "state.json")),
    "info.json": Reader(make_info, read_sidecar, "v.info.json"),
    "features, npy": Reader(lambda path: np.save(path, ARRAY), read_features, "v.npy"),
    "features, npz": Reader(make_npz, read_features, "f.npz"),
    "features, h5": Reader(make_h5, read_features, "f.h5"),
    "run folder": Reader(make_run, read_run, "run", (*RUN_FILES, "log.jsonl", "state/progress.json")),
    "additions": Reader(make_additions, read_additions, "run", ("memory_additions.safetensors",)),
    "accepted proposals": Reader(make_decisions, read_decisions, "accepted.csv"),
    "tag list": Reader(make_tag_list, read_tag_list, "tags.txt"),
    "predictions": Reader(make_predictions, read_predictions, "predictions.jsonl"),
    "answers": Reader(make_answers, read_answers, "answers.sqlite"),
    "tagged, JSON lines": Reader(
        make_tagged("tags.jsonl"), read_tagged, "tagged", ("tags.jsonl", "tags.jsonl.optsg.json")
    ),
    "tagged, CSV": Reader(make_tagged("tags.csv"), read_tagged, "tagged", tagged_targets("tags.csv")),
    "tagged, Parquet": Reader(make_tagged("tags.parquet"), read_tagged, "tagged", tagged_targets("tags.parquet")),
    "tagged, Hugging Face": Reader(make_tagged(HUGGING_FACE), read_tagged, "tagged", tagged_targets(HUGGING_FACE)),
}
