"""Edits of PyTorch's update rules, for what optax does and no option of PyTorch's optimiser can express."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial, wraps
from itertools import combinations
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from crosscheck._explain.facts import Fact

EPSILON, DECAY, STEP = "eps", "weight_decay", "step"
OTHERS = (0.0, 1e-10, 1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 0.5, 0.9, 0.95, 0.98, 0.99, 0.999, 0.9999, 1.0)
"""Values that people often give to options."""
LATE = 1e12
"""A step so late that every power of a beta is 0."""


class _EpsilonInRoot(TorchFunctionMode):
    """Adds epsilon inside a root: ``sqrt(v) + eps`` becomes ``sqrt(v + eps)``."""

    def __init__(self, epsilons: set[float]) -> None:
        super().__init__()
        self._epsilons = epsilons

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        adds = func in (torch.Tensor.add_, torch.Tensor.add) and len(args) == 2
        if adds and isinstance(args[1], float) and args[1] in self._epsilons:
            root, epsilon = args
            inside = root.square().add(epsilon).sqrt()
            return root.copy_(inside) if func is torch.Tensor.add_ else inside
        return func(*args, **(kwargs or {}))


class _WithoutCorrection(TorchFunctionMode):
    """Reads each count of steps as so large that the averages of the gradients need no correction."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self._optimizer = optimizer

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        reads = func is torch.Tensor.item and any(args[0] is state.get(STEP) for state in self._optimizer.state.values())
        return LATE if reads else func(*args, **(kwargs or {}))


class _MaximumOfCorrected(TorchFunctionMode):
    """Takes AMSGrad's maximum of averages whose bias is corrected: the one so far is corrected for this step instead."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self._states = [
            (group["betas"][1], optimizer.state[parameter])
            for group in optimizer.param_groups
            for parameter in group["params"]
        ]

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is torch.maximum:
            for beta, state in self._states:
                if state.get("max_exp_avg_sq") is args[0] and (step := float(state[STEP])) > 1:
                    args[0].mul_((1 - beta**step) / (1 - beta ** (step - 1)))
        return func(*args, **(kwargs or {}))


def within(mode: Callable[[Any], TorchFunctionMode]) -> Callable[[Any], None]:
    """The edit of an optimiser whose steps run in this mode."""

    def edit(optimizer: Any) -> None:
        step = optimizer.step

        @wraps(step)  # a schedule of torch looks for its mark
        def edited(*args: Any, **kwargs: Any) -> Any:
            # only the loop over single tensors adds a number by itself, and reads the count of steps
            for group in optimizer.param_groups:
                group.update({name: False for name in ("foreach", "fused") if name in group})
            with mode(optimizer):
                return step(*args, **kwargs)

        optimizer.step = edited

    return edit


def _epsilon_in_root(optimizer: Any) -> TorchFunctionMode:
    return _EpsilonInRoot({group[EPSILON] for group in optimizer.param_groups})


def _decay_without_rate(optimizer: Any) -> None:
    for group in optimizer.param_groups:
        group[DECAY] = group[DECAY] / group["lr"] if group["lr"] else 0.0


def edits(optimizer: Any) -> Iterator[tuple[tuple[Fact, ...], Callable[[Any], None]]]:
    """What each edit that fits an optimiser, and then each two of them, would mean of optax, and the edit."""
    single = list(_single(optimizer))
    for some in (*combinations(single, 1), *combinations(single, 2)):
        yield tuple(fact for fact, _ in some), partial(_all, [edit for _, edit in some])


def _all(several: Sequence[Callable[[Any], None]], optimizer: Any) -> None:
    for edit in several:
        edit(optimizer)


def _single(optimizer: Any) -> Iterator[tuple[Fact, Callable[[Any], None]]]:
    options = optimizer.defaults
    if isinstance(options.get(EPSILON), float) and options[EPSILON] > 0:
        yield Fact("epsilon in the root"), within(_epsilon_in_root)
    if "betas" in options:
        yield Fact("uncorrected"), within(_WithoutCorrection)
    if options.get("amsgrad"):
        yield Fact("maximum"), within(_MaximumOfCorrected)
    # the decay of a gradient has no rate of its own
    if any(group.get(DECAY) for group in optimizer.param_groups) and options.get("decoupled_weight_decay"):
        yield Fact("decay without rate"), _decay_without_rate
