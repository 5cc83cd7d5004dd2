"""The logarithm of a sum where it nearly cancels against the largest entry of its row."""

import functools
import math
from typing import Any

from crosscheck._catalogue._kernels import numpy_of
from crosscheck._catalogue._pairs import once_more


def corrected(framework: Any, x: Any, y: Any, axis: int, n: int) -> Any:
    """log(sum(e^x) / n) of each row, y being nearly that, in all digits also where the largest entry and a logarithm cancel.

    Where all is so small that the second number of a pair is subnormal, y stays.
    """
    m, information = numpy_of(framework), numpy_of(framework).finfo(x.dtype)
    top = m.amax(x, axis, keepdims=True)
    logarithm = y - top
    cancels = (m.sign(logarithm) == -m.sign(top)) & (abs(y) < abs(logarithm)) & (abs(top) < math.inf)
    cancels &= abs(top) > information.tiny / information.eps
    anew = functools.partial(once_more, framework, axis=axis, n=n)
    if framework.__name__ == "torch" and framework.compiler.is_dynamo_compiling():
        from crosscheck._catalogue import _opaque

        return m.where(cancels, _opaque.once_more(x, y, axis, n), y)
    if framework.__name__ == "jax":  # which, unlike torch, branches in every transformation, and so only where it must
        return framework.lax.cond(m.any(cancels), lambda x, y: m.where(cancels, anew(x, y), y), lambda x, y: y, x, y)
    return m.where(cancels, anew(x, y), y)
