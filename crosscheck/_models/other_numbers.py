"""A wrong number in JAX's program that explains a fault: with the right number, JAX gives what torch gives."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from jax.extend.core import Literal

from crosscheck._compare.how_constants import WORDS
from crosscheck._compare.how_numbers import plain
from crosscheck._frameworks.programs import Array
from crosscheck._models.constants import FEWEST, root
from crosscheck._models.engine import Found
from crosscheck._models.forcing import Fault
from crosscheck._models.reruns import RESULT, RIGHT, Change, Place, Stretch
from crosscheck._models.uses import CONSTANT, DATA, WEIGHT

USUAL = (1e-12, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e4, 1e5, 5e5, 1e6)
"""Epsilons, and bases of rotary positions, which are tried although torch's program does not show them."""
LARGEST_EPSILON, LEAST_BASE = 1e-2, 1e3
MOST_SCALARS = 12
"""For each number of JAX, so many numbers of torch's program are tried at most."""
MOST_TRIED = 600
"""JAX's program is run again at most so many times, for all faults of a comparison together."""
STEPS = 10
"""A number is fitted in at most so many steps."""
STEP = 2.0**-10
FEW_DIGITS = 4
"""A fitted number with more digits may fit by chance, if it is no square root."""
PRODUCTS = ("dot_general", "conv_general_dilated")
"""The operations whose results a side may scale."""
NEXT = (-1, 1, -2, 2)
"""What is added to an integer: masks and positions are wrong by one."""
GIVES = ", JAX gives what PyTorch gives"


@dataclass(frozen=True)
class Hypothesis:
    """A number in JAX's program, a function that replaces it by another number, and the explanation in words."""

    number: float
    changes: Callable[[float], Mapping[Place, Change]]
    said: str


class OtherNumbers:
    """Looks for the number that explains a fault, for one fault after the other."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._left = MOST_TRIED
        self._known: dict[float, set[float]] = defaultdict(set)
        """For each number of JAX, the numbers of torch that explained earlier faults."""
        self.corrected: set[int] = set()
        """The landmarks at which JAX is right after the change of a number."""

    def explanation(self, fault: Fault) -> str:
        """Which number is another one, as a clause; empty if no number explains the fault."""
        return self._tried(fault, self._float)

    def integer(self, fault: Fault) -> str:
        """The same for integers, such as the size of a window: they say less than where masks differ."""
        return self._tried(fault, self._integer)

    def _tried(self, fault: Fault, explain: Callable[[Stretch], str]) -> str:
        expected = self._found.landmarks[fault.landmark].expected.wide
        if expected.size < FEWEST or expected.dtype != np.float64:
            return ""
        stretch = Stretch(self._found, fault.landmark)
        said = explain(stretch) if stretch.is_small else ""
        self.corrected.update({fault.landmark} if said else ())
        return said

    def _integer(self, stretch: Stretch) -> str:
        for one in _integers(stretch) if self._left > 0 else ():
            if said := self._best(stretch, [(one, one.number + more) for more in NEXT]):
                return said
        return ""

    def _float(self, stretch: Stretch) -> str:
        numbers, weights = list(_numbers(self._found, stretch)), list(_weights(self._found, stretch))
        known = [(one, other) for one in numbers for other in sorted(self._known[one.number])]
        if said := self._best(stretch, known + [(one, 1.0) for one in weights]):
            return said
        for one in numbers if self._left > 0 else ():
            if said := self._best(stretch, [(one, other) for other in self._candidates(one.number)]):
                return said
        for one in (*numbers, *_factors(stretch)):
            if self._left > 0 and (fitted := self._fitted(stretch, one)):
                return one.said.format(fitted) + GIVES
        return ""

    def _best(self, stretch: Stretch, tried: Sequence[tuple[Hypothesis, float]]) -> str:
        """The hypothesis with the least error, in words, if it makes the landmark right."""
        errors = [self._error(stretch, *one) for one in tried]
        if min(errors, default=np.inf) > stretch.limit:
            return ""
        one, other = tried[int(np.argmin(errors))]
        if self._error(stretch, one, one.number) <= stretch.limit:  # the number itself would do as well
            return ""
        self._known[one.number].add(other)
        return one.said.format(f"{other:.6g}") + GIVES

    def _candidates(self, number: float) -> Iterator[float]:
        """The numbers that torch may have where JAX has this one."""
        kind = _kind(number)
        of_torch = [one for one in self._found.torch.scalars if np.isfinite(one) and _kind(one) == kind][:MOST_SCALARS]
        usual = [one for one in (*USUAL, 0.0, 1.0) if _kind(one) == kind]
        yield from (one for one in dict.fromkeys((*of_torch, *usual)) if one != number and one not in self._known[number])

    def _error(self, stretch: Stretch, one: Hypothesis, number: float) -> float:
        """How far JAX is from torch with another number; infinite if it cannot be run with it."""
        self._left -= 1
        return stretch.error(one.changes(number))

    def _apart(self, stretch: Stretch, one: Hypothesis, number: float) -> Array | None:
        self._left -= 1
        try:
            return stretch.apart(one.changes(number))
        except Exception:  # a step may refuse a number
            return None

    def _fitted(self, stretch: Stretch, one: Hypothesis) -> str | None:
        """The number with which JAX gives what torch gives, by the secant method, if it is a plain one."""
        before = self._apart(stretch, one, one.number)
        if before is None or not (size := float(np.vdot(before, before))) or not np.isfinite(size):
            return None

        def error(number: float) -> float | None:
            """What is left of the error, along the error itself."""
            apart = self._apart(stretch, one, number)
            return None if apart is None or not np.isfinite(apart).all() else float(np.vdot(before, apart)) / size

        last, left = one.number, 1.0
        number = last + STEP * (abs(last) or 1.0)
        for _ in range(STEPS):
            now = error(number)
            if now is None or now == left or abs(now) > 2:
                return None
            last, number, left = number, number - now * (number - last) / (now - left), now
            if abs(number - last) <= RIGHT * STEP * abs(number):
                break
        found = plain(number)
        squared = root(number)
        if found.plainness[0] > FEW_DIGITS and "=" not in found.said and not squared:
            return None
        value = number if squared else found.value
        said = f"{number:.6g}{squared}" if squared else found.said
        return said if value != one.number and self._error(stretch, one, value) <= stretch.limit else None


def _numbers(found: Found, stretch: Stretch) -> Iterator[Hypothesis]:
    """The numbers in JAX's steps, each by itself, and all equal ones together."""
    places: dict[float, list[Place]] = defaultdict(list)
    for step in stretch.steps:
        for place, one in enumerate(step.inputs):
            if (number := _number(found, stretch, one)) is not None:
                places[number].append((step.operation.index, place))
    for number, held in places.items():
        for group in [[one] for one in held] + [held] * (len(held) > 1):
            yield Hypothesis(number, partial(_instead, group), f"with {{}} in place of its {number:.6g}")


def _number(found: Found, stretch: Stretch, one: Any) -> float | None:
    """The number that an operand consists of; None if it is another operand."""
    is_constant = isinstance(one, int) and found.flat.kinds[one] == CONSTANT and one not in found.flat.maker
    if not is_constant and not isinstance(one, Literal):
        return None
    value = np.asarray(stretch.run.read(one))
    if value.dtype != np.float64 or not value.size or not np.isfinite(value).all() or np.ptp(value):
        return None
    return float(value.flat[0])


def _integers(stretch: Stretch) -> Iterator[Hypothesis]:
    """The integers in JAX's steps, such as the size of a window, or where positions begin."""
    for step in stretch.steps:
        for place, one in enumerate(step.inputs):
            if isinstance(one, Literal) and np.ndim(one.val) == 0 and one.aval.dtype.kind == "i":
                number = int(one.val)
                yield Hypothesis(
                    number, partial(_instead, [(step.operation.index, place)]), f"with {{}} in place of its {number}"
                )


def _factors(stretch: Stretch) -> Iterator[Hypothesis]:
    """A factor of the result of each product."""
    for step in stretch.steps:
        if step.operation.name in PRODUCTS and step.operation.kind == DATA:
            said = f"with the result of its {WORDS[step.operation.name]} times {{}}"
            yield Hypothesis(1.0, partial(_times, (step.operation.index, RESULT)), said)


def _weights(found: Found, stretch: Stretch) -> Iterator[Hypothesis]:
    """One added to each weight, and to all of them."""
    places = [
        (step.operation.index, place)
        for step in stretch.steps
        for place, one in enumerate(step.inputs)
        if isinstance(one, int) and found.flat.kinds[one] == WEIGHT and step.operation.kind == DATA
    ]
    for group in [[one] for one in places] + [places] * (len(places) > 1):
        yield Hypothesis(0.0, partial(_plus, group), "with 1 + its weight in place of the weight")


def _kind(number: float) -> str:
    if 0 < number <= LARGEST_EPSILON:
        return "epsilon"
    return "base" if number >= LEAST_BASE else "other"


def _instead(places: list[Place], number: float) -> Mapping[Place, Change]:
    return dict.fromkeys(places, lambda one: one * 0 + number)


def _times(place: Place, number: float) -> Mapping[Place, Change]:
    return {place: lambda one: one * number}


def _plus(places: list[Place], number: float) -> Mapping[Place, Change]:
    return dict.fromkeys(places, lambda one: one + number)
