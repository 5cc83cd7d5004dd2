"""The proven truth of an elementwise pair, from the definition that the caller gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import Float64Array, FloatArray
from crosscheck._records.errors import UsageError
from crosscheck._records.records import Activation
from crosscheck._truth.evaluate import enclosed, truth


def proven(exact: Activation | Callable[..., Any], x: FloatArray, orders: Sequence[int]) -> dict[int, Float64Array]:
    """The exact value and derivatives in float64, or more precise if the dtype is narrower; NaN where there are none.

    ``exact`` is a record, or a definition ``f(m, x)`` over the namespace ``m``; ``x`` has any shape. Raises ``UsageError``
    if the definition raises, does not give a number, or has no value at any of the inputs.
    """
    flat = x.ravel()
    if isinstance(exact, Activation):
        truths = truth(exact, flat, orders)
    else:
        raised: list[Exception] = []
        try:
            truths = enclosed(_noting(exact, raised), flat, orders)
        except Exception as error:
            raise _at_fault(error) from error
        if raised and not truths[min(orders)].judged.any():
            raise _at_fault(raised[0]) from raised[0]
    return {k: np.where(values.judged, values.approximate(), np.nan).reshape(x.shape) for k, values in truths.items()}


def _noting(definition: Callable[..., Any], raised: list[Exception]) -> Callable[..., Any]:
    """The definition, noting the first exception: one at some inputs only says that there is no value."""

    def noted(m: Any, x: Any) -> Any:
        try:
            return definition(m, x)
        except Exception as error:
            if not raised:
                raised.append(error)
            raise

    return noted


def _at_fault(error: Exception) -> UsageError:
    return UsageError(
        f"exact: the definition raised {type(error).__name__}: {error}; expected f(m, x) that computes with m's functions "
        "(exp, log, sqrt, erf, tanh, maximum, where, ...) and Python arithmetic, and returns a number"
    )
