"""The training tags' embeddings, kept in the run folder: what a novel tag is compared with to find the nearest known one.

Legend: K training tags, E tag-embedding width.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file

from ...data.errors import RunError, reason_of
from ...data.foreign.json_reader import check_is_file
from ...data.store import FeatureStore
from ...data.tag_table import TagTable
from ..recall.additions import Additions
from ..run_files import TAG_EMBEDDINGS, save_tensors


def save_tag_embeddings(run: Path, store: FeatureStore, tag_table: TagTable) -> None:
    """Writes the store's embeddings of the training tags, in half precision, in the order of the tag table."""
    embeddings = torch.from_numpy(tag_table.embeddings_in(store))
    save_tensors(run / TAG_EMBEDDINGS, {"embeddings": embeddings.half()})


def load_tag_embeddings(run: Path, tag_table: TagTable) -> NDArray[np.float32]:
    """(K, E), those of tags that were added after training behind the others, where the table has them.

    Raises:
        RunError: the run has none, being of an older optsg, or they are damaged.
    """
    path = run / TAG_EMBEDDINGS
    if not path.exists():
        raise RunError(f"{run} keeps no tag embeddings, it was trained by an older optsg; train it again")
    try:
        check_is_file(path)
        embeddings: NDArray[np.float32] = load_file(path)["embeddings"].float().numpy()
        if embeddings.ndim != 2:
            raise ValueError("they are no table")
    except (SafetensorError, OSError, KeyError, ValueError, RuntimeError) as error:
        raise RunError(f"{path} does not hold tag embeddings ({reason_of(error)}); train the run again") from error
    additions = Additions.load(run)
    if additions is not None and len(embeddings) + len(additions.rows) == len(tag_table):
        embeddings = np.concatenate([embeddings, additions.embeddings])
    if len(embeddings) != len(tag_table):
        raise RunError(f"{path} holds {len(embeddings):,} tags, the run has {len(tag_table):,}; train the run again")
    return embeddings
