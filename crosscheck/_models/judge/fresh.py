"""Other weights and other inputs for both models, so that an agreement at the given ones is no accident of their numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from crosscheck._arithmetic.formats import FORMATS
from crosscheck._arithmetic.ulp import round_once
from crosscheck._frameworks.programs import Array, Inputs
from crosscheck._models.pair.listing import used_in_jax
from crosscheck._models.pair.weights import Accounted
from crosscheck._models.record.jax_models import JaxModel
from crosscheck._models.record.jax_recording import JaxProgramFlat
from crosscheck._models.record.torch_recording import TorchRecord
from crosscheck._models.run.places import TorchPlaces, float_arrays

SHARE = 0.25
"""A number changes by at most this share of itself: a variance stays positive."""
RATE = 7.0
"""How fast the change varies with the number, relative to the root mean square of its array."""
OF_A_MASK = 2
"""The most numbers that a mask of floats has."""
OF_ZEROS = 0.1
"""The root mean square that an array of zeros counts as."""


def other_numbers(numbers: Array, phase: float, *, zeros: bool = False, size: float | None = None) -> Array:
    """Other numbers. Equal ones stay equal, so what is alike or symmetric stays so; ``zeros``: those change, too.

    ``size`` is the root mean square of all of them, if these are a part; if it is 0, nothing changes.
    """
    if size == 0:
        return numbers
    numbers = np.asarray(numbers, np.float64)
    finite = np.where(np.isfinite(numbers), numbers, 0.0)
    size = size or float(np.sqrt(np.mean(np.square(finite)))) or OF_ZEROS
    change = SHARE * np.cos(RATE * finite / size + phase)
    return np.where((numbers == 0) & zeros, size * change, numbers * (1 + change))


@dataclass(frozen=True)
class OtherWeights:
    """The weights of torch that change, by name, and all weights of JAX."""

    torch: Mapping[str, Array]
    jax: Sequence[Array]


def other_weights(
    torch: TorchRecord, model: JaxModel, flat: JaxProgramFlat, accounted: Accounted, rng: np.random.Generator
) -> OtherWeights | None:
    """The same other numbers in both models; None if JAX holds numbers that are not torch's, but may be computed from them.

    A parameter that starts at 0, as the last one of a branch may, hides no other one then; a buffer may be a mask, which
    keeps its zeros. A weight of torch that JAX does not hold stays as it is: JAX may compute it, as it may a table of
    positions.
    """
    held = used_in_jax(model, flat) & set(float_arrays(model))
    if not held or any((accounted.places[name] < 0).any() for name in held - accounted.whole.keys()):
        return None
    fmt, phase = FORMATS[flat.dtype], rng.uniform(0, 2 * np.pi)
    known = {match.torch for match in accounted.matches if match.jax in held}
    parameters = {name for name, _ in torch.modules[""].named_parameters()}
    new = {
        name: round_once(other_numbers(weight, phase, zeros=name in parameters), fmt).astype(np.float64)
        for name, weight in torch.weights.items()
        if name in known
    }
    places = TorchPlaces({**torch.weights, **new})
    jax_weights = [
        round_once(places.numbers(accounted.places[name]), fmt) if name in held else weight
        for name, weight in zip(model.names, model.weights, strict=True)
    ]
    return OtherWeights(new, jax_weights)


def other_inputs(inputs: Inputs, rng: np.random.Generator) -> Inputs:
    """The inputs in another order along every axis, the same for axes of one size, and other floats.

    So tokens and their mask still belong together, and a mask keeps its numbers.
    """
    orders: dict[int, Array] = {}
    phase = rng.uniform(0, 2 * np.pi)

    def other(leaf: Array) -> Array:
        for axis, size in enumerate(leaf.shape):
            if size not in orders:
                orders[size] = rng.permutation(size)
            leaf = leaf.take(orders[size], axis)
        if leaf.dtype != inputs.fmt.dtype or len(np.unique(leaf)) <= OF_A_MASK:
            return leaf
        return round_once(other_numbers(leaf.astype(np.float64), phase), inputs.fmt)

    return replace(inputs, leaves=tuple(map(other, inputs.leaves)))
