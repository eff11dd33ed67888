"""Figure 3: one test video decoded under several orders of the prompts, and how alike prompts and its tags are.

Legend: N prompts, L tags of the video.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.batching import collate
from ...data.metrics import tag_groups
from ...data.store import FeatureStore
from ...data.tags import tag_key
from ...data.word_pieces import Vocabulary
from ...train.model.op_tsg import OPTSG
from ...train.run.run import Run, load_run
from ...train.run_files import MODEL
from ...train.system_names import OPTSG_SYSTEMS
from ...train.writing.reading import TagReader
from ...train.writing.write_op_tsg import write
from .case_studies import JudgedTag, judge_tags
from .measures import RunMeasures

ORDERS = 4
"""The natural order and three drawn ones."""


@dataclass(frozen=True)
class Decoded:
    """What one order of the prompts gave: the tags as they were written, each with the number of its prompt."""

    name: str
    tags: Sequence[tuple[int, JudgedTag]]


@dataclass(frozen=True)
class PromptOrders:
    """Figure 3's content; ``similarity`` (N, L) holds the cosines of prompts and annotated tags."""

    id: str
    title: str
    true: Sequence[str]
    decoded: Sequence[Decoded]
    similarity: NDArray[np.float64]


def prompt_orders(measured: RunMeasures, store: FeatureStore, *, device: str) -> PromptOrders | None:
    """Decodes the test video of which the run found most annotated tags; ``None`` where it has no order prompts, or no weights.

    What it measured is beside the weights, which may have been left where it was trained.

    Args:
        measured: a finished run of ``op-tsg``.
        store: the one it was trained on.
    """
    if not (measured.folder / MODEL).exists():
        return None
    run = load_run(measured.folder, device=device)
    if run.config.system not in OPTSG_SYSTEMS:
        return None
    model = cast(OPTSG, run.model)
    hits = [len({tag_key(t) for t in item.true} & {tag_key(t.text) for t in item.tags}) for item in measured.items]
    item = measured.items[int(np.argmax(hits))]
    row = next(int(row) for row in store.indices("test") if store.id(int(row)) == item.id)
    tags = store.tags(row)
    return PromptOrders(
        id=item.id,
        title=item.title,
        true=[store.tag_spellings[tag] for tag in tags],
        decoded=_decode(run, model, store, row, measured),
        similarity=_similarity(model, run, store, row, tags),
    )


def _decode(run: Run, model: OPTSG, store: FeatureStore, row: int, measured: RunMeasures) -> list[Decoded]:
    groups = tag_groups(measured.train_counts, {tag_key(tag) for item in measured.items for tag in item.true})
    true = {store.tag_keys[tag] for tag in store.tags(row)}
    reader = TagReader(Vocabulary(run.config.inputs.pieces), run.tag_table, run.tokenizer)
    batch = collate(store, np.array([row])).to(run.device)
    natural = np.arange(run.config.model.prompts)
    dice = np.random.default_rng(0)
    decoded = []
    for number in range(ORDERS):
        order = natural if number == 0 else dice.permutation(natural)
        written = write(model, batch, nil_bias=run.decision.value, order=torch.from_numpy(order).to(run.device))
        [tags] = reader.read(written)
        placed = sorted(tags, key=lambda tag: tag.prompt or 0)
        judged = judge_tags([tag.text for tag in placed], true, groups, measured.train_counts)
        prompts = [int(order[tag.prompt or 0]) for tag in placed]
        name = "natural order" if number == 0 else f"shuffled, {number}"
        decoded.append(Decoded(name, list(zip(prompts, judged, strict=True))))
    return decoded


@torch.no_grad()
def _similarity(model: OPTSG, run: Run, store: FeatureStore, row: int, tags: NDArray[np.int32]) -> NDArray[np.float64]:
    batch = collate(store, np.array([row])).to(run.device)
    prompts = model.order_prompts(*model.encode(batch))[0].float().cpu().numpy()
    embeddings = np.array(store.tag_embeddings)[tags]
    cosines: NDArray[np.float64] = _unit(prompts) @ _unit(embeddings).T
    return cosines


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = rows.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    unit: NDArray[np.float64] = np.divide(wide, lengths, out=np.zeros_like(wide), where=lengths > 0)
    return unit
