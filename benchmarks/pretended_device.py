"""A GPU pretended on the CPU: which tensors would lie on it, and where the host would wait for it.

Inside :class:`PretendedDevice` tensors are marked as lying on ``cuda`` when they are moved there, made there, or computed from
such, and say so when they are asked; everything is computed on the CPU. Counted is what makes the host wait for what a
GPU still has to do: reading a number, copies to the host, copies to the device that are not asynchronous, and operations
whose result has a size that only the device knows. :class:`Kernels` counts operations that would be launched.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

CUDA = torch.device("cuda", 0)
HOST = torch.device("cpu")
MARK = "_pretends_to_be_on_a_gpu"
OWN_FILES = ("pretended_device.py", "torch/", "_python_dispatch.py")

READINGS = frozenset({"item", "tolist", "__bool__", "__int__", "__float__", "__index__", "cpu", "numpy"})
UNKNOWN_SIZES = frozenset({"nonzero", "masked_select", "unique", "argwhere"})
INDEXING = frozenset({"__getitem__", "__setitem__"})


def mark(tensors: Iterable[Tensor]) -> None:
    """Lets tensors pretend to lie on the device."""
    for tensor in tensors:
        setattr(tensor, MARK, True)


def is_there(value: object) -> bool:
    """Whether a tensor pretends to lie on the device."""
    return isinstance(value, Tensor) and getattr(value, MARK, False)


def _tensors(values: object) -> Iterator[Tensor]:
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        for value in values.values():
            yield from _tensors(value)
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


class PretendedDevice(TorchFunctionMode):
    """The mode inside which tensors are marked.

    Attributes:
        waits: how often the host waited, by place in the code and operation.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: Counter[str] = Counter()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Computes on the CPU, passes marks on, and counts."""
        del types
        named = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "__get__":
            return self._attribute(func, args)
        if name == "pin_memory":
            return args[0]
        if name in ("to", "cpu", "cuda"):
            return self._moved(name, list(args), named)
        there = any(map(is_there, _tensors([args, named])))
        made_there = self._is_device(named.get("device"))
        if made_there:
            named["device"] = HOST
        self._count(name, args, there=there, made_there=made_there)
        found = func(*args, **named)
        if there or made_there:
            mark(_tensors(found))
        return found

    def _attribute(self, func: Any, args: Sequence[Any]) -> Any:
        found = func(*args)
        if is_there(args[0]):
            if isinstance(found, torch.device):
                return CUDA
            mark(_tensors(found))
        return found

    def _moved(self, name: str, args: list[Any], named: dict[str, Any]) -> Tensor:
        tensor = args.pop(0)
        target = named.pop("device", None)
        if args and (args[0] is None or isinstance(args[0], torch.device | str)):
            target = args.pop(0)
        if args and isinstance(args[0], torch.dtype | bool | None):
            words = ("dtype", "non_blocking", "copy") if not isinstance(args[0], bool) else ("non_blocking", "copy")
            named |= {word: value for word, value in zip(words, args, strict=False) if value is not None}
            args.clear()
        target = {"cpu": HOST, "cuda": CUDA}.get(name, target)
        to_device = is_there(tensor) if target is None else self._is_device(target)
        if to_device != is_there(tensor) and not (to_device and named.get("non_blocking")):
            self._wait("copy to the device" if to_device else "copy to the host")
        moved: Tensor = tensor.to(*args, **named)
        # A tensor that stays what it is may be known by the host too.
        moved = moved.view_as(moved) if moved is tensor and to_device != is_there(tensor) else moved
        if to_device:
            mark([moved])
        elif hasattr(moved, MARK):
            delattr(moved, MARK)
        return moved

    def _count(self, name: str, args: Sequence[Any], *, there: bool, made_there: bool) -> None:
        if made_there and name in ("tensor", "as_tensor"):
            self._wait(name)
        if not there:
            return
        if name == "new_tensor":
            self._wait(name)
        if (name in READINGS and is_there(args[0])) or name in UNKNOWN_SIZES:
            self._wait(name)
        elif name in INDEXING and is_there(args[0]):
            for index in _tensors(args[1]):
                if index.dtype == torch.bool or not is_there(index):
                    self._wait("index")

    def _wait(self, what: str) -> None:
        for frame in reversed(traceback.extract_stack()):
            if not any(part in frame.filename for part in OWN_FILES):
                self.waits[f"{'/'.join(frame.filename.split('/')[-2:])}:{frame.lineno} {what}"] += 1
                return

    @staticmethod
    def _is_device(device: object) -> bool:
        return device is not None and torch.device(device).type == "cuda"  # type: ignore[call-overload]


class Kernels(TorchDispatchMode):
    """Counts operations, those left out that only give another view of the same numbers, or memory without any.

    Attributes:
        launched: how often each ran.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.launched: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Runs and counts."""
        del types
        is_view = any(r.alias_info is not None and not r.alias_info.is_write for r in func._schema.returns)
        name = func.name().removeprefix("aten::")
        if not is_view and not name.startswith(("empty", "new_empty", "_unsafe_view")):
            self.launched[name] += 1
        return func(*args, **(kwargs or {}))
