"""Whether the usual checks notice the disagreements of an activation, measured at the rows' inputs and at normal ones."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from crosscheck._arithmetic.formats import FORMATS, BoolArray, Float64Array, FloatArray, from_bits, widen
from crosscheck._arithmetic.ulp import round_once
from crosscheck._atlas.records import Area, AtlasRow, Noticed
from crosscheck._atlas.usual import ASSERT_ALLCLOSE, ASSERT_CLOSE, CHECK_GRADS, GRADCHECK, SEED, Said, of_results, of_slopes
from crosscheck._frameworks.lacking import Lacking
from crosscheck._records.implementations import MATCHED, NATIVE, USUAL_MODES, Implementation
from crosscheck._records.records import Activation
from crosscheck._verdict.coverage import lie_in
from crosscheck._verdict.examination import LONG
from crosscheck._verify.inputs.sample import Sample
from crosscheck._verify.run.implementations import function_of, implementations_of, runner

NORMAL = 1000
"""The number of standard normal inputs."""
LENGTH = 100
"""For a function of rows, these inputs form rows of this length."""
CHECKED = ("float32", "float64")
"""The dtypes in which functions are differentiated; anchors in others are used only if these dtypes have none."""
SLOPES = {"torch": GRADCHECK, "jax": CHECK_GRADS}

TRUTH = "exact"
NOWHERE = "none of these inputs lies in its regions"
NO_RESULT = "an implementation raises or finds no derivative, so there are no results to compare"
RIGHT_TOO = "it raises of right functions too"
ANOTHER_MODE = "it differentiates the function as it is, not in this mode"
TOO_LONG = "it takes the whole Jacobian, which of a row as long as a vocabulary has tens of gigabytes"


@dataclass(frozen=True)
class _Tried:
    """The output of a check in one setting; it counts only if the check passes crosscheck's own functions."""

    said: Said
    of_right: Said
    setting: str


@dataclass
class Checks:
    """The checks on one activation; what several of its rows need is run once."""

    activation: Activation
    lacking: Lacking = field(default_factory=lambda: Lacking({}, {}))
    _kept: dict[tuple[Any, ...], Any] = field(default_factory=dict)

    def noticed(self, row: AtlasRow, dtypes: Collection[str]) -> tuple[Noticed, ...]:
        """The result of each check at the inputs of a row, and at normal inputs."""
        found = []
        for inputs, results, slopes in (
            ("anchors", self._at_anchors(row), self._slopes_at_anchors),
            ("normal", self._at_normal(row, dtypes), self._slopes_at_normal),
        ):
            compared = list(results)
            found += [
                _verdict(
                    check,
                    inputs,
                    [tried[check] for tried in compared if check in tried],
                    self.lacking.frameworks.get(check.partition(".")[0], NO_RESULT),
                )
                for check in (ASSERT_CLOSE, ASSERT_ALLCLOSE)
            ]
            for side, check in SLOPES.items():
                implementations = [one for one in row.implementations if Implementation.of(one).side == side]
                usual = set(row.modes) & set(USUAL_MODES)
                tried = [one for implementation in implementations for one in slopes(row, implementation)] if usual else []
                otherwise = f"it is not {side}'s function that deviates"
                if implementations:
                    otherwise = TOO_LONG if usual else ANOTHER_MODE
                found.append(_verdict(check, inputs, tried, otherwise))
        return tuple(found)

    def _pairs(self, row: AtlasRow, parameters: Mapping[str, float]) -> list[tuple[str, str]]:
        """The pairs to compare: an implementation with the other framework's same function, otherwise with the truth."""
        there = self._there(parameters)
        pairs: dict[frozenset[str], tuple[str, str]] = {}
        for implementation in row.implementations:
            other = "jax" if Implementation.of(implementation).side == "torch" else "torch"
            names = [Implementation(other, kind).name for kind in (MATCHED, NATIVE)]
            partner = next((name for name in names if name in there), TRUTH)
            if implementation in there:
                pairs.setdefault(frozenset((implementation, partner)), (implementation, partner))
        return list(pairs.values())

    def _there(self, parameters: Mapping[str, float]) -> list[str]:
        names = (implementation.name for implementation in implementations_of(self.activation, parameters))
        return [name for name in names if self.lacking.runs(name)]

    def _at_anchors(self, row: AtlasRow) -> Iterator[dict[str, _Tried]]:
        for at, results, truth in zip(row.inputs, row.results, row.truth, strict=True):
            # the deviating ones come first, in a mode in which they deviate
            shown = {one.implementation: one.got for one in reversed(results) if one.layout == "array"} | {TRUTH: truth}
            given = {name: from_bits([number.bits], at.dtype) for name, number in shown.items() if number}
            for pair in self._pairs(row, at.parameters):
                yield from _compared(pair, given.get, f"{at.dtype} at {at.x.decimal}, {' and '.join(pair)}")

    def _at_normal(self, row: AtlasRow, dtypes: Collection[str]) -> Iterator[dict[str, _Tried]]:
        """The results at normal inputs in its regions: a check that fails at another input noticed something else."""
        for area in row.region:
            parameters = {**self.activation.parameters, **area.parameters}
            for dtype in (one for one in area.dtypes if one in dtypes):
                there = _in_area(area, normal(self.activation, dtype))
                normally = partial(self._normal, row, area, dtype, parameters, there)
                for pair in self._pairs(row, parameters) if there.any() else ():
                    yield from _compared(pair, normally, f"{dtype}, {' and '.join(pair)}")
                if not there.any():
                    yield dict.fromkeys((ASSERT_CLOSE, ASSERT_ALLCLOSE), _Tried(None, None, NOWHERE))

    def _normal(
        self, row: AtlasRow, area: Area, dtype: str, parameters: dict[str, float], there: BoolArray, name: str
    ) -> FloatArray | None:
        """An implementation's results at some normal inputs, or the exact ones; None if it raises or has no derivative.

        It runs in a mode in which it deviates, if it is a deviating one.
        """
        mode = area.modes[0]
        mode = mode if name in row.implementations and mode in Implementation.of(name).modes else "eager"
        given = name, mode, area.order, dtype
        found = self._once(("normal", *given, *parameters.items()), partial(self._run, *given, parameters))
        return None if found is None else found[there]

    def _run(self, name: str, mode: str, order: int, dtype: str, parameters: dict[str, float]) -> FloatArray | None:
        sample = normal(self.activation, dtype)
        if name == TRUTH:
            return sample.truths(self.activation, [order], parameters)[order].rounded
        try:
            return runner(self.activation, Implementation.of(name), parameters, "cpu", None).run(sample, order, mode)
        except Exception:  # the cause of the row says that it raises
            return None

    def _slopes_at_anchors(self, row: AtlasRow, implementation: str) -> Iterator[_Tried]:
        checked = [at for at in row.inputs if at.dtype in CHECKED] or row.inputs
        for at in checked:
            too_long = SLOPES[Implementation.of(implementation).side] == GRADCHECK and at.place and at.place.length >= LONG
            if not too_long and implementation in self._there(at.parameters):
                x = widen(from_bits(at.place.bits if at.place else [at.x.bits], at.dtype))
                x = x[np.newaxis] if at.place else x
                yield self._slope(implementation, x, dict(at.parameters), max(row.orders), f"at {at.x.decimal}")

    def _slopes_at_normal(self, row: AtlasRow, implementation: str) -> Iterator[_Tried]:
        sample = normal(self.activation, "float64")
        found: dict[tuple[tuple[str, float], ...], BoolArray] = {}
        for area in row.region:
            there = np.asarray(_in_area(area, sample).reshape(len(sample.x), -1).any(axis=1))
            key = tuple({**self.activation.parameters, **area.parameters}.items())
            found[key] = there | found[key] if key in found else there
        for key, there in found.items():
            parameters = dict(key)
            if not there.any():
                yield _Tried(None, None, NOWHERE)
            elif implementation in self._there(parameters):
                yield self._slope(implementation, widen(sample.x[there]), parameters, max(row.orders), "")

    def _slope(self, implementation: str, x: Float64Array, parameters: dict[str, float], order: int, where: str) -> _Tried:
        side = Implementation.of(implementation).side
        x = x.T if parameters.get("axis") == 0 else x
        given = x.tobytes(), x.shape, max(order, 1), *parameters.items()

        def once(name: str) -> Said:
            return self._once((name, *given), partial(self._of_slopes, name, x, parameters, order))

        said = once(implementation)
        return _Tried(said, None if said is None else once(side), where)

    def _of_slopes(self, name: str, x: Float64Array, parameters: dict[str, float], order: int) -> Said:
        implementation = Implementation.of(name)
        try:
            function = function_of(self.activation, implementation, parameters)
        except Exception as error:  # a function that is not shipped also makes the test fail
            return f"{type(error).__name__}: {error}"
        if not implementation.own or implementation.side == "torch":
            return of_slopes(implementation.side, function, x, order)
        import jax  # check_grads also passes arrays of numpy, which crosscheck's functions refuse

        return of_slopes("jax", lambda x: function(jax.numpy.asarray(x)), x, order)

    def _once(self, key: tuple[Any, ...], made: Callable[[], Any]) -> Any:
        if key not in self._kept:
            self._kept[key] = made()
        return self._kept[key]


def normal(activation: Activation, dtype: str) -> Sample:
    """1,000 seeded standard normal inputs of a dtype, without those outside of the function's domain; or rows of them."""
    generator = np.random.default_rng(SEED)
    low, high = activation.domain
    drawn = generator.standard_normal(8 * NORMAL)
    x = round_once(drawn[(low < drawn) & (drawn < high)][:NORMAL], FORMATS[dtype])
    if not activation.rows:
        return Sample(x, None, x)
    v = round_once(generator.standard_normal(NORMAL), FORMATS[dtype])
    return Sample.of_rows(x.reshape(-1, LENGTH), v.reshape(-1, LENGTH), activation)


def _in_area(area: Area, sample: Sample) -> BoolArray:
    known = widen(sample.known(area.order))
    if area.lengths and sample.length not in area.lengths:
        return np.zeros(known.shape, bool)
    return lie_in(known, area.intervals)


def _compared(
    pair: tuple[str, str], results: Callable[[str], FloatArray | None], setting: str
) -> Iterator[dict[str, _Tried]]:
    """What the checks say of a pair's results, if it has any, and of those of crosscheck's own in place of the natives."""
    got = [results(name) for name in pair]
    if not any(one is None for one in got):
        own = [results(name if name == TRUTH else Implementation.of(name).side) for name in pair]
        said, of_right = of_results(*got), of_results(*own)
        yield {check: _Tried(said[check], of_right[check], setting) for check in said}


def _verdict(check: str, inputs: str, tried: Sequence[_Tried], otherwise: str) -> Noticed:
    telling = [one for one in tried if one.said is None or one.of_right is None]
    noticed = next((one for one in telling if one.said is not None), None)
    if noticed is not None:
        return Noticed(check, inputs, True, ": ".join(filter(None, [noticed.setting, noticed.said])))
    if telling:
        return Noticed(check, inputs, False, NOWHERE if {one.setting for one in telling} == {NOWHERE} else "")
    return Noticed(check, inputs, None, f"{RIGHT_TOO}: {tried[0].of_right}" if tried else otherwise)
