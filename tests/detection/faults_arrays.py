"""Arrays of which one side is wrong, somewhere."""

from math import inf, nan

import ml_dtypes
import numpy as np

from detection.saved import Saved


def array(name, spoil, cause="beyond", side="B", **options):
    return Saved(name=name, kind="arrays", spoil=spoil, cause=cause, side=side, **options)


def element(name, index, change):
    def spoil(arrays):
        arrays[name][index] = change(arrays[name][index])
        return arrays

    return spoil


def every(change):
    return lambda arrays: {name: change(x) for name, x in arrays.items()}


def floats(x, n):
    """So many floats farther from 0."""
    return (x.view(f"u{x.itemsize}") + n).astype(f"u{x.itemsize}").view(x.dtype)


FAULTS = [
    array("one element", element("weight", (3, 5), lambda x: x * 1.001), at="weight (3, 5)"),
    array("the last element", element("bias", -1, lambda x: x * 1.001), at="bias (49,)"),
    array("one element by 5 floats", element("bias", 7, lambda x: floats(np.asarray(x), 5)), at="bias (7,)"),
    array("one sign", element("weight", (0, 0), lambda x: -x), at="weight (0, 0)"),
    array("one NaN", element("weight", (29, 39), lambda x: nan), cause="special", at="weight (29, 39)"),
    array("one infinity", element("bias", 0, lambda x: inf), cause="special", at="bias (0,)"),
    array("one element lost", element("bias", 12, lambda x: 0), at="bias (12,)"),
    array("a transposed array", lambda a: {**a, "weight": np.ascontiguousarray(a["weight"].reshape(40, 30).T)}),
    array("two names swapped", lambda a: {"weight": a["weight"], "bias": a["weight"].ravel()[:50]}),
    array("moved by one", lambda a: {**a, "bias": np.roll(a["bias"], 1)}),
    array("computed in bfloat16", every(lambda x: x.astype(ml_dtypes.bfloat16).astype(x.dtype))),
    array("computed in float32", every(lambda x: x.astype(np.float32).astype(x.dtype)), dtype=np.float64),
    array("5 floats off in bfloat16", every(lambda x: floats(x, 5)), dtype=ml_dtypes.bfloat16),
    array("a name left out", lambda a: {"weight": a["weight"]}, cause="one side only", side=None, at="bias"),
    array("a name too many", lambda a: {**a, "scale": a["bias"]}, cause="one side only", side=None, at="scale"),
    array("a row left out", lambda a: {**a, "weight": a["weight"][:-1]}, cause="refused", side=None),
    array("arrays of another dtype", every(lambda x: x.astype(np.float64)), cause="refused", side=None),
    array("half of the file", dict, cause="refused", side=None, damage=lambda content: content[: len(content) // 2]),
    array("one bit of the file", dict, cause="refused", side=None, damage=lambda c: c[:900] + bytes([c[900] ^ 4]) + c[901:]),
]
