"""What only a run over every input shows, and sweeps that do not count every input once."""

import dataclasses
import math
from math import inf, nan

import numpy as np

from detection.planting import in_gradient, in_value
from detection.swept import Miscounted, Swept, Tampered
from detection.verified import each


def at(x0, wrong):
    x0 = float(np.float32(x0))
    return lambda m, x, y: m.where(x == x0, wrong(y), y)


def swept(name, of, x0, wrong=lambda y: y * 1.001, cause="inaccurate", **options):
    """Wrong at one float of the 65,536 around it."""
    x0 = float(np.float32(x0))
    bits = int(np.float32(x0).view(np.uint32))
    ends = sorted((bits & ~0xFFFF, bits | 0xFFFF), reverse=math.copysign(1, x0) < 0)
    first, last = (f"0x{end:08x}" for end in ends)
    options = {"range": (first, last), "at": x0, "plant": in_value(at(x0, wrong)), **options}
    return Swept(name=f"{of}: {name}", kind="sweeps", of=of, cause=cause, **options)


def shorter(judge, span):
    return judge(dataclasses.replace(span, last=span.last - 1))


def of_the_piece_before(judge, span):
    return judge(dataclasses.replace(span, first=span.first - span.size, last=span.last - span.size))


def masked(judge, span):
    """One input that is neither judged nor counted."""
    piece = judge(span)
    for data in piece["results"].values():
        data["inputs"] -= 1
        data["histogram"][0] -= 1
    return piece


def counted_twice(judge, span):
    piece = judge(span)
    for data in piece["results"].values():
        data["histogram"][0] += 1
    return piece


def edited(old, new):
    return lambda lines: [*lines[:2], lines[2].replace(old, new, 1), *lines[3:]]


FAULTS = [
    *each(
        swept("at one float", "sigmoid", 1.2345679),
        swept("at one float far out", "tanh", 1e-20),
        swept("at one large float", "relu", 3.0000001e38),
        swept("at one negative float", "silu", -7.654321),
        swept("by 6 floats at one float", "gelu", 0.7654321, lambda y: y * (1 + 6 * 2.0**-23)),
        swept("NaN at one float", "softplus", 12.345678, lambda y: y * nan, cause="special"),
        swept("infinity at one float", "elu", -0.12345678, lambda y: y * 0 + inf, cause="special"),
        swept(
            "the gradient at one float",
            "mish",
            2.3456789,
            orders=(0, 1),
            plant=in_gradient(at(2.3456789, lambda g: g * 1.001)),
        ),
        Swept(
            name="sigmoid: at one bfloat16",
            kind="sweeps",
            of="sigmoid",
            cause="inaccurate",
            plant=in_value(at(0.2109375, lambda y: y * 1.1)),
            dtype="bfloat16",
            at=0.2109375,
        ),
    ),
    swept("at one subnormal", "relu", 1e-41, side="torch"),
    swept("at one float whose result is subnormal", "linear", -3e-39, side="torch"),
    Miscounted(name="an input left out at the end of a piece", kind="sweeps", cause="incomplete", change=shorter),
    Miscounted(name="a piece judged in the place of another", kind="sweeps", cause="incomplete", change=of_the_piece_before),
    Miscounted(name="an input masked", kind="sweeps", cause="incomplete", change=masked),
    Miscounted(name="an input counted twice", kind="sweeps", cause="incomplete", change=counted_twice),
    Tampered(name="a piece twice in the journal", kind="sweeps", cause="refused", change=lambda lines: [*lines, lines[1]]),
    Tampered(
        name="a piece of other inputs", kind="sweeps", cause="incomplete", change=edited(b'"first":3213', b'"first":3212')
    ),
    Tampered(
        name="a piece with an input less",
        kind="sweeps",
        cause="incomplete",
        change=edited(b'"inputs":1048576', b'"inputs":1048575'),
    ),
    Tampered(
        name="a number changed",
        kind="sweeps",
        cause="refused",
        signed=False,
        change=edited(b'"inputs":1048576', b'"inputs":1048575'),
    ),
    Tampered(
        name="a journal of another function",
        kind="sweeps",
        cause="refused",
        change=lambda lines: [lines[0].replace(b"tanh", b"silu"), *lines[1:]],
    ),
]
