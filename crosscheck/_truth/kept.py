"""Truths of the catalogue's activations, kept between runs if a folder for them is named.

The key of a truth contains everything on which it depends: the inputs, the record, the sources of the rooms that compute
it, and the versions of the libraries.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Mapping, Sequence
from dataclasses import fields
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import flint
import numpy as np

from crosscheck import _cache, _catalogue
from crosscheck._arithmetic.formats import FloatArray, format_of
from crosscheck._records.records import Activation
from crosscheck._truth.evaluate import truth
from crosscheck._truth.rows import row_truth
from crosscheck._truth.truth import Truth

ROOMS = ("_arithmetic", "_catalogue", "_records", "_truth")
PACKAGES = ("python-flint", "numpy", "ml_dtypes")
FEW = 256
"""Truths of fewer entries are computed: that takes little longer than reading them."""
FORMULAS = ("definition", "derivative", "second_derivative", "limits", "kinks")
DATA = ("parameters", "rows", "symmetric", "result", "known_by", "domain")
"""The fields of a record on which its truths depend; a formula may also be data."""
ROUNDED = ("rounded", "left", "right")
"""The fields of a truth whose numbers have its format."""


def truths(
    activation: Activation, x: FloatArray, v: FloatArray | None, orders: Sequence[int], parameters: Mapping[str, float]
) -> dict[int, Truth]:
    """``truth`` at numbers, ``row_truth`` at rows with directions ``v``: read if kept, otherwise computed and kept."""
    path = _path(activation, x, v, orders, parameters)
    data = _cache.read(path) if path else None
    if data is not None:
        return _unpacked(data, x)
    by_order = truth(activation, x, orders, parameters) if v is None else row_truth(activation, x, v, orders, parameters)
    if path:
        _cache.write(path, _packed(by_order))
    return by_order


def _path(
    activation: Activation, x: FloatArray, v: FloatArray | None, orders: Sequence[int], parameters: Mapping[str, float]
) -> Path | None:
    """The path of a truth; None if none is kept, or if a change of its formula could not be noticed."""
    folder = _cache.folder("truths") if x.size >= FEW else None
    formulas = [_formula(getattr(activation, name)) for name in FORMULAS]
    if folder is None or None in formulas:
        return None
    arrays = [array for array in (x, v) if array is not None]
    data = [getattr(activation, name) for name in DATA]
    key = hashlib.sha256(_sources())
    key.update(repr([formulas, data, list(orders), sorted(parameters.items())]).encode())
    for array in arrays:
        key.update(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    return folder / key.hexdigest()


def _formula(formula: Any) -> str | None:
    """The name of a function of one of the catalogue's modules; None for any other function."""
    if not callable(formula):
        return repr(formula)
    module, name = str(getattr(formula, "__module__", "")), str(getattr(formula, "__qualname__", ""))
    here = module.startswith(f"{_catalogue.__name__}.") and getattr(sys.modules.get(module), name, None) is formula
    return f"{module}:{name}" if here else None


@cache
def _sources() -> bytes:
    """All code that computes truths."""
    versions = [sys.version, flint.__FLINT_VERSION__, *map(version, PACKAGES)]
    sha256 = hashlib.sha256(repr(versions).encode())
    package = Path(_catalogue.__file__).parents[1]
    for path in sorted(path for room in ROOMS for path in (package / room).rglob("*.py")):
        sha256.update(f"{path.relative_to(package)} ".encode() + path.read_bytes())
    return sha256.digest()


def _packed(truths: Mapping[int, Truth]) -> bytes:
    arrays: dict[str, Any] = {}
    for order, of_order in truths.items():
        for field in fields(of_order):
            if field.name != "fmt":
                array = getattr(of_order, field.name)
                arrays[f"{order} {field.name}"] = array.view(f"u{array.itemsize}") if field.name in ROUNDED else array
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def _unpacked(data: bytes, x: FloatArray) -> dict[int, Truth]:
    fmt = format_of(x)
    by_order: dict[int, dict[str, Any]] = {}
    with np.load(io.BytesIO(data)) as arrays:
        for name, array in arrays.items():
            order, _, field = name.partition(" ")
            by_order.setdefault(int(order), {})[field] = array.view(fmt.dtype) if field in ROUNDED else array
    return {order: Truth(fmt=fmt, **fields) for order, fields in by_order.items()}
