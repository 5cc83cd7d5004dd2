"""Landmarks where JAX has another quantity than torch: what follows is right with JAX's value, and wrong with torch's."""

from __future__ import annotations

from collections.abc import Container

from crosscheck._models.judge.forcing import Forced, Forcing

CLEARLY = 16.0
"""What follows is wrong if its difference is this many times as large as it may be."""


def other_quantities(forcing: Forcing, located: Forced) -> set[int]:
    """The landmarks of faults where JAX has another quantity, as where it scales and adds in another order.

    What follows a real fault is right with torch's value. If something hides the fault, it is right with both.
    """
    found: set[int] = set()
    for number in sorted({one for fault in located.faults for one in fault.shown}, reverse=True):
        left = located.left | found
        after = _following(forcing, number, left) - left
        if any(not located.errors[one] <= CLEARLY * forcing.tolerances[one] for one in after):
            own = forcing.replaced(left | {number}, wide=True).errors
            if all(own[one] <= forcing.tolerances[one] for one in after):
                found.add(number)
    return found


def _following(forcing: Forcing, number: int, left: Container[int]) -> set[int]:
    """The landmarks that JAX computes from its value at a landmark, up to those where it gets torch's."""
    flat, landmarks = forcing.flat, forcing.landmarks

    def value(one: int) -> int:
        step = flat.steps[landmarks[one].step]
        return int(step.outputs[0] if landmarks[one].place < 0 else step.inputs[landmarks[one].place])

    given = {flat.maker.get(value(one), -1) for one in range(len(landmarks)) if one != number and one not in left}
    found = set()
    for one in range(number + 1, len(landmarks)):
        step = flat.steps[landmarks[one].step]
        before = step.inputs if landmarks[one].place < 0 else [step.inputs[landmarks[one].place]]
        if value(number) in flat.ancestors(before, given - {flat.maker.get(value(one), -1)}):
            found.add(one)
    return found
