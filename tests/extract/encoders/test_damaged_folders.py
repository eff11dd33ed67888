"""A folder of a text model with a damaged configuration is one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from optsg.data.errors import EncoderError
from optsg.extract.encoders.hf_text_encoder import _open_model


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[]", b"\xff", b'{"model_type": 3}', b'{"model_type": "bert", "hidden_size": "x"}', b"[" * 1000],
)
def test_a_damaged_configuration_is_one_line(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "config.json").write_bytes(text)
    (tmp_path / "model.safetensors").write_bytes(b"x")
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(EncoderError, match=r"cannot be opened as a text model: [^ ]") as refused:
        _open_model({"folder": str(tmp_path)})
    assert len(str(refused.value).splitlines()) == 1
