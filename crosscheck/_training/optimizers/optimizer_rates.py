"""The learning rates of optax, in PyTorch's optimiser: found step by step, from how far each side moves."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np
import torch

from crosscheck._explain.facts import Fact
from crosscheck._training.optimizers.optimizer_runs import Gradients, OptimizerSides, Trajectory, in_torch, with_schedulers
from crosscheck._training.optimizers.schedule_edits import argument_of

ALIKE, MOVING = 1e-5, 1e-6
"""Ratios of numbers differ by less if they are one ratio; numbers that are so much smaller than the largest are left out."""


def rates(
    pair: OptimizerSides,
    given: Gradients | None,
    optax_trajectory: Trajectory,
    fits: Callable[[Callable[[Any], None]], bool],
) -> tuple[Fact, ...]:
    """What optax's learning rates are, if with them PyTorch moves as optax does; nothing if no rates make that so.

    Args:
        pair: Both optimisers.
        given: The gradients with which they are found.
        optax_trajectory: optax's parameters after each step.
        fits: Whether both do the same after this edit of PyTorch's optimiser.
    """
    factors: list[float] = []
    torch_rates: list[float] = []
    for step in range(pair.every - 1, len(optax_trajectory), pair.every):
        torch_rates.clear()
        moved = in_torch(pair, given, step + 1, "float64", _scaled([*factors, 1.0], torch_rates))
        before = (moved[step - pair.every], optax_trajectory[step - pair.every]) if factors else (pair.leaves, pair.leaves)
        ratio = _ratio(moved[step], optax_trajectory[step], *before)
        if ratio is None:
            return ()
        factors.append(ratio)
    others = [k for k, factor in enumerate(factors) if abs(factor - (torch_rates[k] != 0)) > MOVING]
    if not others or not fits(_scaled(factors, [])):
        return ()
    first = factors[others[0]]
    if len(others) == len(factors) and all(torch_rates) and np.allclose(factors, first, rtol=ALIKE):
        return (Fact("moves", jax=f"{first:.6g}"),)
    return _facts(pair, np.array(factors), np.array(torch_rates), others[0])


def _scaled(factors: Sequence[float], seen: list[float]) -> Callable[[Any], None]:
    """The edit that multiplies the rate of each step; a rate of 0 counts as the one that the optimiser was made with."""

    def edit(optimizer: Any) -> None:
        step, left = optimizer.step, iter(factors)

        @wraps(step)  # a schedule of torch looks for its mark
        def edited(*args: Any, **kwargs: Any) -> Any:
            held, factor = [group["lr"] for group in optimizer.param_groups], next(left, 1.0)
            seen.append(float(held[0]))
            for group in optimizer.param_groups:
                group["lr"] = factor * (group["lr"] if any(held) else optimizer.defaults["lr"])
            try:
                return step(*args, **kwargs)
            finally:
                for group, rate in zip(optimizer.param_groups, held, strict=True):
                    group["lr"] = rate

        optimizer.step = edited

    return edit


def _ratio(torch_after: Any, optax_after: Any, torch_before: Any, optax_before: Any) -> float | None:
    """How many times as far JAX moves as PyTorch, 1 where PyTorch does not move; None if that is not one number."""
    a, b = (
        np.concatenate([np.ravel(now - old) for now, old in zip(side, was, strict=True)])
        for side, was in ((torch_after, torch_before), (optax_after, optax_before))
    )
    moving = np.abs(a) > MOVING * np.abs(a).max(initial=0.0)
    if not moving.any():
        return 1.0
    ratio = b[moving] / a[moving]
    alike = np.isfinite(ratio).all() and np.ptp(ratio) <= ALIKE * np.abs(ratio).max()
    return float(ratio[np.argmax(np.abs(a[moving]))]) if alike else None


def _facts(pair: OptimizerSides, factors: Any, torch_rates: Any, first: int) -> tuple[Fact, ...]:
    """Where the rates differ first, and which change of PyTorch's schedule gives JAX's."""
    optimizer, schedulers = with_schedulers(pair, [torch.nn.Parameter(torch.tensor(leaf)) for leaf in pair.leaves])
    optax_rates = factors * np.where(torch_rates == 0, optimizer.defaults["lr"], torch_rates)
    at = str((first + 1) * pair.every)
    differ = Fact("moves at", jax=f"{factors[first]:.6g}", where=at)
    if torch_rates[first] == 0:
        differ = Fact("rate at", torch="0", jax=f"{optax_rates[first]:.6g}", where=at)
    why = argument_of(schedulers[0], list(torch_rates), optax_rates, first) if len(schedulers) == 1 else ()
    return differ, *(why or _shifted(torch_rates, optax_rates))


def _shifted(torch_rates: Any, optax_rates: Any) -> tuple[Fact, ...]:
    """That one side is a step behind the other."""
    if np.allclose(optax_rates[1:], torch_rates[:-1], rtol=ALIKE):
        return (Fact("schedule", jax="behind"),)
    return (Fact("schedule", jax="ahead"),) if np.allclose(optax_rates[:-1], torch_rates[1:], rtol=ALIKE) else ()
