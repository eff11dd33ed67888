"""A run of the default system to a folder of ONNX files, with all that tagging with them needs beside it."""

from __future__ import annotations

import importlib.metadata
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ... import __version__
from ...data.batching import Batch
from ...data.errors import ConfigError, RunError
from ...data.media import SPLITS, Split
from ...data.store import FeatureStore
from ...data.store.digests import file_digest
from ...data.whole_files import write_text
from ...train.confidence.calibration import Calibration
from ...train.model.op_tsg import OPTSG
from ...train.ranking.fit import FEWEST_VIDEOS, Examples, fit_ranker
from ...train.ranking.ranked_system import RankedSystem
from ...train.recall.title_match import pieces_in_titles
from ...train.run.run import Run, load_run
from ...train.run_files import ADDITIONS, check_finished, read_config, run_digest, write_errors
from ...train.run_files import RANKER as RANKER_FILE
from ...train.system_names import DEFAULT_SYSTEM, Favour
from ..scores.run_store import encoder_name, open_run_store
from ..tag.run_tagger import RunTagger
from . import encoder_graph, ranker_graph
from .encoder_graph import EncoderGraph
from .graph_inputs import TitleTexts, graph_inputs
from .onnx_files import OPSET, OnnxGraph, write_graph
from .parity import BATCH, Comparison, ExportedGraphs, batches_of, compare, greatest_differences
from .ranker_graph import PairFeatures, RankerGraph

ENCODER, RANKER, META, TAGS, TITLES, TOKENIZER = (
    "encoder.onnx", "ranker.onnx", "meta.json", "tags.json", "titles.json", "tokenizer.json",
)  # fmt: skip
EXAMPLE, SAMPLE = "tag_with_onnxruntime.py", "sample.npz"
TEMPLATES = Path(__file__).parent / "templates"

LEFT_OUT = "written"
"""What the decoder writes: it decodes step by step, which one graph cannot."""

LIBRARIES = ("torch", "onnx", "onnxscript", "onnxruntime")


@dataclass(frozen=True, kw_only=True)
class Exported:
    """What an export is.

    Attributes:
        sources: names of those that the exported ranker reads.
        differences: by output the greatest one from PyTorch's.
        checked: videos that they were looked for in.
        comparison: on the test split; ``None`` where the store has none.
    """

    folder: Path
    tags: int
    sources: tuple[str, ...]
    differences: Mapping[str, float]
    checked: int
    comparison: Comparison | None


def export_run(path: Path, out: Path, *, feats: Path | None, favour: Favour) -> Exported:
    """Exports a run; the folder is whole or not there.

    Args:
        path: the run folder.
        out: a folder that is not there yet, or is empty.
        feats: the store whose validation videos the ranker is fitted on; by default the one that the run was trained on.
        favour: which of the ranker's bars decides.

    Raises:
        ConfigError: the folder is taken.
        RunError: the run cannot be exported, or the export differs from it.
        StoreError: the store cannot be used.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already; choose another folder for --onnx")
    run = _open_exportable(path)
    scratch = out.with_name(f"{out.name}.tmp")
    validated = run.config.training.validation_videos
    with open_run_store(path, run.config.store, feats, validation_videos=validated) as store, write_errors(out):
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(parents=True)
        try:
            done = _Export(run, store, scratch, favour).write()
            if out.exists():
                out.rmdir()
            scratch.rename(out)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return Exported(folder=out, **done)


def _open_exportable(path: Path) -> Run:
    """The run in float32 on the CPU, if it is one whose decision can be exported."""
    check_finished(path)
    config = read_config(path)
    if config.system != DEFAULT_SYSTEM:
        raise RunError(f"{path} is a run of the system {config.system}; only {DEFAULT_SYSTEM} can be exported to ONNX")
    if config.model.modality != "both":
        raise RunError(
            f"{path} reads the {config.model.modality} alone; only runs that read titles and videos can be exported to ONNX"
        )
    if (path / ADDITIONS).exists():
        raise RunError(
            f"{path} was given examples after training, which cannot be exported to ONNX; take them back with: "
            f"optsg-memory undo {path}"
        )
    for lacking, is_there in (("ranker", (path / RANKER_FILE).exists()), ("tag head", config.model.tag_head)):
        if not is_there:
            raise RunError(f"{path} has no {lacking}, and what its decoder writes alone cannot be exported to ONNX")
    run = load_run(path, device="cpu")
    run.model.float()
    return run


class _Export:
    """One export on its way.

    Args:
        folder: where files are written.
    """

    def __init__(self, run: Run, store: FeatureStore, folder: Path, favour: Favour):
        assert run.ranked is not None
        assert isinstance(run.model, OPTSG)
        self._run, self._store, self._folder, self._favour = run, store, folder, favour
        self._system: RankedSystem = run.ranked
        sources, tokenizer = self._system.sources, run.tokenizer
        self._texts = TitleTexts(sources, tokenizer)
        self._encoder = EncoderGraph(run.model, sources, tokenizer.special_ids).eval()
        self._patches = bool(run.config.inputs.patch_dim)

    def write(self) -> dict[str, Any]:
        """Writes all files; gives what :class:`Exported` says beside its folder."""
        titles = self._texts.to_json()
        ranker = self._fit_ranker()
        write_graph(self._encoder, self._folder / ENCODER, self._example_inputs(), encoder_graph.OUTPUTS)
        sources = torch.rand(2, len(self._encoder.source_names), len(self._run.tag_table))
        write_graph(ranker, self._folder / RANKER, {"sources": sources}, ranker_graph.OUTPUTS)
        graphs = ExportedGraphs(
            OnnxGraph(self._folder / ENCODER), OnnxGraph(self._folder / RANKER), self._texts, patches=self._patches
        )
        rows = self._rows("test")
        seen = (rows if len(rows) else self._rows("val"))[:BATCH]
        _, batch = next(batches_of(self._store, seen))
        differences = greatest_differences(graphs, self._encoder, ranker, self._system, batch)
        comparison = self._compare(graphs) if len(rows) else None
        self._write_beside(titles, int(seen[0]))
        self._write_meta(graphs, differences, comparison)
        return {
            "tags": len(self._run.tag_table),
            "sources": self._encoder.source_names,
            "differences": differences,
            "checked": len(seen),
            "comparison": comparison,
        }

    def _rows(self, split: Split) -> NDArray[np.int64]:
        return np.flatnonzero(self._store.splits == SPLITS.index(split))

    @torch.no_grad()
    def _fit_ranker(self) -> RankerGraph:
        """A ranker of the exported sources, on validation, as training fits one of all."""
        rows = self._rows("val")
        if len(rows) < FEWEST_VIDEOS:
            raise RunError(
                f"the store has {len(rows)} validation videos, and fitting a ranker without the decoder needs {FEWEST_VIDEOS}; "
                "name the store that the run was trained on with --feats PATH"
            )
        table, names = self._run.tag_table, self._encoder.source_names
        features, examples = PairFeatures(table.counts), Examples(table)
        for numbers, batch in batches_of(self._store, rows):
            sources = self._encoder(**self._inputs(batch))[-1]
            truth = [frozenset(self._store.tag_keys[tag] for tag in self._store.tags(int(row))) for row in numbers]
            examples.add(features.pairs(sources), [], truth)
        ranker, rated = fit_ranker(examples, names, names)
        scaling = Calibration.fit(rated).known
        return RankerGraph(table.counts, ranker.known, ranker.bars[self._favour], scaling).eval()

    def _inputs(self, batch: Batch) -> dict[str, Tensor]:
        return graph_inputs(batch, self._texts, patches=self._patches)

    def _example_inputs(self) -> dict[str, Tensor]:
        """Any values: more than one of all that there may be any number of."""
        _, batch = next(batches_of(self._store, self._rows("val")[:2]))
        inputs = self._inputs(batch)
        for name, lengths in (("frames", 3), ("patches", 5), ("title_tokens", 7)):
            if name in inputs:
                mask = {"frames": "frame_mask", "patches": "patch_mask", "title_tokens": "title_mask"}[name]
                inputs[name] = inputs[name].new_ones(2, lengths, *inputs[name].shape[2:])
                inputs[mask] = torch.ones(2, lengths, dtype=torch.bool)
        return inputs

    def _compare(self, graphs: ExportedGraphs) -> Comparison:
        run, table = self._run.favouring(self._favour), self._run.tag_table
        return compare(graphs, RunTagger(run), self._store, self._rows("test"), table.keys, table.count_of)

    def _write_beside(self, titles: Mapping[str, Any], sample: int) -> None:
        table, folder, store = self._run.tag_table, self._folder, self._store
        rows = zip(table.spellings, table.counts.tolist(), table.tokens, strict=True)
        also = pieces_in_titles(table, self._run.tokenizer)
        tags = [
            {"tag": spelling, "count": count, "pieces": list(pieces), "also": also.get(column, [])}
            for column, (spelling, count, pieces) in enumerate(rows)
        ]
        for name, values in ((TAGS, tags), (TITLES, titles)):
            write_text(folder / name, [json.dumps(values, ensure_ascii=False), "\n"])
        write_text(folder / TOKENIZER, [self._run.tokenizer.to_json()])
        shutil.copyfile(TEMPLATES / f"{EXAMPLE}.txt", folder / EXAMPLE)
        arrays: dict[str, Any] = {"frames": store.frames(sample), "title_tokens": store.title_tokens(sample)}
        if self._patches:
            arrays["patches"] = store.patches(sample)
        np.savez(folder / SAMPLE, **arrays)

    def _write_meta(
        self, graphs: ExportedGraphs, differences: Mapping[str, float], comparison: Comparison | None
    ) -> None:
        inputs, header = self._run.config.inputs, self._store.header
        pictures = [["frames", "frame_mask", inputs.frame_dim], ["patches", "patch_mask", inputs.patch_dim]]
        values = {
            "optsg_version": __version__,
            "run": self._run.path.resolve().name,
            "run_digest": run_digest(self._run.path),
            "system": self._run.config.system,
            "image_encoder": encoder_name(header.image_encoder),
            "sources": self._encoder.source_names,
            "left_out": [LEFT_OUT],
            "favour": self._favour,
            "pictures": pictures[: 1 + self._patches],
            "opset": OPSET,
            "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
            "graphs": {ENCODER: graphs.encoder.signature(), RANKER: graphs.ranker.signature()},
            "greatest_differences": dict(differences),
            "test": None
            if comparison is None
            else {"videos": comparison.videos, "run": comparison.run, "exported": comparison.exported},
            "sha256": {path.name: file_digest(path) for path in sorted(self._folder.iterdir())},
        }
        write_text(self._folder / META, [json.dumps(values, ensure_ascii=False, indent=1), "\n"])
