"""What judging every float32 costs beyond computing it; prints one line of JSON.

Of every 32nd piece, the frameworks are run alone, then it is judged, in CPU time of one process, so that both meet
the same load. The straightforward way judges a few of these pieces: a reference in float64, units by ``frexp``.
"""

import json
import sys
from time import process_time
from typing import Any

import numpy as np
import scipy.special

import crosscheck
from crosscheck._arithmetic.formats import FORMATS
from crosscheck._sweep.piece import Judge, SweepSetup
from crosscheck._sweep.positions import floats, pieces, whole

FMT = FORMATS["float32"]
STEP, FEW = 32, 16


def straightforward(judge: Judge, x: Any, results: Any) -> dict[Any, float]:
    """The largest error of each implementation and order, as one writes it down: nothing is proven, and tails overflow."""
    largest = {}
    with np.errstate(all="ignore"):
        for (implementation, order), got in results.items():
            formula = judge.activation.derivative if order else judge.activation.definition
            expected = formula(_Numpy(), x.astype(np.float64))
            exponent = np.clip(np.frexp(expected)[1] - 1, FMT.e_min, FMT.e_max)
            error = np.abs(got.astype(np.float64) - expected) / np.ldexp(1.0, exponent - (FMT.precision - 1))
            distance = np.abs(got.view(np.int32).astype(np.int64) - expected.astype(np.float32).view(np.int32))
            np.bincount(np.minimum(distance, 100), minlength=101)
            largest[implementation, order] = float(np.nanmax(error))
    return largest


class _Numpy:
    """numpy, and what definitions need that it lacks."""

    erfc = staticmethod(scipy.special.erfc)

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


def measure(name: str) -> dict[str, float]:
    activation = crosscheck.activations[name]
    judge = Judge(activation, SweepSetup(name, "float32", ("torch.native", "jax.native"), (0, 1), "cpu"))
    spans = list(pieces(whole(FMT)))[STEP // 2 :: STEP]
    judge.judge(spans[0])  # compiles
    bare = judged = plain = some = 0.0
    for name_ in vars(judge.shares):
        setattr(judge.shares, name_, 0.0)
    for number, span in enumerate(spans):
        before = dict(vars(judge.shares))
        start = process_time()
        judge.results(floats(span, FMT))
        bare += process_time() - start
        vars(judge.shares).update(before)
        start = process_time()
        judge.judge(span)
        judged += process_time() - start
        if number % FEW == 0:
            x = floats(span, FMT)
            results = judge.results(x)
            start = process_time()
            straightforward(judge, x, results)
            plain += process_time() - start
            some += span.size
    shares = {f"share of {what}": seconds / judged for what, seconds in vars(judge.shares).items()}
    inputs = sum(span.size for span in spans)
    return {
        "bare": bare / inputs * 1e9,
        "judged": judged / inputs * 1e9,
        "ratio": judged / bare,
        **shares,
        "straightforward judging": (plain / max(some, 1)) / ((judged - bare) / inputs),
    }


if __name__ == "__main__":
    print(json.dumps(measure(sys.argv[1])))
