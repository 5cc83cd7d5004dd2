"""Landmarks where JAX has another quantity than torch: what follows is right with JAX's value, and wrong with torch's."""

from __future__ import annotations

from collections.abc import Container

from crosscheck._models.judge.forced import Forced
from crosscheck._models.judge.forcing import ForcedRun, Forcing

CLEARLY = 16.0
"""What follows is wrong if its difference is this many times as large as it may be."""


def other_quantities(forcing: Forcing, located: Forced) -> set[int]:
    """The landmarks of faults where JAX has another quantity, as where it scales and adds in another order.

    What follows a real fault is right with torch's value. If something hides the fault, it is right with both.
    """
    numbers: set[int] = set()
    for number in sorted({number for fault in located.faults for number in fault.shown}, reverse=True):
        left = located.left | numbers
        after = _following(forcing, number, left) - left
        if any(not located.errors[follower] <= CLEARLY * forcing.tolerances[follower] for follower in after):
            own = forcing.replaced(left | {number}, ForcedRun(wide=True)).errors
            if all(own[follower] <= forcing.tolerances[follower] for follower in after):
                numbers.add(number)
    return numbers


def _following(forcing: Forcing, number: int, left: Container[int]) -> set[int]:
    """The landmarks that JAX computes from its value at a landmark, up to those where it gets torch's."""
    flat, landmarks = forcing.flat, forcing.landmarks

    def value(index: int) -> int:
        step = flat.steps[landmarks[index].step]
        return int(step.outputs[0] if landmarks[index].place < 0 else step.inputs[landmarks[index].place])

    given = {flat.maker.get(value(index), -1) for index in range(len(landmarks)) if index != number and index not in left}
    followers = set()
    for index in range(number + 1, len(landmarks)):
        step = flat.steps[landmarks[index].step]
        before = step.inputs if landmarks[index].place < 0 else [step.inputs[landmarks[index].place]]
        if value(number) in flat.ancestors(before, given - {flat.maker.get(value(index), -1)}):
            followers.add(index)
    return followers
