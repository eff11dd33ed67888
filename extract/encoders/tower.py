"""A frozen image tower on its device, in the quickest number format that keeps its features.

Measured on two cores with AMX: a ViT-B/32 runs twice as fast with bfloat16 weights (minimum cosine to float32 0.99994),
an EfficientNet-Lite0 twice as fast with float16 weights (0.99995), whereas bfloat16 spoils it (0.994). The format is
therefore chosen by the kind of layers and then checked on the tower at hand. Batch normalisations and activations are
made part of the convolutions before them where that is the same function (:mod:`.folding`), with half of the memory
traffic, and a CPU takes few pictures at a time (:mod:`.chunks`).
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from ...data.errors import EncoderError, reason_of
from .chunks import ChunkedForward, ChunkPlan, quickest_plan
from .folding import fold_batch_norms, fuse_activations, is_same
from .pixel_check import normalised
from .pixel_plan import PixelPlan
from .presets import Precision

MINIMUM_COSINE = 0.9999
"""Least agreement with float32 features, picture by picture, for a smaller format to be used."""


FEATURE_ROUNDING: Mapping[str, float] = {"float32": 2**-10, "float16": 2**-6, "bfloat16": 2**-6}
"""By number format: how far a picture's feature may be from the one computed in another batch, relative to its length.

‖a − b‖ ≤ rounding · ‖b‖, as stored (float16). What else is in a batch, the threads and the instructions of the processor
order sums differently, and last digits follow. Measured with batches of 1, 3 and 16, ViT-B/32 of four layers,
EfficientNet-Lite0 and tiny networks, one thread and two, instructions up to SSE4.1, AVX2, AVX-512, bfloat16 and AMX: one
processor and format differs from itself by 1.2 · 10⁻⁴ at most in float32 and 4.4 · 10⁻³ in bfloat16; two processors by
5.9 · 10⁻⁴ and 5.5 · 10⁻³. Float16 did not differ on the one processor that has it; other devices get the room of bfloat16.
"""


def pick_device(device: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the CPU."""
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as error:
        reason = reason_of(error)
        raise EncoderError(
            f"--device {device} cannot be used ({reason}); expected auto or cpu{' or cuda' * torch.cuda.is_available()}"
        ) from error
    return found


@dataclass
class PendingFeatures:
    """A batch on its way through the tower.

    Attributes:
        features: on the CPU, complete once ``ready`` has been reached.
        ready: an event of the device, ``None`` where the features are there already.
        pixels: what the device may still be reading.
    """

    features: Tensor
    ready: torch.cuda.Event | None = None
    pixels: Tensor | None = None

    def result(self) -> Tensor:
        """The features, float32 on the CPU; waits for the device."""
        if self.ready is not None:
            self.ready.synchronize()
            self.ready = self.pixels = None
        return self.features


@dataclass(frozen=True, kw_only=True)
class TowerFindings:
    """What was found out about a tower: how it runs quickest, still giving its features.

    Attributes:
        format: name of the number format.
        folds: batch normalisations can be folded.
        fuses: activations can be fused, and that pays.
        plan: how a CPU shares pictures out; ``None`` on other devices.
    """

    format: str
    folds: bool
    fuses: bool = False
    plan: ChunkPlan | None = None

    def ready(self, module: nn.Module, device: torch.device) -> nn.Module:
        """The float32 module as it is to run on ``device``."""
        module = fold_batch_norms(module) if self.folds else module
        module = module.eval().requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        module = module.to(_FORMATS[self.format])
        return fuse_activations(module) if self.fuses else module


def find_out(
    module: nn.Module, calls: Sequence[Call], pixels: Tensor, *, device: torch.device, precision: Precision
) -> TowerFindings:
    """How a tower is to be run on a device.

    Args:
        module: float32; is left as it was, on the device.
        calls: what has to stay the same; the first decides on the number format and is what is timed.
        pixels: (n, 3, H, W) normalised example pictures on the device.
        precision: a number format, or ``auto``.
    """
    found = TowerFindings(format="float32", folds=False)
    whole = found.ready(module, device)
    exact = replace(found, folds=True).ready(module, device)
    if exact is not whole and _computes_the_same(exact, whole, calls, pixels[:1]):
        found = replace(found, folds=True)
    else:
        exact = whole
    candidate = quick_format(exact, device) if precision == "auto" else _FORMATS[precision]
    if candidate not in (None, torch.float32):
        smaller = replace(found, format=str(candidate).removeprefix("torch."))
        if (
            precision != "auto"
            or _agreement(exact, copy.deepcopy(exact).to(candidate), calls[0], pixels) >= MINIMUM_COSINE
        ):
            found = smaller
    return (
        found
        if device.type != "cpu"
        else _quickest_on_cpu(found, found.ready(copy.deepcopy(module), device), calls, pixels)
    )


def _quickest_on_cpu(found: TowerFindings, module: nn.Module, calls: Sequence[Call], pixels: Tensor) -> TowerFindings:
    fused = fuse_activations(module)
    fuses = fused is not module and _computes_the_same(fused, module, calls, pixels[:1])
    running = fused if fuses else module
    plan = quickest_plan(lambda chunk: _forward(running, calls[0], chunk), pixels, threads=torch.get_num_threads())
    return replace(found, fuses=fuses, plan=plan)


def _computes_the_same(found: nn.Module, expected: nn.Module, calls: Sequence[Call], pixels: Tensor) -> bool:
    try:
        return all(is_same(*(_forward(tower, call, pixels).float() for tower in (found, expected))) for call in calls)
    except RuntimeError:  # an operator that this processor or number format lacks
        return False


class Tower:
    """Runs a frozen module without gradients on one device; results are float32 on the CPU.

    On a GPU, pixels cross as pinned bytes and features come back without anyone waiting, so that the next batch can be
    prepared meanwhile. Normalisation happens on the device.

    Args:
        module: the tower, float32.
        findings: how it is to be run.
        mean, std: of red, green and blue.
        device: where.
    """

    def __init__(
        self,
        module: nn.Module,
        findings: TowerFindings,
        *,
        mean: Sequence[float],
        std: Sequence[float],
        device: torch.device,
    ):
        self.device = device
        self.findings = findings
        self.format = findings.format
        self.module = findings.ready(module, device)
        self._mean, self._std = mean, std
        self._chunked = ChunkedForward(findings.plan) if findings.plan else None

    @property
    def batches_in_flight(self) -> int:
        """How many batches may be submitted before the first has to be collected."""
        return 2 if self.device.type == "cuda" else 1

    def submit(self, call: Call, pixels: Tensor) -> PendingFeatures:
        """Starts ``call`` on (n, H, W, 3) uint8 pixels."""
        if self.device.type != "cuda":
            return PendingFeatures(self._chunk_by_chunk(call, pixels).to("cpu", torch.float32))
        pinned = pixels.pin_memory()
        features = _forward(self.module, call, self._placed(pinned)).float()
        arrived = torch.empty(features.shape, dtype=torch.float32, pin_memory=True)
        arrived.copy_(features, non_blocking=True)
        ready = torch.cuda.Event()
        ready.record(torch.cuda.current_stream(self.device))
        return PendingFeatures(arrived, ready, pinned)

    def _placed(self, pixels: Tensor) -> Tensor:
        """(n, H, W, 3) bytes on the CPU to (n, 3, H, W) normalised float32 on the device, channels last in memory."""
        return normalised(pixels.to(self.device, non_blocking=True), self._mean, self._std)

    def _chunk_by_chunk(self, call: Call, pixels: Tensor) -> Tensor:
        def features(chunk: Tensor) -> Tensor:
            return _forward(self.module, call, self._placed(chunk))

        return self._chunked(features, pixels) if self._chunked else features(pixels)


def quick_format(module: nn.Module, device: torch.device) -> torch.dtype | None:
    """The smaller number format that this device computes natively and that suits the layers, if any."""
    convolutional = any(isinstance(m, nn.Conv2d) and m.kernel_size > m.stride for m in module.modules())
    if device.type == "cuda":
        return torch.float16
    if device.type != "cpu":
        return None
    if convolutional:
        return torch.float16 if _cpu_has("fp16") else None
    return torch.bfloat16 if _cpu_has("bf16") else None


def _cpu_has(name: Literal["fp16", "bf16"]) -> bool:
    """Native arithmetic, not emulation: oneDNN would also accept bfloat16 on any AVX-512 machine, at a crawl."""
    if not torch.backends.mkldnn.is_available():
        return False
    if name == "fp16":
        return bool(torch.ops.mkldnn._is_mkldnn_fp16_supported())
    return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


_FORMATS: Mapping[str, torch.dtype] = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def _agreement(module: nn.Module, smaller: nn.Module, call: Call, pixels: Tensor) -> float:
    """Least cosine between the features of both over some pictures."""
    exact, found = (_forward(tower, call, pixels).float() for tower in (module, smaller))
    if not torch.isfinite(found).all():
        return 0.0
    return float(functional.cosine_similarity(exact.flatten(1), found.flatten(1)).min())


def example_pictures(count: int = 8, size: int = 256) -> list[Image.Image]:
    """The same pictures each time, with detail at every scale as photographs have it (amplitude falls with frequency)."""
    generator = torch.Generator().manual_seed(0)
    field = torch.zeros(count, 3, size, size)
    for cells in (2, 4, 8, 16, 32, 64):
        noise = torch.randn(count, 3, cells, cells, generator=generator)
        field += functional.interpolate(noise, size=(size, size), mode="bicubic") / cells**0.5
    pixels = (torch.sigmoid(field) * 255).to(torch.uint8).permute(0, 2, 3, 1).numpy()
    return [Image.fromarray(picture) for picture in pixels]


def _forward(module: nn.Module, call: Call, pixels: Tensor) -> Tensor:
    dtype = next(module.parameters()).dtype
    with torch.no_grad():  # not inference mode, whose tensors no other module may take in training mode
        return call(module, pixels.to(dtype))


Call = Callable[[nn.Module, Tensor], Tensor]

CONVOLUTIONAL_FEATURES = ("pooled, before the classifier, not normalised", "cells of the last feature map")
"""What pooled and patch features of a convolutional tower are, for people."""


@dataclass(frozen=True, kw_only=True)
class LoadedTower:
    """A frozen tower with everything needed to run it.

    Legend: n pictures, P patches of a picture, D and E widths.

    Attributes:
        module: float32, evaluation mode, on the CPU.
        pooled: (n, 3, H, W) normalised pixels to (n, D).
        patches: (n, 3, H, W) normalised pixels to (n, P, E).
        plan: picture to bytes.
        mean, std: of red, green and blue, on the scale from 0 to 1.
        transform: makes the library's own way from a picture to (3, H, W) normalised pixels; may import the library.
        spec: the library's part of the encoder's description: its name and version, where the weights came from, flags.
        description: of the weights, for messages.
        features: what pooled and patch features are, for people.
    """

    module: nn.Module
    pooled: Call
    patches: Call
    plan: PixelPlan
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    transform: Callable[[], Callable[[Image.Image], Tensor]]
    spec: Mapping[str, Any]
    description: str
    features: tuple[str, str]
