"""Vocabulary, pinned and forbidden tags, in every system."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from optsg.data.batching import Batch, collate
from optsg.data.errors import ConfigError
from optsg.data.predicted_tag import PredictedTag
from optsg.data.store import FeatureStore, open_store
from optsg.data.tag_list import TagList, parse_tag_list
from optsg.data.tag_table import TagTable
from optsg.data.tags import tag_key
from optsg.data.word_pieces import EOS, SEPARATOR, TitleTokenizer, Vocabulary
from optsg.evaluate.tag.run_tagger import (
    OperatingPoint,
    RunTagger,
    candidates_point,
    known_tags,
    open_tag_control,
    out_of_reach,
)
from optsg.train.config import RunConfig
from optsg.train.model.op_tsg import OPTSG
from optsg.train.run.plan import RunRequest, new_run
from optsg.train.run.run import Run
from optsg.train.system_names import FITTED_SYSTEMS
from optsg.train.systems.registry import SYSTEMS, start_system
from optsg.train.systems.system import System
from optsg.train.systems.tuned_scalar import Decision
from optsg.train.writing.tag_control import TagControl, VideoTags

from tests.tiny_world import TINY_SETTINGS, tiny_text_tables, tiny_videos, write_tiny_store

CLASSIFIERS = ("bin", "asy", "prompt-classification", *FITTED_SYSTEMS)
WRITERS = [name for name in SYSTEMS if name not in CLASSIFIERS]
PAPER = ("decoding=sequential", "copy_title=false", "tag_head=false")
KINDS = {
    **{name: (name, ()) for name in SYSTEMS},
    "op-tsg sequential": ("op-tsg", PAPER),
    "op-tsg parallel without head": ("op-tsg", ("tag_head=false",)),
    "op-tsg sequential with all": ("op-tsg", ("decoding=sequential",)),
}
"""Every system, and OP-TSG with and without copy gate and head in both ways of decoding."""

Make = Callable[[str], Run]


@pytest.fixture(scope="module")
def feats(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("store") / "tiny.h5"
    return write_tiny_store(path, tiny_videos(60), text_tables=tiny_text_tables(contextual=True))


@pytest.fixture(scope="module")
def make(feats: Path, tmp_path_factory: pytest.TempPathFactory) -> Make:
    """Runs with loud random weights: they write much, and much that is no tag."""
    folder = tmp_path_factory.mktemp("runs")

    @cache
    def run(kind: str) -> Run:
        name, settings = KINDS[kind]
        path = new_run(
            RunRequest(
                feats=feats,
                run=folder / kind.replace(" ", "-"),
                system=name,
                size="small",
                settings=[*TINY_SETTINGS, *settings],
                seed=3,
                device="cpu",
            )
        )
        config = RunConfig.from_json((path / "config.json").read_text())
        with open_store(feats) as store:
            system = start_system(
                store, config, TagTable.from_store(store), TitleTokenizer.from_json(store.tokenizer_json)
            )
        loud(system)
        system.model.eval()
        decision = Decision(scalar=system.scalar, value=system.permissive)
        return Run(path=path, config=config, system=system, device=torch.device("cpu"), decision=decision)

    return run


def loud(system: System) -> None:
    """Large weights, or all videos are written the same; tags' pieces and separators are likely, or no tag ever ends."""
    torch.manual_seed(0)
    with torch.no_grad():
        for name, parameter in system.model.named_parameters():
            if parameter.ndim == 2 and "title_encoder" not in name and "hybrid_encoder" not in name:
                parameter.normal_(std=0.4)
            if name.endswith("gate.bias"):
                parameter.fill_(-1.0)
        decoder = getattr(system.model, "decoder", None)
        if decoder is not None:
            pieces = Vocabulary(system.config.inputs.pieces).encode({p for tag in system.tag_table.tokens for p in tag})
            decoder.output_bias[pieces] = 5.0
            decoder.output_bias[[SEPARATOR, EOS]] = 8.0
        head = getattr(system.model, "tag_head", None) or getattr(system.model, "head", None)
        if head is not None:
            head.bias.fill_(-1.0)


@pytest.fixture
def batch(store: FeatureStore) -> Batch:
    return collate(store, np.arange(12))


def predict(run: Run, batch: Batch, tags: TagList | None, videos: Sequence[VideoTags] | None = None):
    control = None if tags is None else open_tag_control(run, tags)
    return RunTagger(run, point=candidates_point(run), control=control).predict(batch, videos)


def checked(videos: list[list[PredictedTag]]) -> list[list[PredictedTag]]:
    """What holds for every prediction: scores in [0, 1], sorted, no tag twice."""
    for tags in videos:
        scores = [tag.score for tag in tags]
        assert scores == sorted(scores, reverse=True)
        assert all(0.0 <= score <= 1.0 for score in scores)
        keys = [tag_key(tag.text) for tag in tags]
        assert len(keys) == len(set(keys))
    return videos


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("kind", list(KINDS))
def test_with_known_every_tag_is_a_training_tag(make: Make, batch: Batch, kind: str) -> None:
    run = make(kind)
    free, known = checked(predict(run, batch, None)), checked(predict(run, batch, known_tags(run)))
    if run.config.system in WRITERS:
        assert any(tag.novel for tags in free for tag in tags), "else there is nothing to hold back"
    assert sum(map(len, known)) > 10
    assert all(tag.text in run.tag_table.spellings and not tag.novel for tags in known for tag in tags)
    # Another order of the list, other upper and lower case in its entries, the same list.
    listed = TagList.of(reversed(run.tag_table.spellings))
    assert predict(run, batch, listed) == known


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_list_of_all_tags_changes_nothing_for_a_classifier(make: Make, batch: Batch, kind: str) -> None:
    assert predict(make(kind), batch, known_tags(make(kind))) == predict(make(kind), batch, None)


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("kind", list(KINDS))
def test_forbidden_tags_never_appear_and_pinned_ones_do_once(make: Make, batch: Batch, kind: str) -> None:
    run = make(kind)
    free = predict(run, batch, None)
    videos = [
        VideoTags(forbidden=tuple(tag.text.upper() for tag in tags[::2]), pinned=("Owl", "a new thing", "owl"))
        for tags in ([tag for tag in tags if tag_key(tag.text) not in ("owl", "a new thing")] for tags in free)
    ]
    assert any(video.forbidden for video in videos)
    for tags in (None, known_tags(run)):
        for wish, found in zip(videos, checked(predict(run, batch, tags, videos)), strict=True):
            assert [(tag.text, tag.score, tag.pinned, tag.novel) for tag in found[:2]] == [
                ("owl", 1.0, True, False),
                ("a new thing", 1.0, True, True),
            ]
            keys = [tag_key(tag.text) for tag in found]
            assert not {tag_key(tag) for tag in wish.forbidden} & set(keys)
            assert not any(tag.pinned for tag in found[2:])
            if tags is not None:
                assert not any(tag.novel for tag in found[2:])


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize(
    "kind", [kind for kind in KINDS if kind.startswith("op-tsg") or kind in ("random", "prompt-label")]
)
def test_pinned_tags_are_written_by_the_model_and_change_what_it_writes_beside_them(
    make: Make, batch: Batch, kind: str
) -> None:
    run = make(kind)
    control = open_tag_control(run).batch([VideoTags(pinned=("owl", "blue"))] * len(batch))
    found, without = (run.system.predict(batch, run.system.permissive, each) for each in (control, None))
    if getattr(run.model, "tag_head", None) is None:
        assert all({"owl", "blue"} <= {tag.text for tag in tags} for tags in found)
    others = [[(tag.text, tag.score) for tag in tags if tag.text not in ("owl", "blue")] for tags in found]
    assert others != [[(tag.text, tag.score) for tag in tags if tag.text not in ("owl", "blue")] for tags in without]
    if isinstance(run.model, OPTSG):
        assert all(0 <= tag.prompt < 8 for tags in found for tag in tags if tag.prompt is not None)
        for tags in found:
            numbers = [tag.prompt for tag in tags if tag.text in ("owl", "blue") and tag.prompt is not None]
            assert len(numbers) == len(set(numbers))


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize(
    "kind", ["order-free", "frequency-first", "frequency-first-full", "bin", "prompt-classification"]
)
def test_where_the_order_means_something_pinned_tags_change_nothing_else(make: Make, batch: Batch, kind: str) -> None:
    run = make(kind)
    found, free = predict(run, batch, None, [VideoTags(pinned=("owl",))] * len(batch)), predict(run, batch, None)
    for after, before in zip(found, free, strict=True):
        assert [tag.text for tag in after[1:]] == [tag.text for tag in before if tag.text != "owl"]


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_video_without_wishes_is_tagged_as_without_control(make: Make, batch: Batch, kind: str) -> None:
    run = make(kind)
    videos = [VideoTags(pinned=("owl",)) if row % 2 else VideoTags() for row in range(len(batch))]
    free, found = predict(run, batch, None), predict(run, batch, None, videos)
    for before, after in list(zip(free, found, strict=True))[::2]:
        assert [tag.text for tag in after] == [tag.text for tag in before]
        assert [tag.score for tag in after] == pytest.approx([tag.score for tag in before], abs=1e-5)


@pytest.mark.usefixtures("short_texts")
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_list_gives_its_own_spellings_and_blocks_what_it_blocks(make: Make, batch: Batch, kind: str) -> None:
    run = make(kind)
    tags = parse_tag_list(["CAT", "dog, fox -> Canine", "pet, animal -> creature", "!red", "!blue", "*"], "list")
    found = checked(predict(run, batch, tags))
    texts = {tag.text for video in found for tag in video}
    assert not {text.casefold() for text in texts} & {"dog", "fox", "pet", "animal", "red", "blue"}
    assert texts & {"CAT", "Canine", "creature"} or run.config.system not in CLASSIFIERS
    closed = checked(predict(run, batch, replace(tags, closed=True)))
    assert {tag.text for video in closed for tag in video} <= {"CAT", "Canine", "creature"}
    assert any(closed)
    names = {"Canine": {"dog", "fox"}, "creature": {"pet", "animal"}}
    assert all(tag.written is None or tag_key(tag.written) in names[tag.text] for video in closed for tag in video)


@pytest.mark.usefixtures("short_texts")
def test_a_listed_tag_unknown_to_training_is_written_where_pieces_are(make: Make, batch: Batch) -> None:
    tags = TagList.of(["hip-hop", "Big Cat"])
    written = []
    for kind in (
        "op-tsg sequential", "order-free", "open-book", "frequency-first-full", "op-tsg", "op-tsg parallel without head",
    ):  # fmt: skip
        found = checked(predict(make(kind), batch, tags))
        assert {tag.text for video in found for tag in video} <= {"hip-hop", "Big Cat"}
        assert all(tag.novel for video in found for tag in video)
        written += [tag for video in found for tag in video]
    assert written
    assert not any(predict(make("bin"), batch, tags))
    assert not any(predict(make("bin"), batch, TagList.of([])))
    assert not any(predict(make("op-tsg"), batch, TagList.of([])))
    assert not any(predict(make("order-free"), batch, TagList.of([])))


def test_tags_out_of_reach_are_told(make: Make) -> None:
    tags = parse_tag_list(["cat", "hip-hop", "你好", "猫 -> dog", "鱼, 水 -> 海"], "list")
    assert out_of_reach(make("op-tsg"), open_tag_control(make("op-tsg"), tags)) == ["你好", "海"]
    assert out_of_reach(make("bin"), open_tag_control(make("bin"), tags)) == ["hip-hop", "你好", "海"]


def test_contradictions_are_one_sentence(make: Make) -> None:
    control = open_tag_control(make("bin"), parse_tag_list(["kitty -> cat", "!dog", "*"], "list"))
    with pytest.raises(ConfigError, match=r"^the tag “cat” is both pinned and forbidden; leave one of them out$"):
        control.batch([VideoTags(pinned=("kitty",), forbidden=("Cat",))])
    with pytest.raises(
        ConfigError, match=r"^the tag “dog” is pinned, but the vocabulary blocks it; leave one of them out$"
    ):
        control.batch([VideoTags(pinned=("Dog",))])


@pytest.mark.parametrize("tag", ["", " ", "\u200b", "\ud800"])
def test_a_tag_that_nobody_sees_is_neither_pinned_nor_forbidden(tag: str) -> None:
    with pytest.raises(ConfigError, match=r"^a pinned tag is empty; give its name, or leave it out$"):
        VideoTags(pinned=("cat", tag))
    with pytest.raises(ConfigError, match=r"^a forbidden tag is empty"):
        VideoTags(forbidden=(tag,))


def test_more_pins_than_prompts_or_room_are_all_given(make: Make, batch: Batch) -> None:
    pins = tuple(f"tag number {number}" for number in range(40))
    for kind in ("op-tsg", "op-tsg sequential", "order-free", "prompt-label", "bin"):
        for tags in predict(make(kind), batch, None, [VideoTags(pinned=pins)] * len(batch)):
            assert [tag.text for tag in tags[:40]] == list(pins)
            assert sum(tag.pinned for tag in tags) == 40


@pytest.mark.usefixtures("short_texts")
def test_without_steering_a_closed_list_only_judges_the_outcome(make: Make, batch: Batch) -> None:
    run = make("order-free")
    listed = TagList.of(["cat", "dog"])
    control = open_tag_control(run, listed, steer=False)
    free = predict(run, batch, None)
    found = RunTagger(run, point=OperatingPoint(value=run.system.permissive), control=control).predict(batch)
    assert [[tag.text for tag in tags] for tags in found] == [
        [tag.text for tag in tags if tag.text in ("cat", "dog")] for tags in free
    ]


def test_a_control_is_made_of_the_run_s_parts(make: Make) -> None:
    control = open_tag_control(make("bin"))
    assert isinstance(control, TagControl)
    assert bool(control.columns.all())
