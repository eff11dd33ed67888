"""Which parts of a model are recorded, when they are replayed, and what happens where they cannot be.

The recorder of PyTorch needs a GPU (``test_gpu.py``). Here it is one that computes plainly and, as a recording does, gives its
results in memory that its next call overwrites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
import torch
from optsg.data.batching import Batch, collate
from optsg.data.store import FeatureStore, open_store
from optsg.train.config import TrainingConfig
from optsg.train.loop import cuda_graphs
from optsg.train.loop.cuda_graphs import CudaGraphs, can_be_recorded
from optsg.train.loop.processes import Processes
from optsg.train.model.video_title_model import VideoTitleModel
from optsg.train.run.plan import plan_run
from optsg.train.systems.registry import start_system
from optsg.train.systems.system import System
from torch import Tensor

from tests.tiny_world import TINY_SETTINGS, tiny_videos, write_tiny_store

CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FeatureStore]:
    with open_store(write_tiny_store(tmp_path_factory.mktemp("store") / "tiny.h5", tiny_videos(40))) as opened:
        yield opened


class Recorder:
    """What is recorded and replayed.

    Attributes:
        fails: whether recording does.
        free: memory of the device; a step has taken 20.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch):
        self.recorded: list[tuple[torch.Size, ...]] = []
        self.replays = 0
        self.fails = False
        self.free = 80
        monkeypatch.setattr("torch.cuda.make_graphed_callables", self._make)
        monkeypatch.setattr(cuda_graphs, "_end_recorded_draws", lambda _: None)
        monkeypatch.setattr("torch.cuda.empty_cache", lambda: None)
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda _: (self.free, 100))
        monkeypatch.setattr("torch.cuda.max_memory_allocated", lambda _: 20)
        monkeypatch.setattr("torch.cuda.graph_pool_handle", object)
        monkeypatch.setattr("torch.cuda.get_rng_state", lambda _: torch.get_rng_state())
        monkeypatch.setattr("torch.cuda.set_rng_state", lambda state, _: torch.set_rng_state(state))

    def _make(self, module: torch.nn.Module, samples: tuple[Tensor, ...], **_: Any) -> Callable[..., Any]:
        if self.fails:
            raise RuntimeError("CUDA error: operation not permitted when stream is capturing\nmore")
        self.recorded.append(tuple(sample.shape for sample in samples))
        torch.rand(7)  # recording draws
        kept: list[Tensor] = []

        def replay(*tensors: Tensor) -> Any:
            self.replays += 1
            assert [tensor.requires_grad for tensor in tensors] == [sample.requires_grad for sample in samples]
            for old in kept:
                old.detach().fill_(float("nan"))
            made = module(*tensors)
            kept[:] = [value for value in (made if isinstance(made, tuple) else (made,)) if value.requires_grad]
            return made

        return replay


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr(cuda_graphs, "SEEN_BEFORE", 1)
    return Recorder(monkeypatch)


def started(store: FeatureStore, system: str = "op-tsg", *settings: str) -> System:
    words = [*TINY_SETTINGS, "precision=fp32", *settings]
    plan = plan_run(store, store.path, system=system, size="small", settings=words, seed=0)
    made = start_system(store, plan.config, plan.tag_table, plan.tokenizer)
    made.prepare(store, CPU)
    made.model.train()
    return made


def step(system: System, batch: Batch, number: int) -> tuple[float, Tensor]:
    """Loss and gradients of a step, which draws by its number."""
    torch.manual_seed(number)
    system.model.zero_grad()
    losses = system.losses(batch, np.random.default_rng(number))
    losses.total.backward()
    gradients = [p.grad.flatten() for p in system.model.parameters() if p.grad is not None]
    return losses.total.item(), torch.cat(gradients)


@pytest.mark.parametrize(
    ("system", "settings", "parts"),
    [
        ("op-tsg", (), 3),
        ("op-tsg", ("decoding=sequential", "copy_title=false", "tag_head=false"), 3),
        ("op-tsg", ("modality=video",), 3),
        ("prompt-classification", (), 2),
        ("frequency-first", (), 2),
        ("open-book", (), 2),
        ("bin", (), 1),
    ],
)
def test_losses_gradients_and_draws_are_those_of_the_plain_parts(
    store: FeatureStore, recorder: Recorder, system: str, settings: tuple[str, ...], parts: int
) -> None:
    rows = store.indices("train")
    batches = [collate(store, rows[:count]).with_few_shapes() for count in (4, 9, 4, 9, 4, 9)]
    plain, graphed = started(store, system, *settings), started(store, system, *settings)
    names = list(graphed.model.state_dict())
    graphs = CudaGraphs(graphed.model)
    for number, batch in enumerate(batches):
        graphs.begin_step()
        loss, gradients = step(graphed, batch, number)
        wanted, others = step(plain, batch, number)
        assert loss == wanted
        assert torch.equal(gradients, others)
    assert list(graphed.model.state_dict()) == names
    assert len(recorder.recorded) == len(set(recorder.recorded)) >= 2 * parts - 1
    assert recorder.replays > len(recorder.recorded)


def encoded(system: System, batch: Batch) -> Tensor:
    return system.model.encode(batch)[0]


def replays_of(graphs: CudaGraphs, recorder: Recorder, system: System, batches: Sequence[Batch]) -> list[int]:
    """How often something is replayed in each step, which encodes a batch."""
    found = []
    for batch in batches:
        graphs.begin_step()
        before = recorder.replays
        encoded(system, batch)
        found.append(recorder.replays - before)
    return found


def test_shapes_are_recorded_when_they_come_again_and_no_more_than_fit(
    store: FeatureStore, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "MOST_SHAPES", 2)
    system, rows = started(store, "bin"), store.indices("train")
    graphs = CudaGraphs(system.model)
    batches = [collate(store, rows[:count]) for count in (4, 5, 4, 5, 6, 6, 6, 4, 5)]
    assert replays_of(graphs, recorder, system, batches) == [0, 0, 1, 1, 0, 0, 0, 1, 1]
    assert len(recorder.recorded) == 2


def test_a_second_call_in_a_step_leaves_the_first_ones_results_alone(store: FeatureStore, recorder: Recorder) -> None:
    system, rows = started(store, "bin", "dropout=0"), store.indices("train")
    first, second = collate(store, rows[:4]), collate(store, rows[:4][::-1].copy())
    wanted = encoded(system, first), encoded(system, second)
    graphs = CudaGraphs(system.model)
    for _ in range(3):
        graphs.begin_step()
        found = encoded(system, first), encoded(system, second)
        for values, others in zip(found, wanted, strict=True):
            assert torch.equal(values, others)
    assert recorder.replays


def test_encoders_that_may_read_more_than_tensors_or_wait_are_not_recorded(
    store: FeatureStore, recorder: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def encode(self: VideoTitleModel, batch: Batch) -> tuple[Tensor, Tensor]:
        assert batch.rows is not None
        return VideoTitleModel.encode(self, batch)

    own, other = started(store, "bin"), started(store, "bin")
    own.model.__class__ = type("Own", (type(own.model),), {"encode": encode})
    graphs = [CudaGraphs(own.model)]
    monkeypatch.setattr(cuda_graphs, "Bert", type("ItsTitleEncoderIsNone", (), {}))
    graphs.append(CudaGraphs(other.model))
    batch = collate(store, store.indices("train")[:4])
    for number in range(3):
        for graph, system in zip(graphs, (own, other), strict=True):
            graph.begin_step()
            step(system, batch, number)
    assert not recorder.recorded


def test_evaluation_and_what_needs_no_gradient_are_not_replayed(store: FeatureStore, recorder: Recorder) -> None:
    system, batch = started(store), collate(store, store.indices("train")[:4])
    graphs = CudaGraphs(system.model)
    for _ in range(3):
        graphs.begin_step()
        system.model.eval()
        step(system, batch, 0)
        system.model.train()
        with torch.no_grad():
            encoded(system, batch)
    assert not recorder.recorded


def test_what_cannot_be_recorded_is_computed_plainly_and_said_once(store: FeatureStore, recorder: Recorder) -> None:
    told: list[str] = []
    system, plain = started(store), started(store)
    batch = collate(store, store.indices("train")[:4])
    graphs = CudaGraphs(system.model, told.append)
    recorder.fails = True
    for number in range(4):
        graphs.begin_step()
        loss, gradients = step(system, batch, number)
        wanted, others = step(plain, batch, number)
        assert loss == wanted
        assert torch.equal(gradients, others)
    reason = "CUDA error: operation not permitted when stream is capturing"
    assert told == [f"warning: no CUDA graphs from here on, each step costs the host more: {reason}"]


def test_no_more_is_recorded_than_the_gpu_has_room_for(store: FeatureStore, recorder: Recorder) -> None:
    told: list[str] = []
    system, rows = started(store, "bin"), store.indices("train")
    graphs = CudaGraphs(system.model, told.append)
    four, five = collate(store, rows[:4]), collate(store, rows[:5])
    assert replays_of(graphs, recorder, system, [four, four, four]) == [0, 1, 1]
    recorder.free = 19
    assert replays_of(graphs, recorder, system, [five, five, five, four]) == [0, 0, 0, 1]
    assert told == ["no CUDA graphs for further shapes: the GPU's memory might not hold them"]


def test_only_one_process_on_a_gpu_records_and_only_whole_batches() -> None:
    alone = Processes.alone
    assert can_be_recorded(TrainingConfig(), alone(GPU))
    assert not can_be_recorded(TrainingConfig(), alone(CPU))
    assert not can_be_recorded(TrainingConfig(cuda_graphs=False), alone(GPU))
    assert not can_be_recorded(TrainingConfig(micro_batch=4), alone(GPU))


def test_batches_of_few_shapes_hold_the_same(store: FeatureStore) -> None:
    features = [np.ones((5, 3), np.float16)], [np.zeros((0, 2), np.float16)]
    batch = Batch.from_features(*features, [[1, 2]])
    filled = batch.with_few_shapes()
    assert filled.frames.shape == (1, 8, 3)
    assert torch.equal(filled.frames[:, :5], batch.frames)
    assert not filled.frames[:, 5:].any()
    assert filled.frame_mask.tolist() == [[True] * 5 + [False] * 3]
    assert filled.patches.shape == batch.patches.shape
    again = filled.with_few_shapes()
    assert again.frames is filled.frames
