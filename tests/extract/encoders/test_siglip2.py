"""The preset ``siglip2``, its encoders drawn at random: what its towers give, and a run that is trained on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.store import open_store
from optsg.data.torchvision_compat import ensure_torchvision_importable
from optsg.data.word_pieces import TitleTokenizer
from optsg.extract.api import preset_specs
from optsg.extract.encoders.image_encoder import ImageEncoder, open_image_encoder, parse_image_encoder
from optsg.extract.encoders.pixel_check import normalised
from optsg.extract.encoders.presets import MULTILINGUAL_MINI_LM, SIGLIP2
from optsg.extract.encoders.text_encoder import TextEncoder, open_text_encoder, parse_text_encoder
from optsg.extract.encoders.tower import example_pictures
from optsg.train.recall.source import Summary
from optsg.train.recall.title_match import TitleMatch
from optsg.train.run.run import load_run
from PIL import Image

from tests.extract.tiny_encoders import save_multilingual, save_siglip2
from tests.tiny_world import TINY_SETTINGS, as_options, tiny_videos, write_tiny_store
from tests.train.command import train


@pytest.fixture(scope="module")
def tower_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_siglip2(tmp_path_factory.mktemp("siglip2") / "tower")


@pytest.fixture(scope="module")
def tower(tower_folder: Path) -> ImageEncoder:
    return open_image_encoder(parse_image_encoder(str(tower_folder)), device="cpu", precision="float32")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> TextEncoder:
    folder = save_multilingual(tmp_path_factory.mktemp("minilm") / "text")
    return open_text_encoder(parse_text_encoder(str(folder)), device="cpu")


def test_open_clip_knows_the_preset() -> None:
    ensure_torchvision_importable()
    import open_clip

    assert preset_specs("siglip2") == (SIGLIP2, MULTILINGUAL_MINI_LM)
    settings = open_clip.get_model_config(SIGLIP2["name"])
    assert settings["embed_dim"] == 768
    assert SIGLIP2["pretrained"] in open_clip.list_pretrained_tags_by_model(SIGLIP2["name"])
    assert not settings.get("quick_gelu", False)


def test_the_tower_gives_what_open_clip_gives(tower: ImageEncoder, tower_folder: Path) -> None:
    import open_clip

    model, transform = open_clip.create_model_from_pretrained(f"local-dir:{tower_folder}")
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 160, 3), dtype=np.uint8))
    preprocessing = tower.spec()["preprocessing"]
    assert (preprocessing["mean"], preprocessing["std"]) == ([0.5] * 3, [0.5] * 3)
    seen = normalised(tower.preprocess(photo)[None], preprocessing["mean"], preprocessing["std"])
    assert torch.equal(seen[0], transform(photo))  # squashed to a square: nothing is cut off
    batch = torch.stack([tower.preprocess(picture) for picture in example_pictures(3)])
    pixels = normalised(batch, preprocessing["mean"], preprocessing["std"])
    model.eval()
    with torch.no_grad():
        frames = model.encode_image(pixels)
        patches = model.visual.trunk.forward_features(pixels)[:, model.visual.trunk.num_prefix_tokens :]
    torch.testing.assert_close(tower.encode_frames(batch), frames, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(tower.encode_patches(batch), patches, rtol=1e-4, atol=1e-5)
    assert (tower.frame_dim, tower.patch_dim, patches.shape[1]) == (96, 96, 100)


def test_words_are_whole_where_a_mark_begins_them(text: TextEncoder) -> None:
    tokenizer = TitleTokenizer.from_json(text.tables().tokenizer_json)
    tags, titles = ["cat", "fish", "red fox"], ["the catfish", "a cat, fish", "red foxs", "a red fox at the lake"]
    match = TitleMatch(tokenizer.encode_tags(tags), tokenizer.continuing_ids, tokenizer.letter_ids)
    pieces = tokenizer.encode_tags(titles)
    none = np.empty((len(titles), 0), np.float32)
    found = match.score(Summary(titles=pieces, sentences=none, vectors=none))
    assert [[tags[column] for column in np.flatnonzero(row)] for row in found] == [[], ["cat", "fish"], [], ["red fox"]]
    assert tokenizer.decode(pieces[0]).strip() == "the catfish"


@pytest.mark.parametrize(("system", "settings"), [("op-tsg", (*TINY_SETTINGS, "epochs=1")), ("sources", ())])
def test_a_run_reads_its_word_pieces(
    text: TextEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, system: str, settings: tuple[str, ...]
) -> None:
    monkeypatch.chdir(tmp_path)
    videos = [replace(video, tags=(*video.tags, "李焕英")) for video in tiny_videos(60)]
    feats = write_tiny_store(tmp_path / "s.h5", videos, text_tables=text.tables())
    result = train("--feats", feats, "--system", system, *as_options(settings), "-q")
    assert result.exit_code == 0, result.output
    run = load_run(Path("runs/latest"), device="cpu")
    assert run.tag_table.count_of["李焕英"] == 42
    with open_store(feats) as store:
        assert store.title_lengths().min() > 2
