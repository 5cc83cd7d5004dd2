"""A training of torch, step by step: its state, and the results of a step, in its dtype and in float64."""

from __future__ import annotations

import copy
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import _disable_current_modes

from crosscheck._frameworks.programs import Array, Inputs, watching
from crosscheck._frameworks.torch_backend import one_thread, to_array, to_tensor
from crosscheck._models.record.torch_recording import widened
from crosscheck._records.errors import UsageError, said
from crosscheck._shadow.base import Noise
from crosscheck._shadow.torch.lift import TorchLifted

SMALL = 2**16
"""A model with fewer parameters runs its steps faster in one thread."""
Slot = tuple[str, str]
"""A parameter, and the name of a tensor of the optimiser's state, or of an average of the weights."""
AVERAGE = "the average"
"""How the name of an average begins; no optimiser calls a tensor of its state so."""


@dataclass(frozen=True)
class Tensors:
    """Arrays by name, as torch holds them and in float64."""

    narrow: Mapping[Any, Array]
    wide: Mapping[Any, Array]


@dataclass(frozen=True)
class TorchStep:
    """The results of one step of torch.

    Attributes:
        loss: The loss that it returned, in the dtype and in float64.
        gradients: The gradient of its backward passes by each parameter, without parameters that get none.
        given: The gradients that the optimiser got, likewise.
        rates: The learning rate of each parameter when the optimiser stepped; empty if it did not.
        weights: Parameters and buffers after the step.
        slots: The optimiser's state after the step, and averages of the weights.
        trained: The names of the parameters that are trained.
    """

    loss: tuple[float, float]
    gradients: Tensors
    given: Tensors
    rates: Mapping[str, float]
    weights: Tensors
    slots: Tensors
    trained: frozenset[str]


class Reached(BaseException):
    """The backward pass began; a BaseException, so that no ``except`` in a user's step catches it."""

    def __init__(self, loss: Any) -> None:
        super().__init__()
        self.loss = loss


def trained(objects: Sequence[Any]) -> list[Any]:
    """The modules whose parameters an optimiser has; without averages of a model, which follow it."""
    groups = [
        group for optimizer in objects if isinstance(optimizer, torch.optim.Optimizer) for group in optimizer.param_groups
    ]
    held = {id(parameter) for group in groups for parameter in group["params"]}
    modules = [module for module in objects if isinstance(module, torch.nn.Module)]
    return [module for module in modules if any(id(parameter) in held for parameter in module.parameters())]


class TorchSteps:
    """The training of torch.

    ``objects`` are the model, its optimisers, and everything else with a state that a step changes, such as schedulers.
    """

    def __init__(self, step: Callable[..., Any], objects: Sequence[Any], dtype: str) -> None:
        self.step, self.objects, self.dtype = step, tuple(objects), dtype
        self.optimizers = [optimizer for optimizer in objects if isinstance(optimizer, torch.optim.Optimizer)]
        self.model = trained(objects)[0]
        self.parameters = {name: parameter for name, parameter in self.model.named_parameters() if parameter.requires_grad}
        self.names = {parameter: name for name, parameter in self.parameters.items()}

    # state

    def state(self) -> Any:
        """A copy of everything that a step changes."""
        own = [member.state_dict() for member in self.objects if member is not self.model]
        tensors = {name: tensor.detach().clone() for name, tensor in self._tensors()}
        gradients = {
            name: None if parameter.grad is None else parameter.grad.clone() for name, parameter in self.parameters.items()
        }
        return copy.deepcopy(own), tensors, gradients

    def restore(self, state: Any, weights: Mapping[str, Array] | None = None) -> None:
        """Set everything back to a saved state; ``weights`` are parameters that get other values."""
        own, tensors, gradients = state
        others = [member for member in self.objects if member is not self.model]
        for member, held in zip(others, own, strict=True):
            member.load_state_dict(copy.deepcopy(held))
        with torch.no_grad():
            for name, tensor in self._tensors():
                tensor.copy_(tensors[name])
            for name, array in (weights or {}).items():
                self.parameters[name].copy_(to_tensor(array, "cpu"))
            for name, parameter in self.parameters.items():
                parameter.grad = None if gradients[name] is None else gradients[name].clone()

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Set everything back at the end to what it is now."""
        state = self.state()
        try:
            yield
        finally:
            self.restore(state)

    def _tensors(self) -> list[tuple[str, Any]]:
        return [*self.model.named_parameters(), *self.model.named_buffers()]

    def weights(self) -> dict[str, Array]:
        """The current parameters and buffers of floats."""
        return {name: np.array(to_array(tensor.detach())) for name, tensor in self._tensors() if tensor.is_floating_point()}

    def slots(self) -> Iterator[tuple[Slot, Any]]:
        """The tensors of floats in the optimisers' state."""
        for optimizer in self.optimizers:
            for parameter, kept in optimizer.state.items():
                for key, value in kept.items():
                    if parameter in self.names and isinstance(value, torch.Tensor) and value.is_floating_point():
                        yield (self.names[parameter], key), value

    def averages(self) -> Iterator[tuple[Slot, Any]]:
        """The tensors of other objects that hold one for each parameter, as averages of the weights do, or older weights."""
        others = [member for member in self.objects if member is not self.model and member not in self.optimizers]
        for number, member in enumerate(others):
            for path, tensor in _tensors_of(member.state_dict()):
                ends = [name for name in self.parameters if path == name or path.endswith("." + name)]
                owner = max(ends, key=len, default="")
                if owner and tensor.shape == self.parameters[owner].shape and tensor.is_floating_point():
                    before = path.removesuffix(owner).strip(".")
                    yield (owner, " ".join(filter(None, [AVERAGE, str(number + 1) if number else "", before]))), tensor

    # runs

    def threads(self) -> AbstractContextManager[None]:
        """Few threads for a small model, during all of its steps: to set this at each step takes longer than the step."""
        return one_thread() if sum(parameter.numel() for parameter in self.parameters.values()) <= SMALL else nullcontext()

    def plain(self, batch: Inputs) -> float:
        """One step as the user's program runs it, and the loss that it returned."""
        with one_thread():
            return _loss(self.called(*batch.tree.build([to_tensor(leaf, "cpu") for leaf in batch.leaves])))

    def forward(self) -> ForwardModule:
        """A module whose forward pass is that of the step, up to its backward pass."""
        return ForwardModule(self)

    def called(self, *batch: Any) -> Any:
        """Call the user's step on a batch, and return what it returns.

        Raises:
            UsageError: If it raises.
        """
        try:
            return self.step(*batch)
        except UsageError:
            raise
        except Exception as error:
            raise UsageError(f"torch_step: it raised {said(error)}; expected it to run on each batch") from error

    def observed(self, batch: Inputs, noise: Noise | None = None) -> TorchStep:
        """One step, in the dtype and in float64, there with noise if it is given."""
        seen = _StepRecorder(self)

        def program(*leaves: Any) -> list[Any]:
            with torch.enable_grad(), seen.watching():
                seen.loss = self.called(*batch.tree.build(list(leaves)))
            _loss(seen.loss)
            seen.finish()
            with torch._C.DisableTorchFunction(), _disable_current_modes():
                seen.narrow = [np.array(to_array(tensor.detach())) for tensor in seen.tensors]
            return [tensor.detach() for tensor in seen.tensors]

        wide = TorchLifted(program, self.dtype).run([widened(leaf) for leaf in batch.leaves], noise)
        return seen.step(wide)


class _StepRecorder:
    """Records what happens while a step runs."""

    def __init__(self, steps: TorchSteps) -> None:
        self.steps = steps
        self.loss: Any = None
        self.narrow: list[Array] = []
        self.tensors: list[Any] = []
        self._keys: list[tuple[str, Any]] = []
        self._parts: dict[str, list[Any]] = defaultdict(list)
        self._given: dict[str, Any] = {}
        self._rates: dict[str, float] = {}

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Record the gradients: those of the backward passes, and those that the optimiser gets."""
        with ExitStack() as stack:
            for name, parameter in self.steps.parameters.items():

                def take(gradient: Any, name: str = name) -> None:
                    self._parts[name].append(gradient.detach().clone())

                stack.callback(parameter.register_hook(take).remove)
            for optimizer in self.steps.optimizers:
                stack.callback(optimizer.register_step_pre_hook(self._about_to_step).remove)
            yield

    def _about_to_step(self, optimizer: Any, *_: Any) -> None:
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                name = self.steps.names.get(parameter)
                if name is not None:
                    self._rates[name] = float(group["lr"])
                    if parameter.grad is not None:
                        self._given[name] = parameter.grad.detach().clone()

    def finish(self) -> None:
        """Gather everything that the result needs."""
        if isinstance(self.loss, torch.Tensor):
            self._add("loss", None, self.loss)
        for name, parts in self._parts.items():
            self._add("gradients", name, sum(parts[1:], parts[0]))
        for name, tensor in self._given.items():
            self._add("given", name, tensor)
        for name, tensor in self.steps._tensors():
            if tensor.is_floating_point():
                self._add("weights", name, tensor)
        for slot, tensor in (*self.steps.slots(), *self.steps.averages()):
            self._add("slots", slot, tensor)

    def _add(self, kind: str, key: Any, tensor: Any) -> None:
        self._keys.append((kind, key))
        self.tensors.append(tensor)

    def step(self, wide: Sequence[Array]) -> TorchStep:
        """The results, with those in float64."""
        arrays: dict[str, tuple[dict[Any, Array], dict[Any, Array]]] = defaultdict(lambda: ({}, {}))
        for (kind, key), narrow, other in zip(self._keys, self.narrow, wide, strict=True):
            arrays[kind][0][key], arrays[kind][1][key] = narrow, other
        kinds = arrays["loss"]
        # a number, such as loss.item(), comes from the float64 run
        loss = [float(losses[None].reshape(())) for losses in kinds if None in losses] or [float(self.loss)] * 2
        return TorchStep(
            (loss[0], loss[1]),
            Tensors(*arrays["gradients"]),
            Tensors(*arrays["given"]),
            dict(self._rates),
            Tensors(*arrays["weights"]),
            Tensors(*arrays["slots"]),
            frozenset(self.steps.parameters),
        )


class ForwardModule(torch.nn.Module):
    """The forward pass of a step of torch: the loss of a batch. Its modules and weights are those of the model."""

    def __init__(self, steps: TorchSteps) -> None:
        super().__init__()
        self._steps = (steps,)  # in a tuple, so that the modules in it are not registered twice
        self.named_parameters = steps.model.named_parameters
        self.named_buffers = steps.model.named_buffers
        self.named_modules = steps.model.named_modules

    def __deepcopy__(self, memo: Any) -> ForwardModule:
        return self  # the user's step holds its own model

    def _apply(self, *_: Any, **__: Any) -> ForwardModule:
        return self

    def forward(self, *batch: Any) -> Any:
        """The loss at which the backward pass begins."""
        (steps,) = self._steps
        kept = torch.autograd.backward, torch.autograd.grad, torch.Tensor.backward
        thread = threading.get_ident()

        def stopping(usual: Any) -> Any:
            def stop(*given: Any, **named: Any) -> Any:
                if threading.get_ident() != thread:  # of another thread's work
                    return usual(*given, **named)
                tensors: Any = given[0] if given else named.get("tensors", named.get("outputs"))
                raise Reached(tensors if isinstance(tensors, torch.Tensor) else tensors[0])

            return stop

        torch.autograd.backward, torch.autograd.grad, torch.Tensor.backward = map(stopping, kept)
        try:
            steps.called(*batch)
        except Reached as reached:
            return reached.loss
        finally:
            torch.autograd.backward, torch.autograd.grad, torch.Tensor.backward = kept
        raise UsageError("torch_step: it calls no backward(), expected a step that trains: loss.backward(), then step()")


def _tensors_of(state: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """The tensors in nested dicts, with their keys."""
    if isinstance(state, torch.Tensor):
        yield path, state
    elif isinstance(state, Mapping):
        for key, value in state.items():
            yield from _tensors_of(value, f"{path}.{key}" if path else str(key))


def _loss(value: Any) -> float:
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, torch.Tensor) and value.numel() == 1:
        return float(value.detach())
    what = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, torch.Tensor) else type(value).__name__
    raise UsageError(f"torch_step: it returned {what}, expected the loss, a tensor of one number")


def check_reproducible(steps: TorchSteps, batch: Inputs) -> None:
    """Check that two runs of the first step agree.

    Raises:
        UsageError: If they do not: random numbers are drawn, or some state cannot be set back.
    """
    state = steps.state()
    watched: Any = SimpleNamespace(draws=False)
    losses = []
    after = []
    for _ in range(2):
        with watching(watched):
            losses.append(steps.plain(batch))
        after.append(steps.weights())
        steps.restore(state)
    same = all(np.array_equal(after[0][name], after[1][name], equal_nan=True) for name in after[0])
    if same and (losses[0] == losses[1] or np.isnan(losses).all()):
        return
    if watched.draws:
        raise UsageError("torch_step: it draws random numbers; set the dropout of both models to 0, and draw batches before")
    raise UsageError(
        f"torch_step: two runs from the same state give two losses, {losses[0]:.9g} and {losses[1]:.9g}; "
        f"torch_state must hold everything that a step changes: the model, its optimiser, its scheduler"
    )
