"""The inputs of two functions: arrays of any framework, trees of these, and descriptions of arrays."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, nan
from typing import Any

import numpy as np

from crosscheck._arithmetic import formats, sampling
from crosscheck._arithmetic.formats import FORMATS, FloatArray, Format, format_of
from crosscheck._arithmetic.ulp import round_once
from crosscheck._frameworks.programs import Inputs
from crosscheck._frameworks.trees import flatten
from crosscheck._records.errors import UsageError

Shape = int | tuple[int, ...]


@dataclass(frozen=True)
class Uniform:
    """Numbers uniform in ``[low, high)``."""

    low: float
    high: float
    shape: Shape

    def array(self, fmt: Format, rng: np.random.Generator) -> FloatArray:
        if max(-self.low, self.high) > fmt.largest:
            raise UsageError(
                f"inputs: uniform({self.low:g}, {self.high:g}) reaches beyond the largest {fmt.name}, {fmt.largest:.4g}"
            )
        share = rng.uniform(0, 1, self.shape)
        # not low + share * (high - low), which may overflow
        return round_once(np.asarray(self.low * (1 - share) + self.high * share), fmt)


@dataclass(frozen=True)
class Normal:
    """Normally distributed numbers."""

    mean: float
    std: float
    shape: Shape

    def array(self, fmt: Format, rng: np.random.Generator) -> FloatArray:
        return round_once(np.asarray(rng.normal(self.mean, self.std, self.shape)), fmt)


@dataclass(frozen=True)
class Stratified:
    """The catalogue's inputs: every binade of both signs, [-20, 20], zeros, subnormals, infinities, NaN."""

    def array(self, fmt: Format, rng: np.random.Generator) -> FloatArray:
        return sampling.stratified(fmt, seed=int(rng.integers(2**31)), near=(0.0, -1.0, 1.0))


@dataclass(frozen=True)
class EveryValue:
    """Every value of a 16-bit dtype."""

    def array(self, fmt: Format, rng: np.random.Generator) -> FloatArray:
        if fmt.bits != 16:
            raise UsageError(f"inputs: every_value() got dtype {fmt.name}, expected bfloat16 or float16")
        return formats.every_value(fmt)


DESCRIPTIONS = (Uniform, Normal, Stratified, EveryValue)
"""Each makes an array when the dtype and the seed are known."""


def uniform(low: float = -1.0, high: float = 1.0, shape: Shape = (1024,)) -> Uniform:
    """Describe numbers that are uniform in ``[low, high)``, as an input of ``compare``.

    Args:
        low: The lower end, included.
        high: The upper end, excluded.
        shape: The shape of the array.

    Returns:
        The description.

    Raises:
        UsageError: If an end is not finite, ``low`` is not below ``high``, or a size is not a positive integer.

    Examples:
        >>> import crosscheck
        >>> crosscheck.uniform(-2, 2, shape=(8, 4))
        Uniform(low=-2.0, high=2.0, shape=(8, 4))
    """
    ends = _number(low), _number(high)
    if not -inf < ends[0] < ends[1] < inf:
        raise UsageError(f"low, high: got {low!r} and {high!r}, expected finite numbers, low < high")
    return Uniform(*ends, _shape(shape))


def normal(shape: Shape = (1024,), *, mean: float = 0.0, std: float = 1.0) -> Normal:
    """Describe normally distributed numbers, as an input of ``compare``.

    Args:
        shape: The shape of the array.
        mean: The mean.
        std: The standard deviation.

    Returns:
        The description.

    Raises:
        UsageError: If ``mean`` is not finite, ``std`` is not positive and finite, or a size is not a positive integer.

    Examples:
        >>> import crosscheck
        >>> crosscheck.normal(16, std=3)
        Normal(mean=0.0, std=3.0, shape=(16,))
    """
    if not isfinite(_number(mean)):
        raise UsageError(f"mean: got {mean!r}, expected a finite number")
    if not 0 < _number(std) < inf:
        raise UsageError(f"std: got {std!r}, expected a positive finite number")
    return Normal(float(mean), float(std), _shape(shape))


def stratified() -> Stratified:
    """Describe the inputs at which the catalogue is judged, as an input of ``compare``.

    For a 16-bit dtype, they are all its values. For a wider dtype, they are a seeded sample of every binade and of
    [-20, 20], with 0, -1, 1 and their neighbours, the edges of the subnormals, the largest numbers, the infinities and NaN.

    Returns:
        The description.

    Examples:
        >>> import crosscheck
        >>> crosscheck.stratified()
        Stratified()
    """
    return Stratified()


def every_value() -> EveryValue:
    """Describe every value of a 16-bit dtype, infinities and NaNs included, as an input of ``compare``.

    Returns:
        The description.

    Examples:
        >>> import crosscheck, jax, torch
        >>> inputs = crosscheck.every_value()
        >>> report = crosscheck.compare(torch.relu, jax.nn.relu, inputs, order=0, dtype="bfloat16", modes="jit")
        >>> report.passed
        True
    """
    return EveryValue()


def _number(value: Any) -> float:
    """The value as a float; NaN if it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return nan


def _shape(shape: Shape) -> tuple[int, ...]:
    sizes = tuple(shape) if isinstance(shape, tuple | list) else (shape,)
    if not all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes):
        raise UsageError(f"shape: got {shape!r}, expected positive integers")
    return sizes


def gather(inputs: Any, dtype: str, wrt: Any, order: int | None, seed: int) -> Inputs:
    """Check the inputs and convert them to arrays of numpy. ``order`` None selects the floats for derivatives.

    Raises:
        UsageError: If an input or a position in ``wrt`` cannot be used.
    """
    fmt = FORMATS[dtype]
    if inputs is None:
        inputs = (Stratified(),)
    if not isinstance(inputs, list | tuple) or hasattr(inputs, "_fields"):
        inputs = (inputs,)
    if not inputs:
        raise UsageError("inputs: got none, expected at least one array")
    tree, raw, _ = flatten(tuple(inputs), "inputs", DESCRIPTIONS)
    names, owner = [], []
    for position, argument in enumerate(inputs):
        _, values, labels = flatten(argument, "x" if len(inputs) == 1 else f"x{position}", DESCRIPTIONS)
        names += labels
        owner += [position] * len(values)
    leaves = tuple(_leaf(value, fmt, name, (seed, i)) for i, (value, name) in enumerate(zip(raw, names, strict=True)))
    if not leaves:
        raise UsageError("inputs: got no arrays, expected at least one")
    chosen = _positions(wrt, len(inputs))
    floats = [i for i, leaf in enumerate(leaves) if leaf.dtype == fmt.dtype]
    by = tuple(i for i in floats if owner[i] in chosen)
    if order is None:
        order = int(bool(floats))
    if order > 0 and not floats:
        raise UsageError(f"order: got {order}, but all inputs are integers or booleans; pass order=0")
    if order > 0 and not by:
        raise UsageError(f"wrt: got {wrt!r}, but these inputs hold no float array; name inputs that do")
    held = tuple(getattr(value, "sharding", None) for value in raw)
    shared = any(hasattr(sharding, "mesh") for sharding in held)
    return Inputs(tree, leaves, tuple(names), by if order else (), fmt, held if shared else ())


def _positions(wrt: Any, count: int) -> set[int]:
    if wrt is None:
        return set(range(count))
    chosen = [wrt] if isinstance(wrt, int) and not isinstance(wrt, bool) else wrt
    ok = isinstance(chosen, list | tuple) and chosen
    if not ok or any(not isinstance(i, int) or isinstance(i, bool) or not -count <= i < count for i in chosen):
        raise UsageError(f"wrt: got {wrt!r}, expected the position of an input from 0 to {count - 1}, or a list of such")
    return {i % count for i in chosen}


def _leaf(value: Any, fmt: Format, name: str, seed: tuple[int, int]) -> np.ndarray[Any, Any]:
    if isinstance(value, DESCRIPTIONS):
        return value.array(fmt, np.random.default_rng(seed))
    array = _to_numpy(value, name)
    if array.size == 0:
        raise UsageError(f"inputs: {name} is an empty array of shape {array.shape}; nothing could be compared")
    kind = array.dtype.kind
    if kind == "c":
        raise UsageError(f"inputs: {name} is complex ({array.dtype}); pass real and imaginary part as two arrays")
    if kind in "iu" and array.dtype.itemsize == 8 and (array.min() < -(2**31) or array.max() >= 2**31):
        raise UsageError(
            f"inputs: {name} holds integers beyond int32, which JAX would cut off; pass smaller ones, or floats"
        )
    if kind in "iub":
        return array.copy()
    if array.dtype == fmt.dtype:
        return array.copy()
    try:
        format_of(array)
    except TypeError:
        raise UsageError(
            f"inputs: {name} has dtype {array.dtype}, expected float64, float32, bfloat16, float16, integers or booleans"
        ) from None
    return round_once(array, fmt)


def _to_numpy(value: Any, name: str) -> np.ndarray[Any, Any]:
    """An array of numpy with the same values; a framework's array is recognised by its methods."""
    module = type(value).__module__.partition(".")[0]
    if module == "torch" and hasattr(value, "detach"):
        if value.is_complex():
            raise UsageError(
                f"inputs: {name} is complex ({_plain(value.dtype)}); pass real and imaginary part as two arrays"
            )
        from crosscheck._frameworks.torch_backend import to_array
        from crosscheck._frameworks.torch_shards import whole

        try:
            return to_array(whole(value))
        except (TypeError, RuntimeError):
            what = f"a {str(value.layout).removeprefix('torch.')} tensor on {value.device}, dtype {_plain(value.dtype)}"
            raise UsageError(
                f"inputs: {name} is {what}, which numpy lacks; expected float64, float32, bfloat16, float16, "
                "integers or booleans, in a dense tensor"
            ) from None
    if isinstance(value, bool | int | float | complex | np.generic | np.ndarray) or module in ("jax", "jaxlib"):
        try:
            return np.asarray(value)
        except (TypeError, OverflowError):
            what = getattr(value, "dtype", type(value).__name__)
            raise UsageError(f"inputs: {name} is an array of {what}, expected floats, integers or booleans") from None
    raise UsageError(
        f"inputs: {name} is {type(value).__name__}, expected an array of numpy, torch or JAX, a number, "
        f"a dict, list, tuple or dataclass of these, or crosscheck.uniform(...), normal(...), stratified(), every_value()"
    )


def _plain(dtype: Any) -> str:
    return str(dtype).removeprefix("torch.")
