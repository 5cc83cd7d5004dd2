"""Gradients by every parameter of torch, compared with those of the arrays of JAX that hold the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax.extend.core import ClosedJaxpr
from torch.utils._python_dispatch import _disable_current_modes

from crosscheck._allocator import trim
from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models.backward.exchanges import CLOSE, evaluated, exchanged
from crosscheck._models.backward.gradient_judge import Judging, larger
from crosscheck._models.backward.stops import stopped
from crosscheck._models.cut.landmarks import axes_of
from crosscheck._models.judge.tolerances import allowed
from crosscheck._models.pair.weights import Accounted
from crosscheck._models.record import jax_recording
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.torch_recording import TorchRecord, widened
from crosscheck._models.report.records import Gradient
from crosscheck._models.run.constant_folding import Fixed
from crosscheck._models.run.interpreter import ModelRun, on_the_cpu
from crosscheck._models.values.spilled import Store, Stored
from crosscheck._shadow.base import Noise, UntraceableError
from crosscheck._shadow.torch.lift import TorchLifted

BLOCK = 2**20
"""So many numbers are looked at together."""
DRAWS = 2
"""The most draws of noise that show how far rounding moves a gradient."""


class BackwardError(Exception):
    """The backward pass of a side raised; ``side`` is the side, and ``__cause__`` what it raised."""

    def __init__(self, side: str) -> None:
        super().__init__(side)
        self.side = side


def gradients(
    program: TorchProgram,
    model: JaxModel,
    jax_leaves: Sequence[Array],
    record: TorchRecord,
    floats: Sequence[int],
    loose: frozenset[str],
    accounted: Accounted,
    seed: int,
) -> list[Gradient]:
    """The gradients by every trained parameter, of the outputs times one normal cotangent each, all in float64.

    Raises:
        BackwardError: If the backward pass of a side raises.
    """
    rng = np.random.default_rng((seed, 7))
    cotangents: list[Array] = [np.asarray(rng.standard_normal(record.results[k].wide.shape)) for k in floats]
    try:
        mine, rounded = _of_torch(program, cotangents, floats)
    except Exception as error:
        raise BackwardError("torch") from error
    trim()
    try:
        flat = _jax_program(model, jax_leaves, cotangents, floats, program.inputs.fmt.name)
    except UntraceableError as error:
        raise BackwardError("jax") from error.__cause__
    fixed, function = Fixed(flat, model.weights), program.function

    def run(noise: Noise | None = None, *, constants_only: bool = False) -> Iterator[tuple[int, Array]]:
        known = fixed.values(wide=True, noisy=noise is not None, loose=loose)
        options: dict[str, Any] = {"loose": loose, "known": known, "keep": False, "results_first": True}
        running = ModelRun(flat, wide=True, noise=noise, constants_only=constants_only, **options)
        return running.one_by_one(model.weights, [*jax_leaves, *cotangents])

    unit = 2.0**-program.inputs.fmt.precision
    with on_the_cpu(wide=True):
        judging = Judging(program.function, record, model, accounted, mine)
        for place, clear in run():
            judging.add(place, clear)
        found = judging.found()
        for draw in range(DRAWS):
            if not any(one.cause for one in found):
                break  # more draws only allow more
            noise = Noise(seed * 1000 + draw, unit)
            # if some operations of torch were rounded to the dtype, the limit is that of rounded constants
            runs = run(), run(noise, constants_only=not rounded), run(noise)
            judging = Judging(program.function, record, model, accounted, mine)
            for (place, clear), (_, constants), (_, operations) in zip(*runs, strict=True):
                judging.add(place, clear, _spread(clear, constants, operations, unit))
            found = [larger(*pair) for pair in zip(found, judging.found(), strict=True)]
    if not any(one.cause for one in found):
        return found

    def agrees(other: JaxModel) -> bool:
        try:
            traced = _jax_program(other, jax_leaves, cotangents, floats, flat.dtype)
        except UntraceableError:
            return False
        with on_the_cpu(wide=True):
            judging = Judging(function, record, model, accounted, mine)
            for place, one in ModelRun(traced, wide=True, keep=False, results_first=True).one_by_one(
                model.weights, [*jax_leaves, *cotangents]
            ):
                judging.add(place, one)
            return not any(one.cause and one.error > CLOSE for one in judging.found())

    if words := stopped(model, jax_leaves, agrees):
        return [replace(one, explanation=words) if one.cause else one for one in found]
    if flat.shared is None:
        return found

    def wrong(closed: ClosedJaxpr) -> frozenset[str]:
        judging = Judging(program.function, record, model, accounted, mine)
        results = evaluated(closed, flat.dtype, [*model.weights, *jax_leaves, *cotangents])
        for place, one in enumerate(results):
            judging.add(place, one)
        return frozenset(one.parameter for one in judging.found() if one.cause and one.error > CLOSE)

    mistake = exchanged(flat.shared, wrong)
    return found if mistake is None else [replace(one, explanation=mistake.words) if one.cause else one for one in found]


def _spread(clear: Array, constants: Array, operations: Array, unit: float) -> Array:
    """The limit for each number of a gradient, from its values without noise, with noise on constants, and on operations."""
    found = np.empty(clear.size)
    values = [one.reshape(-1) for one in (clear, constants, operations)]
    for start in range(0, clear.size, BLOCK):  # an embedding has many numbers
        base, of_constants, of_operations = (one[start : start + BLOCK] for one in values)
        found[start : start + BLOCK] = allowed(np.abs(of_constants - base), np.abs(of_operations - base), unit)
    return found.reshape(clear.shape)


def _of_torch(
    program: TorchProgram, cotangents: Sequence[Array], floats: Sequence[int]
) -> tuple[dict[str, Stored | None], bool]:
    """The gradients by name, and whether some of its operations were rounded to the dtype."""
    parameters = {name: one for name, one in program.function.named_parameters() if one.requires_grad}
    found: dict[str, Stored | None] = dict.fromkeys(parameters)
    store = Store()

    def take(name: str, parameter: Any) -> None:
        """Take a gradient as soon as it is there, so that torch holds one at a time."""
        with _disable_current_modes(), torch.no_grad():
            dense = parameter.grad if parameter.grad.layout is torch.strided else parameter.grad.to_dense()
            found[name] = store.put(lifted.wide(dense))
            parameter.grad = None

    def run(*leaves: Any) -> list[Any]:
        with torch.enable_grad():
            results = program.values([leaf.detach() for leaf in leaves[: len(program.inputs.leaves)]])
            along = zip(floats, leaves[len(program.inputs.leaves) :], strict=True)
            chosen = [(results[k], one) for k, one in along if results[k].requires_grad]
            if chosen and parameters:
                torch.autograd.backward(*zip(*chosen, strict=True), inputs=list(parameters.values()))
        return []

    lifted = TorchLifted(run, program.inputs.fmt.name)
    lifted.parameters = [one.detach() for one in program.function.parameters()]
    with ExitStack() as hooks, torch.enable_grad():
        for name, one in parameters.items():
            hooks.callback(one.register_post_accumulate_grad_hook(partial(take, name)).remove)
        lifted.run([*map(widened, program.inputs.leaves), *cotangents])
    return found, bool(lifted.met.opaque)


def _jax_program(
    model: JaxModel, leaves: Sequence[Array], cotangents: Sequence[Array], floats: Sequence[int], dtype: str
) -> jax_recording.JaxProgramFlat:
    by = [k for k, array in enumerate(model.weights) if jnp.issubdtype(array.dtype, jnp.floating)]

    def gradient(weights: list[Any], given: list[Any]) -> list[Any]:
        inputs, along = given[: len(leaves)], given[len(leaves) :]

        def scalar(chosen: list[Any]) -> Any:
            whole = list(weights)
            for k, one in zip(by, chosen, strict=True):
                whole[k] = one
            results = model.function(whole, list(inputs))
            # a cotangent has torch's axes, the result has JAX's
            orders = [axes_of(results[k].shape, one.shape) for k, one in zip(floats, along, strict=True)]
            seen = [one if order is None else one.transpose(order) for one, order in zip(along, orders, strict=True)]
            return sum((results[k] * one.reshape(results[k].shape)).sum() for k, one in zip(floats, seen, strict=True))

        found = dict(zip(by, jax.grad(scalar)([weights[k] for k in by]), strict=True))
        return [found.get(k, jnp.zeros(())) for k in range(len(weights))]

    narrow = [np.asarray(one).astype(FORMATS[dtype].dtype) for one in cotangents]
    return jax_recording.trace(gradient, model.weights, model.names, [*leaves, *narrow], dtype)
