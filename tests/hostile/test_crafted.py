"""Files made to do harm: what each would do, and the line that refuses it."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import shutil
import sqlite3
import tarfile
import time
import zipfile
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from optsg.data.errors import InputError, OptsgError, RunError, StoreError
from optsg.data.foreign.json_reader import parse_json
from optsg.data.inputs.metadata.metadata_table import open_metadata_table
from optsg.data.inputs.opening import open_inputs
from optsg.data.inputs.ready_features import open_ready_features
from optsg.data.inputs.source_files import SourceFinder
from optsg.data.media import Failure, MediaItem
from optsg.data.sidecars.xml_text import read_document
from optsg.data.store import open_store
from optsg.data.store.conversion import convert_store
from optsg.evaluate.judge.answers import AnswerFile
from optsg.extract.store.info import info_lines
from optsg.train.config import ModelConfig
from optsg.train.run.run import load_run

from tests.hostile.readers import make_answers, make_run, make_store

SECONDS = 5
"""More than any of these takes; what they would do takes minutes, or never ends."""


@pytest.fixture(autouse=True)
def soon() -> Iterator[None]:
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < SECONDS


@pytest.fixture(scope="module")
def sound_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "s.h5"
    make_store(path)
    return path


@pytest.fixture
def store(sound_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(sound_store, tmp_path / "s.h5"))


def replace(name: str, **options: Any) -> Callable[[h5py.File], None]:
    def change(file: h5py.File) -> None:
        del file[name]
        file.create_dataset(name, **options)

    return change


def soft_link(file: h5py.File) -> None:
    file["elsewhere"] = file["videos/split"][()]
    del file["videos/split"]
    file["videos/split"] = h5py.SoftLink("/elsewhere")


def external_values(file: h5py.File) -> None:
    del file["videos/split"]
    file.create_dataset("videos/split", (13,), "uint8", external=[("/etc/hostname", 0, 13)])


def virtual(file: h5py.File) -> None:
    del file["videos/split"]
    layout = h5py.VirtualLayout((13,), "uint8")
    layout[:] = h5py.VirtualSource("other.h5", "x", (13,))
    file.create_virtual_dataset("videos/split", layout)


def fall_by_more_than_63_bits(file: h5py.File) -> None:
    offsets = file["videos/title/offsets"]
    offsets[1:3] = [2**63 - 1, -2]


def describe_widely(file: h5py.File) -> None:
    file.attrs["header"] = json.dumps({**json.loads(file.attrs["header"]), "frame_dim": 10**12})


def share_weights(file: h5py.File) -> None:
    group = file["text/weights"]
    largest = max(group, key=lambda name: group[name].size)
    for number in range(200):
        group[f"again{number}"] = group[largest]


HARMFUL_STORES = [
    (replace("videos/split", shape=(13,), dtype=h5py.string_dtype()), "'videos/split' has values of another kind than"),
    (replace("videos/split", shape=(13,), dtype=h5py.ref_dtype), "'videos/split' has values of another kind than"),
    (
        replace("videos/split", data=np.zeros(13, [("a", "u1")])),
        "'videos/split' has values of another kind than numbers",
    ),
    (replace("videos/split", data=np.zeros(13)), "'videos/split' has values of float64, expected uint8"),
    (replace("videos/split", data=np.zeros((13, 2), np.uint8)), r"'videos/split' has the shape (13, 2), expected rows"),
    (
        replace("videos/frames/values", shape=(1 << 30, 12), dtype="float16", chunks=(1 << 16, 12), compression="gzip"),
        "'videos/frames/values' is compressed or filtered",
    ),
    (
        replace("videos/frames/values", shape=(1 << 40, 12), dtype="float16", chunks=(1 << 16, 12)),
        "'videos/frames/values' announces 26,388,279,066,624 bytes where the file of",
    ),
    (replace("videos/duration", shape=(1 << 40,), dtype="float32"), "'videos/duration' announces 4,398,046,511,104"),
    (soft_link, "'videos/split' is a link to elsewhere"),
    (external_values, "'videos/split' is not an array of its own"),
    (virtual, "'videos/split' is not an array of its own"),
    (fall_by_more_than_63_bits, "the offsets of 'videos/title' do not fit its values"),
    (describe_widely, "the store's header cannot be read (frame_dim is no number from 0 to 1,048,576)"),
]


@pytest.mark.parametrize(("change", "message"), HARMFUL_STORES)
def test_a_harmful_store_is_refused_before_its_values_are_read(
    store: Path, change: Callable[[h5py.File], None], message: str
) -> None:
    with h5py.File(store, "r+") as file:
        change(file)
    with pytest.raises(StoreError, match=re.escape(message)):
        open_store(store)


def test_weights_that_share_their_bytes_are_not_read_again_and_again(store: Path) -> None:
    with h5py.File(store, "r+") as file:
        share_weights(file)
    with open_store(store) as opened, pytest.raises(StoreError, match="weights of the title encoder share their bytes"):
        opened.title_encoder_weights()


@pytest.mark.parametrize(
    ("name", "value", "use", "message"),
    [
        (
            "videos/split",
            9,
            lambda s: info_lines(s, failures=None),
            "videos/split holds the number 9, expected less than 4",
        ),
        ("videos/status", 9, lambda s: info_lines(s, failures=None), "videos/status holds the number 9, expected less"),
        ("videos/kind", 7, lambda s: s.kind(0), "videos/kind holds the number 7, expected less than 2"),
        (
            "videos/tags/values",
            2**31 - 1,
            lambda s: s.tag_counts(np.arange(3)),
            "videos/tags holds numbers outside 0 to",
        ),
        ("videos/tags/values", -1, lambda s: s.model_inputs(np.arange(13)), "videos/tags holds numbers outside 0 to"),
        (
            "videos/title_tokens/values",
            10**6,
            lambda s: s.title_pieces(),
            "videos/title_tokens holds numbers outside 0 to",
        ),
    ],
)
def test_a_number_that_stands_for_nothing_is_named_where_it_is_used(
    store: Path, name: str, value: int, use: Callable[[Any], object], message: str
) -> None:
    with h5py.File(store, "r+") as file:
        file[name][0] = value
    with open_store(store) as opened, pytest.raises(StoreError, match=re.escape(message)):
        use(opened)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("videos/split", 99),
        ("videos/kind", 99),
        ("videos/status", 99),
        ("videos/tags/values", 99),
        ("videos/tags/values", -1),
    ],
)
def test_a_number_that_stands_for_nothing_is_not_converted(store: Path, name: str, value: int) -> None:
    """It was a traceback, and of a tag −1 the last of the table."""
    with h5py.File(store, "r+") as file:
        file[name][0] = value
    with pytest.raises(StoreError, match=rf"{name.removesuffix('/values')} holds numbers outside 0 to"):
        convert_store(store, store.with_name("folder"))
    assert not store.with_name("folder").exists()


# --- tar ---


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[124:136] = tarfile.itn(size, 12, tarfile.GNU_FORMAT)  # type: ignore[attr-defined]
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 512)


def pax(data: bytes, kind: bytes = tarfile.XHDTYPE) -> bytes:
    return header("pax", len(data), kind) + padded(data)


def record(key: bytes, value: bytes) -> bytes:
    length = len(key) + len(value) + 3
    length += len(str(length + len(str(length))))
    return b"%d %s=%s\n" % (length, key, value)


SOUND = header("a.mp4", 3) + padded(b"mp4")
HARMFUL_TARS = {
    "a negative size, which leads back": (header("b.mp4", -1024), "negative size"),
    "a negative size in PAX": (pax(record(b"size", b"-1536")) + header("b.mp4", 3), "negative size"),
    "chained headers, each a call": (pax(record(b"comment", b"x")) * 3000 + SOUND, "more than 16 extension headers"),
    "chained long names": ((header("n", 5, b"L") + padded(b"name\0")) * 3000 + SOUND, "more than 16 extension headers"),
    "digits in PAX, searched for each time": (pax(b"1" * 900_000) + SOUND, "a number of 100 digits"),
    "records in each other": (pax(b"4 a " * 200_000 + b"=") + SOUND, "a damaged PAX header at its byte 0"),
    "a long header": (header("pax", 1 << 33, tarfile.XHDTYPE) + SOUND, "an extension header of 8,589,934,592 bytes"),
    "settings for all": (
        b"".join(pax(record(b"k%d" % n, b"v"), b"g") + SOUND for n in range(400)),
        "more than 256 global settings",
    ),
}


@pytest.mark.parametrize(("damage", "message"), HARMFUL_TARS.values(), ids=HARMFUL_TARS)
def test_a_harmful_shard_is_one_failure_and_the_judge_finds_what_is_before_it(
    tmp_path: Path, damage: bytes, message: str
) -> None:
    before = header("0.mp4", 3) + padded(b"mp4")
    (tmp_path / "0.tar").write_bytes(before + SOUND + damage + bytes(1024))
    (tmp_path / "1.tar").write_bytes(header("z.mp4", 3) + padded(b"mp4") + bytes(1024))
    found = list(open_inputs(tmp_path))
    failures = [one for one in found if isinstance(one, Failure)]
    assert len([one for one in failures if message in one.error]) == 1, failures
    assert {"0", "a", "z"} <= {one.id for one in found if isinstance(one, MediaItem)}
    assert SourceFinder([tmp_path]).find("0.tar/a.mp4") is not None


def test_a_sparse_map_is_passed_over_in_linear_time(tmp_path: Path) -> None:
    version = (
        record(b"GNU.sparse.major", b"1") + record(b"GNU.sparse.minor", b"0") + record(b"GNU.sparse.name", b"s.mp4")
    )
    numbers = padded(b"400000\n" + b"1\n" * 800_000)
    (tmp_path / "0.tar").write_bytes(pax(version) + header("s.mp4", len(numbers)) + numbers + SOUND + bytes(1024))
    failure, item = open_inputs(tmp_path / "0.tar")
    assert isinstance(failure, Failure)
    assert "sparse file" in failure.error
    assert item.id == "a"


# --- JSON, tables ---


@pytest.mark.parametrize(
    "line", [b'{"a":' * 1000 + b"1" + b"}" * 1000, b"\xff", b'{"id": %s}' % (b"9" * 400), b'{"id": 1, "id": 2}']
)
def test_a_bad_line_of_metadata_is_one_failure(tmp_path: Path, line: bytes) -> None:
    (tmp_path / "a.mp4").touch()
    good = b'{"file_name": "a.mp4", "tags": ["cat"]}\n'
    (tmp_path / "metadata.jsonl").write_bytes(good + line + b"\n")
    if line == b"\xff":
        with pytest.raises(
            InputError, match=r"metadata\.jsonl, line 2: not UTF-8 \(byte 0xff\); save the file as UTF-8$"
        ):
            open_inputs(tmp_path)
        return
    item, failure = open_inputs(tmp_path)
    assert item.id == "a"
    assert isinstance(failure, Failure)
    assert "line 2: not JSON (" in failure.error


def test_dates_that_python_cannot_hold_are_one_line(tmp_path: Path) -> None:
    dates = pa.array([10**7], pa.int32()).cast(pa.date32())
    pq.write_table(pa.table({"file_name": ["a.mp4"], "title": dates}), tmp_path / "m.parquet")
    with pytest.raises(InputError, match=r"m\.parquet: damaged Parquet file \([^\n]+\)$"):
        list(open_metadata_table(tmp_path / "m.parquet").rows())
    assert date.max.year == 9999


# --- ready-made features ---


def test_python_objects_and_announced_terabytes_are_failures_of_one_array(tmp_path: Path) -> None:
    np.save(tmp_path / "good.npy", np.ones((2, 3), np.float32))
    np.save(tmp_path / "object.npy", np.array([print], object), allow_pickle=True)
    announced = io.BytesIO()
    np.lib.format.write_array_header_1_0(announced, {"descr": "<f4", "fortran_order": False, "shape": (1 << 40, 512)})
    (tmp_path / "huge.npy").write_bytes(announced.getvalue())
    features = open_ready_features(tmp_path)
    with pytest.raises(InputError, match=r"object\.npy is no array of numbers \(Object arrays cannot be loaded\)"):
        features.read("object")
    with pytest.raises(
        InputError, match=r"huge\.npy is no array of numbers \(it announces 2,251,799,813,685,248 bytes"
    ):
        features.read("huge")
    assert features.read("good").values.shape == (2, 3)


def test_a_zip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    with (
        zipfile.ZipFile(tmp_path / "f.npz", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("v.npy", "w") as member,
    ):
        for _ in range(3):
            member.write(bytes(1 << 20))
    data = bytearray((tmp_path / "f.npz").read_bytes())
    place = data.rindex(b"PK\x01\x02") + 24
    data[place : place + 4] = (2**32 - 2).to_bytes(4, "little")
    (tmp_path / "f.npz").write_bytes(data)
    with pytest.raises(
        InputError, match=r"f\.npz/v is no array of numbers \(it announces 4,294,967,294 bytes, more than"
    ):
        open_ready_features(tmp_path / "f.npz").read("v")


def test_a_pipe_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "v.npy")
    with pytest.raises(InputError, match="no file but a pipe"):
        open_ready_features(tmp_path).read("v")
    os.mkfifo(tmp_path / "answers.sqlite")
    with pytest.raises(RunError, match="no file but a pipe"):
        AnswerFile(tmp_path / "answers.sqlite")


# --- run folders, answers ---


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "run"
    make_run(path)
    return path


@pytest.mark.parametrize(
    ("part", "name", "value", "message"),
    [
        ("model", "decoder_layers", 100_000, "decoder_layers=100000 is out of range; expected at most 256"),
        ("model", "width", 32.0, "width=32.0 is out of range; expected int"),
        ("model", "width", 65536, "does not hold this run's weights: "),
        ("inputs", "max_patches", 10**6, "does not hold this run's weights: "),
        ("training", "seed", "x", "seed=x is out of range; expected int"),
        ("title", "vocab_size", 10**7, "does not hold this run's weights: "),
        ("title", "num_hidden_layers", 10**6, "num_hidden_layers is no number from 0 to 256"),
        ("title", "model_type", "\n no such", "run cannot be read: "),
        ("title", "pad_token_id", 10**6, "run cannot be read: the title encoder's configuration cannot be used: "),
        ("title", "is_decoder", None, "run cannot be read: the title encoder's configuration cannot be used: "),
    ],
)
def test_a_model_larger_than_its_weights_is_never_made(
    run: Path, tmp_path: Path, part: str, name: str, value: object, message: str
) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    values = json.loads((copy / "config.json").read_text())
    settings = values["inputs"]["title_encoder"] if part == "title" else values[part]
    settings[name] = value
    (copy / "config.json").write_text(json.dumps(values))
    with pytest.raises(RunError, match=re.escape(message)) as refused:
        load_run(copy, device="cpu")
    assert len(str(refused.value).splitlines()) == 1


def test_sizes_that_people_use_are_allowed() -> None:
    assert ModelConfig(width=4096, heads=64, decoder_layers=48).decoder_layers == 48


def test_a_view_in_a_file_of_answers_is_not_asked(tmp_path: Path) -> None:
    make_answers(tmp_path / "a.sqlite")
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x FROM n) SELECT x, x, x, x FROM n"
    with contextlib.closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection:
        connection.execute("DROP TABLE answers")
        connection.execute(f"CREATE VIEW answers (video, tag, annotator, verdict) AS {endless}")
    with pytest.raises(RunError, match=r"a\.sqlite is no file of judgements"):
        AnswerFile(tmp_path / "a.sqlite")


def test_an_error_is_one_line_whatever_is_in_it() -> None:
    assert str(OptsgError("a\nb\r\n\x1b[31mc\u2028d")) == "a b [31mc d"


MEBIBYTE = 1 << 20


@pytest.mark.parametrize(
    "data",
    [
        b"<a>" + b"<!--" * (MEBIBYTE // 4),
        b"<a>" + b"<![CDATA[" * (MEBIBYTE // 9),
        b"<a>" + b"<?" * (MEBIBYTE // 2),
        b'<!"' + b'"<!' * (MEBIBYTE // 3),
        b"<a " + b"x='" * (MEBIBYTE // 3),
        b"<" * MEBIBYTE,
        b"<a " + b"xmlns:" * (MEBIBYTE // 6) + b">",
        b'<a b="' + b"xmlns='" * (MEBIBYTE // 7) + b'">',
        b"<movie>\n    <" + b'{"a":' * (MEBIBYTE // 5),
    ],
    ids=lambda data: data[:24].decode(),
)
def test_what_looks_like_xml_is_passed_over_in_linear_time(data: bytes) -> None:
    started = time.process_time()
    with pytest.raises(InputError):
        read_document(data)
    assert time.process_time() - started < 2.0, "a mebibyte takes hundredths of a second"


@pytest.mark.parametrize("marks", [1, 2])
def test_a_byte_order_mark_is_passed_over_once_wherever_a_line_is_read(marks: int) -> None:
    for text in ("\ufeff" * marks + "1", ("\ufeff" * marks + "1").encode()):
        if marks == 1:
            assert parse_json(text) == 1
        else:
            with pytest.raises(ValueError, match="BOM"):
                parse_json(text)
