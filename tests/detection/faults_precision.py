"""Computed in a narrower format than the one that is returned."""

import numpy as np

from detection.planting import around, cast, in_gradient, in_value
from detection.verified import Planted, each

CONSTANT = float(np.float32(0.7978845608028654))


def precision(name, of, plant, cause, **options):
    return Planted(name=f"{of}: {name}", kind="precision", of=of, plant=plant, cause=cause, **options)


def only_in_float32(own, x, **parameters):
    return cast(own(x, **parameters), "bfloat16") if x.dtype.itemsize == 4 else own(x, **parameters)


def with_short_constant(m, x, y):
    """The formula of gelu_tanh where it does not overflow."""
    near = m.clip(x, -10, 10)
    return m.where(x == near, near / (1 + m.exp(-2 * CONSTANT * (near + 0.044715 * near**3))), y)


FAULTS = [
    *each(
        precision("the result in bfloat16", "sigmoid", in_value(lambda m, x, y: cast(y, "bfloat16")), "inaccurate"),
        precision("the result in float16", "tanh", in_value(lambda m, x, y: cast(y, "float16")), "inaccurate"),
        precision(
            "the result in float32",
            "softplus",
            in_value(lambda m, x, y: cast(y, "float32")),
            "special",
            dtypes=("float64",),
        ),
        precision("the input in bfloat16", "gelu", around(lambda own, x, **p: own(cast(x, "bfloat16"), **p)), "inaccurate"),
        precision("in bfloat16 where it is float32", "silu", around(only_in_float32), "inaccurate"),
        precision(
            "the gradient in bfloat16",
            "sigmoid",
            in_gradient(lambda m, x, g: cast(g, "bfloat16")),
            "inaccurate",
            orders=(0, 1),
            first=1,
        ),
        precision(
            "the gradient in float32",
            "tanh",
            in_gradient(lambda m, x, g: cast(g, "float32")),
            "inaccurate",
            orders=(0, 1),
            first=1,
            dtypes=("float64",),
        ),
        precision(
            "a float32 constant",
            "gelu_tanh",
            in_value(with_short_constant),
            "definition",
            dtypes=("float64",),
        ),
        precision(
            "16 bits computed in 16 bits",
            "tanh",
            in_value(lambda m, x, y: (m.exp(x) - m.exp(-x)) / (m.exp(x) + m.exp(-x))),
            "special",
            dtypes=("bfloat16",),
        ),
        precision("eps of another size", "softplus", in_value(lambda m, x, y: m.log(1 + m.exp(x))), "special"),
    ),
]
