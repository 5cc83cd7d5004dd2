"""Convert records to plain data for JSON, and back."""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING
from math import inf, nan
from typing import Any

LATER = {"layout", "modes", "at_overflow", "subnormal", "worst_subnormal", "length", "made"}
"""Fields that older files lack; their default is what those files mean."""


def plain(value: object) -> object:
    """The same data with lists instead of tuples, and the strings "nan", "inf" and "-inf" instead of these floats."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


@functools.cache
def _fields(kind: Any) -> tuple[Mapping[str, Any], set[str]]:
    """The fields of a record, each with its type, and those that a file may lack."""
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    later = {field.name for field in fields if field.default is not MISSING} & LATER
    return {field.name: hints[field.name] for field in fields}, later


def restored(kind: Any, value: Any, where: str = "") -> Any:
    """Plain data as the records from which they were made; raises ``ValueError`` with the place of an error."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return None if value is None else restored(arguments[0], value, where)
    if kind is float and value in ("nan", "inf", "-inf"):
        return {"nan": nan, "inf": inf, "-inf": -inf}[value]
    if kind in (str, int, float, bool):
        fits = isinstance(value, int | float if kind is float else kind) and isinstance(value, bool) == (kind is bool)
        if not fits:
            raise ValueError(f"{where}: got {value!r}, expected {kind.__name__}")
        return kind(value)
    if dataclasses.is_dataclass(kind):
        if not isinstance(value, Mapping):
            raise ValueError(f"{where or 'the file'}: got {type(value).__name__}, expected an object")
        made: Any = kind
        hints, later = _fields(made)
        fields = [name for name in hints if name in value or name not in later]
        if missing := [name for name in fields if name not in value]:
            raise ValueError(f"{where or 'the file'} lacks {', '.join(missing)}")
        return made(**{name: restored(hints[name], value[name], f"{where}.{name}".lstrip(".")) for name in fields})
    if origin is tuple:
        if not isinstance(value, list) or (arguments[-1] is not Ellipsis and len(value) != len(arguments)):
            raise ValueError(f"{where}: got {type(value).__name__}, expected a list of the right length")
        kinds = arguments[:1] * len(value) if arguments[-1] is Ellipsis else arguments
        return tuple(restored(one, item, f"{where}[{i}]") for i, (one, item) in enumerate(zip(kinds, value, strict=True)))
    if not isinstance(value, Mapping):
        raise ValueError(f"{where}: got {type(value).__name__}, expected an object")
    return {str(name): restored(arguments[1], item, f"{where}.{name}") for name, item in value.items()}
