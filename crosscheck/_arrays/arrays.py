"""``dump`` and ``compare_arrays``: write arrays to a file, and compare arrays that were computed elsewhere."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck import _arguments
from crosscheck._arithmetic.formats import FORMATS as FLOAT_FORMATS
from crosscheck._arrays.files import ALONE, BFLOAT16, FORMATS, Array, Arrays, written
from crosscheck._arrays.judge import compare_pair
from crosscheck._arrays.records import ArrayLimits
from crosscheck._arrays.report import ArraysReport
from crosscheck._records.errors import UsageError, own_failures
from crosscheck._report.files import write_whole

FLOATS = tuple(fmt.dtype for fmt in FLOAT_FORMATS.values())
ULP = 4.0
"""The limit in ULP if none is given: the budget of a value."""


def dump(path: str | Path, /, **arrays: Any) -> None:
    """Write arrays of PyTorch, JAX or numpy to a file, to compare them on a machine that has the other framework.

    The file is written whole or not at all; an existing one is replaced.

    Args:
        path: The file; it ends in ``.safetensors`` or ``.npz``, or in ``.npy`` for one array.
        **arrays: The arrays by name; ``dump(path, **model.state_dict())`` writes the parameters of a model.

    Raises:
        UsageError: If ``path`` has another ending, there is no array, or a value is not an array of numbers.
        OSError: If the file cannot be written.

    Examples:
        >>> import tempfile, crosscheck, numpy as np
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     crosscheck.dump(f"{folder}/y.npz", y=np.zeros(3))
        ...     np.load(f"{folder}/y.npz")["y"]
        array([0., 0., 0.])
    """
    file = _arguments.path("path", path)
    if file.suffix not in FORMATS:
        raise UsageError(f"path: {path} ends in {file.suffix!r}, expected one of {', '.join(FORMATS)}")
    if not arrays:
        raise UsageError("arrays: got none; give at least one, such as dump('y.npz', y=y)")
    if file.suffix == ".npy" and len(arrays) > 1:
        raise UsageError(f"arrays: got {len(arrays)}, but a .npy file holds one; use .npz or .safetensors")
    write_whole(file, written({name: _numbers(array, name) for name, array in arrays.items()}, file.suffix))


@own_failures()
def compare_arrays(
    a: Any,
    b: Any,
    truth: Any = None,
    *,
    ulp: float | None = None,
    rtol: float | None = None,
    atol: float | None = None,
) -> ArraysReport:
    """Compare arrays that were computed elsewhere, element by element.

    NaN equals NaN, and -0 equals 0. Integers of different width are compared by value. If both ``ulp`` and a tolerance are
    given, an element passes if it is within either. The report says for each array which tolerances it passes: results of
    long sums may differ by far more than 4 ULP and be right.

    Args:
        a: An array, or a mapping of names to arrays, of PyTorch, JAX or numpy: float64, float32, bfloat16, float16, integers
            or booleans.
        b: The same. Arrays of one name need the same shape and dtype as in ``a``; otherwise the report says so, and fails.
        truth: The exact values in float64, if they are known. The report then says which side differs more from them.
            Arrays whose names are missing here are compared without a truth.
        ulp: The allowed difference in ULP of the larger element; 4 if no limit is given.
        rtol: The relative part of the allowed difference ``atol + rtol * |b|``.
        atol: The absolute part.

    Returns:
        The report.

    Raises:
        UsageError: If no array can be compared with one of the same name; the message names all that are wrong.

    Examples:
        >>> import crosscheck, numpy as np
        >>> a = np.float32([1.0, 2.0])
        >>> report = crosscheck.compare_arrays({"y": a}, {"y": a * np.float32(1.001)}, rtol=1e-2)
        >>> report.passed
        True
        >>> report = crosscheck.compare_arrays(a, np.float32([1.0, 2.5]))
        >>> report.passed, report.comparisons[0].worst[0].index
        (False, (1,))
    """
    limits = _limits(ulp, rtol, atol)
    side_a, side_b = _named(a, "a"), _named(b, "b")
    true: Mapping[str, Any] = {} if truth is None else _named(truth, "truth")
    refused: dict[str, str] = {}
    comparisons = []
    for name in (name for name in side_a if name in side_b):
        try:
            first, second = _numbers(side_a[name], name), _numbers(side_b[name], name)
            exact = _numbers(true[name], name) if name in true else None
            _check_alike(name, first, second, exact)
        except UsageError as error:
            refused[name] = str(error)
        else:
            comparisons.append(compare_pair(name, first, second, exact, limits))
    if refused and not comparisons:
        raise UsageError("; ".join(refused.values()))
    only_a = tuple(name for name in side_a if name not in side_b)
    only_b = tuple(name for name in side_b if name not in side_a)
    return ArraysReport(tuple(comparisons), only_a, only_b, limits, refused)


def compare_files(
    a: str, b: str, truth: str | None, *, ulp: float | None, rtol: float | None, atol: float | None
) -> ArraysReport:
    """Compare files of arrays as ``compare_arrays`` compares arrays."""
    true = None if truth is None else Arrays(truth, "--truth")
    return compare_arrays(Arrays(a, "A"), Arrays(b, "B"), true, ulp=ulp, rtol=rtol, atol=atol)


def _limits(ulp: float | None, rtol: float | None, atol: float | None) -> ArrayLimits:
    for name, value in (("ulp", ulp), ("rtol", rtol), ("atol", atol)):
        if value is not None and not (isinstance(value, int | float) and value >= 0 and not math.isinf(value)):
            raise UsageError(f"{name}: got {value!r}, expected a number that is not negative")
    return ArrayLimits(ULP if ulp is None and rtol is None and atol is None else ulp, rtol, atol)


def _check_alike(name: str, a: Array, b: Array, truth: Array | None) -> None:
    """Raise ``UsageError`` where arrays of one name cannot be compared. Integers may have any width, signed or not."""
    integers = a.dtype.kind in "iu" and b.dtype.kind in "iu"
    if a.shape != b.shape or (a.dtype != b.dtype and not integers):
        raise UsageError(f"{name}: got {a.dtype} {a.shape} and {b.dtype} {b.shape}, expected the same shape and dtype")
    if truth is not None and (truth.shape != a.shape or truth.dtype != np.float64):
        raise UsageError(f"{name}: the truth is {truth.dtype} {truth.shape}, expected float64 {a.shape}")


def _named(given: Any, what: str) -> Mapping[str, Any]:
    if isinstance(given, str | Path):
        raise UsageError(f"{what}: got a path; compare files with `crosscheck diff`, or load the arrays first")
    return given if isinstance(given, Mapping) else {ALONE: given}


def _numbers(array: Any, name: str) -> Array:
    """The array as numpy's. torch is imported only if the array is a tensor of torch."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(array, torch.Tensor):
        array = array.detach().cpu()
        array = array.view(torch.int16).numpy().view(BFLOAT16) if array.dtype == torch.bfloat16 else array.numpy()
    try:
        numbers = np.asarray(array)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name}: got {type(array).__name__}, expected an array of numbers: {error}") from None
    numbers = numbers.astype(numbers.dtype.newbyteorder("="), copy=False)  # files may have the other byte order
    if numbers.dtype.kind not in "iub" and numbers.dtype not in FLOATS:
        raise UsageError(
            f"{name}: got dtype {numbers.dtype}, expected float64, float32, bfloat16, float16, integers or booleans"
        )
    return numbers
