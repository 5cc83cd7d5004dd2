"""Gradients by every parameter of torch, compared with those of the arrays of JAX that hold the same numbers."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from crosscheck._allocator import trim
from crosscheck._arithmetic.formats import FORMATS
from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_program import TorchProgram
from crosscheck._models import jax_recording
from crosscheck._models.distances import blank, distance
from crosscheck._models.jax_models import JaxModel
from crosscheck._models.landmarks import axes_of
from crosscheck._models.places import Places
from crosscheck._models.records import BLANK, IN_TORCH_ALONE, Gradient
from crosscheck._models.running import Run
from crosscheck._models.tolerances import allowed
from crosscheck._models.torch_recording import TorchRecord, widened
from crosscheck._models.weights import Accounted
from crosscheck._shadow.base import Noise, UntraceableError
from crosscheck._shadow.torch_lift import TorchLifted

FLOOR = 1e-8
"""The error of a gradient that is due to float64, relative to its size."""


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
        mine, rounded = _of_torch(program, cotangents, floats, record.weights)
    except Exception as error:
        raise BackwardError("torch") from error
    trim()
    try:
        flat = _jax_program(model, jax_leaves, cotangents, floats, program.inputs.fmt.name)
    except UntraceableError as error:
        raise BackwardError("jax") from error.__cause__
    given = [*jax_leaves, *cotangents]
    base = Run(flat, wide=True, keep=False)(model.weights, given)
    trim()
    clean = _joined(program, model, accounted, mine, base)
    if not any(one.cause for one in clean):
        return clean
    unit = 2.0**-program.inputs.fmt.precision
    spreads = [np.zeros(one.shape) for one in base]
    for draw in range(2):
        _widen(spreads, flat, model.weights, given, base, loose, Noise(seed * 1000 + draw, unit), rounded=rounded)
        trim()
    return _joined(program, model, accounted, mine, base, spreads)


def _widen(
    spreads: Sequence[Array],
    flat: jax_recording.JaxProgramFlat,
    weights: Sequence[Array],
    given: Sequence[Array],
    base: Sequence[Array],
    loose: frozenset[str],
    noise: Noise,
    *,
    rounded: bool,
) -> None:
    """Raise the limits of JAX's gradients to what one draw of noise allows; what it computes is gone afterwards.

    If some operations of torch were ``rounded`` to the dtype, the limit is that of rounded constants.
    """
    constants = Run(flat, wide=True, noise=noise, constants_only=not rounded, loose=loose, keep=False)(weights, given)
    operations = Run(flat, wide=True, noise=noise, loose=loose, keep=False)(weights, given)
    for spread, clear, one, other in zip(spreads, base, constants, operations, strict=True):
        limit = allowed(np.abs(one - clear), np.abs(other - clear), noise.unit)
        np.maximum(spread, limit, out=spread)


def _of_torch(
    program: TorchProgram, cotangents: Sequence[Array], floats: Sequence[int], weights: Mapping[str, Array]
) -> tuple[dict[str, Array | None], bool]:
    """The gradients by name, and whether some of its operations were rounded to the dtype."""
    parameters = {name: one for name, one in program.function.named_parameters() if one.requires_grad}
    absent: set[str] = set()

    def run(*leaves: Any) -> list[Any]:
        with torch.enable_grad():
            results = program.values([leaf.detach() for leaf in leaves[: len(program.inputs.leaves)]])
            along = zip(floats, leaves[len(program.inputs.leaves) :], strict=True)
            chosen = [(results[k], one) for k, one in along if results[k].requires_grad]
            by = list(parameters.values())
            found: Sequence[Any] = [None] * len(by)
            if chosen and by:
                values, cotangents = zip(*chosen, strict=True)
                found = torch.autograd.grad(values, by, cotangents, allow_unused=True)
        absent.update(name for name, one in zip(parameters, found, strict=True) if one is None)
        return [torch.zeros_like(by) if one is None else one for one, by in zip(found, parameters.values(), strict=True)]

    lifted = TorchLifted(run, program.inputs.fmt.name)
    held = [(one, weights[name]) for name, one in program.function.named_parameters() if name in weights]
    lifted.widened = [(one.detach(), torch.from_numpy(wide)) for one, wide in held]
    with torch.enable_grad():
        found = lifted.run([*map(widened, program.inputs.leaves), *cotangents])
    by_name = {name: None if name in absent else one for name, one in zip(parameters, found, strict=True)}
    return by_name, bool(lifted.met.opaque)


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


def _joined(
    program: TorchProgram,
    model: JaxModel,
    accounted: Accounted,
    mine: dict[str, Array | None],
    theirs: Sequence[Array],
    spreads: Sequence[Array] = (),
) -> list[Gradient]:
    """JAX's gradients, added up for each number of torch. The gradient of a sum counts for both of its summands."""
    shapes = {name: tuple(one.shape) for name, one in _weights(program)}
    places = Places(shapes)
    gradient, spread = np.zeros(places.total), np.zeros(places.total)
    known = np.zeros(places.total, bool)
    holders: dict[str, list[str]] = defaultdict(list)

    def add(leaf: str, number: int, where: Array) -> None:
        seen = where >= 0
        at = where[seen]
        np.add.at(gradient, at, theirs[number][seen])
        if spreads:
            np.add.at(spread, at, spreads[number][seen])
        known[at] = True
        for owner, *_ in places.split(where):
            holders[owner].append(leaf)

    for number, leaf in enumerate(model.names):
        if leaf in accounted.sums:
            for where in (accounted.sums[leaf].first, accounted.sums[leaf].second):
                add(leaf, number, where)
        elif leaf in accounted.places:
            add(leaf, number, accounted.places[leaf])
    found = []
    for name, numbers in mine.items():
        if name in shapes:  # a view has no numbers of its own
            own = slice(places.start(name), places.start(name) + prod(shapes[name]))
            judged = _judged(name, numbers, gradient[own], spread[own], known[own], holders[name])
            padding = _padding(program, name) if judged.cause else None
            if padding is not None and numbers is not None:
                beside = (np.arange(shapes[name][0]) != padding).repeat(prod(shapes[name][1:])) & known[own]
                if _judged(name, numbers, gradient[own], spread[own], beside, holders[name]).cause is None:
                    why = f"PyTorch gives row {padding} of {name} no gradient, by padding_idx"
                    judged = replace(judged, explanation=why)
            found.append(judged)
    return found


def _padding(program: TorchProgram, name: str) -> int | None:
    """The row of an embedding that gets no gradient; None without one."""
    module, _, leaf = name.rpartition(".")
    return getattr(program.function.get_submodule(module), "padding_idx", None) if leaf == "weight" else None


def _weights(program: TorchProgram) -> Iterator[tuple[str, Any]]:
    """Parameters and buffers of floats, each once, with the names of the record of torch."""
    seen = set()
    module = program.function
    for name, one in [*module.named_parameters(), *module.named_buffers()]:
        key = one.untyped_storage()._cdata
        if one.is_floating_point() and key not in seen:
            seen.add(key)
            yield name, one


def _judged(name: str, mine: Array | None, theirs: Array, spread: Array, known: Array, holders: list[str]) -> Gradient:
    share = float(known.mean()) if known.size else 0.0
    if not known.any():
        return Gradient(name, (), 0.0, 0.0, FLOOR, None, IN_TORCH_ALONE)
    one = np.zeros(theirs.shape) if mine is None else mine.ravel()
    a, b = one[known][:, None], theirs[known][:, None]
    size = float(np.sqrt(np.mean(a**2)))
    tolerance = max(FLOOR, float(spread[known].max()) / size if size else 0.0)
    # no mask fills a gradient, and what cancels to nearly 0 is judged with the numbers beside it
    error = distance(b, a, in_parts=False)
    if blank(a) and np.isfinite(error):
        return Gradient(name, tuple(holders), 0.0, 0.0, FLOOR, None, BLANK)
    cause = None
    if not error <= tolerance:
        cause = "missing" if (not a.any()) != (not b.any()) else "definition"
    return Gradient(name, tuple(holders), share, error, tolerance, cause)
