"""Edits of PyTorch's schedule: which argument of it, with another value, gives JAX's learning rates."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch.optim import lr_scheduler

from crosscheck._explain.facts import Fact, digits
from crosscheck._training.optimizers.optimizer_edits import OTHERS
from crosscheck._training.steps.reason import SAME_RATIO

Argument = tuple[int, str]
"""The number of a schedule among those that a schedule consists of, and the name of an argument."""
FITS, NEAR = 12, 1e-12
"""So often a number is improved to fit; nearer, it fits."""


def argument_of(scheduler: Any, rates: Sequence[float], wanted: Any, at: int) -> tuple[Fact, ...]:
    """The argument with which a schedule that gives these rates would give the wanted ones; ``at`` a step that differs."""
    try:
        if not _same(_rates(scheduler, {}, len(rates)), np.array(rates)):
            return ()
    except Exception:  # a schedule of the user cannot be made again in any way
        return ()

    def run(argument: Argument, value: Any) -> Any:
        try:
            return _rates(scheduler, {argument: value}, len(rates))
        except Exception:  # a schedule may refuse a value in any way
            return np.full(len(rates), np.inf)

    def apart(argument: Argument, value: float) -> float:
        return float(run(argument, value)[at] - wanted[at])

    for argument, old in _numbers(scheduler):
        for new in _values(old, partial(apart, argument)):
            if new != old and _same(run(argument, new), wanted):
                name = type(_parts(scheduler)[argument[0]]).__name__
                sides = [digits(*pair) if isinstance(new, float) else str(pair[0]) for pair in ((new, old), (old, new))]
                return (Fact("setting", name, argument[1], torch=sides[1], jax=sides[0]),)
    return ()


def _same(left: Any, right: Any) -> bool:
    return bool(np.allclose(left, right, rtol=SAME_RATIO, atol=SAME_RATIO * float(np.abs(right).max())))


def _parts(scheduler: Any) -> list[Any]:
    return list(getattr(scheduler, "_schedulers", [scheduler]))


def _arguments(scheduler: Any) -> dict[str, Any]:
    """The arguments with which a schedule was made."""
    names = inspect.signature(type(scheduler)).parameters
    arguments = {
        name: getattr(scheduler, name) for name in names if name not in ("optimizer", "last_epoch", "verbose", "lr_lambda")
    }
    if "lr_lambda" in names:
        arguments["lr_lambda"] = scheduler.lr_lambdas
    return {name: list(value.elements()) if name == "milestones" else value for name, value in arguments.items()}


def _numbers(scheduler: Any) -> Iterator[tuple[Argument, Any]]:
    for number, part in enumerate(_parts(scheduler)):
        yield from (((number, name), value) for name, value in _arguments(part).items() if type(value) in (int, float))
    milestones = getattr(scheduler, "_milestones", ())
    yield from (((number, "milestone"), milestone) for number, milestone in enumerate(milestones))


def _values(old: Any, apart: Callable[[float], float]) -> Iterator[Any]:
    """Other values of an argument: those near it and usual ones, and for a float the one that fits."""
    if isinstance(old, int):
        yield from dict.fromkeys((old - 1, old + 1, 2 * old, old // 2, *range(1, 11), 10 * old))
        return
    yield from (0.0, 1.0, 10 * old, old / 10, 2 * old, old / 2, *OTHERS)
    a, b = old, 1.01 * old + 1e-3
    for _ in range(FITS):
        first, second = apart(a), apart(b)
        if not np.isfinite([first, second]).all() or first == second:
            return
        a, b = b, b - second * (b - a) / (second - first)
        if abs(b - a) <= NEAR * abs(b):
            break
    yield float(f"{b:.6g}")


def _rates(scheduler: Any, changes: Mapping[Argument, Any], steps: int) -> Any:
    """The largest learning rate at each step of a schedule that is made again, with changes."""
    base = _parts(scheduler)[0].base_lrs
    optimizer = torch.optim.SGD([{"params": [torch.nn.Parameter(torch.zeros(()))], "lr": rate} for rate in base], lr=0.1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        parts = []
        for number, part in enumerate(_parts(scheduler)):
            changed = {name: value for (k, name), value in changes.items() if k == number and name != "milestone"}
            parts.append(type(part)(optimizer, **{**_arguments(part), **changed}))
        made = parts[0]
        if isinstance(scheduler, lr_scheduler.SequentialLR):
            milestones = [changes.get((k, "milestone"), milestone) for k, milestone in enumerate(scheduler._milestones)]
            made = lr_scheduler.SequentialLR(optimizer, parts, milestones)
        elif len(parts) > 1:
            made = lr_scheduler.ChainedScheduler(parts, optimizer)
        rates = []
        for _ in range(steps):
            rates.append(max(group["lr"] for group in optimizer.param_groups))
            optimizer.step()
            made.step()
    return np.array(rates)
