"""Wrong values: of everything, of a part of the inputs, of a single one."""

import math
from math import inf, nan

from detection.planting import in_value
from detection.verified import Planted, each

LARGEST = 3.4028234663852886e38
SUBNORMAL = 2.0**-126 - 2.0**-149
SIXTEEN = ("bfloat16",)
EVERY = ("float64", "float32", "bfloat16", "float16")


def off(m, y, floats):
    """The number so many floats farther from 0."""
    for _ in range(floats):
        y = m.nextafter(y, m.copysign(m.full_like(y, inf), y))
    return y


def only(where, instead):
    """The right value but where ``where(m, x)``; there ``instead(m, x, y)``."""
    return in_value(lambda m, x, y: m.where(where(m, x), instead(m, x, y), y))


def at(x0, instead=lambda m, x, y: y + 1):
    """Wrong at one input; at a zero, at that of its sign alone."""
    if x0 == 0:
        return only(lambda m, x: (x == 0) & (m.signbit(x) == (math.copysign(1, x0) < 0)), instead)
    return only(lambda m, x: x == x0, instead)


def value(name, of, plant, cause="definition", **options):
    return Planted(name=f"{of}: {name}", kind="values", of=of, plant=plant, cause=cause, **options)


def tanh_variant(m, x, y):
    near = m.clip(x, -30, 30)
    return m.where(x == near, near / (1 + m.exp(-1.5957691 * (near + 0.044715 * near**3))), y)


FAULTS = [
    *each(
        value("the sign", "sigmoid", in_value(lambda m, x, y: -y), dtypes=EVERY),
        value("the sign of one tail", "softplus", only(lambda m, x: x < -1, lambda m, x, y: -y)),
        value("a constant in the last digits", "gelu", in_value(lambda m, x, y: y * (1 + 2e-6))),
        value(
            "a constant in the last digits in float64", "tanh", in_value(lambda m, x, y: y * (1 + 1e-8)), dtypes=("float64",)
        ),
        value("a constant added", "selu", in_value(lambda m, x, y: y + 1e-3)),
        value(
            "a branch of the other side",
            "elu",
            only(lambda m, x: (x > 3) & (x < 100), lambda m, x, y: m.ones_like(y)),
            at=(3, 100),
        ),
        value(
            "a branch that begins a little late",
            "relu6",
            only(lambda m, x: (x > 6) & (x < 6.01), lambda m, x, y: x),
            at=(6, 6.01),
        ),
        value("softplus's threshold at 10", "softplus", only(lambda m, x: x > 10, lambda m, x, y: x), at=(10, 16.7)),
        value("the tanh variant", "gelu", in_value(tanh_variant)),
        value("hard for soft", "sigmoid", in_value(lambda m, x, y: m.clip(x / 6 + 0.5, 0, 1))),
        value(
            "alpha of another function", "leaky_relu", only(lambda m, x: x < 0, lambda m, x, y: 0.02 * x), at=(-LARGEST, 0)
        ),
        value("5 floats off everywhere", "tanh", in_value(lambda m, x, y: off(m, y, 6)), cause="inaccurate"),
        value(
            "5 floats off in [1, 2)",
            "silu",
            only(lambda m, x: (x >= 1) & (x < 2), lambda m, x, y: off(m, y, 6)),
            cause="inaccurate",
            at=(1, 2),
        ),
        value("wrong at a single input of 16 bits", "sigmoid", at(1.5), dtypes=SIXTEEN, at=1.5),
        value(
            "the next float at a single input of 16 bits",
            "tanh",
            at(-0.40625, lambda m, x, y: y * 1.015),
            dtypes=SIXTEEN,
            cause="definition",
            at=-0.40625,
        ),
        value("wrong at a single input of float16", "mish", at(0.333251953125), dtypes=("float16",), at=0.333251953125),
        value("wrong at 1", "silu", at(1.0), at=1.0),
        value("wrong at -20", "softplus", at(-20.0), at=-20.0),
        value("wrong at a power of two", "tanh", at(2.0**-31), at=2.0**-31),
        value("wrong at the largest float", "sigmoid", at(LARGEST), at=LARGEST),
        value("wrong at infinity alone", "tanh", at(inf), at=inf),
        value(
            "wrong in one binade",
            "sigmoid",
            only(lambda m, x: (x >= 2.0**-20) & (x < 2.0**-19), lambda m, x, y: y * 1.001),
            at=(2.0**-20, 2.0**-19),
        ),
        value(
            "wrong in one far binade",
            "relu",
            only(lambda m, x: (x >= 2.0**90) & (x < 2.0**91), lambda m, x, y: y * 1.001),
            at=(2.0**90, 2.0**91),
        ),
        value(
            "NaN swallowed",
            "sigmoid",
            only(lambda m, x: m.isnan(x), lambda m, x, y: m.zeros_like(y)),
            cause="special",
            at=nan,
        ),
        value(
            "NaN swallowed by a maximum",
            "relu",
            in_value(lambda m, x, y: m.where(x > 0, x, m.zeros_like(x))),
            cause="special",
            at=nan,
        ),
        value(
            "infinity clipped", "softplus", in_value(lambda m, x, y: m.clip(y, None, 1e30)), cause="special", at=(1e30, inf)
        ),
        value(
            "infinity becomes the largest float",
            "relu",
            at(inf, lambda m, x, y: m.full_like(y, LARGEST)),
            cause="special",
            at=inf,
        ),
        value("NaN at minus infinity", "silu", at(-inf, lambda m, x, y: m.full_like(y, nan)), cause="special", at=-inf),
        value(
            "overflow of an intermediate",
            "squareplus",
            in_value(lambda m, x, y: 0.5 * (x + m.sqrt(x * x + 4))),
            cause="special",
        ),
        value(
            "NaN for large inputs", "tanh", only(lambda m, x: x > 80, lambda m, x, y: y * nan), cause="special", at=(80, inf)
        ),
        value(
            "infinite where exp overflows",
            "log_sigmoid",
            in_value(lambda m, x, y: m.log(1 / (1 + m.exp(-x)))),
            cause="special",
        ),
    ),
    value("wrong at -0 alone", "sigmoid", at(-0.0), side="torch", at=-0.0),
    value("wrong at +0 alone", "elu", at(0.0), side="torch", at=0.0),
    value("wrong at -0 and what is flushed to it", "sigmoid", at(-0.0), side="jax", at=(-SUBNORMAL, 0.0)),
    value("wrong at a subnormal alone", "linear", at(SUBNORMAL), side="torch", at=SUBNORMAL),
    value(
        "subnormals flushed",
        "linear",
        only(lambda m, x: abs(x) < 2.0**-126, lambda m, x, y: 0 * y),
        side="torch",
        cause="inaccurate",
        at=(-SUBNORMAL, SUBNORMAL),
    ),
]
