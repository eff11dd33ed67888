"""A feature store of any size, made through the store's own writers.

    python benchmarks/synthetic_store.py OUT [--videos 200000] [--frames 60] [--width 512]

``OUT`` is a name that ends in ``.h5``, or a folder, which becomes WebDataset shards. Features are random: 64 different
videos under many names, since drawing random numbers for each would take longer than writing it. Titles and tags are
made-up words. Numbers of tags and their pieces follow the sample data (``data/sample``): 8.4 tags a video, of 1.2 pieces
each, from 4,700 tags whose counts fall as 1/rank. The title encoder is a BERT with random weights, as large as the one
of the preset ``small`` (384 wide, 6 layers, 30,522 pieces), or with ``--tiny-text`` of 32 and one layer.

The parts, as large as the store, are beside it until it is finished. 200,000 videos × 60 frames × 512 are 12.3 GB.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from optsg.data.media import Split
from optsg.data.store.merging.merge import merge_parts
from optsg.data.store.part_writer import Hdf5StoreWriter
from optsg.data.store.schema import StoreHeader, TextModelTables, VideoFeatures
from optsg.data.torchvision_compat import ensure_torchvision_importable
from optsg.data.word_pieces import TitleTokenizer
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.models import WordPiece

TAG_COUNTS = (0, 0, 6, 36, 81, 285, 165, 171, 139, 106, 118, 88, 53, 52, 56, 41, 31, 23, 5, 15, 5, 6, 1, 1, 1)
"""Training videos of the sample data by their number of tags."""

TAGS = 4_700
SECOND_WORD = 0.2
"""Share of tags of two pieces."""

WORDS = 6_200
"""Different words in titles and tags; so many pieces has the sample data."""

TITLE_WORDS = (4, 16)
POOL = 64
VIDEOS_PER_PART = 4_096
UNKNOWN = "[UNK]"
SPECIAL = ("[PAD]", UNKNOWN, "[CLS]", "[SEP]")


@dataclass(frozen=True, kw_only=True)
class TextSize:
    """Sizes of the title encoder."""

    width: int = 384
    layers: int = 6
    heads: int = 12
    pieces: int = 30_522


TINY_TEXT = TextSize(width=32, layers=1, heads=2, pieces=8_000)


def word(number: int) -> str:
    """A word of one piece."""
    return f"w{number}"


def text_tables(size: TextSize) -> TextModelTables:
    """A tokenizer of made-up words and a BERT with random weights; a tag's embedding is the mean of its words'."""
    ensure_torchvision_importable()
    from transformers import BertConfig, BertModel

    characters = [*"abcdefghijklmnopqrstuvwxyz0123456789"]
    pieces = [*SPECIAL, *characters, *(f"##{character}" for character in characters)]
    pieces += [word(number) for number in range(size.pieces - len(pieces))]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    raw = Tokenizer(WordPiece(vocabulary, unk_token=UNKNOWN))
    raw.normalizer = normalizers.BertNormalizer(lowercase=True)
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.add_special_tokens(list(SPECIAL))
    marks = [(mark, vocabulary[mark]) for mark in ("[CLS]", "[SEP]")]
    raw.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]", special_tokens=marks)
    tokenizer = TitleTokenizer(raw)
    config = BertConfig(
        vocab_size=size.pieces,
        hidden_size=size.width,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        intermediate_size=4 * size.width,
    )
    torch.manual_seed(7)
    model = BertModel(config, add_pooling_layer=False).eval()
    words = model.get_input_embeddings().weight.detach().numpy()

    def embed(tags: Sequence[str]) -> NDArray[np.float32]:
        means: NDArray[np.float32] = np.stack([words[ids].mean(axis=0) for ids in tokenizer.encode_tags(tags)])
        return means

    return TextModelTables(
        tokenizer_json=tokenizer.to_json(),
        config_json=config.to_json_string(use_diff=False),
        weights={name: weight.numpy() for name, weight in model.state_dict().items()},
        title_tokens=tokenizer.encode_titles,
        tag_tokens=tokenizer.encode_tags,
        tag_embeddings=embed,
        nil_embedding=words[vocabulary["[PAD]"]],
    )


def synthetic_header(width: int, tag_dim: int) -> StoreHeader:
    """What the store says of itself."""
    return StoreHeader(
        frame_dim=width,
        patch_dim=width,
        tag_dim=tag_dim,
        image_encoder={"kind": "random", "name": "random"},
        text_encoder={"kind": "random", "name": "random"},
        sampling={"fps": 1.0, "max_frames": 60},
        optsg_version="0.1.0",
        created="2026-01-01T00:00:00+00:00",
        preset=None,
    )


def synthetic_videos(count: int, frames: int, width: int, *, seed: int = 0) -> Iterator[VideoFeatures]:
    """Videos with random features, titles and tags; nine of ten are for training."""
    random = np.random.default_rng(seed)
    pool = [random.standard_normal((frames, width)).astype(np.float16) for _ in range(min(POOL, count))]
    times, no_patches = np.arange(frames, dtype=np.float32), np.zeros((0, width), np.float16)
    word_shares, tag_shares = _one_over_rank(WORDS), _one_over_rank(TAGS)
    tags = [_tag(number) for number in range(TAGS)]
    tag_counts = np.array(TAG_COUNTS) / sum(TAG_COUNTS)
    for number in range(count):
        title = random.choice(WORDS, int(random.integers(*TITLE_WORDS)), p=word_shares)
        chosen = random.choice(TAGS, int(random.choice(len(TAG_COUNTS), p=tag_counts)), p=tag_shares, replace=False)
        split: Split = "train" if number % 10 < 9 else "val"
        yield VideoFeatures(
            id=f"{number:08d}",
            title=" ".join(word(int(one)) for one in title),
            tags=tuple(tags[int(tag)] for tag in chosen),
            split=split,
            source=f"{number:08d}.mp4",
            kind="video",
            duration=float(frames),
            frames=pool[number % len(pool)],
            times=times,
            patches=no_patches,
        )


def _one_over_rank(count: int) -> NDArray[np.float64]:
    shares: NDArray[np.float64] = 1 / np.arange(1, count + 1)
    shares /= shares.sum()
    return shares


def _tag(number: int) -> str:
    """One word, or two; the second of a frequent tag is a rare one, so that no two tags are the same."""
    second = number % round(1 / SECOND_WORD) == 0
    return f"{word(number)} {word(WORDS - 1 - number)}" if second else word(number)


def write_synthetic_store(
    out: Path, *, videos: int, frames: int = 60, width: int = 512, text: TextSize | None = None, seed: int = 0
) -> Path:
    """A finished store, one file or a folder of shards; what is at ``out`` already is kept as it is."""
    if out.exists():
        return out
    tables = text_tables(text or TextSize())
    header = synthetic_header(width, len(tables.nil_embedding))
    out.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{out.name}.", dir=out.parent))
    try:
        parts = write_parts(folder, header, videos=videos, frames=frames, seed=seed)
        merge_parts(parts, out, header, tables)
    finally:
        shutil.rmtree(folder)
    return out


def write_parts(folder: Path, header: StoreHeader, *, videos: int, frames: int, seed: int = 0) -> list[Path]:
    """Parts as an extraction leaves them."""
    source = synthetic_videos(videos, frames, header.frame_dim, seed=seed)
    parts = []
    for start in range(0, videos, VIDEOS_PER_PART):
        parts.append(folder / f"part-{start:08d}.h5")
        with Hdf5StoreWriter(parts[-1], header) as writer:
            for _ in range(min(VIDEOS_PER_PART, videos - start)):
                writer.append(next(source))
            writer.finish()
    return parts


def main(words: Sequence[str] | None = None) -> None:
    """Writes a store."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--videos", type=int, default=200_000, help="[%(default)s]")
    parser.add_argument("--frames", type=int, default=60, help="of a video [%(default)s]")
    parser.add_argument("--width", type=int, default=512, help="of a frame's feature [%(default)s]")
    parser.add_argument("--tiny-text", action="store_true", help="a small title encoder")
    parser.add_argument("--seed", type=int, default=0, help="[%(default)s]")
    arguments = parser.parse_args(words)
    if arguments.out.exists():
        sys.exit(f"{arguments.out} exists; remove it first, or choose another name")
    sizes = {"videos": arguments.videos, "frames": arguments.frames, "width": arguments.width, "seed": arguments.seed}
    write_synthetic_store(arguments.out, text=TINY_TEXT if arguments.tiny_text else None, **sizes)


if __name__ == "__main__":
    main()
