"""A graph of a program of torch, recorded while the program runs."""

from __future__ import annotations

import inspect
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes
from torch.utils.weak import WeakIdKeyDictionary

from crosscheck._frameworks.torch_mode import Mode, is_tracing
from crosscheck._graph.graph import Call, Graph, Leaf, Ref
from crosscheck._records.errors import name_of
from crosscheck._shadow.torch.operations import WIDE, OperationTraits, plan_of, storage_of, written_by

LARGEST_CONSTANT = 2**20
"""The value of a constant is kept up to this many numbers."""
_CROSSCHECK = Path(__file__).parents[1]
_INSIDE = [_CROSSCHECK / part for part in ("_graph", "_shadow", "_catalogue", "_frameworks/torch_mode.py")]
_PASSED_BY = ("<", str(Path(torch.__file__).parent), *map(str, _INSIDE))
"""Their lines are no lines of the program, but they may be called by one."""


class Recording(Mode):
    """Records every operation that the program runs inside, views among them, in float64.

    Attributes:
        graph: The graph so far.
        inputs: The leaves of the inputs, in order.
        outputs: The nodes that give the outputs; None where the graph does not know.
    """

    def __init__(
        self,
        weights: Mapping[str, Any],
        *,
        wide: Callable[[Any], Any] = lambda tensor: tensor,
        path: Callable[[], str] = lambda: "",
        operations: Callable[[], int] = lambda: 0,
    ) -> None:
        """``weights`` are tensors by name, ``wide`` gives a tensor in float64, ``path`` the module that is running.

        ``operations`` counts those of another record of the run, so that a node knows its operation there.
        """
        super().__init__()
        self.graph = Graph()
        self.inputs: list[int] = []
        self.outputs: list[int | None] = []
        self._weights = {_place(tensor): name for name, tensor in weights.items()}
        self._wide, self._path, self._count = wide, path, operations
        self._nodes: Any = WeakIdKeyDictionary()
        """For each tensor that is alive, its node, and how often its storage had been written to when it was made."""
        self._functions = _Functions(self)
        self._written: dict[int | None, list[Any]] = defaultdict(list)
        """For each storage, the places in it that were written to, in order."""

    def __enter__(self) -> Recording:
        self._functions.__enter__()
        super().__enter__()
        return self

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        self._functions.__exit__(*raised)

    def given(self, tensors: Sequence[Any], names: Sequence[str]) -> None:
        """Make leaves of the inputs."""
        for tensor, name in zip(tensors, names, strict=False):
            self.inputs.append(self._known(tensor, self.graph.add(Leaf("", label=name))).node)

    def ended(self, tensors: Any) -> None:
        """Keep which nodes give the outputs."""
        for tensor in tensors:
            ref = self._of(tensor) if isinstance(tensor, torch.Tensor) else None
            self.outputs.append(None if ref is None else ref.node)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # an operation that is decomposed calls itself in another way, which a mode for functions does not pass on
        with torch._C.DisableTorchFunction():
            return self._dispatched(func, args, kwargs or {})

    def _dispatched(self, func: Any, args: Any, kwargs: dict[str, Any]) -> Any:
        if is_tracing():  # what it gives is not the program's, and its operations may not run outside of the trace
            return func(*args, **kwargs)
        plan = plan_of(func)
        if plan.composite:  # it arrives only in inference mode
            with self:
                return func.decompose(*args, **kwargs)
        given = self._given(args, kwargs)
        before = self._count()
        result = func(*args, **kwargs)
        with suppress(Exception):  # a tensor of a kind that has no storage is not in the graph
            for tensor in written_by(plan, args, kwargs):
                self._written[storage_of(tensor)].append(place_of(tensor))
            if given is not None:
                self._add(plan, func, given, result, before if self._count() > before else None)
        return result

    def _given(self, args: Any, kwargs: Any) -> tuple[Any, dict[str, Any]] | None:
        """The arguments as the graph has them; None if one is of a kind that has no storage."""
        with suppress(Exception):
            return self._argument(args), {key: self._argument(argument) for key, argument in kwargs.items()}
        return None

    def _add(
        self, plan: OperationTraits, func: Any, given: tuple[Any, dict[str, Any]], result: Any, operation: int | None
    ) -> None:
        call = Call(
            plan.name,
            in_float64(func, bool(plan.written)),
            tuple(given[0]),
            given[1],
            path=self._path(),
            source=_line(),
            operation=operation,
            schema=func._schema,
        )
        several = isinstance(result, (list, tuple))
        for number, output in enumerate(result if several else [result]):
            if isinstance(output, torch.Tensor):
                self._known(output, self.graph.add(replace(call, pick=number) if several else call))

    def called(self, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Call a function of torch that consists of several operations, and keep the node of its result."""
        given = self._given(args, kwargs)
        result = function(*args, **kwargs)
        ref = self._of(result) if isinstance(result, torch.Tensor) and given is not None else None
        if ref is not None and given is not None:
            own = Call(function.__name__, function, tuple(given[0]), given[1], path=self._path(), source=_line())
            self.graph.functions[ref.node] = own
        return result

    def _known(self, tensor: Any, ref: Ref) -> Ref:
        self._nodes[tensor] = ref, len(self._written[storage_of(tensor)])
        return ref

    def _of(self, tensor: Any) -> Ref | None:
        """The node of a tensor; None if it has none, or if some of its numbers were written to since."""
        if (kept := self._nodes.get(tensor)) is None:
            return None
        ref: Ref = kept[0]
        since = self._written[storage_of(tensor)][kept[1] :]
        return None if any(overlap(place_of(tensor), place) for place in since) else ref

    def _argument(self, given: Any) -> Any:
        if isinstance(given, torch.Tensor):
            return self._of(given) or self._known(given, self.graph.add(self._leaf(given)))
        if isinstance(given, (list, tuple)):
            return [self._argument(argument) for argument in given]
        return WIDE.get(given, given) if isinstance(given, torch.dtype) else given

    def _leaf(self, tensor: Any) -> Leaf:
        name = self._weights.get(_place(tensor), "")
        if name or tensor.numel() > LARGEST_CONSTANT or tensor.layout is not torch.strided:
            return Leaf(name)
        with _disable_current_modes(), torch.no_grad():
            return Leaf("", self._wide(tensor).detach().clone())


class _Functions(TorchFunctionMode):
    """Tells a recording of the functions of torch that have settings which none of their operations has."""

    def __init__(self, recording: Recording) -> None:
        super().__init__()
        self._recording = recording

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in composites():
            return self._recording.called(func, args, kwargs or {})
        return func(*args, **(kwargs or {}))


@cache
def composites() -> frozenset[Any]:
    """The losses of ``torch.nn.functional`` that are written in Python, and the resize."""
    functions = (function for function in vars(torch.nn.functional).values() if inspect.isfunction(function))
    losses = (function for function in functions if "reduction" in inspect.signature(function).parameters)
    return frozenset([torch.nn.functional.interpolate, *losses])


Place = tuple[int, tuple[tuple[int, int], ...]]
"""Where in its storage the numbers of a tensor are: the first one; size and stride of each axis, in the order of strides."""


def place_of(tensor: Any) -> Place:
    """The place of a tensor in its storage."""
    axes = zip(tensor.shape, tensor.stride(), strict=True)
    return tensor.storage_offset(), tuple(sorted((axis for axis in axes if axis[0] != 1), key=lambda axis: -axis[1]))


def overlap(place: Place, other: Place) -> bool:
    """Whether two places share a number; if their strides differ, whether one begins before the other ends.

    Of equal strides, they do if some numbers of steps along the axes lead from one start to the other.
    """
    (start, axes), (begin, others) = place, other
    if any(not size for size, _ in (*axes, *others)):
        return False
    if [stride for _, stride in axes] != [stride for _, stride in others]:
        return max(start, begin) <= min(_last(place), _last(other))
    left = {begin - start}
    for (size, stride), (many, _) in zip(axes, others, strict=True):
        left = {
            way - steps * stride
            for way in left
            for steps in ((way // stride, way // stride + 1) if stride else (0,))
            if -many < steps < size
        }
    return 0 in left


def _last(place: Place) -> int:
    return place[0] + sum((size - 1) * stride for size, stride in place[1])


def _place(tensor: Any) -> Any:
    """What identifies the numbers of a tensor, whichever object holds them."""
    if tensor.layout is not torch.strided:
        return id(tensor)
    return tensor.untyped_storage()._cdata, tensor.storage_offset(), tuple(tensor.shape), tensor.stride()


def in_float64(func: Any, writes: bool) -> Callable[..., Any]:
    """The operation on tensors in float64: it writes to none of its arguments, and takes any layout for a view."""
    name = func._schema.name.split("::")[1]
    if name in ("view", "_unsafe_view"):
        return torch.Tensor.reshape
    if name in ("_softmax", "_log_softmax"):
        return lambda x, dim, half: func(x, dim, False)
    if not writes:
        return func

    def without_writing(*args: Any, **kwargs: Any) -> Any:
        copies = [argument.clone() if isinstance(argument, torch.Tensor) else argument for argument in args]
        return func(
            *copies,
            **{
                key: argument.clone() if isinstance(argument, torch.Tensor) else argument for key, argument in kwargs.items()
            },
        )

    return without_writing


def _line() -> str:
    """The line of the program that runs; empty if crosscheck itself calls torch's module, which has no line of its own."""
    frame: FrameType | None = sys._getframe(2)
    while frame is not None and frame.f_code.co_filename.startswith(_PASSED_BY):
        frame = frame.f_back
    if frame is None or frame.f_code.co_filename.startswith(str(_CROSSCHECK)):
        return ""
    return f"{name_of(frame.f_code.co_filename)}:{frame.f_lineno}"
