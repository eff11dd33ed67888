"""``--text-encoder characters``: for languages and machines where no text model can be had.

The vocabulary is made from the titles and tags of the store; the title encoder is untrained, so training starts it from
nothing; a tag's embedding is made from its characters and says how a tag is written, not what it means.

Legend: n texts, E width.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Regex, Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordLevel

from ...data.errors import EncoderError
from ...data.store.schema import CORPUS, MADE_FROM, TITLE_ENCODER, UNTRAINED, TextModelTables
from ...data.tags import NIL_TEXT
from ...data.torchvision_compat import ensure_torchvision_importable
from ...data.word_pieces import TitleTokenizer

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
"""BERT's."""

ALWAYS = tuple(chr(code) for code in range(0x20, 0x7F))
"""Characters of every vocabulary, whatever the corpus: printable ASCII."""

DEFAULT_WIDTH = 384
"""Of the title encoder and of tag embeddings: that of the text model of ``small``."""

LONGEST_GRAM = 3
POSITIONS = 64
TITLE_LAYERS = 6
SEED = 0
START, END = "\x02", "\x03"
"""Marks of a tag's beginning and end; no tag holds control characters."""


class CharacterTextEncoder:
    """Characters for word pieces, an untrained BERT for titles, hashed character n-grams for tag embeddings.

    - Vocabulary: every character of the normalised (NFKC, lower case) titles and tags and printable ASCII, in the order
      of code points, after BERT's special tokens. A space is a character, so that "how to" can be spelled.
    - Tag embedding: every 1- to 3-gram of the tag between a begin and an end mark becomes a vector of ±1 (bits of its
      SHAKE-256); their sum has unit length. Tags that share characters are close, and an embedding never changes.
    - Title encoder: BERT's layers at its own initialisation, drawn from a fixed seed.

    Args:
        width: E, and the width of the title encoder; a multiple of 32.

    Raises:
        EncoderError: ``width`` is out of range.
    """

    def __init__(self, width: int = DEFAULT_WIDTH):
        if not (32 <= width <= 4096 and width % 32 == 0):
            raise EncoderError(
                f"--text-encoder characters:{width} is out of range; expected a width of 32 to 4096 that is a multiple of 32"
            )
        self.tag_dim = width

    def spec(self) -> dict[str, Any]:
        """Its name, width and how it makes embeddings; a digest is added with the vocabulary."""
        return {
            "library": "optsg",
            "name": "characters",
            "width": self.tag_dim,
            "tag_embeddings": f"SHAKE-256 signs of character 1- to {LONGEST_GRAM}-grams",
            "seed": SEED,
            MADE_FROM: CORPUS,
            TITLE_ENCODER: UNTRAINED,
        }

    def tables(self, corpus: Iterable[str] = ()) -> TextModelTables:
        """The store's text tables; ``corpus`` is read once through."""
        tokenizer = TitleTokenizer(character_tokenizer(corpus))
        config_json, weights = untrained_title_encoder(len(tokenizer.pieces), self.tag_dim)
        tokenizer_json = tokenizer.to_json()
        described = json.dumps([self.spec(), config_json, tokenizer_json], sort_keys=True)
        return TextModelTables(
            tokenizer_json=tokenizer_json,
            config_json=config_json,
            weights=weights,
            title_tokens=tokenizer.encode_titles,
            tag_tokens=tokenizer.encode_tags,
            tag_embeddings=self.embed,
            nil_embedding=self.embed([NIL_TEXT])[0],
            corpus_digest=f"sha256:{hashlib.sha256(described.encode()).hexdigest()}",
        )

    def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """(n, E) embeddings of unit length."""
        result = np.zeros((len(texts), self.tag_dim), np.float32)
        for row, text in enumerate(texts):
            for gram in character_grams(text):
                result[row] += _signs(gram, self.tag_dim)
        lengths = np.linalg.norm(result, axis=1, keepdims=True)
        result /= np.maximum(lengths, 1e-6, dtype=np.float32)
        return result


def character_grams(text: str) -> list[str]:
    """All 1- to 3-grams of a text between its marks, repeats included; the marks alone are none."""
    marked = f"{START}{text}{END}"
    grams = [
        marked[start : start + size] for size in range(1, LONGEST_GRAM + 1) for start in range(len(marked) - size + 1)
    ]
    return [gram for gram in grams if gram not in (START, END)]


@lru_cache(maxsize=2**16)
def _signs(gram: str, width: int) -> NDArray[np.int8]:
    """(width,) of ±1, the same on every machine."""
    raw = hashlib.shake_256(gram.encode("utf-8", "surrogatepass")).digest(width // 8)
    return np.unpackbits(np.frombuffer(raw, np.uint8)).astype(np.int8) * 2 - 1


def character_tokenizer(corpus: Iterable[str]) -> Tokenizer:
    """A tokenizer with one piece for each character of the corpus."""
    normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    characters = set(ALWAYS)
    for text in corpus:
        characters.update(normalizer.normalize_str(text))
    vocabulary = {piece: number for number, piece in enumerate([*SPECIALS, *sorted(characters)])}
    tokenizer = Tokenizer(WordLevel(vocabulary, unk_token="[UNK]"))  # noqa: S106 (a word piece, no password)
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(list(SPECIALS))
    ends = [(piece, vocabulary[piece]) for piece in ("[CLS]", "[SEP]")]
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=ends)
    return tokenizer


def untrained_title_encoder(pieces: int, width: int) -> tuple[str, dict[str, NDArray[Any]]]:
    """Configuration and state dict of a BERT at its initialisation; the same for the same sizes."""
    ensure_torchvision_importable()
    import torch
    from transformers import BertConfig, BertModel

    config = BertConfig(
        vocab_size=pieces,
        hidden_size=width,
        num_hidden_layers=TITLE_LAYERS,
        num_attention_heads=width // (64 if width % 64 == 0 else 32),
        intermediate_size=4 * width,
        max_position_embeddings=POSITIONS,
        pad_token_id=0,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        model = BertModel(config, add_pooling_layer=False)
    settings = config.to_dict()
    for field in ("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype"):
        settings.pop(field, None)
    weights = {name: tensor.detach().numpy() for name, tensor in model.state_dict().items()}
    return json.dumps(settings, sort_keys=True), weights
