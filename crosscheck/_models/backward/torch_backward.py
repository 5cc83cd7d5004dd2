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
from crosscheck._frameworks.torch_backend import to_array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.backward.summands import backward_steps, take_summands
from crosscheck._models.record.torch_recording import widened
from crosscheck._models.values.spilled import Store, Stored
from crosscheck._shadow.torch.lift import LeftOutError, TorchLifted

LARGE = 2**24
"""A gradient of more numbers, as that by a table of words, is not held in memory while JAX computes its own."""
Begin = Callable[[], Callable[[str], None]]
"""Called when a backward pass begins, which may be twice; gives what is called with the name of each gradient."""


class TorchBackward:
    """The backward pass of the outputs times cotangents.

    Attributes:
        gradients: The gradient by each trained parameter, as arrays to be added up.
        rounded: Whether something in torch was rounded to the dtype.
    """

    def __init__(self, program: TorchProgram, cotangents: Sequence[Array], floats: Sequence[int]) -> None:
        self._program, self._cotangents, self._floats = program, cotangents, floats
        self.gradients: dict[str, list[Stored]] = {name: [] for name in _trained(program)}
        self.rounded = False

    def run(self, begin: Begin | None = None) -> None:
        """Fill ``gradients``. With ``begin``, each is dropped after the function that it gave was called with its name."""
        try:
            self._run(self._program, begin, alone=True)
        except LeftOutError:
            # the module may hold a table that it made once, of numbers that were left out
            self._run(self._program.anew(), begin, alone=False)

    def _run(self, program: TorchProgram, begin: Begin | None, *, alone: bool) -> None:
        for summands in self.gradients.values():
            summands.clear()
        leaves, gathered = program.inputs.leaves, _Gathered(self.gradients, begin() if begin is not None else None)
        parameters = _trained(program)

        def backward(*given: Any) -> list[Any]:
            with torch.enable_grad():
                results = program.values([leaf.detach() for leaf in given[: len(leaves)]])
                along = zip(self._floats, given[len(leaves) :], strict=True)
                chosen = [(results[k], cotangent) for k, cotangent in along if results[k].requires_grad]
                if chosen and parameters:
                    outputs = [result for result, _ in chosen]
                    gathered.expected.update(take_summands(outputs, parameters, gathered.take))
                    with _left_as_they_are(outputs, parameters):
                        torch.autograd.backward(*zip(*chosen, strict=True))
            return []

        lifted = TorchLifted(backward, program.inputs.fmt.name)
        lifted.alone = alone
        lifted.parameters = [parameter.detach() for parameter in program.function.parameters()]
        gathered.wide = lambda tensor: lifted.wide(tensor)  # noqa: PLW0108 - it is another one during the run
        with ExitStack() as hooks, torch.enable_grad():
            for name, parameter in parameters.items():
                hook = partial(gathered.take_sum, name)
                hooks.callback(parameter.register_post_accumulate_grad_hook(hook).remove)
            lifted.run([*map(widened, leaves), *self._cotangents])
        gathered.give()
        self.rounded = bool(lifted.met.opaque) or gathered.sparse


class _Gathered:
    """The gradients of one backward pass, each taken as soon as it is there, so that torch holds one at a time."""

    def __init__(self, gradients: dict[str, list[Stored]], given: Callable[[str], None] | None) -> None:
        self._gradients, self._given, self._store = gradients, given, Store()
        self.wide: Callable[[Any], Array] = to_array
        """Gives the numbers of a tensor in float64."""
        self.expected = Counter[str]()
        """How many summands of each gradient torch has not computed yet."""
        self.sparse = False
        """Whether a gradient was sparse, and so has no numbers in float64."""
        self._waiting: list[str] = []
        """The names of gradients that are there, and whose tensors torch may hold until its next step."""

    def give(self) -> None:
        """Tell of the gradients that wait, and drop them."""
        while self._waiting and self._given is not None:
            self._given(name := self._waiting.pop())
            self._gradients[name].clear()

    def take(self, name: str, gradient: Any) -> None:
        """Take a summand of a gradient."""
        self.expected[name] -= 1
        is_last = self._given is not None and self.expected[name] <= 0
        with _disable_current_modes(), torch.no_grad():
            if gradient.layout is not torch.strided:
                self.sparse = True
                gradient = gradient.to_dense()
            array = self.wide(gradient)
        self.give()  # what was taken before is free now
        is_brief = is_last and array.size <= LARGE
        self._gradients[name].append(self._store.hold(array) if is_brief else self._store.put(array))
        if is_last:
            self._waiting.append(name)

    def take_sum(self, name: str, parameter: Any) -> None:
        """Take what torch has added up itself."""
        if parameter.grad is not None:  # it is None where all summands were taken
            gradient, parameter.grad = parameter.grad, None
            self.take(name, gradient)


def _trained(program: TorchProgram) -> dict[str, Any]:
    return {name: parameter for name, parameter in program.function.named_parameters() if parameter.requires_grad}


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
