"""Print the regions that an activation's deviations have to cover: ``python tests/propose.py NAME [IMPLEMENTATION...]``.

Runs the natives over denser inputs and more seeds than verify does, as if nothing were declared, and prints regions per
implementation and cause, as lines for the files of ``crosscheck/_recorded``. What they have in common, why it is so and
where that is documented is for a person to find out. With ``--case N`` of the parameters' values one only, 0 being the
defaults; with ``--mode`` in other modes; with ``--layout`` what depends on the place of an input.
"""

import argparse
from collections import defaultdict
from dataclasses import replace

import numpy as np
from contract import DTYPES, MODES, USUAL_MODES, budget
from floats import FORMATS, widen

import crosscheck
from crosscheck import Anchor, Region
from crosscheck._recorded.files import line
from crosscheck._verdict.causes import CODE, FIRST_PASSING, NOT_JUDGED
from crosscheck._verdict.deviations import SCATTERED
from crosscheck._verify.layout import DTYPES as LAYOUT_DTYPES
from crosscheck._verify.run import run
from crosscheck._verify.task import Plan

SEEDS = (0, 1, 2)
NAMES = {code: cause for cause, code in CODE.items()}
NATIVES = ("torch.native", "torch.native.matched", "jax.native", "jax.native.matched")
GAP = 4.0
"""Scattered errors this many times apart, relatively, are in two intervals."""


def collect(
    name: str, implementations: tuple[str, ...], case: int | None, modes: tuple[str, ...], layout: bool
) -> dict[tuple[str, str, int, str], list[tuple[np.ndarray, ...]]]:
    """Per implementation, cause, order and dtype, each comparison's inputs, which of them show it, results and errors."""
    activation = replace(crosscheck.activations[name], deviations=())
    found = defaultdict(list)
    for seed in SEEDS:
        dtypes = DTYPES if seed == SEEDS[0] else ("float64", "float32")  # the others are tried whole
        if layout:
            dtypes = tuple(dtype for dtype in LAYOUT_DTYPES if dtype in dtypes)
        plan = Plan(dtypes, (0, 1, 2), implementations, modes, "cpu", seed, per_binade=24, uniform=12_000, layout=layout)
        for one in run(activation, plan):
            key = one.key
            if case not in (None, key.case) or (key.against == "alone") != layout:
                continue
            if one.message:
                print("RAISED", key, one.message)
                continue
            x = widen(one.x)
            got = np.full(x.shape, np.nan)
            got[one.failing] = widen(one.got)
            other = np.full(x.shape, np.nan)
            other[one.failing] = widen(one.expected)
            ulp = np.zeros(x.shape)
            ulp[one.failing] = one.ulp
            for code in np.unique(one.codes[one.codes < FIRST_PASSING]):
                if code == NOT_JUDGED:
                    continue
                implementation = (
                    key.implementation if len(key.implementations) == 1 else f"{key.implementation} / {key.against}"
                )
                shown = one.codes == code
                judged = one.codes != NOT_JUDGED
                where = (x[judged], shown[judged], got[judged], other[judged], ulp[judged], f"case {key.case} {key.mode}")
                found[implementation, NAMES[code], key.order, key.dtype].append(where)
    return found


def rounded(value: float, outward: float) -> float:
    """To three significant digits, away from the interval's inside."""
    if not np.isfinite(value) or value == 0:
        return value
    for digits in (2, 3, 4, 5, 17):
        short = float(f"{value:.{digits}e}")
        step = 10.0 ** (np.floor(np.log10(abs(value))) - digits)
        short = short if (short - value) * outward >= 0 else short + outward * step
        if abs(short - value) <= 0.02 * abs(value):
            return float(f"{short:.{digits}e}")
    return value


def intervals(
    x: np.ndarray, shown: np.ndarray, shown_too: np.ndarray, *, scattered: bool, whole: bool
) -> list[tuple[float, float]]:
    """Intervals that hold every point of ``shown``; unless scattered, 60 of 100 points inside are of ``shown_too``.

    Unless the ``whole`` format was tried, they reach to the next input on each side: what lies between was not.
    """
    finite = np.isfinite(x)
    result = [(value, value) for value in (-np.inf, np.inf) if (shown & (x == value)).any()]
    if (shown & np.isnan(x)).any():
        result.append((np.nan, np.nan))
    zeros = [zero for zero in (0.0, -0.0) if (shown & (x == 0) & (np.signbit(x) == np.signbit(zero))).any()]
    result += [(zero, zero) for zero in zeros]
    for sign in (-1, 1):
        part = finite & (np.sign(x) == sign)
        points = np.sort(np.unique(x[part]) * sign)
        fails = np.isin(points, x[part & shown_too] * sign)
        at = np.flatnonzero(np.isin(points, x[part & shown] * sign))
        if not at.size:
            continue
        groups = [[at[0], at[0]]]
        for i in at[1:]:
            first, last = groups[-1]
            if scattered:
                joins = points[i] <= points[last] * GAP
            else:
                joins = fails[first : i + 1].mean() >= 0.6 and fails[last : i + 1].sum() >= 0.2 * (i + 1 - last)
            if joins:
                groups[-1][1] = i
            else:
                groups.append([i, i])
        for first, last in groups:
            least, most = (first, last) if whole else (max(first - 1, 0), min(last + 1, points.size - 1))
            low, high = rounded(points[least], -1), rounded(points[most], 1)
            result.append((low, high) if sign > 0 else (-high, -low))
    return result


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("implementations", nargs="*", metavar="IMPLEMENTATION")
    parser.add_argument("--case", type=int)
    parser.add_argument("--mode", action="append", choices=MODES)
    parser.add_argument("--layout", action="store_true")
    asked = parser.parse_args()
    modes = tuple(asked.mode or USUAL_MODES)
    found = collect(asked.name, tuple(asked.implementations) or NATIVES, asked.case, modes, asked.layout)
    for (implementation, cause), keys in groupby(found).items():
        if "/" in implementation and cause != "convention":
            continue  # what covers one of the two covers them both
        print(f"\n# {implementation}: {cause}")
        for key in keys:
            print_regions(key, found[key])


def print_regions(key: tuple[str, str, int, str], parts: list[tuple[np.ndarray, ...]]) -> None:
    """A region for what shows almost everywhere in its intervals, and one for small errors here and there."""
    implementation, cause, order, dtype = key
    x, shown, got, other, ulp = (np.concatenate([part[k] for part in parts]) for k in range(5))
    measured = cause in ("inaccurate", "definition", "layout")
    small = SCATTERED * budget(dtype, order) / 1.3
    little = shown & (ulp <= small) if measured else np.zeros(x.shape, bool)
    if cause == "layout":
        little = shown
    whole = FORMATS[dtype].bits == 16
    wide = intervals(x, shown & ~little, shown, scattered=False, whole=whole)
    rest = little & ~inside_of(x, wide)
    for inside, here, scattered in (
        (wide, shown & inside_of(x, wide), False),
        (intervals(x, rest, rest, scattered=True, whole=whole), rest, True),
    ):
        if not here.any():
            continue
        worst = np.flatnonzero(here)[np.argmax(ulp[here])]
        declared = (
            () if scattered else zip(implementation.split(" / "), (float(got[worst]), float(other[worst])), strict=False)
        )
        bound = float(ulp[here].max()) * (1.3 if scattered else 1.1) if measured else np.inf
        anchor = Anchor(float(x[worst]), dict(declared))
        print(line(Region(order, (dtype,), tuple(inside), (anchor,), float(f"{bound:.3g}"))))
        if scattered:
            print(f"    # scattered: {here.sum() / inside_of(x, inside).sum():.2%} of the inputs")
        for px, s, *_, label in () if scattered else parts:
            within = inside_of(px, inside)
            if (within & s).any() and (within & s).sum() < within.sum() / 2:
                print(f"    # too wide for {label}: {(within & s).sum()} of {within.sum()}")


def inside_of(x: np.ndarray, intervals: list[tuple[float, float]]) -> np.ndarray:
    result = np.zeros(x.shape, bool)
    for low, high in intervals:
        result |= np.isnan(x) if np.isnan(low) else (low <= x) & (x <= high)
    return result


def groupby(found: dict) -> dict:
    result = defaultdict(list)
    for key in sorted(found, key=lambda key: (key[0], key[1], key[2], list(FORMATS).index(key[3]))):
        result[key[:2]].append(key)
    return result


if __name__ == "__main__":
    main()
