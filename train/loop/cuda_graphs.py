"""The model's parts as CUDA graphs: what a part does to tensors of some shapes is recorded once, and then told a GPU as a whole.

A step of a deep model is some thousand small operations, and to launch each of them costs the host more than a fast GPU needs
to do it. Recorded are title and hybrid encoder, the prompt encoder, and the decoder, each with its backward pass
(:func:`torch.cuda.make_graphed_callables`): what lies between them, matching and losses, has other shapes in every step and
stays as it is. What is computed and drawn is what the same parts launched one by one compute and draw, but for rounding.

A recorded part computes into memory of its own, which its next replay overwrites. So a part is replayed at most once a step,
forward and backward; whatever calls it again computes plainly.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from ...data.batching import TENSORS, Batch
from ...data.errors import reason_of
from ..config import TrainingConfig
from ..model.bert import Bert
from ..model.prompt_encoder import PromptEncoder
from ..model.tag_decoder import TagDecoder
from ..model.tag_sequence import TokenLayout
from ..model.video_title_model import VideoTitleModel
from .processes import Processes

MOST_SHAPES = 24
"""Recordings of a part: each keeps the part's gradients and what goes in and out, for ``base`` some 300 MB. Rarer shapes are not recorded."""

SEEN_BEFORE = 3
"""How often tensors of the same shapes have to come before they are recorded, which takes as long as some ten steps."""


def can_be_recorded(training: TrainingConfig, processes: Processes) -> bool:
    """Whether a training's parts can be: micro-batches need what the others have computed, and with several processes it was not tried."""
    alone = processes.count == 1 and not training.micro_batch
    return training.cuda_graphs and alone and processes.device.type == "cuda"


class CudaGraphs:
    """The recordings of a model, which take the place of its parts' forward passes in training.

    Args:
        model: on its device, in the precision in which it is trained; its weights must stay where they are.
        announce: told once, if something cannot be recorded, why the training goes on without.

    Attributes:
        recording: held while something is recorded: no other thread may then ask the device for memory.
    """

    def __init__(self, model: nn.Module, announce: Callable[[str], None] = lambda _: None):
        self.recording = threading.Lock()
        self._announce = announce
        self._parts: list[_Part] = []
        if isinstance(model, VideoTitleModel) and _encodes_tensors(model):
            self._take_encoder(model)
        for module in (getattr(model, "prompt_encoder", None), getattr(model, "decoder", None)):
            if isinstance(module, PromptEncoder):
                module.forward = partial(_prompts, self._part(module), module.forward)  # type: ignore[method-assign]
            elif isinstance(module, TagDecoder):
                module.forward = partial(_decoded, self._part(module), module.forward)  # type: ignore[method-assign]

    def begin_step(self) -> None:
        """All parts may be replayed once more."""
        for part in self._parts:
            part.is_used = False

    def _take_encoder(self, model: VideoTitleModel) -> None:
        modules = [module for module in (model.title_encoder, model.hybrid_encoder) if module is not None]
        # Attributes of the instance: state dict and module tree stay as they are.
        model.encode = partial(_encoded, self._part(*modules), model.encode)  # type: ignore[method-assign]

    def _part(self, *modules: nn.Module) -> _Part:
        self._parts.append(_Part(modules, self))
        return self._parts[-1]

    def record(self, module: nn.Module, tensors: Sequence[Tensor], pool: Any) -> Callable[..., Any] | None:
        """The module for tensors of these shapes, recorded; ``None`` where that cannot be, now and from now on."""
        device, weights = tensors[0].device, dict(module.named_parameters())
        if not _has_room(device):
            self._record_no_more("no CUDA graphs for further shapes: the GPU's memory might not hold them")
            return None
        samples = [tensor.detach().clone().requires_grad_(tensor.requires_grad) for tensor in tensors]
        # The same memory under other names: what autograd has recorded of the weights themselves would stay with the
        # recording and its stream, and every gradient of every step would be handed from stream to stream.
        aliases = [nn.Parameter(weight.detach(), weight.requires_grad) for weight in weights.values()]

        def call(*given: Tensor) -> Any:
            own = dict(zip(weights, given[len(tensors) :], strict=True))
            return functional_call(module, own, given[: len(tensors)])

        drawn = torch.cuda.get_rng_state(device)
        try:
            with self.recording, warnings.catch_warnings():
                # The recorder's trials and its recording run in streams of their own, and PyTorch notices.
                warnings.filterwarnings("ignore", message="The AccumulateGrad node's stream")
                made = torch.cuda.make_graphed_callables(call, (*samples, *aliases), allow_unused_input=True, pool=pool)
        except RuntimeError as error:  # too little memory, or something that waits for the device
            for part in self._parts:
                part.forget()
            _end_recorded_draws(device)
            reason = reason_of(error)
            self._record_no_more(f"warning: no CUDA graphs from here on, each step costs the host more: {reason}")
            return None
        finally:
            torch.cuda.set_rng_state(drawn, device)  # recording has drawn too
        return lambda *given: made(*given, *weights.values())

    def _record_no_more(self, line: str) -> None:
        for part in self._parts:
            part.is_closed = True
        self._announce(line)


def _encodes_tensors(model: VideoTitleModel) -> bool:
    """Whether it reads nothing but a batch's tensors and never waits for the device; of the many text models of transformers, some do."""
    encoder = model.title_encoder
    return type(model).encode is VideoTitleModel.encode and (encoder is None or isinstance(encoder.model, Bert))


def _has_room(device: torch.device) -> bool:
    """Whether a whole step would fit once more beside what is held: a recording keeps the memory in which it was made."""
    torch.cuda.empty_cache()
    free, _ = torch.cuda.mem_get_info(device)
    return torch.cuda.max_memory_allocated(device) < free


def _end_recorded_draws(device: torch.device) -> None:
    """Lets a device draw again where a recording broke off: its generator would wait for the recording's end for ever."""
    own = torch.cuda.default_generators[device.index or 0]
    own.graphsafe_set_state(torch.Generator(device).graphsafe_get_state())


class _Part:
    """Modules of a model that compute together, by the shapes of what they are given.

    Attributes:
        is_used: whether it was replayed in this step.
        is_closed: whether nothing more is to be recorded.
    """

    def __init__(self, modules: Sequence[nn.Module], graphs: CudaGraphs):
        self.is_used = self.is_closed = False
        self._modules, self._graphs = modules, graphs
        self._pool: Any = None
        self._seen: dict[Hashable, int] = {}
        self._made: dict[Hashable, Callable[..., Any]] = {}

    def __call__(self, plain: Callable[..., Any], *tensors: Tensor, kind: Hashable = None) -> Any:
        """What ``plain`` makes of the tensors.

        Args:
            kind: tells calls with tensors of the same shapes apart.
        """
        if self.is_used or not (self._modules[0].training and torch.is_grad_enabled()):
            return plain(*tensors)
        key = (kind, *((tensor.shape, tensor.dtype, tensor.requires_grad) for tensor in tensors))
        made = self._made.get(key) or self._record(key, plain, tensors)
        if made is None:
            return plain(*tensors)
        self.is_used = True
        return made(*tensors)

    def _record(self, key: Hashable, plain: Callable[..., Any], tensors: Sequence[Tensor]) -> Callable[..., Any] | None:
        seen = self._seen[key] = self._seen.get(key, 0) + 1
        if self.is_closed or seen <= SEEN_BEFORE or len(self._made) == MOST_SHAPES:
            return None
        # Recordings of a part are never replayed side by side, so that they share their memory; those of other parts are.
        self._pool = self._pool or torch.cuda.graph_pool_handle()
        made = self._graphs.record(_Called(self._modules, plain), tensors, self._pool)
        if made is not None:
            self._made[key] = made
        return made

    def forget(self) -> None:
        """Gives the memory of all recordings back, once a step that is under way has ended."""
        self._made.clear()
        self._pool = None


class _Called(nn.Module):
    """A function of tensors, with the modules whose weights it uses."""

    def __init__(self, modules: Sequence[nn.Module], call: Callable[..., Any]):
        super().__init__()
        self.used = nn.ModuleList(modules)
        self.call = call

    def forward(self, *tensors: Tensor) -> Any:
        return self.call(*tensors)


def _encoded(part: _Part, plain: Callable[[Batch], tuple[Tensor, Tensor]], batch: Batch) -> Any:
    """:meth:`VideoTitleModel.encode`."""
    return part(
        lambda *tensors: plain(Batch(**dict(zip(TENSORS, tensors, strict=True)))),
        *(getattr(batch, name) for name in TENSORS),
    )


def _prompts(part: _Part, plain: Callable[..., Tensor], features: Tensor, mask: Tensor) -> Any:
    """:meth:`PromptEncoder.forward`."""
    return part(plain, features, mask)


def _decoded(
    part: _Part,
    plain: Callable[..., Tensor],
    prompts: Tensor | None,
    tokens: Tensor,
    features: Tensor,
    mask: Tensor,
    layout: TokenLayout | None = None,
) -> Any:
    """:meth:`TagDecoder.forward`."""
    own = [] if prompts is None else [prompts]
    places = [] if layout is None else [layout.slots, layout.positions, layout.mask]

    def call(tokens: Tensor, features: Tensor, mask: Tensor, *more: Tensor) -> Tensor:
        prompts, where = more[: len(own)], more[len(own) :]
        laid = TokenLayout(slots=where[0], positions=where[1], mask=where[2]) if where else None
        return plain(prompts[0] if prompts else None, tokens, features, mask, laid)

    return part(call, tokens, features, mask, *own, *places, kind=(len(own), len(places)))
