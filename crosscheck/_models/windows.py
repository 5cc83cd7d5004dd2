"""The windows of a convolution or a pooling on either side: size, strides, padding, dilation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crosscheck._models.distances import holds
from crosscheck._models.engine import Found
from crosscheck._models.jax_recording import Step
from crosscheck._models.landmarks import Landmark
from crosscheck._models.uses import Operation

SAME = 1e-5
"""The largest relative difference of a convolution's numbers in JAX, which are rounded in the dtype."""
POOLS = ("max_pool1d", "max_pool2d", "max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d")


def other_window(found: Found, landmark: Landmark, operation: Operation) -> str:
    """How a convolution or a pooling of torch differs from JAX's; empty if that is not known."""
    module = found.torch.modules.get(operation.path)
    convolution = operation.name == "convolution"
    if module is None or not (convolution or operation.name.startswith(POOLS)):
        return ""
    mine = _of_module(module)
    theirs = [_of_jax(found, one) for one in _steps(found, landmark, "conv_" if convolution else "reduce_window")]
    if len(theirs) != 1 or not mine or (convolution and _cropped(found, landmark, operation)):
        return ""
    said = [
        f"{what} {_told(mine[what])}, JAX {_told(theirs[0][what])}"
        for what in mine
        if what in theirs[0] and mine[what] != theirs[0][what]
    ]
    return f"PyTorch has the {'; the '.join(said)}" if said else ""


def other_groups(found: Found, step: Step, operation: Operation) -> tuple[int, int] | None:
    """The numbers of groups in which torch and JAX convolve, if they differ."""
    mine = getattr(found.torch.modules.get(operation.path), "groups", None)
    theirs = step.equation.params.get("feature_group_count") if step.equation is not None else None
    return None if mine is None or theirs is None or mine == theirs else (mine, theirs)


def _steps(found: Found, landmark: Landmark, name: str) -> list[Any]:
    """JAX's operations of one kind whose result reaches a landmark, since the landmark before it."""
    flat = found.flat
    way, settled = _way(found, landmark)
    makers = {flat.maker[number] for number in way if number in flat.maker} - settled
    return [flat.steps[one] for one in makers if flat.steps[one].operation.name.startswith(name)]


def _cropped(found: Found, landmark: Landmark, operation: Operation) -> bool:
    """Whether torch pads more than JAX, and then takes a part of the result that JAX has too: the padding is not wrong."""
    mine = np.sort(found.torch.values[operation.index].wide, axis=None)
    values = found.narrow.run.values if found.narrow.run is not None else {}
    theirs = [np.asarray(values[one]) for one in _way(found, landmark)[0] if one in values]
    theirs.append(found.located.values[found.landmarks.index(landmark)])  # the run has torch's value there
    same_size = [one for one in theirs if one.size == landmark.expected.wide.size < mine.size]
    return any(holds(mine, np.sort(one.astype(np.float64), axis=None), SAME) for one in same_size)


def _way(found: Found, landmark: Landmark) -> tuple[set[int], set[int]]:
    """JAX's values on the way to a landmark since the landmark before it, and the steps whose results torch has."""
    flat = found.flat
    step = flat.steps[landmark.step]
    target = step.outputs[0] if landmark.place < 0 else step.inputs[landmark.place]
    settled = {one.step for one in found.landmarks if one.place < 0 and one.step < landmark.step}
    return flat.ancestors([target], settled) | set(step.outputs[:1] if landmark.place < 0 else ()), settled


def _of_module(module: Any) -> Mapping[str, list[Any]]:
    """The window of a module of torch that is not a transposed convolution; by axis of space."""
    kernel = getattr(module, "kernel_size", None)
    if kernel is None or getattr(module, "transposed", False) or isinstance(module.padding, str):
        return {}
    rank = int(type(module).__name__[-2]) if type(module).__name__[-1:] == "d" else 0
    found = {"window": _each(kernel, rank), "strides": _each(module.stride, rank)}
    if not getattr(module, "ceil_mode", False):  # which pads more at the end
        found["padding"] = [(one, one) for one in _each(module.padding, rank)]
    return {**found, "dilation": _each(getattr(module, "dilation", 1), rank)} if rank else {}


def _each(value: Any, rank: int) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value] * rank


def _of_jax(found: Found, step: Step) -> Mapping[str, list[Any]]:
    """The window of a step. A pooling also has axes that are not of space: its window has size 1 there."""
    equation = step.equation
    params, shapes = equation.params, [one.aval.shape for one in equation.invars]
    before = _padded(found, step)
    if "dimension_numbers" in params:
        window = [shapes[1][axis] for axis in params["dimension_numbers"].rhs_spec[2:]]
        strides, padding, dilation = params["window_strides"], params["padding"], params["rhs_dilation"]
        axes = list(range(len(window)))
        before = [before[axis] for axis in params["dimension_numbers"].lhs_spec[2:]]
    else:
        window, strides = params["window_dimensions"], params["window_strides"]
        padding, dilation = params["padding"], params["window_dilation"]
        axes = [axis for axis, size in enumerate(window) if size > 1]
    padding = [(low + here, high + there) for (low, high), (here, there) in zip(before, padding, strict=True)]
    every = {"window": window, "strides": strides, "padding": padding, "dilation": dilation}
    return {what: [tuple(one) if what == "padding" else int(one) for one in values] for what, values in _at(every, axes)}


def _padded(found: Found, step: Step) -> list[tuple[int, int]]:
    """How far each axis of a step's operand was padded just before, with 0 for no padding."""
    maker = found.flat.maker.get(step.inputs[0]) if isinstance(step.inputs[0], int) else None
    pad = found.flat.steps[maker] if maker is not None else step
    if pad.operation.name != "pad":
        return [(0, 0)] * len(found.flat.avals[step.inputs[0]].shape)
    return [(low, high) for low, high, _ in pad.equation.params["padding_config"]]


def _at(every: Mapping[str, Any], axes: list[int]) -> list[tuple[str, list[Any]]]:
    return [(what, [values[axis] for axis in axes]) for what, values in every.items()]


def _told(values: list[Any]) -> str:
    return " x ".join(str(one) if isinstance(one, int) else f"({one[0]}, {one[1]})" for one in values)
