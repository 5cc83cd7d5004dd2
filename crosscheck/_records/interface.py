"""An activation as a function of either framework: types checked, 16 bits through float32, derivative rules attached.

Both classes take a record and build the framework's function at the first call, so that a record can be read without the
framework. The parameter names and defaults are the record's, equal in both frameworks.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import math
import pkgutil
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from crosscheck._records.errors import ExpectedError
from crosscheck._records.installing import how_to_install

if TYPE_CHECKING:
    from crosscheck._records.records import Activation, Native

Function = Callable[..., Any]


class MissingFrameworkError(ExpectedError, ImportError):
    """A required framework cannot be imported; the message says how to install it."""


def framework(name: str) -> Any:
    """The module ``torch``, ``jax`` or ``optax``; ``MissingFrameworkError`` if it cannot be imported."""
    try:
        module = importlib.import_module(name)
        getattr(module, ALWAYS_THERE.get(name, "__name__"))  # an empty folder of that name can be imported too
    except (Exception, SystemExit) as error:  # a broken build raises OSError, RuntimeError, ... at import
        raise _missing(name, error) from error
    return module


def both_frameworks() -> None:
    """Import JAX and PyTorch: JAX first, since on a shared GPU it is set not to take all memory."""
    for name in ("jax", "torch"):
        framework(name)


ALWAYS_THERE = {"torch": "Tensor", "jax": "Array", "optax": "sgd"}


def _missing(name: str, error: BaseException) -> MissingFrameworkError:
    return MissingFrameworkError(
        f"{name} cannot be imported ({type(error).__name__}: {error}). "
        f"Install it with: {how_to_install('jax' if name == 'optax' else name)}"
    )


def native_function(native: Native, arguments: Mapping[str, object]) -> Function:
    """What a framework ships, as a function of x alone; ``ImportError`` or ``AttributeError`` if it is not there."""
    root = native.path.partition(".")[0]
    module = framework(root)
    if native.call:
        called = eval(f"lambda {', '.join(['x', *arguments])}: {native.call}", {root: module})
        return functools.partial(called, **arguments)
    shipped: Any = pkgutil.resolve_name(native.path)
    if inspect.isclass(shipped):
        shipped = shipped()
    return functools.partial(shipped, **arguments) if arguments else shipped


class _Interface:
    """The common part of both frameworks' interfaces."""

    _framework: str
    _example: str

    def __init__(self, activation: Activation) -> None:
        self._activation = activation
        self.__name__ = self.__qualname__ = activation.name
        self.__doc__ = inspect.getdoc(activation.definition) or f"{activation.name} for {self._framework}"
        if self._framework == "torch" and "torch" in sys.modules:
            _ = self._function  # now, since torch.compile cannot enter the lock of Python 3.11's cached_property

    def __repr__(self) -> str:
        arguments = "".join(f", {name}={value!r}" for name, value in self._activation.parameters.items())
        return f"<{self._activation.name}(x{arguments}) for {self._framework}>"

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle it as an attribute of the record: the rules hold classes made at the first call, which pickle refuses."""
        return getattr, (self._activation, self._framework)

    def _arguments(self, given: dict[str, Any]) -> dict[str, Any]:
        known = self._activation.parameters
        for name, value in given.items():
            if name not in known:
                expected = ", ".join(known) or "no parameters"
                raise TypeError(f"{self._activation.name}: got the parameter {name!r}, expected {expected}")
            number = value.item() if isinstance(value, np.generic) else value
            if isinstance(number, int) and name != "axis":  # the frameworks raise for an integer of more than 64 bits
                number = float(number) if abs(number) < 2**1023 else math.inf * (1 if number > 0 else -1)
            if isinstance(number, float | int):
                if number not in self._activation.range_of(name):
                    raise ValueError(self._wrong(name, number))
            elif isinstance(number, type) or not hasattr(number, "dtype"):  # a framework's scalar has one, even if traced
                raise TypeError(self._wrong(name, number))
            given[name] = number
        return {**known, **given}

    def _wrong(self, name: str, value: object) -> str:
        expected = "an integer" if name == "axis" else self._activation.range_of(name)
        return f"{self._activation.name}: {name}: got {value!r}, expected {expected}"

    def _check_axis(self, shape: tuple[int, ...], axis: object) -> None:
        name = self._activation.name
        if not isinstance(axis, int) or isinstance(axis, bool):
            raise TypeError(f"{name}: axis: got {axis!r}, expected an integer")
        if not shape:
            raise ValueError(f"{name}: x: got a scalar, expected at least one axis, the one that {name} runs along")
        if not -len(shape) <= axis < len(shape):
            raise ValueError(f"{name}: axis: got {axis} for shape {shape}, expected {-len(shape)} to {len(shape) - 1}")
        if shape[axis] == 0:
            raise ValueError(f"{name}: x: got shape {shape}, whose axis {axis} is empty; a row needs at least one entry")
        if not self._activation.takes(shape[axis]):
            raise ValueError(
                f"{name}: x: got shape {shape}, whose axis {axis} is of odd length, expected an even one, which is halved"
            )

    def _refuse(self, x: object, why: str) -> TypeError:
        what = {"torch": "a torch.Tensor", "jax": "a jax.Array"}[self._framework]
        return TypeError(
            f"{self._activation.name}: x: {why}; expected {what} of dtype float64, float32, bfloat16 or float16. "
            f"Convert it first, for example with {self._example}"
        )

    @functools.cached_property
    def _function(self) -> Function:
        # import statements, since torch.compile does not trace importlib
        if self._framework == "torch":
            from crosscheck._records.torch_rules import with_derivatives, with_row_derivatives
        else:
            from crosscheck._records.jax_rules import with_derivatives, with_row_derivatives
        given = [getattr(self._activation, f"{self._framework}_{part}") for part in ("value", "gradient", "second")]
        if self._activation.rows and all(given):
            return with_row_derivatives(*given, *filter(None, [getattr(self._activation, f"{self._framework}_along")]))
        return with_derivatives([rule for rule in given if rule is not None])

    @property
    def native(self) -> Function:
        """The framework's function with its default arguments; ``AttributeError`` if it ships none."""
        native = self._activation.natives.get(self._framework)
        if native is None:
            raise AttributeError(f"{self._framework} ships no {self._activation.name}")
        arguments = self._activation.native_arguments(self._framework, self._activation.parameters)
        return native_function(native, arguments or {})


class TorchInterface(_Interface):
    """An activation for torch tensors of any shape, on any device, twice differentiable."""

    _framework = "torch"
    _example = "torch.as_tensor(x, dtype=torch.float32)"

    def __call__(self, x: Any, **parameters: Any) -> Any:
        try:
            import torch
        except Exception as error:
            raise _missing("torch", error) from error
        if not isinstance(x, torch.Tensor):
            raise self._refuse(x, f"got {type(x).__name__}")
        if x.dtype not in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
            raise self._refuse(x, f"got a tensor of dtype {x.dtype}")
        arguments = self._arguments(parameters)
        if self._activation.rows:
            self._check_axis(tuple(x.shape), arguments["axis"])
        function = functools.partial(self._function, **arguments)
        result = function(x.float()).to(x.dtype) if x.dtype.itemsize == 2 else function(x)
        return result.squeeze(arguments["axis"]) if self._activation.result == "one" else result


class JaxInterface(_Interface):
    """An activation for JAX arrays of any shape, on any device, twice differentiable."""

    _framework = "jax"
    _example = "jax.numpy.asarray(x, dtype=jax.numpy.float32)"

    def __call__(self, x: Any, **parameters: Any) -> Any:
        jax = framework("jax")
        if not isinstance(x, jax.Array):
            raise self._refuse(x, f"got {type(x).__name__}")
        if str(x.dtype) not in ("float64", "float32", "bfloat16", "float16"):
            raise self._refuse(x, f"got an array of dtype {x.dtype}")
        arguments = self._arguments(parameters)
        if self._activation.rows:
            self._check_axis(tuple(x.shape), arguments["axis"])
        function = functools.partial(self._function, **arguments)
        result = function(x.astype("float32")).astype(x.dtype) if x.dtype.itemsize == 2 else function(x)
        return result.squeeze(arguments["axis"]) if self._activation.result == "one" else result
