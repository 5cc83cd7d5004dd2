"""A program of torch in float64, by shadows.

The program sees its usual tensors in their usual dtypes, so its questions about a dtype, a module's parameters or a constant
get their usual answers. A float64 shadow is kept beside the storage of each float tensor. Every operation that reaches the
dispatcher, including those of the backward pass, runs a second time on the shadows, with float64 instead of every float
dtype among its arguments. The shadow of a tensor is a view of its storage's shadow, by the same strides, so views and
in-place operations act on shadows as on their tensors.

The shadows decide for the program: booleans, indices and Python numbers come from the float64 run. A new tensor, such as a
parameter, is widened at its first use. A random draw is made once, and widened.

Values that leave torch (``numpy()``) have the program's own dtype, rounded from the shadow; they are widened on return.
"""

import functools
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import _disable_current_modes

from crosscheck._frameworks.torch_backend import one_thread, to_array
from crosscheck._frameworks.torch_mode import Mode, is_tracing
from crosscheck._shadow.base import Array, Met, Noise, Program
from crosscheck._shadow.torch.blocks import in_blocks
from crosscheck._shadow.torch.float64 import from_rounded, in_float64
from crosscheck._shadow.torch.operations import (
    DRAWN_FROM,
    EMPTY,
    REAL,
    WIDE,
    OperationTraits,
    mapped,
    plan_of,
    tensors_in,
    written_by,
)
from crosscheck._shadow.torch.pieces import in_pieces
from crosscheck._shadow.torch.rounding import Rounding
from crosscheck._shadow.torch.shadows import Shadows

Observer = Callable[[OperationTraits, Any, Any, Any, Callable[[Any], Any], bool], None]
"""A function of an operation's plan, its arguments, its result, a function from a tensor to its shadow, and whether it ran
in float64."""

_ONE_THREAD = 2**16
"""A program of up to so many elements, with its parameters, runs in one thread: its operations are too short for more."""

_NARROW = {torch.float64: torch.float32, torch.complex128: torch.complex64}
"""The dtypes of a program in which float32 is the only float, by those of the shadows."""

_FILLED = object()
"""Says that a tensor of the program has its numbers."""

_PICKS = frozenset(["embedding", "index_select"])
"""Operations that only pick numbers: those of a parameter are widened when they have been picked."""


class _Lifting(Mode):
    """Runs each operation unchanged, and again on the shadows."""

    draws = False
    """Whether any operation drew random numbers."""
    lacks = False
    """Whether an operation needed numbers that were left out."""
    _is_wide = True
    """Whether the last operation ran in float64."""

    def __init__(
        self,
        shadows: Shadows,
        rounding: Rounding | None,
        narrow: Callable[[Any], None],
        opaque: set[str],
        observer: Observer | None,
        *,
        alone: bool,
    ) -> None:
        """With ``alone``, shadows alone are computed where the program has float32; its own tensors are never filled."""
        super().__init__()
        self._shadows = shadows
        self._rounding = rounding
        self._observer = observer
        self._narrow = narrow
        self._opaque = opaque
        self._alone = alone

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_tracing():  # it would trace what runs on the shadows, too
            self._opaque.add("what PyTorch traces")
            return func(*args, **kwargs)
        plan = plan_of(func)
        if plan.composite:  # it arrives only in inference mode
            with self:
                return func.decompose(*args, **kwargs)
        if plan.view:
            return self._view(plan, func, args, kwargs)
        result = self._both(plan, func, args, kwargs)
        if self._observer is not None:
            with _disable_current_modes(), torch.no_grad():
                self._observer(plan, args, kwargs, result, self._shadows.of, self._is_wide)
        return result

    def _both(self, plan: OperationTraits, func: Any, args: Any, kwargs: Any) -> Any:
        """Run the operation unchanged, and on the shadows."""
        for value in written_by(plan, args, kwargs):
            self._shadows.changes(value)
        if plan.name in _PICKS and self._shadows.is_parameter(args[0]):
            self._narrow(args[0].dtype)
            self._is_wide = True
            return func(*args, **kwargs)
        blocks = None if self._rounding else in_blocks(plan, args, kwargs, self._shadows.is_parameter)
        if blocks is not None:
            self._narrow(args[-1].dtype)
            self._is_wide = True
            wide = torch.cat([func(*mapped(self._shadows.of, others), weight) for *others, weight in blocks], 1)
            unfilled = self._alone and _is_of_float32([args[-1]], kwargs)
            return self._unfilled(wide, []) if unfilled else self._settled(func(*args), wide, [])
        wide_args, wide_kwargs = self._widened(plan, args, kwargs)
        self._is_wide = True
        if (
            self._alone
            and (result := self._in_float64_alone(plan, func, args, kwargs, wide_args, wide_kwargs)) is not _FILLED
        ):
            return result
        self.draws |= plan.drawn and plan.name not in EMPTY
        result = func(*args, **kwargs)
        results = [value for value in tensors_in(result) if value.dtype in WIDE]
        for value in results:
            self._narrow(value.dtype)
            self.lacks |= self._alone and value.layout is not torch.strided  # it has no shadow
        given = (*tensors_in(wide_args), *tensors_in(list(wide_kwargs.values())))
        floats = [value for value in given if value.dtype in WIDE]
        if not (results or floats):
            for value in written_by(plan, args, kwargs):
                self._shadows.forget(value)
            return result
        if plan.drawn:
            return self._drawn(plan, result, args, kwargs, floats)
        if plan.dtype and results:
            wide_kwargs["dtype"] = WIDE[results[0].dtype]
        try:
            wide = in_float64(func, wide_args, wide_kwargs, self._rounding, floats=bool(floats))
            return self._settled(result, wide, [value.untyped_storage()._cdata for value in floats])
        except Exception:  # the operation may raise anything in float64
            self._is_wide = False
            self.lacks |= self._alone
            self._opaque.add(plan.name)
            self._settle_opaque(plan, result, func, args, kwargs)
            return result

    def _in_float64_alone(
        self, plan: OperationTraits, func: Any, args: Any, kwargs: Any, wide_args: list[Any], wide_kwargs: dict[str, Any]
    ) -> Any:
        """The result of an operation, without its numbers; ``_FILLED`` if it must have them."""
        operands = list(tensors_in([args, list(kwargs.values())]))
        drawn_from = plan.drawn and plan.name not in EMPTY | {"native_dropout"}
        self.lacks |= drawn_from and any(value.dtype in WIDE for value in operands)
        in_place = [place for place, _ in plan.written] == [0] and args[0].dtype in WIDE
        if plan.drawn or (plan.written and not in_place) or not _is_of_float32(operands, kwargs):
            return _FILLED
        used = [value.untyped_storage()._cdata for value in tensors_in([wide_args, list(wide_kwargs.values())])]
        try:
            wide = in_float64(func, wide_args, wide_kwargs, None, floats=True)
            return args[0] if in_place else self._unfilled(wide, used)
        except Exception:  # the operation may raise anything in float64
            self.lacks = True
            return _FILLED

    def _unfilled(self, wide: Any, used: list[int]) -> Any:
        """The result that the program gets, in memory that is never touched, with its shadow put in place."""
        if isinstance(wide, (list, tuple)):
            return type(wide)([self._unfilled(value, used) for value in wide])
        if not isinstance(wide, torch.Tensor) or wide.dtype not in WIDE:
            return wide
        if wide.layout is not torch.strided or wide.dtype not in _NARROW:
            raise TypeError(wide.dtype)
        self._narrow(_NARROW[wide.dtype])
        result = torch.empty_like(wide, dtype=_NARROW[wide.dtype])
        self._shadows.put(result, wide.clone() if wide.untyped_storage()._cdata in used else wide)
        return result

    def _view(self, plan: OperationTraits, func: Any, args: Any, kwargs: Any) -> Any:
        """Make the view of a storage also of its shadow; only a view of a float's bits has no shadow."""
        if plan.name == "view" and func._overloadname == "dtype" and args[0].dtype in WIDE:
            self._opaque.add("view")
            args[0].copy_(self._shadows.of(args[0]))
        return func(*args, **kwargs)

    def _widened(self, plan: OperationTraits, args: Any, kwargs: Any) -> tuple[list[Any], dict[str, Any]]:
        def wide(value: Any) -> Any:
            if isinstance(value, torch.Tensor):
                return self._shadows.of(value)
            return WIDE.get(value, value) if isinstance(value, torch.dtype) else value

        wide_args = mapped(wide, args)
        wide_kwargs = {key: mapped(wide, value) for key, value in kwargs.items()}
        if plan.name in ("_softmax", "_log_softmax"):
            wide_args[2] = False  # half_to_float
        for k, name in plan.written:  # an integer has no shadow to which it could be written
            place: Any = wide_args if k < len(wide_args) else wide_kwargs
            key: Any = k if k < len(wide_args) else name
            if (
                isinstance(value := place[key] if k < len(wide_args) else place.get(key), torch.Tensor)
                and value.dtype not in WIDE
            ):
                place[key] = value.clone()
        return wide_args, wide_kwargs

    def _drawn(self, plan: OperationTraits, result: Any, args: Any, kwargs: Any, floats: Any) -> Any:
        if plan.name == "native_dropout":
            kept, p = result[1], args[1]
            scale = 1 / (1 - p) if args[2] is not False and p < 1 else 1.0
            self._shadows.put(result[0], floats[0] * kept * scale)
            return result
        written = list(written_by(plan, args, kwargs))
        if len(floats) > len(written) and plan.name not in DRAWN_FROM | EMPTY:
            self._opaque.add(plan.name)
        for value in written:
            if value.dtype in WIDE:
                self._shadows.of(value).copy_(value)
        return result

    def _settled(self, narrow: Any, wide: Any, used: list[int]) -> Any:
        """The result that the program gets, with its shadow put in place."""
        if isinstance(narrow, (list, tuple)):
            return type(narrow)([self._settled(*pair, used) for pair in zip(narrow, wide, strict=True)])
        if not isinstance(narrow, torch.Tensor):
            return narrow if narrow is None else wide
        if narrow.dtype not in WIDE:
            # float64 decides, even on the number of results
            return narrow.copy_(wide) if narrow.shape == wide.shape else wide.to(narrow.dtype)
        if narrow.layout is not torch.strided or self._shadows.known(narrow):
            return narrow
        if narrow.shape != wide.shape:
            narrow = wide.to(narrow.dtype, copy=True)
        self._shadows.put(narrow, wide.clone() if wide.untyped_storage()._cdata in used else wide)
        return narrow

    def _settle_opaque(self, plan: OperationTraits, result: Any, func: Any, args: Any, kwargs: Any) -> None:
        def wide(value: Any) -> Any:
            tensor = value.to(WIDE[value.dtype], copy=True)
            return self._rounding.spoil(tensor) if self._rounding else tensor

        written = [value for value in written_by(plan, args, kwargs) if value.dtype in WIDE]
        for value in written:
            self._shadows.of(value).copy_(wide(value))
        made = list(tensors_in(result))
        again = made if plan.written else from_rounded(func, args, kwargs, made, self._shadows.of)
        for value, other in zip(made, again, strict=True):
            if value.dtype in WIDE and value.layout is torch.strided and not any(value is tensor for tensor in written):
                self._shadows.put(value, wide(other))


class _Border(TorchFunctionMode):
    """Carries numbers between Python and torch where no operation is dispatched."""

    _MADE = frozenset({torch.tensor, torch.as_tensor, torch.asarray, torch.Tensor.new_tensor})
    _NUMPY = frozenset({torch.Tensor.numpy, torch.Tensor.__array__, torch.Tensor.__dlpack__})

    def __init__(self, shadows: Shadows, narrow: Callable[[Any], None], opaque: set[str]) -> None:
        super().__init__()
        self._shadows = shadows
        self._narrow = narrow
        self._opaque = opaque

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if is_tracing():
            return func(*args, **kwargs)
        if func in self._MADE:
            return self._made(func, args, kwargs)
        if func is torch.Tensor.__setitem__ and isinstance(args[2], float) and args[0].dtype in WIDE:
            made = self._made(torch.tensor, (args[2],), {"dtype": args[0].dtype, "device": args[0].device})
            return func(*args[:2], made)
        if (func in self._NUMPY or func is torch.Tensor.tolist) and args[0].dtype in WIDE and is_plain(args[0]):
            with _disable_current_modes(), torch.no_grad():
                tensor = args[0].data  # it has its own version counter, so autograd sees no change
                wide = self._shadows.of(tensor)
                if func is torch.Tensor.tolist:
                    return wide.tolist()
                tensor.copy_(wide)
            self._opaque.add("numpy")
        return func(*args, **kwargs)

    def _made(self, func: Any, args: Any, kwargs: Any) -> Any:
        result = func(*args, **kwargs)
        data = args[-1] if func is torch.Tensor.new_tensor else args[0] if args else kwargs.get("data", kwargs.get("obj"))
        if result.dtype in WIDE and is_plain(result) and not isinstance(data, torch.Tensor):
            self._narrow(result.dtype)
            kwargs = {**kwargs, "dtype": WIDE[result.dtype]}
            kwargs.pop("requires_grad", None)
            wide = func(*args, **kwargs)
            with _disable_current_modes(), torch.no_grad():
                self._shadows.put(result, wide.clone())
        return result


def _is_of_float32(operands: Sequence[Any], kwargs: Any) -> bool:
    """Whether an operation on these tensors has results in float32, if it has floats."""
    floats = [value for value in operands if value.dtype in WIDE]
    plain = all(value.dtype in _NARROW.values() and value.layout is torch.strided for value in floats)
    return bool(floats) and plain and kwargs.get("dtype") is None


def is_plain(tensor: Any) -> bool:
    """Whether a tensor has a storage of its own: not one of those inside ``torch.vmap`` and the like."""
    return not torch._C._functorch.is_functorch_wrapped_tensor(tensor)


class LeftOutError(Exception):
    """A program needs numbers that were left out. It may hold some of them: do not run it again, but a new copy of it."""


class TorchLifted:
    """A program of torch in float64; ``dtype`` is that of its float arguments.

    Nothing is traced, so it runs on arguments of any shapes.
    """

    def __init__(self, program: Program, dtype: str) -> None:
        self._program = program
        self._dtype = getattr(torch, dtype)
        self._narrow: set[str] = set()
        self._opaque: set[str] = set()
        self.draws = False
        """Whether the last run drew random numbers."""
        self.observer: Observer | None = None
        """Called after every operation of a run that is not a view of its operand."""
        self.alone = False
        """Whether nobody needs the numbers that the program itself has in its dtype: runs without noise leave them out."""
        self.parameters: Sequence[Any] = ()
        """Tensors that are there before the run, such as weights: not all of them are held in float64 at once."""
        self.wide: Callable[[Any], Array] = to_array
        """During a run, the numbers of a tensor in float64, outside of all modes."""

    @property
    def met(self) -> Met:
        """What the program contained in the runs so far."""
        return Met(frozenset(self._narrow), frozenset(self._opaque))

    def run(self, arguments: Sequence[Array], noise: Noise | None = None) -> list[Array]:
        """See ``crosscheck._shadow.base.Lifted``.

        Raises:
            LeftOutError: If the program needs numbers that were left out. If it raises an error itself, that may be the
                reason, too.
        """
        alone = self.alone and noise is None
        try:
            results, lacks = self._run(arguments, noise, alone=alone)
        except Exception as error:
            if alone:
                raise LeftOutError from error
            raise
        if lacks:
            raise LeftOutError
        return results

    def _run(self, arguments: Sequence[Array], noise: Noise | None, *, alone: bool) -> tuple[list[Array], bool]:
        """The results, and whether an operation needed numbers that were left out."""
        shadows = Shadows(self.parameters)
        rounding = Rounding(noise, self._opaque) if noise else None
        tensors = []
        for argument in arguments:
            given = torch.from_numpy(np.array(argument, order="C"))
            tensors.append(given.to(self._dtype, copy=True) if given.dtype == torch.float64 else given)
            if given.dtype == torch.float64:
                shadows.put(tensors[-1], given)
        with ExitStack() as stack:
            self.wide = shadows.array
            stack.callback(setattr, self, "wide", to_array)  # else the shadows would live as long as this object
            stack.enter_context(in_pieces())
            if sum(tensor.numel() for tensor in (*tensors, *self.parameters)) <= _ONE_THREAD:
                stack.enter_context(one_thread())
            stack.enter_context(_Border(shadows, self._meet, self._opaque))
            lifting = _Lifting(shadows, rounding, self._meet, self._opaque, self.observer, alone=alone)
            stack.enter_context(lifting)
            results = list(self._program(*tensors))
        self.draws = lifting.draws
        with torch.no_grad():
            arrays = [
                shadows.array(result.detach()) if isinstance(result, torch.Tensor) else np.asarray(result)
                for result in results
            ]
        return arrays, lifting.lacks

    def _meet(self, dtype: Any) -> None:
        real = REAL[dtype]
        if real is not self._dtype and not _holds(real, self._dtype):
            self._narrow.add(str(real).removeprefix("torch."))


@functools.cache
def _holds(dtype: Any, other: Any) -> bool:
    """Whether a dtype has every value of another."""
    limits, other_limits = torch.finfo(dtype), torch.finfo(other)
    return bool(limits.eps <= other_limits.eps and limits.max >= other_limits.max)
