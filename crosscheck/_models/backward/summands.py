"""A large gradient that is a sum, summand by summand: a table of words that also makes the logits has two summands.

Neither side then holds both summands and their sum at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from math import prod
from typing import Any

from crosscheck._models.record.jax_recording import JaxProgramFlat, Step

LARGE = 2**20
"""A gradient of more numbers is large."""
ADD = "add_any"
"""The operation by which JAX adds up gradients."""


def take_summands(results: Sequence[Any], parameters: Mapping[str, Any], take: Callable[[str, Any], None]) -> Counter[str]:
    """Let torch's backward pass give each summand of the gradient by a large parameter to ``take``, with its name.

    The parameter gets no gradient from these. Where torch computes one in another way, as in a checkpoint, it does.

    Returns:
        How many summands of each there will be, as far as torch has not left one out as 0.
    """
    expected = Counter[str]()
    large = {id(parameter): name for name, parameter in parameters.items() if parameter.numel() > LARGE}
    for node in backward_steps(results):
        names = {k: large.get(id(getattr(other, "variable", None)), "") for k, (other, _) in enumerate(node.next_functions)}
        if any(names.values()):
            node.register_hook(partial(_taken, names, take))
            expected.update(filter(None, names.values()))
    return expected


def backward_steps(results: Sequence[Any]) -> Iterator[Any]:
    """The steps of torch's backward pass; the last ones have a ``variable``, to which they give its gradient."""
    seen: set[Any] = set()
    left = [result.grad_fn for result in results]
    while left:
        node = left.pop()
        if node is not None and node not in seen:
            seen.add(node)
            left += [other for other, _ in node.next_functions]
            yield node


def _taken(names: Mapping[int, str], take: Callable[[str, Any], None], gradients: Sequence[Any], _: Any) -> tuple[Any, ...]:
    """Take the gradients that a step of torch's backward pass gives to parameters, and leave it the others."""
    for k, gradient in enumerate(gradients):
        if names[k] and gradient is not None:
            take(names[k], gradient)
    return tuple(None if names[k] else gradient for k, gradient in enumerate(gradients))


def in_summands(flat: JaxProgramFlat) -> tuple[JaxProgramFlat, list[int]]:
    """The program with each summand of a large result as a result, and for each of these the position of its sum."""
    steps = list(flat.steps)
    uses = Counter(number for step in steps for number in step.inputs if isinstance(number, int))
    results: list[int] = []
    positions: list[int] = []
    for position, result in enumerate(flat.results):
        left = [result]
        while left:
            number = left.pop()
            step = steps[flat.maker[number]]
            total = step.inputs[0]
            added = steps[flat.maker[total]] if isinstance(total, int) and total in flat.maker else None
            large = prod(flat.avals[number].shape) > LARGE
            if added is None or added.operation.name != ADD or uses[total] > 1 or not large:
                results.append(number)
                positions.append(position)
                continue
            # the step that gives the sum out gives one summand out, and the one that adds gives the other one
            for at, summand, output in ((added, added.inputs[0], total), (step, added.inputs[1], number)):
                operation = replace(step.operation, index=at.operation.index)
                steps[at.operation.index] = Step(operation, None, step.function, (summand,), (output,))
                left.append(output)
    return replace(flat, steps=steps, results=results), positions
