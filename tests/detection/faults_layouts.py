"""Wrong for some lengths, positions, shapes and strides, right for others."""

from detection.planting import around, namespace
from detection.verified import Planted, each


def layout(name, of, fault, **options):
    options = {"cause": "layout", "layout": True, **options}
    return Planted(name=f"{of}: {name}", kind="layouts", of=of, plant=around(fault), **options)


def where(wrong):
    """A factor of 1.01 where ``wrong(x)``."""
    return lambda own, x, **p: own(x, **p) * (1.01 if wrong(x) else 1)


def at_position(position, lengths):
    """A factor of 1.01 at one position of arrays of these lengths."""

    def fault(own, x, **p):
        y, m = own(x, **p), namespace(x)
        if y.ndim == 0 or y.shape[0] not in lengths:
            return y
        index = m.arange(y.shape[0]) == position % y.shape[0]
        return m.where(index.reshape(-1, *[1] * (y.ndim - 1)), y * 1.01, y)

    return fault


SHORT = range(2, 34)

FAULTS = [
    *each(
        layout("from length 17 to 33", "linear", where(lambda x: 17 <= x.shape[0] <= 33)),
        layout("in arrays of one", "softplus", where(lambda x: x.shape == (1,))),
        layout("from length 17 on", "sigmoid", where(lambda x: x.ndim and x.shape[0] >= 17), cause="layout"),
        layout("the last element of short arrays", "silu", at_position(-1, SHORT)),
        layout("the first element of short arrays", "tanh", at_position(0, SHORT)),
        layout("the remainder of 16", "relu", at_position(16, (17, 33))),
        layout("arrays of two axes", "gelu", where(lambda x: x.ndim == 2)),
        layout("arrays of two axes in bfloat16", "mish", where(lambda x: x.ndim == 2), dtypes=("bfloat16",)),
        layout("lengths that are odd", "elu", where(lambda x: 1 < x.shape[0] < 100 and x.shape[0] % 2 == 1)),
    ),
    layout("a view with gaps", "linear", where(lambda x: x.stride() == (2,)), side="torch"),
    layout("a transposed view", "sigmoid", where(lambda x: not x.is_contiguous() and x.ndim == 2), side="torch"),
    layout("a view that begins later", "tanh", where(lambda x: x.storage_offset() == 1), side="torch"),
    layout("rows of a batch of three axes", "softmax", where(lambda x: x.ndim == 3), side="torch"),
]
