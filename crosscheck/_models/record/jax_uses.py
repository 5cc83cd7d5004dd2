"""The uses of weights in a program of JAX."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import JaxProgramFlat, Step
from crosscheck._models.values.layouts import AxesView, broadcast_features
from crosscheck._models.values.uses import DATA, WEIGHT, Use
from crosscheck._shadow.jax_equations import is_float


def uses(flat: JaxProgramFlat, value: Callable[[int], Any]) -> list[tuple[Step, Use, int]]:
    """The steps of data with weights, and the position of the data; ``value`` gives a weight by its number."""
    weight_uses: list[tuple[Step, Use, int]] = []
    for step in flat.steps:
        if step.operation.kind != DATA or step.equation is None or not is_float(flat.avals[step.outputs[0]]):
            continue
        weights, data = weight_places(flat, step), _data(flat, step)
        if not weights:
            continue
        kind, operand, result, matrices = _described(flat, step, value)
        names = tuple("+".join(sorted(flat.origins[step.inputs[place]])) for place in weights)
        weight_uses.append((step, Use(len(weight_uses), step.operation, names, matrices, kind, operand, result), data[0]))
    return weight_uses


def matrices(flat: JaxProgramFlat, step: Step, value: Callable[[int], Any]) -> tuple[Array, ...]:
    """The matrices of the weights of one of these steps."""
    return _described(flat, step, value)[3]


def weight_places(flat: JaxProgramFlat, step: Step) -> list[int]:
    """The positions of the operands that are weights, in the order of the matrices of a use."""
    return [
        place
        for place, number in enumerate(step.inputs)
        if isinstance(number, int) and flat.kinds[number] == WEIGHT and is_float(flat.avals[number])
    ]


def _data(flat: JaxProgramFlat, step: Step) -> list[int]:
    """The positions of the operands that are data."""
    return [place for place, number in enumerate(step.inputs) if isinstance(number, int) and flat.kinds[number] == DATA]


def _described(
    flat: JaxProgramFlat, step: Step, value: Callable[[int], Any]
) -> tuple[str, AxesView | None, AxesView, tuple[Array, ...]]:
    weights, data = weight_places(flat, step), _data(flat, step)
    arrays = [np.asarray(value(step.inputs[place])) for place in weights]
    name, params = step.operation.name, step.equation.params
    shape = tuple(step.equation.outvars[0].aval.shape)
    last = AxesView(shape, (len(shape) - 1,) if shape else ())
    place, other = weights[0], data[0]
    if name == "dot_general" and len(data) == 1:
        contract, batch = params["dimension_numbers"]
        array, apart = arrays[0], batch[place]  # along the batch axes, each weight has data of its own
        free = [axis for axis in range(array.ndim) if axis not in (*contract[place], *apart)]
        inside = int(np.prod([array.shape[axis] for axis in contract[place]], dtype=np.int64))
        matrix = array.transpose([*contract[place], *apart, *free]).reshape(inside, -1)
        given = tuple(step.equation.invars[other].aval.shape)
        operand = None if apart else AxesView(given, tuple(contract[other]))
        first = len(shape) - len(free) if place == 1 else len(apart)
        features = (*range(len(apart)), *range(first, first + len(free)))
        return "other" if apart else "product", operand, AxesView(shape, features), (matrix,)
    if name == "conv_general_dilated" and place == 1:
        numbers = params["dimension_numbers"]
        out, inside, *space = numbers.rhs_spec
        matrix = arrays[0].transpose([inside, *space, out]).reshape(-1, arrays[0].shape[out])
        operand = AxesView(tuple(step.equation.invars[0].aval.shape), (numbers.lhs_spec[1],))
        return "convolution", operand, AxesView(shape, (numbers.out_spec[1],)), (matrix,)
    if name == "gather" and place == 0:
        offsets = tuple(params["dimension_numbers"].offset_dims)
        if arrays[0].ndim == 2 and len(offsets) == 1:
            return "gather", None, AxesView(shape, offsets), (arrays[0],)
    if name in ("add", "sub", "mul", "div", "add_any") and len(data) == 1:
        compact, axes = _before_broadcast(flat, step.inputs[place], shape)
        view = AxesView(shape, axes)
        kind = "scale" if name in ("mul", "div") else "sum"
        given = tuple(step.equation.invars[other].aval.shape)
        matrix = arrays[0][tuple(slice(None) if axis in compact else slice(1) for axis in range(arrays[0].ndim))]
        return kind, view if given == shape else None, view, (matrix.reshape(1, -1),)
    return "other", None, last, tuple(array.reshape(1, -1) for array in arrays)


def _before_broadcast(flat: JaxProgramFlat, number: int, shape: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The axes of a weight along which it was not broadcast; the axes of the result that correspond to them."""
    aval = tuple(flat.avals[number].shape)
    axes: tuple[int, ...] = tuple(range(len(aval)))
    while number in flat.maker:
        step = flat.steps[flat.maker[number]]
        if step.operation.name != "broadcast_in_dim":
            break
        before = tuple(flat.avals[step.inputs[0]].shape) if isinstance(step.inputs[0], int) else ()
        dims = step.equation.params["broadcast_dimensions"]
        axes = tuple(axis for axis, size in zip(dims, before, strict=True) if size == aval[axis] and axis in axes)
        if any(size == 1 for size in before) and len(before) == len(aval):
            number = step.inputs[0]
            continue
        break
    kept = tuple(axis for axis in axes if aval[axis] > 1)
    sizes = [size if axis in kept else 1 for axis, size in enumerate(aval)]
    return kept, broadcast_features(sizes, shape)
