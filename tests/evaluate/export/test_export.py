"""``optsg-export``: files that give the run's numbers for any number of videos, and an example that needs nothing of optsg."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from optsg.data.batching import Batch, collate
from optsg.data.store import FeatureStore, open_store
from optsg.evaluate.export.cli import main
from optsg.evaluate.export.graph_inputs import TitleTexts, graph_inputs
from optsg.evaluate.export.onnx_files import OnnxGraph
from optsg.train.model.op_tsg import OPTSG
from optsg.train.run.run import Run, load_run
from optsg.train.run_files import ADDITIONS, RANKER, run_digest

pytestmark = pytest.mark.usefixtures("extra")


def export(run: Path, out: Path, *options: object) -> Result:
    return CliRunner().invoke(main, [str(run), "--onnx", str(out), *map(str, options)])


@pytest.fixture(scope="session")
def exported(run_folder: Path, feats: Path, extra: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder, and what the command printed."""
    out = tmp_path_factory.mktemp("exported") / "onnx"
    result = export(run_folder, out, "--feats", feats)
    assert result.exit_code == 0, result.output
    return out, result.output


@pytest.fixture(scope="session")
def run(run_folder: Path) -> Run:
    opened = load_run(run_folder, device="cpu")
    opened.model.float()
    return opened


def expected_of(run: Run, batch: Batch) -> dict[str, np.ndarray[Any, Any]]:
    """What PyTorch and the run's own sources say of a batch."""
    assert run.ranked is not None
    assert isinstance(run.model, OPTSG)
    sources, model = run.ranked.sources, run.model
    with torch.no_grad():
        features, mask = model.encode(batch)
        assert model.tag_head is not None
        found = {
            "features": features.numpy(),
            "prompts": model.order_prompts(features, mask).numpy(),
            "logits": model.tag_head.score(features, mask).numpy(),
        }
    said = run.ranked.plain.recall(batch, sources.directions).scores
    said = {**sources.score(sources.summarizer.summarize(batch)), **said}
    return {**found, "sources": np.stack([said[name] for name in said if name != "written"], axis=1)}


def longer(store: FeatureStore, rows: np.ndarray[Any, Any]) -> Batch:
    """The same videos with their frames and titles twice over."""
    frames, patches, tokens, _ = store.model_inputs(rows)
    return Batch.from_features(
        [np.concatenate([own, own]) for own in frames], patches, [np.concatenate([own[:-1], own[1:]]) for own in tokens]
    )


@pytest.mark.parametrize("count", [1, 3, 20])
@pytest.mark.parametrize("twice", [False, True])
def test_onnx_is_pytorch_for_any_batch(
    exported: tuple[Path, str], run: Run, feats: Path, count: int, twice: bool
) -> None:
    encoder = OnnxGraph(exported[0] / "encoder.onnx")
    assert run.ranked is not None
    texts = TitleTexts(run.ranked.sources, run.tokenizer)
    with open_store(feats) as store:
        rows = store.indices("test")[-count:]
        batch = longer(store, rows) if twice else collate(store, rows)
        found = encoder.run(graph_inputs(batch, texts, patches=True))
    for name, values in expected_of(run, batch).items():
        assert found[name].shape == values.shape
        assert found[name] == pytest.approx(values, abs=1e-4), name


def tagged(
    folder: Path, *files: Path, without: tuple[str, ...] = ("torch", "optsg", "tokenizers")
) -> list[dict[str, Any]]:
    """What the example says, in a process that cannot import these."""
    script = (
        "import runpy, sys\n"
        f"for name in {without}: sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    command = [sys.executable, "-c", script, str(folder / "tag_with_onnxruntime.py"), *map(str, files)]
    clean = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/", env=clean)
    assert result.returncode == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_the_example_gives_the_tags_of_the_graphs(
    exported: tuple[Path, str], run: Run, feats: Path, tmp_path: Path
) -> None:
    folder, _ = exported
    assert run.ranked is not None
    texts = TitleTexts(run.ranked.sources, run.tokenizer)
    files = []
    with open_store(feats) as store:
        rows = [*store.indices("test")[:6], *(row for row in store.indices("test") if len(store.patches(int(row))))][:8]
        assert any(len(store.patches(int(row))) for row in rows)
        for row in map(int, rows):
            files.append(tmp_path / f"{row}.npz")
            arrays: dict[str, Any] = {
                "frames": store.frames(row),
                "patches": store.patches(row),
                "title_tokens": store.title_tokens(row),
            }
            np.savez(files[-1], **{name: values for name, values in arrays.items() if len(values)})
        inputs = graph_inputs(collate(store, rows), texts, patches=True)
    sources = OnnxGraph(folder / "encoder.onnx").run(inputs)["sources"]
    found = OnnxGraph(folder / "ranker.onnx").run({"sources": torch.from_numpy(sources)})
    answers = tagged(folder, *files)
    assert [answer["path"] for answer in answers] == [*map(str, files)]
    for answer, scores, given in zip(answers, found["scores"], found["given"], strict=True):
        best = sorted(np.flatnonzero(given), key=lambda column: -scores[column])
        assert best
        assert {tag["tag"] for tag in answer["tags"]} == {run.tag_table.spellings[column] for column in best}
        assert [tag["score"] for tag in answer["tags"]] == pytest.approx([scores[column] for column in best], abs=2e-4)


def test_the_example_reads_titles_too(exported: tuple[Path, str], feats: Path, tmp_path: Path) -> None:
    folder, _ = exported
    with open_store(feats) as store:
        row = int(store.indices("test")[0])
        frames = store.frames(row)
        np.savez(tmp_path / "text.npz", frames=frames, title=store.title(row))
        np.savez(tmp_path / "tokens.npz", frames=frames, title_tokens=store.title_tokens(row))
    text, tokens = tagged(folder, tmp_path / "text.npz", tmp_path / "tokens.npz", without=("torch", "optsg"))
    assert text["tags"] == tokens["tags"] != []


def test_most_of_what_the_run_gives_the_export_gives(exported: tuple[Path, str]) -> None:
    test = json.loads((exported[0] / "meta.json").read_text())["test"]
    run, found = (test[name]["label_based"]["full"]["f1"] for name in ("run", "exported"))
    assert test["videos"] == 52
    assert run > 0.5
    assert found > run - 0.1


def test_the_command_says_what_it_did(exported: tuple[Path, str]) -> None:
    folder, output = exported
    first, second, third, last = output.splitlines()
    assert first == f"exported 14 tags and 8 sources to {folder}, without what the decoder writes"
    assert second.startswith("greatest difference from PyTorch on 32 videos: features ")
    assert third.startswith("F1 on 52 test videos, the run → its export: all ")
    assert third.endswith("→ 0")
    assert last == f"try it: python {folder}/tag_with_onnxruntime.py {folder}/sample.npz"
    assert tagged(folder, folder / "sample.npz")[0]["tags"]


def test_what_lies_beside_the_graphs(exported: tuple[Path, str], run_folder: Path) -> None:
    folder, _ = exported
    meta = json.loads((folder / "meta.json").read_text())
    assert meta["run_digest"] == run_digest(run_folder)
    assert meta["left_out"] == ["written"]
    differences = meta["greatest_differences"]
    assert {"features", "prompts", "logits", "scores", "source prompts", "source linear"} <= {*differences}
    assert max(differences.values()) < 1e-4
    assert {*meta["sha256"], "meta.json"} == {path.name for path in folder.iterdir()}
    encoder = meta["graphs"]["encoder.onnx"]
    assert encoder["inputs"]["frames"] == {"type": "tensor(float)", "shape": [None, None, 12]}
    assert encoder["inputs"]["title_tokens"] == {"type": "tensor(int64)", "shape": [None, None]}
    assert [*encoder["outputs"]] == ["features", "prompts", "logits", "sources"]
    assert not list(folder.parent.glob("*.tmp"))


def test_graphs_say_nothing_of_the_machine_they_were_made_on(exported: tuple[Path, str]) -> None:
    for path in exported[0].glob("*.onnx"):
        assert b".py" not in path.read_bytes()


# Refusals.


@pytest.fixture
def copy(run_folder: Path, tmp_path: Path) -> Path:
    """A copy of the run, which a test may change."""
    return Path(shutil.copytree(run_folder, tmp_path / "run"))


def refused(run: Path, out: Path, *options: object) -> str:
    result = export(run, out, *options)
    assert result.exit_code == 1, result.output
    assert not out.exists() or not any(path.suffix == ".onnx" for path in out.iterdir())
    return result.output.strip()


def change_config(run: Path, **values: Any) -> None:
    config = json.loads((run / "config.json").read_text())
    config["model"] |= {name: values.pop(name) for name in [*values] if name in config["model"]}
    (run / "config.json").write_text(json.dumps({**config, **values}))


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"system": "no-shuffle"}, "is a run of the system no-shuffle; only op-tsg can be exported to ONNX"),
        (
            {"modality": "title"},
            "reads the title alone; only runs that read titles and videos can be exported to ONNX",
        ),
        ({"tag_head": False}, "has no tag head, and what its decoder writes alone cannot be exported to ONNX"),
    ],
)
def test_runs_of_other_kinds(copy: Path, tmp_path: Path, values: dict[str, Any], why: str) -> None:
    change_config(copy, **values)
    assert refused(copy, tmp_path / "out") == f"error: {copy} {why}"


def test_a_run_without_a_ranker(copy: Path, tmp_path: Path) -> None:
    (copy / RANKER).unlink()
    expected = f"error: {copy} has no ranker, and what its decoder writes alone cannot be exported to ONNX"
    assert refused(copy, tmp_path / "out") == expected


def test_a_run_that_was_given_examples(copy: Path, tmp_path: Path) -> None:
    (copy / ADDITIONS).touch()
    assert refused(copy, tmp_path / "out") == (
        f"error: {copy} was given examples after training, which cannot be exported to ONNX; take them back with: "
        f"optsg-memory undo {copy}"
    )


def test_a_folder_that_is_taken(run_folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    expected = f"error: {tmp_path} is there already; choose another folder for --onnx"
    assert refused(run_folder, tmp_path) == expected


def test_without_the_extra_one_sentence_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("optsg.evaluate.export.cli.NEEDED", ("json", "no_such_package"))
    assert refused(tmp_path, tmp_path / "out") == (
        "error: optsg-export needs more packages (no_such_package is not installed): pip install 'optsg[onnx]'"
    )


def test_an_export_that_differs_is_not_kept(
    run_folder: Path, feats: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrong:
        outputs = ()

        def __init__(self, path: Path):
            self._is_encoder = path.name == "encoder.onnx"

        def run(self, inputs: dict[str, torch.Tensor]) -> dict[str, np.ndarray[Any, Any]]:
            if not self._is_encoder:
                return {"scores": np.full(1, 9, np.float32)}
            count, tags = inputs["title_match"].shape
            shapes: dict[str, tuple[int, ...]] = {"features": (1,), "prompts": (1,), "logits": (1,)}
            shapes["sources"] = (count, 8, tags)
            return {name: np.full(shape, 9, np.float32) for name, shape in shapes.items()}

    monkeypatch.setattr("optsg.evaluate.export.export_run.write_graph", lambda *_: None)
    monkeypatch.setattr("optsg.evaluate.export.export_run.OnnxGraph", Wrong)
    said = refused(run_folder, tmp_path / "out", "--feats", feats)
    assert said.startswith("error: the export differs from PyTorch by ")
    assert said.endswith("), more than 0.001; nothing was written")
    assert [path.name for path in tmp_path.iterdir()] == []
