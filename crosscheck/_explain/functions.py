"""The functions of the tables: what a port may compute instead of what PyTorch computes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise, product
from typing import Any

import torch
import torch.nn.functional as F

Function = Callable[..., Any]
MOST_PARTS = 12
"""Into more parts, no axis is split."""


def silu_with(scale: float) -> Function:
    return lambda x: x * torch.sigmoid(scale * x)


def tensors(a: Any, b: Any) -> tuple[Any, Any]:
    like = a if isinstance(a, torch.Tensor) else b
    return torch.broadcast_tensors(*(torch.as_tensor(operand, dtype=like.dtype) for operand in (a, b)))


def axis_of(dim: Any) -> int:
    if isinstance(dim, int):
        return dim
    (axis,) = dim
    return int(axis)


def along_one(function: Function, x: Any, dim: Any, keepdim: bool) -> Any:
    return function(x, axis_of(dim), keepdim).values


def one_of(x: Any, dim: Any, keepdim: bool, place: int) -> Any:
    selected = x.select(axis_of(dim), place)
    return selected.unsqueeze(axis_of(dim)) if keepdim else selected


def pool(function: str, **options: Any) -> Function:
    def pooled(x: Any, size: Any, stride: Any = (), padding: Any = 0, *_: Any) -> Any:
        rank = len(size)
        return getattr(F, f"{function}_pool{rank}d")(x, size, stride or size, padding, **options)

    return pooled


def sections(size: int, new: int) -> list[tuple[int, int]]:
    """The first and the last place of windows that do not overlap, the first of which are longer by one."""
    long = size % new
    ends = [k * (size // new) + min(k, long) for k in range(new + 1)]
    return list(pairwise(ends))


def alike(size: int, new: int) -> list[tuple[int, int]]:
    """Windows of one size and stride, as the other pools have them."""
    stride = size // new
    return [(k * stride, size - (new - 1 - k) * stride) for k in range(new)]


def cut(size: int, new: int) -> list[tuple[int, int]]:
    """Windows of one size that do not overlap; what is left over at the end is left out."""
    return [(k * (size // new), (k + 1) * (size // new)) for k in range(new)]


def adaptive(windows: Callable[[int, int], list[tuple[int, int]]], reduced: str) -> Function:
    """A pool to a size, over such windows of each axis."""

    def pooled(x: Any, new: Any, *_: Any) -> Any:
        for axis, size in enumerate(new, x.ndim - len(new)):
            parts = [x.narrow(axis, first, end - first) for first, end in windows(x.shape[axis], size)]
            x = torch.stack([getattr(part, reduced)(axis) for part in parts], axis)
        return x

    return pooled


def padded(mode: str) -> Function:
    """Padding in a mode; the frameworks' own, where torch has it, and NumPy's for the others."""
    if mode == "symmetric":
        return lambda x, widths, *_: symmetric(x, widths)
    return lambda x, widths, *_: F.pad(x, list(widths), mode=mode)


def symmetric(x: Any, widths: Sequence[int]) -> Any:
    for k, (before, behind) in enumerate(zip(widths[::2], widths[1::2], strict=True)):
        axis = x.ndim - 1 - k
        size = x.shape[axis]
        places = (
            [-place - 1 for place in range(-before, 0)]
            + list(range(size))
            + [size - 1 - distance for distance in range(behind)]
        )
        x = x.index_select(axis, torch.tensor(places))
    return x


def weights_of(size: int, new: int, corners: bool, kernel: Function, support: float, antialias: bool) -> Any:
    """The matrix of a resize along one axis."""
    scale = size / new if not corners else (size - 1) / max(new - 1, 1)
    wide = max(scale, 1.0) if antialias else 1.0
    places = torch.arange(new, dtype=torch.float64)
    centre = places * scale if corners else (places + 0.5) * scale - 0.5
    taps = torch.arange(-4 * int(wide + support) - 4, size + 4 * int(wide + support) + 4)
    weights = kernel((taps.double() - centre[:, None]) / wide)
    if antialias:
        weights = torch.where((taps < 0) | (taps >= size), 0.0, weights)
    weights = weights / weights.sum(1, keepdim=True)
    matrix = torch.zeros(new, size, dtype=torch.float64)
    return matrix.index_add_(1, taps.clamp(0, size - 1), weights)


def cubic(a: float) -> Function:
    def kernel(x: Any) -> Any:
        x = x.abs()
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a
        return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))

    return kernel


def linear(x: Any) -> Any:
    return (1 - x.abs()).clamp(min=0)


def resize(kernel: Function, *, corners: bool = False, antialias: bool = False) -> Function:
    def resized(x: Any, size: Any, *_: Any) -> Any:
        for axis, new in zip(range(-len(size), 0), size, strict=True):
            matrix = weights_of(x.shape[axis], int(new), corners, kernel, 2.0, antialias)
            x = (x.transpose(axis, -1) @ matrix.T).transpose(axis, -1)
        return x

    return resized


def orders_of(shape: Sequence[int]) -> dict[str, Function]:
    """Other orders along one axis, as if it were split in two in the other order: of heads, of groups, of q, k and v."""
    orders: dict[str, Function] = {}
    for axis in range(-min(len(shape), 4), 0):
        size = shape[axis]
        for part in range(2, min(size // 2, MOST_PARTS) + 1):
            if size % part == 0:
                name = f"in another order along axis {axis}: as {size // part} x {part}, PyTorch {part} x {size // part}"
                if part * part == size:
                    name = f"in another order along axis {axis}: its {part} x {part} numbers transposed"
                orders[name] = partial(regrouped, axis=axis, parts=(part, size // part))
        for a, b in product(range(2, MOST_PARTS // 2 + 1), repeat=2):
            if size % (a * b) == 0 and size > a * b:
                c = size // (a * b)
                name = f"in another order along axis {axis}: as {b} x {a} x {c}, PyTorch {a} x {b} x {c}"
                if a == b:
                    name = f"in another order along axis {axis}: its {a} x {a} parts transposed"
                orders[name] = partial(regrouped, axis=axis, parts=(a, b, c))
    return orders


def regrouped(x: Any, axis: int, parts: Sequence[int]) -> Any:
    axis %= x.ndim
    return x.unflatten(axis, tuple(parts)).transpose(axis, axis + 1).flatten(axis, axis + len(parts) - 1)


def shared(x: Any, axis: int) -> Any:
    """The numbers of the first place along an axis, at all of its places."""
    first = x.narrow(axis, 0, 1)
    if x.shape[axis] < 2 or (x.dtype == torch.bool and first.all() == first.any()):
        raise IndexError("there is one place, or a mask that hides nothing or all")
    return first.expand_as(x)


def shift(fill: str) -> Function:
    """Numbers moved along an axis, with zeros, the outermost number or those of the other end where places become free."""

    def shifted(x: Any, by: int, axis: int) -> Any:
        moved = x.roll(by, axis)
        free = (axis, 0, by) if by > 0 else (axis, x.shape[axis] + by, -by)
        if fill != "around" and by:
            outermost = x.narrow(axis, 0 if by > 0 else x.shape[axis] - 1, 1)
            moved.narrow(*free).copy_(outermost if fill == "edge" else torch.zeros_like(outermost))
        return moved

    return shifted
