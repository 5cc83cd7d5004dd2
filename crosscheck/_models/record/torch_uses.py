"""How an operation of torch uses its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from crosscheck._frameworks.programs import Array
from crosscheck._models.values.layouts import AxesView, broadcast_features


def described(
    name: str, args: Any, weights: list[Any], result: Any
) -> tuple[str, int, AxesView | None, AxesView, Any, Callable[[Array], Array]]:
    """An operation with weights: its kind, the position of its data, the views of the data and of the result, the main
    weight, and the function that makes a matrix of it."""
    shape = tuple(result.shape)
    last = AxesView(shape, (len(shape) - 1,) if shape else ())

    def is_weight(position: int) -> bool:
        return position < len(args) and any(args[position] is weight for weight in weights)

    def seen(position: int, axis: int) -> AxesView:
        return AxesView(tuple(args[position].shape), (axis,))

    def flat(array: Array) -> Array:
        return array.reshape(1, -1)

    if name in ("mm", "addmm", "_addmm_activation"):
        left, right = (0, 1) if name == "mm" else (1, 2)
        if is_weight(right) and not is_weight(left):
            return "product", left, seen(left, 1), last, args[right], lambda array: array
        if is_weight(left) and not is_weight(right):
            return "product", right, seen(right, 0), AxesView(shape, (0,)), args[left], lambda array: array.T
    if name in ("convolution", "_convolution", "convolution_overrideable") and is_weight(1) and not is_weight(0):
        out = 1 if args[6] else 0  # a transposed convolution has the inputs first

        def matrix(array: Array) -> Array:
            return np.moveaxis(array, out, -1).reshape(-1, array.shape[out])

        return "convolution", 0, seen(0, 1), AxesView(shape, (1,)), args[1], matrix
    if name == "embedding" and is_weight(0):
        return "gather", 1, None, last, args[0], lambda array: array
    if name == "native_layer_norm":
        features = tuple(range(len(shape) - len(args[1]), len(shape)))
        return "norm", 0, None, AxesView(shape, features), weights[0], flat
    if name.startswith(("native_batch_norm", "_native_batch_norm", "native_group_norm")):
        return "norm", 0, None, AxesView(shape, (1,)), weights[0], flat
    if name in ("add", "sub", "mul", "div") and isinstance(args[1], torch.Tensor):
        position = 1 if any(args[0] is weight for weight in weights) else 0
        main, moving = args[1 - position], args[position]
        view = AxesView(shape, broadcast_features([1 if once else size for size, once in sizes(main)], shape))
        kind = "sum" if name in ("add", "sub") else "scale"
        return kind, position, view if tuple(moving.shape) == shape else None, view, main, flat
    return "other", 0, None, last, weights[0], flat


def sizes(tensor: Any) -> list[tuple[int, bool]]:
    """The size of each axis, and whether the tensor is expanded along it."""
    return [(size, stride == 0) for size, stride in zip(tensor.shape, tensor.stride(), strict=True)]


def once(tensor: Any) -> tuple[slice, ...]:
    """An index that gives a tensor as it was before it was expanded."""
    return tuple(slice(1) if once else slice(None) for _, once in sizes(tensor))
