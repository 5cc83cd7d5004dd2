"""What a real bug is: its right and its wrong sides, what a porter must read of it, and how its project tested it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import numpy as np
import torch

import crosscheck

Array = Any
Shows = Literal["values", "training", "weights", "preprocessing"]
STEPS = 10


class Result(NamedTuple):
    """A result of both sides, as a usual check gets it: the name of what gave it, and both arrays."""

    name: str
    torch: Array
    jax: Array


class Sides(Protocol):
    """Both sides of a pair: what crosscheck says of them, and their results in the order in which they are computed."""

    def report(self) -> Any: ...

    def results(self) -> list[Result]:
        """What the sides return."""
        ...


@dataclass(frozen=True)
class Functions:
    """Two functions: for losses, samplers, schedules, preprocessing, initial weights from given random numbers."""

    torch: Callable[..., Any]
    jax: Callable[..., Any]
    inputs: Any
    order: int = 1
    options: dict[str, Any] = field(default_factory=dict)

    def report(self) -> crosscheck.PairReport:
        return crosscheck.compare(self.torch, self.jax, self.inputs, order=self.order, **self.options)

    def results(self) -> list[Result]:
        tensors = [torch.as_tensor(np.asarray(array)) for array in self.inputs]
        arrays = [jnp.asarray(np.asarray(array)) for array in self.inputs]
        with torch.no_grad():
            return _results(self.torch(*tensors), self.jax(*arrays))


@dataclass(frozen=True)
class Models:
    """A module of torch and its port, which hold the same weights unless those are the bug."""

    torch: torch.nn.Module
    jax: Any
    inputs: Sequence[Any]
    params: Any = None
    order: int = 1
    torch_to_jax: Callable[[Sequence[Any]], Any] | None = None
    dtype: str = "float32"

    def report(self) -> crosscheck.ModelsReport:
        return crosscheck.compare_models(
            self.torch,
            self.jax,
            list(self.inputs),
            params=self.params,
            order=self.order,
            torch_to_jax=self.torch_to_jax,
            dtype=self.dtype,
        )

    def results(self) -> list[Result]:
        inputs = [np.asarray(array) for array in self.inputs]
        given = inputs if self.torch_to_jax is None else self.torch_to_jax(inputs)
        arrays = [jnp.asarray(array) for array in given]
        with torch.no_grad():
            result = self.torch(*map(torch.as_tensor, inputs))
        return _results(result, self.jax(*arrays) if self.params is None else self.jax(self.params, *arrays))


@dataclass(frozen=True)
class Trainings:
    """A training step of torch and one of JAX, as ``compare_training`` takes them. ``torch_state`` trains in place."""

    torch_step: Callable[..., Any]
    jax_step: Callable[..., Any]
    batches: Sequence[Sequence[Any]]
    torch_state: Any
    jax_state: Any
    options: dict[str, Any] = field(default_factory=dict)

    def report(self) -> crosscheck.TrainingReport:
        return crosscheck.compare_training(
            self.torch_step,
            self.jax_step,
            self.batches,
            torch_state=self.torch_state,
            jax_state=self.jax_state,
            **self.options,
        )

    def results(self) -> list[Result]:
        """The loss after each step: people compare curves."""
        torch_losses = [float(self.torch_step(*map(torch.as_tensor, batch)).detach()) for batch in self.batches]
        jax_losses, state, step = [], self.jax_state, jax.jit(self.jax_step)
        for batch in self.batches:
            state, told = step(state, *map(jnp.asarray, batch))
            jax_losses.append(float(told["loss"] if isinstance(told, dict) else told))
        return [
            Result(f"loss {k}", np.float32(torch_loss), np.float32(jax_loss))
            for k, (torch_loss, jax_loss) in enumerate(zip(torch_losses, jax_losses, strict=True))
        ]


@dataclass(frozen=True)
class Optimizers:
    """An optimiser of torch and one of optax, as ``compare_optimizers`` takes them."""

    torch: Callable[[list[Any]], Any]
    optax: Any

    def report(self) -> crosscheck.OptimizerReport:
        return crosscheck.compare_optimizers(self.torch, self.optax)

    def results(self) -> list[Result]:
        """The parameters after some steps with the same gradients."""
        rng = np.random.default_rng(0)
        start = rng.normal(size=(4, 3)).astype(np.float32)
        parameter = torch.nn.Parameter(torch.tensor(start))
        made = self.torch([parameter])
        optimizer, schedulers = (made[0], made[1:]) if isinstance(made, tuple) else (made, ())
        params = jnp.asarray(start)
        state = self.optax.init(params)
        for _ in range(STEPS):
            gradient = rng.normal(size=start.shape).astype(np.float32)
            parameter.grad = torch.tensor(gradient)
            optimizer.step()
            for scheduler in schedulers:
                scheduler.step()
            update, state = self.optax.update(jnp.asarray(gradient), state, params)
            params = params + update
        return [Result("parameters", parameter.detach().numpy(), np.asarray(params))]


def _results(torch_result: Any, jax_result: Any) -> list[Result]:
    torch_outputs = [np.asarray(tensor.detach()) for tensor in jax.tree.leaves(torch_result)]
    jax_outputs = [np.asarray(array) for array in jax.tree.leaves(jax_result)]
    return [
        Result(f"output {k}", torch_output, jax_output)
        for k, (torch_output, jax_output) in enumerate(zip(torch_outputs, jax_outputs, strict=True))
    ]


@dataclass(frozen=True)
class Check:
    """How the project itself tested the port: tolerances of ``numpy.testing.assert_allclose``."""

    rtol: float
    atol: float
    source: str
    """Where these numbers stand: a file of the project, or an address."""


@dataclass(frozen=True)
class Bug:
    """A bug that a public project had.

    ``right`` and ``wrong`` make the sides afresh at each call. They differ only in the bug.
    """

    name: str
    project: str
    """``owner/name`` on GitHub."""
    place: str
    """The address of the issue, the pull request or the commit that reports or mends it."""
    what: str
    """What was wrong: one plain sentence."""
    shows: Shows
    right: Callable[[], Sides]
    wrong: Callable[[], Sides]
    cause: tuple[str, ...]
    """What a porter must read of the cause: regular expressions, of which the report must hold one, in any case."""
    where: str = ""
    """The place that the report must name, a regular expression: a module of torch, a part of the training.

    Empty for a function by itself.
    """
    check: Check | None = None
    """None if the project had no test of numbers there."""

    def says(self, report: Any) -> bool:
        """Whether a report names the cause."""
        return any(re.search(pattern, said(report), re.IGNORECASE) for pattern in self.cause)

    def places(self, report: Any) -> bool:
        """Whether a report names the place, first of all places."""
        return not report.passed if not self.where else self.is_at(first_place(report))

    def is_at(self, place: str) -> bool:
        """Whether a place is that of the bug."""
        return bool(re.search(self.where, place))


EMPTY_WORDS = (
    "DISAGREE (definition): Decoder / port: first in layers.0: JAX computes something else; 0.00056 apart in float64.",
    "at these inputs too little for float32 to show",
    "y: 2 apart in the dtype; rounding alone moves it by 4.3e-07",
    "the JAX function computes something else, by 3.2e+06 ULP at most; at 12 of 100 elements",
    "the sides differ from step 1 on: the loss is 0.1 apart, and the parameters are 0.02 apart",
    "each fault by itself: report.save_segments(folder) or --segments FOLDER writes a script that runs it",
)
"""What crosscheck, or any tool, may say without naming a cause."""


def said(report: Any) -> str:
    """What a report says of causes: its verdict and the explanations of its faults."""
    faults = getattr(report, "faults", ())
    return "\n".join(
        [
            getattr(report, "verdict", None) or str(report).splitlines()[0],
            *(fault.explanation for fault in faults),
            *_found(report),
        ]
    )


def _found(report: Any) -> Iterator[str]:
    if isinstance(report, crosscheck.PairReport):
        yield report.story()
    explanation = getattr(report, "explanation", "")
    if explanation:
        yield str(explanation)


def first_place(report: Any) -> str:
    """The place that a report names first: a module of torch, or a part of the training."""
    first = getattr(report, "first", None)
    if first is None:
        return ""
    own = " ".join(str(getattr(first, name, "") or "") for name in ("torch", "operation", "part", "name"))
    beside = re.search(r", (behind|before) [^,;]+$", str(getattr(first, "explanation", "") or ""))
    return own + (beside[0] if beside else "")
