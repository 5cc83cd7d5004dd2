"""Run an operation of torch in float64: as it is, in steps if it has no float64, or else in the dtype on rounded numbers."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from typing import Any

import torch

from crosscheck._shadow.torch.operations import WIDE, mapped, plan_of, tensors_in


def grouped_mm(left: Any, right: Any, offsets: Any = None, bias: Any = None, out_dtype: Any = None) -> Any:
    """A product of matrices for each group of rows, of columns, or of both: a group ends at each of ``offsets``."""
    if offsets is None:
        return torch.bmm(left, right)
    ends = offsets.tolist()
    groups = [slice(begin, end) for begin, end in zip([0, *ends], ends, strict=False)]
    if left.dim() == right.dim() == 2:
        return torch.stack([left[:, group] @ right[group] for group in groups])
    if right.dim() == 3:
        made = [left[group] @ matrix for group, matrix in zip(groups, right, strict=True)]
        rest = left.new_zeros(left.shape[0] - ends[-1], right.shape[2])
        return torch.cat([*made, rest])
    made = [matrix @ right[:, group] for group, matrix in zip(groups, left, strict=True)]
    return torch.cat([*made, right.new_zeros(left.shape[1], right.shape[1] - ends[-1])], 1)


STEPS: Mapping[str, Callable[..., Any]] = {"_grouped_mm": grouped_mm}
"""The steps, by the name of the operation."""


def in_float64(func: Any, args: Any, kwargs: Any, rounding: Any, *, floats: bool) -> Any:
    """Run an operation in float64; ``rounding`` is a mode that imitates it, and ``floats`` whether operands are floats."""
    if (steps := STEPS.get(plan_of(func).name)) is not None:
        with rounding or nullcontext():
            return steps(*args, **kwargs)
    run = partial(rounding.run, func, args, kwargs) if rounding else partial(func, *args, **kwargs)
    if floats:
        return run()
    default = torch.get_default_dtype()  # integers and Python numbers become floats of it
    torch.set_default_dtype(torch.float64)
    try:
        return run()
    finally:
        torch.set_default_dtype(default)


def from_rounded(func: Any, args: Any, kwargs: Any, made: Sequence[Any], wide: Callable[[Any], Any]) -> Sequence[Any]:
    """The results of an operation on operands rounded from float64, so that its rounding alone is in them.

    If they have other shapes than those that it ``made`` of the program's operands, as an operation that selects may give,
    they are the latter.
    """

    def rounded(value: Any) -> Any:
        is_float = isinstance(value, torch.Tensor) and value.dtype in WIDE
        return wide(value).to(value.dtype, copy=True) if is_float else value

    again = func(*mapped(rounded, list(args)), **{key: mapped(rounded, value) for key, value in kwargs.items()})
    results = list(tensors_in(again))
    return results if [result.shape for result in results] == [result.shape for result in made] else made
