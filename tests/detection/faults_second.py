"""Right values and gradients with a wrong second derivative."""

from math import nan

from detection.planting import in_second
from detection.verified import Planted, each

ORDERS = (0, 1, 2)


def second(name, of, plant, cause="definition", **options):
    options = {"orders": ORDERS, "first": 2, **options}
    return Planted(name=f"{of}: {name}", kind="second derivatives", of=of, plant=plant, cause=cause, **options)


FAULTS = [
    *each(
        second("the sign", "tanh", in_second(lambda m, x, h: -h)),
        second("half the second derivative", "sigmoid", in_second(lambda m, x, h: h / 2)),
        second("zero", "silu", in_second(lambda m, x, h: h * 0), cause="missing"),
        second("a factor dropped", "softplus", in_second(lambda m, x, h: 1 / (1 + m.exp(-x)))),
        second("on one side", "gelu", in_second(lambda m, x, h: m.where(x < -1, h * 1.1, h)), at=(-40, -1)),
        second("the last digits in float64", "mish", in_second(lambda m, x, h: h * (1 + 1e-8)), dtypes=("float64",)),
        second(
            "NaN for large inputs in the second derivative",
            "tanh",
            in_second(lambda m, x, h: m.where(x > 40, h * nan, h)),
            cause="special",
            at=(40, float("inf")),
        ),
        second(
            "at one input of 16 bits",
            "sigmoid",
            in_second(lambda m, x, h: m.where(x == 0.75, h * 2, h)),
            dtypes=("float16",),
            at=0.75,
        ),
        second("of another function", "elu", in_second(lambda m, x, h: m.where(x > 0, h + 1, h)), at=(0, float("inf"))),
    ),
]
