"""Right values with a wrong gradient."""

from math import inf, nan

from detection.planting import around, coming_in, in_gradient, stopped
from detection.verified import Planted, each

ORDERS = (0, 1)
TINY = 2.0**-126
"""What JAX flushes to 0 is less."""


def gradient(name, of, plant, cause="definition", **options):
    options = {"orders": ORDERS, "first": 1, **options}
    return Planted(name=f"{of}: {name}", kind="gradients", of=of, plant=plant, cause=cause, **options)


def where(inside, instead):
    return in_gradient(lambda m, x, g: m.where(inside(m, x), instead(m, x, g), g))


def detached(own, x, **parameters):
    return stopped(own(x, **parameters))


def halved(own, x, **parameters):
    y = own(x, **parameters)
    return stopped(y) + (y - stopped(y)) / 2


def near(m, x):
    return m.clip(x, -30, 30)


def sigmoid(m, x):
    return 1 / (1 + m.exp(-x))


FAULTS = [
    *each(
        gradient("a term dropped", "silu", in_gradient(lambda m, x, g: sigmoid(m, x))),
        gradient(
            "a term dropped", "gelu", in_gradient(lambda m, x, g: g - near(m, x) * m.exp(-(near(m, x) ** 2) / 2) * 0.3989423)
        ),
        gradient("a term dropped", "mish", in_gradient(lambda m, x, g: m.tanh(m.log(1 + m.exp(x))))),
        gradient("a factor dropped", "sigmoid", in_gradient(lambda m, x, g: sigmoid(m, x))),
        gradient("detached", "tanh", around(detached), cause="missing"),
        gradient("detached in float64", "softplus", around(detached), cause="missing", dtypes=("float64",)),
        gradient("zero everywhere", "silu", in_gradient(lambda m, x, g: g * 0), cause="missing"),
        gradient("detached on one side", "elu", where(lambda m, x: x < 0, lambda m, x, g: 0 * g), at=(-inf, 0)),
        gradient("half the gradient", "sigmoid", around(halved)),
        gradient("the sign", "softplus", in_gradient(lambda m, x, g: -g)),
        gradient("another slope at the kink", "relu6", where(lambda m, x: x == 6, lambda m, x, g: g * 0 + 0.25), at=6.0),
        gradient(
            "the other one-sided slope",
            "leaky_relu",
            where(lambda m, x: x == 0, lambda m, x, g: g * 0 + 1),
            cause="convention",
            at=(-TINY, TINY),
        ),
        gradient("NaN at the kink", "relu6", where(lambda m, x: x == 6, lambda m, x, g: g * nan), cause="special", at=6.0),
        gradient("scaled by the batch size", "sigmoid", in_gradient(lambda m, x, g: g * x.shape[0] if x.ndim else g)),
        gradient("the mean's instead of the sum's", "tanh", in_gradient(lambda m, x, g: g / x.shape[0] if x.ndim else g)),
        gradient("the last digits", "gelu", in_gradient(lambda m, x, g: g * (1 + 2e-6))),
        gradient("in one binade", "silu", where(lambda m, x: (x >= 4) & (x < 8), lambda m, x, g: g * 1.001), at=(4, 8)),
        gradient(
            "at one input of 16 bits",
            "softplus",
            where(lambda m, x: x == -1.25, lambda m, x, g: g * 1.1),
            dtypes=("bfloat16",),
            at=-1.25,
        ),
        gradient("at one round number", "sigmoid", where(lambda m, x: x == 2, lambda m, x, g: g * 1.1), at=2.0),
        gradient(
            "lost far out", "sigmoid", in_gradient(lambda m, x, g: sigmoid(m, x) * (1 - sigmoid(m, x))), cause="inaccurate"
        ),
        gradient(
            "NaN far out",
            "tanh",
            in_gradient(lambda m, x, g: 4 / (m.exp(x) + m.exp(-x)) ** 2 + 0 * m.exp(x)),
            cause="special",
        ),
        gradient("clipped at 1", "gelu", in_gradient(lambda m, x, g: m.clip(g, 0, 1)), cause="definition"),
        gradient("what comes in is ignored", "sigmoid", coming_in(lambda m, g, v: g)),
        gradient("what comes in squared", "tanh", coming_in(lambda m, g, v: g * v * v)),
        gradient("clipped after what comes in", "softplus", coming_in(lambda m, g, v: m.clip(g * v, -1, 1))),
        gradient("clipped at 1 after what comes in", "sigmoid", coming_in(lambda m, g, v: m.clip(g * v, -1, 1))),
        gradient("its sign alone", "relu", coming_in(lambda m, g, v: g * m.sign(v))),
        gradient("nothing that is negative comes in", "silu", coming_in(lambda m, g, v: g * m.clip(v, 0, None))),
        gradient("alpha of another value", "elu", where(lambda m, x: x < 0, lambda m, x, g: g * 1.01), at=(-inf, 0)),
        gradient("straight through", "hard_tanh", in_gradient(lambda m, x, g: g * 0 + 1)),
    ),
]
