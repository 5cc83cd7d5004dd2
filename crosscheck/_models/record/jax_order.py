"""The order of the steps of a program of JAX, without those on which nothing depends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from crosscheck._models.values.uses import DATA, WEIGHT
from crosscheck._shadow.jax_equations import is_float

if TYPE_CHECKING:
    from crosscheck._models.record.jax_recording import JaxProgramFlat, Step


def drop_unused(flat: JaxProgramFlat) -> None:
    """Remove steps on which no result depends: an unused use of a weight would shift the count of its uses."""
    needed = set(flat.results)
    kept: list[Step] = []
    for step in reversed(flat.steps):
        effects = step.equation is not None and step.equation.effects
        if effects or needed & set(step.outputs):
            needed |= {number for number in step.inputs if isinstance(number, int)}
            kept.append(step)
    _renumber(flat, kept[::-1])


def uses_first(flat: JaxProgramFlat) -> None:
    """Run each use of a weight before other steps on the value that it uses, so that torch's value there is theirs too.

    An example is ``decay * h + f(h @ w)``. Steps stay where they are if an earlier use, or a sum, depends on them.
    """
    makers = {number: k for k, step in enumerate(flat.steps) for number in step.outputs}
    users: dict[int, list[int]] = {}
    for k, step in enumerate(flat.steps):
        for number in {number for number in step.inputs if isinstance(number, int)}:
            users.setdefault(number, []).append(k)
    behind: dict[int, list[int]] = {}
    taken: set[int] = set()
    for k, step in enumerate(flat.steps):
        data = [number for number in step.inputs if isinstance(number, int) and flat.kinds[number] == DATA]
        if not is_use(flat, step) or len(data) != 1:
            continue
        first = makers.get(data[0], -1)
        for user in (user for user in users[data[0]] if first < user < k and user not in taken):
            led = _led_to(flat, users, user, k)
            if taken.isdisjoint(led) and not any(_stays(flat, flat.steps[index]) for index in led):
                behind.setdefault(k, []).extend(sorted(led))
                taken.update(led)
    if taken:
        rest = (k for k in range(len(flat.steps)) if k not in taken)
        _renumber(flat, [flat.steps[index] for k in rest for index in (k, *sorted(behind.get(k, ())))])


def _led_to(flat: JaxProgramFlat, users: Mapping[int, list[int]], first: int, end: int) -> set[int]:
    """The steps before ``end`` that need the results of a step, itself among them."""
    led, left = {first}, [first]
    while left:
        after = [user for number in flat.steps[left.pop()].outputs for user in users.get(number, ()) if user < end]
        left += [user for user in after if user not in led]
        led.update(after)
    return led


def is_use(flat: JaxProgramFlat, step: Step) -> bool:
    """Whether a step computes with data and a weight."""
    given = [number for number in step.inputs if isinstance(number, int)]
    return step.operation.kind == DATA and any(
        flat.kinds[number] == WEIGHT and is_float(flat.avals[number]) for number in given
    )


def _stays(flat: JaxProgramFlat, step: Step) -> bool:
    """Whether a step must not be moved: a use, a sum, a result, or one with effects."""
    effects = step.equation is not None and step.equation.effects
    return bool(effects) or step.operation.name in ("add", "output") or is_use(flat, step)


def _renumber(flat: JaxProgramFlat, steps: Sequence[Step]) -> None:
    """Give a program these of its steps, in this order."""
    renumbered = {step.operation.index: index for index, step in enumerate(steps)}
    flat.steps = [
        replace(
            step,
            operation=replace(
                step.operation,
                index=renumbered[step.operation.index],
                inputs=tuple(renumbered[index] for index in step.operation.inputs if index in renumbered),
            ),
        )
        for step in steps
    ]
    flat.maker = {number: step.operation.index for step in flat.steps for number in step.outputs}
