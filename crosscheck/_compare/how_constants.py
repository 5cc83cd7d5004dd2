"""Which numbers inside a function would have to change for it to give the results of the other side."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import combinations, permutations

import numpy as np

from crosscheck._compare.how_fit import Fit
from crosscheck._compare.how_numbers import Number, of_change, of_counts, plain, unlike
from crosscheck._compare.trials import JAX, NAMES, TORCH, Change, Trials, near
from crosscheck._frameworks.programs import Array
from crosscheck._shadow.base import Noise
from crosscheck._shadow.jax.adjusted import CONSTANTS, PLUS, TIMES, JaxAdjusted
from crosscheck._shadow.jax.lift import JaxLifted
from crosscheck._shadow.torch.lift import TorchLifted

MOST = 64
"""Programs with more numbers, or more operations, are not searched."""
SMALL = 2**14
"""With more elements in the inputs, no number is fitted."""
MOST_TOGETHER = 3
"""At most so many numbers are exchanged together."""
MOST_DIFFERENT = 5
STEP = 2.0**-10
MOVES = 1e-9
"""A result that moves by less, relative to its size, does not depend on the step."""
WORDS = {
    "add": "sum",
    "div": "quotient",
    "dot_general": "matrix product",
    "conv_general_dilated": "convolution",
    "integer_pow": "power",
    "logistic": "sigmoid",
    "mul": "product",
    "reduce_max": "maximum",
    "reduce_min": "minimum",
    "reduce_sum": "sum over elements",
    "select_n": "choice",
    "sub": "difference",
}
"""Names of JAX's operations in words."""


class Constants:
    """The numbers inside both functions."""

    def __init__(self, trials: Trials) -> None:
        self.trials = trials
        self.program = JaxAdjusted(jax) if isinstance(jax := trials.lifted[JAX], JaxLifted) else None
        torch = trials.lifted[TORCH]
        assert isinstance(torch, TorchLifted)
        self.torch = torch
        trials.result(TORCH)
        inside = self.program.constants_inside if self.program else []
        self.numbers = list(torch.constants), inside
        operations = self.program.operations if self.program else []
        torch_result, jax_result = trials.given_results
        self.small = sum(one.size for one in trials.given) <= SMALL
        self.few = all(len(one) <= MOST for one in (*self.numbers, operations)) and torch_result.shape == jax_result.shape

    def run(
        self, side: int, kind: int, values: Mapping[int, float], arguments: Sequence[Array], noise: Noise | None
    ) -> Array:
        if side == JAX:
            assert self.program is not None
            self.trials.spend(JAX)
            return np.asarray(self.program.adjusted(kind, values, arguments, noise)[self.trials.index], np.float64)
        with self._set({self.numbers[TORCH][place]: value for place, value in values.items()}):
            return self.trials.run(TORCH, arguments, noise)

    @contextmanager
    def _set(self, values: Mapping[float, float]) -> Iterator[None]:
        self.torch.constants.update(values)
        try:
            yield
        finally:
            self.torch.constants.update({value: value for value in values})

    # One function takes numbers from inside the other in place of its own.

    def exchanged(self) -> Iterator[Change]:
        if not self.few:
            return
        for side in (JAX, TORCH):
            own, others = self.numbers[side], set(self.numbers[1 - side])
            different = [value for value in dict.fromkeys(self.numbers[1 - side]) if value not in own]
            different += [value for value in (0.0, 1.0) if side == TORCH and value not in different]
            yield from self._tried(
                side,
                [{k: new} for k, old in enumerate(own) for new in (*different, *_beside(old)) if new != old],
            )
            groups = [_places(own, value) for value in dict.fromkeys(own) if value not in others or own.count(value) > 1]
            yield from self._tried(
                side, [dict.fromkeys(group, value) for group in groups if len(group) > 1 for value in different]
            )
            different = different[:MOST_DIFFERENT]
            lone = [_places(own, value) for value in dict.fromkeys(own) if value not in others][:MOST_DIFFERENT]
            for count in range(2, MOST_TOGETHER + 1) if side == JAX and self.small else ():
                yield from self._tried(
                    side,
                    [
                        {place: value for group, value in zip(chosen, values, strict=True) for place in group}
                        for chosen in combinations(lone, count)
                        for values in permutations(different, count)
                    ],
                )

    def _tried(self, side: int, candidates: Sequence[Mapping[int, float]]) -> Iterator[Change]:
        target = self.trials.given_results[1 - side]
        for values in candidates:
            if self.trials.spent:
                return
            with np.errstate(all="ignore"):
                try:
                    found = self.run(side, CONSTANTS, values, self.trials.given, None)
                except Exception:  # a number that an operation refuses
                    continue
            if near(found, target):
                yield self._change(side, CONSTANTS, values, self._in_place(side, values))

    def _in_place(self, side: int, values: Mapping[int, float], said: str | None = None) -> str:
        pairs = list(dict.fromkeys((value, self.numbers[side][place]) for place, value in values.items()))
        new, old = (" and ".join(unlike(*pair[::way]) for pair in pairs) for way in (1, -1))
        why = of_change(self.trials.inputs, pairs[0][1], pairs[0][0]) if len(pairs) == 1 else ""
        return f"{said or new} in place of its {old}{why}"

    def _change(self, side: int, kind: int, values: Mapping[int, float], said: str) -> Change:
        names = NAMES[side], NAMES[1 - side]
        return Change(
            f"with {said}, {names[0]} gives what {names[1]} gives", partial(self.run, side, kind, values), 1 - side
        )

    # Numbers that are fitted.

    def fitted(self) -> Iterator[Change]:
        """Each number, or all equal numbers together, replaced by the number that would make the results agree."""
        for side in (JAX, TORCH) if self.few and self.small else ():
            own = self.numbers[side]
            fit = Fit(self.trials, 1 - side)
            groups: list[tuple[int, ...]] = [(place,) for place in range(len(own))]
            groups += [group for value in dict.fromkeys(own) if len(group := _places(own, value)) > 1]
            for group in groups:
                start = own[group[0]]
                best = self._fit(fit, side, CONSTANTS, group, start)
                for number in self._meant(best):
                    values = dict.fromkeys(group, number.value)
                    yield self._change(side, CONSTANTS, values, self._in_place(side, values, number.said) + number.why)

    def operations(self) -> Iterator[Change]:
        """A factor, then an offset, of the result of one of JAX's operations; the one with the fewest digits first."""
        if self.program is None or not self.few or not self.small:
            return
        fit = Fit(self.trials, TORCH)
        for kind, word, start in ((TIMES, "times", 1.0), (PLUS, "plus", 0.0)):
            found = [
                (number, place)
                for place in range(len(self.program.operations))
                for number in self._meant(self._fit(fit, JAX, kind, (place,), start))
            ]
            for number, place in sorted(found, key=lambda one: one[0].plainness):
                name = self.program.operations[place]
                said = f"the result of its {WORDS.get(name, name)} {word} {number.said}{number.why}"
                yield self._change(JAX, kind, {place: number.value}, said)

    def _meant(self, best: float | None) -> Iterator[Number]:
        if best is not None:
            yield from of_counts(self.trials.inputs, best)
            yield plain(best)

    def _fit(self, fit: Fit, side: int, kind: int, places: Sequence[int], start: float) -> float | None:
        if not np.isfinite(start) or self.trials.spent:
            return None

        def run(value: float) -> Array:
            return self.run(side, kind, dict.fromkeys(places, value), self.trials.given, None)

        apart = fit.apart(run, start)
        moved = np.abs(fit.apart(run, start + STEP * (abs(start) or 1.0)) - apart)
        if (moved[np.abs(apart) > STEP] < MOVES).any() or not (moved > 0).any():  # the step moves none of it
            return None
        starts = (start,) if kind == PLUS or not start else (start, -start, start / 16, start * 16)
        return fit.best(run, starts)


def _beside(number: float) -> tuple[float, ...]:
    """The next integers: the number may be an exponent."""
    return (number + 1, number - 1) if float(number).is_integer() else ()


def _places(values: Sequence[float], value: float) -> tuple[int, ...]:
    return tuple(place for place, other in enumerate(values) if other == value)
