"""The size of the terms of a formula where they cancel: the formula runs on values that carry this size.

For ``a + b`` the sizes are added, for a product multiplied; any other function begins with the size of its own result. So a
formula's scale is the sum of the absolute values of its terms, and cannot be declared larger.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, Format


class Terms:
    """A value and the sum of the magnitudes of the terms that made it."""

    __array_ufunc__ = None  # numpy leaves mixed arithmetic to this class

    def __init__(self, value: Any, scale: Any = None) -> None:
        self.value = np.asarray(value, dtype=np.float64)
        self.scale = np.abs(self.value) if scale is None else scale

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.value.shape)

    def __getitem__(self, index: Any) -> Terms:
        return Terms(self.value[index], self.scale[index])

    def __neg__(self) -> Terms:
        return Terms(-self.value, self.scale)

    def __add__(self, other: Any) -> Terms:
        other = _terms(other)
        return Terms(self.value + other.value, self.scale + other.scale)

    __radd__ = __add__

    def __sub__(self, other: Any) -> Terms:
        return self + -_terms(other)

    def __rsub__(self, other: Any) -> Terms:
        return _terms(other) + -self

    def __mul__(self, other: Any) -> Terms:
        other = _terms(other)
        return Terms(self.value * other.value, self.scale * other.scale)

    __rmul__ = __mul__

    def __truediv__(self, other: Any) -> Terms:
        divisor = _terms(other).value
        return Terms(self.value / divisor, self.scale / np.abs(divisor))

    def __rtruediv__(self, other: Any) -> Terms:
        return _terms(other) / self

    def __pow__(self, power: int) -> Terms:
        return Terms(self.value**power, self.scale**power if power > 0 else None)

    def __gt__(self, other: Any) -> Any:
        return self.value > _terms(other).value

    def __lt__(self, other: Any) -> Any:
        return self.value < _terms(other).value

    def __ge__(self, other: Any) -> Any:
        return self.value >= _terms(other).value

    def __le__(self, other: Any) -> Any:
        return self.value <= _terms(other).value


def _terms(value: Any) -> Terms:
    return value if isinstance(value, Terms) else Terms(value)


class _Namespace:
    """numpy's functions for ``Terms``."""

    pi = np.pi

    def where(self, condition: Any, a: Any, b: Any) -> Terms:
        a, b = _terms(a), _terms(b)
        return Terms(np.where(condition, a.value, b.value), np.where(condition, a.scale, b.scale))

    def maximum(self, a: Any, b: Any) -> Terms:
        return self.where(_terms(a) >= b, a, b)

    def sum(self, a: Any, axis: int, keepdims: bool = False) -> Terms:
        a = _terms(a)
        return Terms(a.value.sum(axis=axis, keepdims=keepdims), a.scale.sum(axis=axis, keepdims=keepdims))

    def max(self, a: Any, axis: int, keepdims: bool = False) -> Terms:
        return Terms(_terms(a).value.max(axis=axis, keepdims=keepdims))

    def concatenate(self, parts: Sequence[Any], axis: int) -> Terms:
        values, scales = zip(*((part.value, part.scale) for part in map(_terms, parts)), strict=True)
        return Terms(np.concatenate(values, axis), np.concatenate(scales, axis))

    def minimum(self, a: Any, b: Any) -> Terms:
        return self.where(_terms(a) <= b, a, b)

    def __getattr__(self, name: str) -> Callable[..., Any]:
        function = getattr(np, name)

        def of_values(*arguments: Any) -> Any:
            result = function(*(_terms(a).value for a in arguments))
            return result if result.dtype == bool else Terms(result)

        return of_values


def judged_by(scale: Float64Array | None, fmt: Format, order: int, *, own: bool) -> Float64Array | None:
    """The scale by which a result is judged: of a value of crosscheck's own, an ULP of its terms.

    Such a value keeps its digits where its terms cancel, until less than one of their digits is left.
    """
    return np.ldexp(scale, 1 - fmt.precision) if own and order == 0 and scale is not None else scale


def scale(formula: Callable[[Any, Any], Any], x: Float64Array, shape: tuple[int, ...] | None = None) -> Float64Array:
    """The sum of the absolute values of a formula's terms at each input, in float64; NaN or infinite if it overflows.

    The result has the shape of ``x``, unless another is given.
    """
    with np.errstate(all="ignore"):
        return np.broadcast_to(_terms(formula(_Namespace(), Terms(x))).scale, x.shape if shape is None else shape)
