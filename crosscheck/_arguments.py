"""Checks of arguments that several public functions share."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from numbers import Integral
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from crosscheck._catalogue import activations
from crosscheck._records.errors import UsageError, unknown
from crosscheck._records.names import DTYPES
from crosscheck._records.records import Activation

Name = TypeVar("Name", str, int)


def chosen(what: str | Activation | Iterable[str | Activation] | None) -> list[Activation]:
    """The named records, each once; for None, those of the catalogue."""
    if what is None:
        return list(activations.values())
    items = several(what)
    if not items:
        raise UsageError("activations: got none; name one, or leave them out for the whole catalogue")
    return list({activation.name: activation for activation in map(activation_of, items)}.values())


def activation_of(what: object) -> Activation:
    """The one named record."""
    if not isinstance(what, str | Activation):
        raise UsageError(f"what: got {type(what).__name__}, expected the name of an activation or an Activation")
    return what if isinstance(what, Activation) else activations[what]


def several(given: object) -> list[Any]:
    """The values of an argument that may be one thing or several, as a list."""
    return list(given) if isinstance(given, Iterable) and not isinstance(given, str) else [given]


def known(what: str, given: Name | Iterable[Name], among: tuple[Name, ...]) -> tuple[Name, ...]:
    """The given values without repetitions; each must be one of ``among``, and there must be one."""
    values = [one_of(what, value, among) for value in several(given)]
    if not values:
        raise UsageError(f"{what}: got none, expected some of {', '.join(map(str, among))}")
    return tuple(dict.fromkeys(values))


def one_of(what: str, value: object, among: tuple[Name, ...]) -> Name:
    """The value; it must be one of ``among``."""
    kind, names = type(among[0]), tuple(map(str, among))
    if isinstance(value, Integral) and not isinstance(value, bool):
        value = int(value)  # an integer of numpy counts too
    if isinstance(value, kind) and not isinstance(value, bool) and value in among:
        return value
    if str(value) in names:
        raise UsageError(f"{what}: got {value!r}, a {type(value).__name__}, expected the {kind.__name__} {value}")
    raise UsageError(unknown(what, str(value), names))


def dtypes(given: object, among: tuple[str, ...] = DTYPES) -> tuple[str, ...]:
    """The names of dtypes, which may also be given as dtypes of a framework or of numpy."""
    return known("dtype", map(_dtype_name, several(given)), among)


def dtype(given: object, among: tuple[str, ...] = DTYPES) -> str:
    """The name of a dtype, given in the same ways."""
    return one_of("dtype", _dtype_name(given), among)


def _dtype_name(given: Any) -> Any:
    """The name: ``torch.float32`` contains it, and numpy knows JAX's dtypes, such as ``jax.numpy.float32``."""
    if type(given).__module__ == "torch":
        return str(given).removeprefix("torch.")
    if isinstance(given, type | np.dtype) or hasattr(given, "dtype"):
        with suppress(TypeError):
            return np.dtype(given).name
    return given


def function(name: str, value: object) -> None:
    """Raise unless the value is a function."""
    if not callable(value):
        raise UsageError(f"{name}: got {type(value).__name__}, expected a function")


def name_of(function: object) -> str:
    """What a report calls a function or a model: its name, or its type's; of a function without a name, ``lambda``."""
    while isinstance(function, functools.partial):
        function = function.func
    return str(getattr(function, "__name__", None) or type(function).__name__).strip("<>")


def flags(**given: object) -> None:
    """Raise unless each value is True or False: an array, or a word, might count as true."""
    for name, value in given.items():
        if not isinstance(value, bool | np.bool_):
            raise UsageError(f"{name}: got {type(value).__name__}, expected True or False")


def progress(value: object) -> None:
    """Raise unless the value can be called with the progress of a long run."""
    if value is not None:
        function("progress", value)


def mapping(name: str, value: object, what: str) -> dict[Any, Any]:
    """The value, which must be a mapping of ``what``; None is an empty one."""
    if not isinstance(value, Mapping | None):
        raise UsageError(f"{name}: got {type(value).__name__}, expected a dict of {what}")
    return dict(value or {})


def functions(name: str, value: object) -> dict[str, Callable[..., Any]]:
    """A mapping whose values must be functions."""
    by_name = mapping(name, value, "functions")
    for key, candidate in by_name.items():
        function(f"{name}[{key!r}]", candidate)
    return by_name


def path(name: str, value: object) -> Path:
    """The value, which must be the path of a file or a folder."""
    if not isinstance(value, str | os.PathLike):
        raise UsageError(f"{name}: got {type(value).__name__}, expected a path")
    return Path(value)


def integer(name: str, value: int, least: int, advice: str = "") -> int:
    """The value, which must be an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(
            f"{name}: got {value!r}, expected an integer of at least {least}" + (f"; {advice}" if advice else "")
        )
    return value


def seed(value: int, most: int | None = None) -> int:
    """The value, which must be an integer from 0 to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or (most is not None and value > most):
        expected = "that is not negative" if most is None else f"from 0 to {most}; each seed is another start"
        raise UsageError(f"seed: got {value!r}, expected an integer {expected}")
    return value
