"""Record a model of torch, operation by operation: in its dtype and in float64, with its modules and weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import _disable_current_modes

from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_backend import to_array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._graph.graph import Call
from crosscheck._graph.torch_graph import Recording
from crosscheck._models.record.torch_uses import described, once
from crosscheck._models.values.spilled import Store
from crosscheck._models.values.uses import CONSTANT, DATA, WEIGHT, Operation, Use, Values
from crosscheck._shadow.torch.lift import TorchLifted
from crosscheck._shadow.torch.operations import OperationTraits, tensors_in, written_by

_OF_SHAPE = frozenset(
    ["zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones", "new_full", "new_empty"]
)
"""Operations that use only the shape of their operand."""


@dataclass
class TorchRecord:
    """A run: every operation in order, the uses of weights among them, and the outputs.

    Attributes:
        operations: Every operation that is not a view of its operand.
        uses: The operations on data with weights.
        weights: Parameters and buffers of floats by name, tied ones once: parameters as the model holds them, in a dtype
            of NumPy, and buffers in float64. Widen them to compute with them.
        tied: Other names of these weights, each with the name that is kept.
        values: The results of operations on data, by their index.
        outputs: The operation that gave each output.
        names: The names of the outputs.
        results: The outputs.
        buffers: The values of the buffers that the run changed, in float64, by name.
        modules: The modules, by name.
        calls: Each call of a module: its name, and the index of the next operation.
        narrow: The operations that torch has no float64 for: their results are rounded to the dtype.
        graph: All operations with their operands, views among them.
    """

    operations: list[Operation]
    uses: list[Use]
    weights: dict[str, Array]
    tied: dict[str, str]
    values: dict[int, Values]
    outputs: list[int | None]
    names: tuple[str, ...]
    results: list[Values]
    buffers: dict[str, Array]
    modules: dict[str, torch.nn.Module]
    calls: list[tuple[str, int]]
    narrow: frozenset[int]
    graph: Recording

    @cached_property
    def nodes(self) -> dict[int, int]:
        """The node of the graph for each operation; the first one of an operation with several results."""
        calls = (
            (number, node) for number, node in enumerate(self.graph.graph.nodes) if isinstance(node, Call) and not node.pick
        )
        return {call.operation: number for number, call in calls if call.operation is not None}


class Observer:
    """Called with every operation of a run in float64; see ``crosscheck._shadow.torch.lift``."""

    def __init__(self, module: torch.nn.Module) -> None:
        self.operations: list[Operation] = []
        self.uses: list[Use] = []
        self.values: dict[int, Values] = {}
        self._store = Store()
        self.narrow: set[int] = set()
        self._kept: list[Any] = []
        """Weak references to storages, whose addresses name them: an address is not used again while there is one."""
        self._last: dict[int, int] = {}
        self._recorded: dict[int, Layout] = {}
        """How the value on record of the last operation on a storage lay in it."""
        self._origins: dict[int, tuple[int, frozenset[str]]] = {}
        self._path: list[str] = [""]
        self.calls: list[tuple[str, int]] = []
        self.weights: dict[str, Array] = {}
        self.tied: dict[str, str] = {}
        self._names: dict[int, str] = {}
        for name, tensor in [
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ]:
            if not tensor.is_floating_point():
                continue
            key = _storage(tensor)
            if key in self._names:
                self.tied[name] = self._names[key]
                continue
            self._names[key] = name
            self.weights[name] = held(tensor) if isinstance(tensor, torch.nn.Parameter) else _wide(tensor)
            self._origins[key] = (WEIGHT, frozenset([name]))
        self._parameters = {_storage(parameter) for parameter in module.parameters()}
        self._module = module
        self.shadow: Callable[[Any], Any] = lambda tensor: tensor.double() if tensor.is_floating_point() else tensor
        """Gives a tensor in float64."""
        self.progress: Callable[[str], None] = lambda what: None

    @property
    def path(self) -> str:
        """The module that is running."""
        return self._path[-1]

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Track which module is running: a compiled one takes no hooks, so what it runs counts as its caller's."""
        handles = []
        for name, module in self._module.named_modules(remove_duplicate=False):
            if name and not isinstance(module, torch.jit.ScriptModule):
                handles.append(module.register_forward_pre_hook(lambda *_, name=name: self._entered(name)))
                handles.append(module.register_forward_hook(lambda *_: self._left(), always_call=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()

    def _entered(self, name: str) -> None:
        self._path.append(name)
        self.progress(f"PyTorch: {name}")
        self.calls.append((name, len(self.operations)))

    def _left(self) -> None:
        self._path.pop()

    def given(self, tensors: Sequence[Any]) -> None:
        """Record the inputs of the run."""
        for tensor in tensors:
            self._keep_name(tensor)
            self._origins[_storage(tensor)] = (DATA, frozenset())

    def _keep_name(self, tensor: Any) -> None:
        self._kept.append(StorageWeakRef(tensor.untyped_storage()))

    def __call__(
        self, plan: OperationTraits, args: Any, kwargs: Any, result: Any, wide: Callable[[Any], Any], in_float64: bool
    ) -> None:
        """Record an operation that is not a view."""
        self.shadow = wide
        given = list(tensors_in([*args, *kwargs.values()]))
        kinds = [self._origins.get(_storage(tensor), (CONSTANT, frozenset())) for tensor in given]
        kind = CONSTANT if plan.name in _OF_SHAPE else max((kind for kind, _ in kinds), default=CONSTANT)
        names = frozenset[str]().union(*(names for kind, names in kinds if kind == WEIGHT))
        index = len(self.operations)
        before = {key: self._last[key] for key in map(_storage, given) if key in self._last}
        made = list(tensors_in(result))
        dtype = str(made[0].dtype).removeprefix("torch.") if made else ""
        operation = Operation(index, plan.name, self._path[-1], tuple(dict.fromkeys(before.values())), kind, dtype=dtype)
        self.operations.append(operation)
        if not in_float64:
            self.narrow.add(index)
        for value in made:
            key = _storage(value)
            self._keep_name(value)
            self._last[key] = index
            self._origins[key] = (kind, names if kind == WEIGHT else frozenset())
        for value in (*made, *written_by(plan, args, kwargs)):
            self._recorded.pop(_storage(value), None)
        if not made or kind != DATA:
            return
        both = _narrow(made[0]), _wide(wide(made[0]))
        self.values[index] = Values(*(self._store.put(array).view() for array in both))
        self._recorded[_storage(made[0])] = _layout(made[0])
        if names and made[0].is_floating_point():
            weights = [(tensor, names) for tensor, (kind, names) in zip(given, kinds, strict=True) if kind == WEIGHT]
            use = self._use(operation, args, weights, made[0], wide, before)
            if not any(_is_again(use, earlier) for earlier in self.uses):
                self.uses.append(use)

    def _use(
        self,
        operation: Operation,
        args: Any,
        weights: list[tuple[Any, frozenset[str]]],
        result: Any,
        wide: Callable[[Any], Any],
        before: dict[int, int],
    ) -> Use:
        kind, position, operand, seen, main, matrix = described(
            operation.name, args, [tensor for tensor, _ in weights], result
        )
        weights.sort(key=lambda weight: weight[0] is not main)
        values = [self._numbers(tensor, wide) for tensor, _ in weights]
        return Use(
            index=len(self.uses),
            operation=operation,
            names=tuple("+".join(sorted(names)) for _, names in weights),
            matrices=tuple(
                matrix(value) if value.ndim > 1 and first else value.reshape(1, -1) for first, value in _numbered(values)
            ),
            kind=kind,
            operand=operand,
            result=seen,
            given=None if operand is None else self._operand(args[position], result, wide, before),
            origin=None if operand is None else before.get(_storage(args[position])),
        )

    def _operand(self, tensor: Any, result: Any, wide: Callable[[Any], Any], before: Mapping[int, int]) -> Values | None:
        """An operand of an operation; one that the operation has overwritten is known if another one has made it."""
        if _storage(tensor) != _storage(result):
            return self._made(tensor) or Values(_narrow(tensor), _wide(wide(tensor)))
        made = self.values.get(before.get(_storage(tensor), -1))
        return made if made is not None and made.wide.shape == tuple(tensor.shape) else None

    def _made(self, tensor: Any) -> Values | None:
        """A tensor's values as they are on record, which takes no memory; None if they are not, or were overwritten."""
        key = _storage(tensor)
        there, here = self._recorded.get(key), _layout(tensor)
        if there is None:
            return None
        made = self.values[self._last[key]]
        if here == there:
            return made
        if not there.consecutive or not here.consecutive or made.wide.size != tensor.numel():
            return None
        return Values(made.narrow.reshape(here.shape), made.wide.reshape(here.shape))

    def _numbers(self, tensor: Any, wide: Callable[[Any], Any]) -> Array:
        """The numbers of a weight: a parameter's as the model holds them, others in float64."""
        if _storage(tensor) in self._parameters:
            return held(tensor[once(tensor)])
        return _wide(wide(tensor)[once(tensor)])

    def origin(self, tensor: Any) -> int | None:
        """The operation that made a tensor."""
        return self._last.get(_storage(tensor))


def _numbered(values: list[Array]) -> list[tuple[bool, Array]]:
    """Each value, and whether it is its first occurrence."""
    return [(number == 0, value) for number, value in enumerate(values)]


def _is_again(use: Use, before: Use) -> bool:
    """Whether an operation computes what an earlier one has computed: one side may do so twice, the other once."""
    if use.given is None or before.given is None or use.names != before.names or use.origin != before.origin:
        return False
    same = use.operation.name == before.operation.name and use.operand == before.operand and use.result == before.result
    return same and np.array_equal(use.given.wide, before.given.wide, equal_nan=True)


class Layout(NamedTuple):
    """Where the numbers of a tensor lie in its storage."""

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    start: int
    consecutive: bool
    """Whether they follow each other from the start of the storage, in order."""


def _layout(tensor: Any) -> Layout:
    start = tensor.storage_offset()
    return Layout(tuple(tensor.shape), tensor.stride(), start, start == 0 and tensor.is_contiguous())


@contextmanager
def unseen() -> Iterator[None]:
    """What is done inside is no part of the run; otherwise numpy would get the float64 result."""
    with torch._C.DisableTorchFunction(), _disable_current_modes():
        yield


def _narrow(tensor: Any) -> Array:
    return np.array(to_array(tensor.detach()))


def _storage(tensor: Any) -> int:
    return int(tensor.untyped_storage()._cdata)


def held(tensor: Any) -> Array:
    """The numbers of a parameter in a dtype of NumPy that has all of them; no copy, if that is its own dtype."""
    detached = tensor.detach().cpu()
    return np.asarray((detached.float() if detached.dtype == torch.bfloat16 else detached).numpy())


def _wide(tensor: Any) -> Array:
    """A copy of a float tensor in float64, of any other tensor unchanged."""
    detached = tensor.detach().resolve_conj().resolve_neg().cpu()
    if not detached.is_floating_point() or detached.dtype == torch.float64:
        return np.array(detached.numpy())
    return np.asarray(detached.to(torch.float64).numpy())


def record(
    program: TorchProgram, names: tuple[str, ...], progress: Callable[[str], None] = lambda what: None
) -> TorchRecord:
    """Run a model once, in its dtype and in float64, and record its operations; ``names`` are those of its outputs."""
    module = program.function
    observer = Observer(module)
    observer.progress = progress
    flat = program.flat(0)
    weights = {
        name: tensor for name, tensor in [*module.named_buffers(), *module.named_parameters()] if tensor.is_floating_point()
    }
    graph = Recording(
        weights,
        wide=lambda tensor: observer.shadow(tensor),  # noqa: PLW0108 - it is another one from the first operation on
        path=lambda: observer.path,
        operations=lambda: len(observer.operations),
    )
    outputs: list[int | None] = []
    narrow: list[Array] = []

    def observed(*tensors: Any) -> list[Any]:
        observer.given(tensors)
        graph.given(tensors, program.inputs.names)
        with graph:
            results = flat(*tensors)
        graph.ended(results)
        outputs[:] = [observer.origin(result) for result in results]
        with unseen():
            narrow[:] = map(_narrow, results)
        return results

    with observer.watching():
        wide, buffers = _ended(program, observed, observer)
    return TorchRecord(
        observer.operations,
        observer.uses,
        observer.weights,
        observer.tied,
        observer.values,
        outputs,
        names,
        [Values(*pair) for pair in zip(narrow, wide, strict=True)],
        buffers,
        dict(module.named_modules()),
        observer.calls,
        frozenset(observer.narrow),
        graph,
    )


def ending(program: TorchProgram) -> tuple[list[Array], dict[str, Array]]:
    """What a run of a model gives in float64: its results, and the values of the buffers that it changes, by name."""
    return _ended(program, program.flat(0))


def _ended(
    program: TorchProgram, run: Callable[..., list[Any]], observer: Observer | None = None
) -> tuple[list[Array], dict[str, Array]]:
    buffers = {name: buffer for name, buffer in program.function.named_buffers() if buffer.is_floating_point()}
    lifted = TorchLifted(lambda *tensors: [*run(*tensors), *buffers.values()], program.inputs.fmt.name)
    if observer is not None:
        lifted.observer = observer
        lifted.parameters = [parameter.detach() for parameter in program.function.parameters()]
    before = {name: _wide(buffer) for name, buffer in buffers.items()}
    with torch.no_grad():
        wide = lifted.run([widened(leaf) for leaf in program.inputs.leaves])
    count = len(wide) - len(buffers)
    after = dict(zip(buffers, wide[count:], strict=True))
    changed = {name: value for name, value in after.items() if not np.array_equal(value, before[name], equal_nan=True)}
    return wide[:count], changed


def widened(leaf: Array) -> Array:
    """A leaf of the inputs in float64 if it is a float."""
    return leaf.astype(np.float64) if leaf.dtype.kind == "f" or leaf.dtype.name == "bfloat16" else leaf
