"""Records as plain data for JSON, and back: msgspec does both, by the types of the records' fields."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from pathlib import Path
from typing import Any

import msgspec
import numpy as np


def plain(value: object) -> Any:
    """Records, arrays and other data as JSON has them, with the strings "nan", "inf" and "-inf" for these floats."""
    return _finite(msgspec.to_builtins(value, str_keys=True, enc_hook=_builtin))


def _builtin(value: object) -> object:
    """What msgspec does not know as what it knows."""
    if isinstance(value, str | Path):
        return str(value)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, np.ndarray | np.generic):
        return np.asarray(value).astype(object).tolist()
    raise TypeError(f"{type(value).__name__} has no form in JSON")


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def restored(kind: Any, value: object) -> Any:
    """Plain data as the records from which they were made; raises ``ValueError`` with the place of an error."""
    try:
        return msgspec.convert(value, kind, strict=False)  # strictly, the string "nan" is no float
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
