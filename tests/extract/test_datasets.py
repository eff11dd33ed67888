"""Pictures that lie in a data set go through the decoding processes as files do."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from optsg.data.inputs import open_inputs
from optsg.data.store import open_store
from optsg.extract.encoders.image_encoder import ImageEncoder
from optsg.extract.encoders.text_encoder import TextEncoder
from optsg.extract.options import complete
from PIL import Image

from tests.extract.run_extraction import run_extraction
from tests.extract.same_store import assert_same_video


def test_a_data_set_gives_the_store_that_a_folder_gives(
    tiny_image_encoder: ImageEncoder, tiny_text_encoder: TextEncoder, tmp_path: Path
) -> None:
    rows: list[dict[str, Any]] = []
    (tmp_path / "folder").mkdir()
    for number in range(5):
        buffer = io.BytesIO()
        Image.new("RGB", (40, 30), (40 * number, 90, 20)).save(buffer, "PNG")
        (tmp_path / "folder" / f"p{number}.png").write_bytes(buffer.getvalue())
        rows.append({"image": {"bytes": buffer.getvalue(), "path": f"p{number}.png"}, "title": f"No {number}"})
        rows[-1] |= {"file_name": f"p{number}.png", "tags": ["cat", f"tag {number}"], "split": "train"}
    named = [{name: value for name, value in row.items() if name != "image"} for row in rows]
    pq.write_table(pa.Table.from_pylist(named), tmp_path / "folder" / "metadata.parquet")
    bad = {**rows[0], "image": {"bytes": b"no picture", "path": None}, "file_name": "bad.png"}
    empty = {**rows[0], "image": {"bytes": None, "path": None}, "file_name": None}
    (tmp_path / "set").mkdir()
    pq.write_table(pa.Table.from_pylist([*rows, bad, empty]), tmp_path / "set" / "part.parquet")
    for name in ("folder", "set"):
        how: dict[str, Any] = {
            "image_encoder": tiny_image_encoder,
            "text_encoder": tiny_text_encoder,
            "options": complete(workers=1),
        }
        run_extraction(open_inputs(tmp_path / name), tmp_path / f"{name}.h5", **how)
    with open_store(tmp_path / "set.h5") as ours, open_store(tmp_path / "folder.h5") as theirs:
        assert ours.ids() == theirs.ids() == [f"p{number}" for number in range(5)]
        for row in range(5):
            found, expected = ours.features(row), theirs.features(row)
            assert found.source == f"part.parquet/{expected.source}"
            assert_same_video(replace(found, source=expected.source), expected)
        errors = {failure.source: (failure.stage, failure.error) for failure in ours.failures}
    assert errors["part.parquet/7"] == ("read", "part.parquet/7: has neither bytes nor the name of a file")
    assert errors["part.parquet/bad.png"][0] == "decode"
