"""A world small enough to train on in seconds: a tokenizer of 60 words, a two-layer BERT, videos whose tags follow from
their title and their frames. Made anew for each test session; nothing is downloaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from optsg.data.media import Failure, Split
from optsg.data.store.merging.merge import merge_parts
from optsg.data.store.part_writer import Hdf5StoreWriter
from optsg.data.store.schema import StoreHeader, TextModelTables, VideoFeatures
from optsg.data.word_pieces import TitleTokenizer
from tokenizers import Tokenizer, decoders, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

ANIMALS = ("cat", "dog", "fox", "owl", "bee", "cow")
COLOURS = ("red", "blue", "green", "black")
PLACES = ("lake", "wood", "farm")
WORDS = (
    *ANIMALS,
    *COLOURS,
    *PLACES,
    "animal",
    "bird",
    "pet",
    "t",
    "shirt",
    "a",
    "the",
    "of",
    "at",
    "-",
    "[",
    "]",
    "##s",
)
WIDTH = 32
FRAME_DIM = 12
PATCH_DIM = 6


def tiny_tokenizer() -> Tokenizer:
    """Uncased word pieces; single letters spell every other word."""
    letters = list("abcdefghijklmnopqrstuvwxyz0123456789")
    pieces = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS, *letters, *(f"##{char}" for char in letters)]
    vocabulary = {piece: number for number, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(WordPiece(vocabulary, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", vocabulary["[CLS]"]), ("[SEP]", vocabulary["[SEP]"])]
    )
    return tokenizer


def tiny_text_tables(*, contextual: bool = False) -> TextModelTables:
    """A random two-layer BERT of width 32.

    A tag's embedding is the mean of its pieces' word embeddings, or, ``contextual``, of the last layer's outputs at its
    pieces, as the text encoders make them.
    """
    # Here, for a program that needs the videos alone starts without them in a tenth of the time.
    import torch
    from optsg.data.torchvision_compat import ensure_torchvision_importable

    ensure_torchvision_importable()
    from transformers import BertConfig, BertModel

    tokenizer = TitleTokenizer(tiny_tokenizer())
    config = BertConfig(
        vocab_size=len(tokenizer.pieces),
        hidden_size=WIDTH,
        num_hidden_layers=2,
        num_attention_heads=4,
        intermediate_size=64,
        max_position_embeddings=64,
    )
    torch.manual_seed(7)
    model = BertModel(config, add_pooling_layer=False).eval()
    words = model.get_input_embeddings().weight.detach().numpy()

    @torch.no_grad()
    def embed_in_context(tags: Sequence[str]) -> NDArray[np.float32]:
        ends = [tokenizer.pieces[piece] for piece in ("[CLS]", "[SEP]")]
        rows = [torch.tensor([[ends[0], *ids, ends[1]]]) for ids in tokenizer.encode_tags(tags)]
        return np.stack([model(input_ids=row).last_hidden_state[0, 1:-1].mean(dim=0).numpy() for row in rows])

    def embed(tags: Sequence[str]) -> NDArray[np.float32]:
        if contextual:
            return embed_in_context(tags)
        return np.stack([words[ids].mean(axis=0) for ids in tokenizer.encode_tags(tags)]).astype(np.float32)

    return TextModelTables(
        tokenizer_json=tokenizer.to_json(),
        config_json=config.to_json_string(use_diff=False),
        weights={name: weight.numpy() for name, weight in model.state_dict().items()},
        title_tokens=tokenizer.encode_titles,
        tag_tokens=tokenizer.encode_tags,
        tag_embeddings=embed,
        nil_embedding=embed(["[PAD]"])[0],
    )


def tiny_header(**changes: Any) -> StoreHeader:
    """Header of the tiny world's stores."""
    values: dict[str, Any] = {
        "frame_dim": FRAME_DIM,
        "patch_dim": PATCH_DIM,
        "tag_dim": WIDTH,
        "image_encoder": {"kind": "tiny", "name": "tiny"},
        "text_encoder": {"kind": "tiny", "name": "tiny"},
        "sampling": {"fps": 1.0, "max_frames": 60},
        "optsg_version": "0.1.0",
        "created": "2026-01-01T00:00:00+00:00",
        "preset": None,
    }
    return StoreHeader(**{**values, **changes})


def tiny_videos(count: int, *, seed: int = 0) -> list[VideoFeatures]:
    """Videos of an animal in a place: the title names the animal, the frames (or patches) show the colour; every eighth is an image."""
    rng = np.random.default_rng(seed)
    shades = np.random.default_rng(1).normal(size=(len(COLOURS), FRAME_DIM))
    videos = []
    for number in range(count):
        animal, colour, place = (str(rng.choice(kind)) for kind in (ANIMALS, COLOURS, PLACES))
        image = number % 8 == 7
        shade = shades[COLOURS.index(colour)]
        frames = shade + 0.1 * rng.normal(size=(0 if image else rng.integers(1, 6), FRAME_DIM))
        patches = shade[:PATCH_DIM] + 0.1 * rng.normal(size=(4 if image else 0, PATCH_DIM))
        tags = [animal, colour, "animal", "Bird" if animal in ("owl", "bee") else "pet"]
        tags += ["T-shirt"] * (number % 5 == 0)
        split: Split = "train" if number % 10 < 7 else "val" if number % 10 == 7 else "test"
        videos.append(
            VideoFeatures(
                id=f"video-{number}",
                title=f"A {animal} at the {place}",
                tags=tuple(tags),
                split=split,
                source=f"video-{number}.mp4",
                kind="image" if image else "video",
                duration=0.0 if image else float(len(frames)),
                frames=frames.astype(np.float16),
                times=np.arange(len(frames), dtype=np.float32),
                patches=patches.astype(np.float16),
                thumbnail=b"",
            )
        )
    return videos


def write_tiny_store(
    path: Path,
    videos: Sequence[VideoFeatures],
    *,
    failures: Sequence[Failure] = (),
    text_tables: TextModelTables | None = None,
    **header: Any,
) -> Path:
    """A finished store of these videos, one file or a folder; files stay writable, so that tests can damage them."""
    part = path.with_name(f"{path.name}.part")
    with Hdf5StoreWriter(part, tiny_header(**header)) as writer:
        for video in videos:
            writer.append(video)
        for failure in failures:
            writer.add_failure(failure)
        writer.finish()
    merge_parts([part], path, tiny_header(**header), text_tables or tiny_text_tables())
    part.unlink()
    for file in path.iterdir() if path.is_dir() else [path]:
        file.chmod(0o644)
    return path


TINY_SETTINGS = (
    "width=32",
    "heads=4",
    "title_layers=2",
    "decoder_layers=1",
    "prompts=8",
    "batch_size=16",
    "learning_rate=0.003",
    "precision=fp32",
    "ranking=false",
)
"""``--set`` values of a model for the tiny world; a test of the ranker says so."""


def as_options(settings: Sequence[str] = TINY_SETTINGS) -> list[str]:
    """Command-line options for settings."""
    return [word for setting in settings for word in ("--set", setting)]


def read_log(run: Path) -> list[dict[str, Any]]:
    """Events of a run's log."""
    return [json.loads(line) for line in (run / "log.jsonl").read_text(encoding="utf-8").splitlines()]
