"""Torch's backward pass in float64, which gives one gradient after the other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from typing import Any

import torch
from torch.utils._python_dispatch import _disable_current_modes

from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.backward.summands import backward_steps, take_summands
from crosscheck._models.record.torch_recording import widened
from crosscheck._models.values.spilled import Store, Stored
from crosscheck._shadow.torch.lift import TorchLifted

LARGE = 2**24
"""A gradient of more numbers, as that by a table of words, is not held in memory while JAX computes its own."""
Begin = Callable[[], Callable[[str], None]]
"""Called when a backward pass begins, as it may several times; gives what is called with the name of each gradient."""


class TorchBackward:
    """The backward pass of the outputs times cotangents.

    Attributes:
        gradients: The gradient by each trained parameter, as arrays to be added up.
        rounded: Whether something in torch was rounded to the dtype.
    """

    def __init__(self, program: TorchProgram, cotangents: Sequence[Array], floats: Sequence[int]) -> None:
        self._program, self._cotangents, self._floats = program, cotangents, floats
        named = program.function.named_parameters()
        self._parameters = {name: parameter for name, parameter in named if parameter.requires_grad}
        self.gradients: dict[str, list[Stored]] = {name: [] for name in self._parameters}
        self.rounded = False

    def run(self, begin: Begin | None = None) -> None:
        """Fill ``gradients``. With ``begin``, each is dropped after the function that it gave was called with its name."""
        store, sparse = Store(), set[str]()
        given: Callable[[str], None] | None = None
        expected = Counter[str]()
        waiting: list[str] = []
        """The names of gradients that are there, and whose tensors torch may hold until its next step."""

        def give() -> None:
            while waiting and given is not None:
                given(name := waiting.pop())
                self.gradients[name].clear()

        def take(name: str, gradient: Any) -> None:
            """Take a gradient as soon as it is there, so that torch holds one at a time."""
            expected[name] -= 1
            is_last = given is not None and expected[name] <= 0
            with _disable_current_modes(), torch.no_grad():
                if gradient.layout is not torch.strided:
                    sparse.add(name)  # it has no shadow in float64
                    gradient = gradient.to_dense()
                array = lifted.wide(gradient)
            give()  # what was taken before is free now
            is_brief = is_last and array.size <= LARGE
            self.gradients[name].append(store.hold(array) if is_brief else store.put(array))
            if is_last:
                waiting.append(name)

        def take_sum(name: str, parameter: Any) -> None:
            if parameter.grad is not None:  # it is None where all summands were taken
                gradient, parameter.grad = parameter.grad, None
                take(name, gradient)

        def run(*leaves: Any) -> list[Any]:
            nonlocal given
            for summands in self.gradients.values():  # it runs again where an operation needs numbers that were left out
                summands.clear()
            expected.clear()
            waiting.clear()
            given = begin() if begin is not None else None
            with torch.enable_grad():
                results = self._program.values([leaf.detach() for leaf in leaves[: len(self._program.inputs.leaves)]])
                along = zip(self._floats, leaves[len(self._program.inputs.leaves) :], strict=True)
                chosen = [(results[k], cotangent) for k, cotangent in along if results[k].requires_grad]
                if chosen and self._parameters:
                    expected.update(take_summands([result for result, _ in chosen], self._parameters, take))
                    with _left_as_they_are([result for result, _ in chosen], self._parameters):
                        torch.autograd.backward(*zip(*chosen, strict=True))
            return []

        lifted = TorchLifted(run, self._program.inputs.fmt.name)
        lifted.alone = True
        lifted.parameters = [parameter.detach() for parameter in self._program.function.parameters()]
        with ExitStack() as hooks, torch.enable_grad():
            for name, parameter in self._parameters.items():
                hooks.callback(parameter.register_post_accumulate_grad_hook(partial(take_sum, name)).remove)
            lifted.run([*map(widened, self._program.inputs.leaves), *self._cotangents])
        give()
        self.rounded = bool(lifted.met.opaque or sparse)


@contextmanager
def _left_as_they_are(results: Sequence[Any], parameters: Mapping[str, Any]) -> Iterator[None]:
    """Keep the gradients of tensors that are no parameters; a reentrant checkpoint forbids a choice of what gets one."""
    own = set(map(id, parameters.values()))
    reached = [node.variable for node in backward_steps(results) if hasattr(node, "variable")]
    others = {variable: variable.grad for variable in reached if id(variable) not in own}
    for variable in others:
        variable.grad = None  # torch adds in place to one that is there
    try:
        yield
    finally:
        for variable, gradient in others.items():
            variable.grad = gradient
