"""``compare_optimizers`` and ``optimizers``: check the arguments, run both sides and make the report."""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck import _arguments
from crosscheck._arithmetic.formats import FloatArray
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError, said
from crosscheck._records.interface import framework
from crosscheck._training.optimizers.optimizer_report import OptimizerReport, OptimizersReport

DTYPES = ("float32", "float64")
STEPS = 50
OPTAX = ("optax",)
PAIRS = Path(__file__).with_name("optimizer_pairs.toml")


@undisturbed(alone=True)
def compare_optimizers(
    torch_optimizer: Callable[[list[Any]], Any],
    optax_transform: Any,
    params: Any = None,
    *,
    clip: Callable[[list[Any]], Any] | None = None,
    every: int = 1,
    steps: int = STEPS,
    dtype: str | Any = "float32",
    seed: int = 0,
) -> OptimizerReport:
    """Give an optimiser of PyTorch and one of optax the same gradients, and compare the parameters after each step.

    In float64, both must do the same with every kind of gradients: normal ones, zeros, rows of zeros, and gradients so small
    that an epsilon is large beside them. Then the run of each in the dtype is compared with its own in float64. If the two
    differ, PyTorch's options are changed one and two at a time, to find values with which both would be the same.

    Args:
        torch_optimizer: A function of a list of parameters that returns the optimiser, such as ``lambda params:
            torch.optim.Adam(params)``; or a pair of it and its schedulers, which step after each of its steps.
        optax_transform: A ``GradientTransformation`` of optax.
        params: The parameters at the start, a pytree of arrays of floats. None for a matrix, a vector and a number.
        clip: A function of the list of parameters that changes their gradients before each step of PyTorch: ``lambda params:
            torch.nn.utils.clip_grad_norm_(params, 1.0)``.
        every: The number of gradients that PyTorch adds up, as ``loss.backward()`` does, for one step.
        steps: The number of gradients.
        dtype: ``float32`` or ``float64``.
        seed: The seed of the gradients, and of the parameters if ``params`` is None.

    Returns:
        The report.

    Raises:
        UsageError: If an argument has a value that cannot be used, or a side raises.
        MissingFrameworkError: If PyTorch, JAX or optax cannot be imported.

    Examples:
        >>> import crosscheck, optax, torch
        >>> report = crosscheck.compare_optimizers(torch.optim.AdamW, optax.adamw(1e-3))
        >>> report.passed, report.explanation
        (False, 'weight_decay: 0.0001 in JAX, 0.01 in PyTorch')
    """
    name = _arguments.dtype(dtype, DTYPES)
    _arguments.integer("steps", steps, 1, "steps=50 shows what differs in most optimisers")
    _arguments.integer("every", every, 1, "every=1 makes a step after each gradient")
    _arguments.seed(seed)
    for what in ("torch", "jax", "optax"):
        framework(what)
    if not callable(torch_optimizer):
        raise UsageError(
            f"torch_optimizer: got {type(torch_optimizer).__name__}, expected a function of the list of parameters that "
            "makes one, such as torch.optim.Adam"
        )
    if not (hasattr(optax_transform, "init") and hasattr(optax_transform, "update")):
        raise UsageError(
            f"optax_transform: got {type(optax_transform).__name__}, expected a GradientTransformation, such as "
            "optax.adam(1e-3)"
        )
    if clip is not None and not callable(clip):
        raise UsageError(f"clip: got {type(clip).__name__}, expected a function of the list of parameters, or None")
    tree = _params(params, seed)
    return _compared(torch_optimizer, optax_transform, tree, clip, every, (steps, name, seed), environment(more=OPTAX))


def _compared(
    make: Callable[[list[Any]], Any],
    transform: Any,
    params: Any,
    clip: Callable[[list[Any]], Any] | None,
    every: int,
    settings: tuple[int, str, int],
    described: Mapping[str, object],
    names: tuple[str, str] | None = None,
) -> OptimizerReport:
    from crosscheck._training.optimizers.optimizer_judge import explained, judge
    from crosscheck._training.optimizers.optimizer_runs import OptimizerSides, made

    steps, dtype, seed = settings
    pair = OptimizerSides(make, transform, params, clip, every)
    runs = judge(pair, steps, dtype, seed)
    names = names or (type(made(pair)).__name__, "optax")
    report = OptimizerReport(*names, runs, (), {"steps": steps, "dtype": dtype, "seed": seed}, described)
    wrong = [run for run in report.judged if not run.passed]
    return replace(report, facts=explained(pair, wrong, seed)) if wrong else report


@undisturbed(alone=True)
def optimizers(*, dtype: str | Any = "float32") -> OptimizersReport:
    """Compare PyTorch's optimisers, schedules and clipping with those of optax that people use in their place.

    Args:
        dtype: ``float32`` or ``float64``.

    Returns:
        The report.

    Raises:
        UsageError: If the dtype is another one.
        MissingFrameworkError: If PyTorch, JAX or optax cannot be imported.

    Examples:
        >>> import crosscheck
        >>> table = crosscheck.optimizers()
        >>> [pair.passed for pair in table.pairs if pair.jax == "optax.adam(1e-3)"]
        [True]
    """
    name = _arguments.dtype(dtype, DTYPES)
    for what in ("torch", "jax", "optax"):
        framework(what)
    described = environment(more=OPTAX)
    reports, skipped = [], {}
    for entry in tomllib.loads(PAIRS.read_text(encoding="utf-8"))["pair"]:
        try:
            reports.append(_of_table(entry, name, described))
        except (AttributeError, UsageError) as error:  # this release does not have it
            skipped[f"{entry['torch']} / {entry['optax']}"] = said(error)
    return OptimizersReport(tuple(reports), described, skipped)


def _of_table(entry: Mapping[str, Any], dtype: str, described: Mapping[str, object]) -> OptimizerReport:
    import jax
    import optax
    import torch

    def make(params: list[Any]) -> Any:
        optimizer = eval(entry["torch"], {"torch": torch, "params": params})
        schedule = entry.get("schedule")
        return (optimizer, eval(schedule, {"torch": torch, "optimizer": optimizer})) if schedule else optimizer

    def clip(params: list[Any]) -> Any:
        return eval(entry["clip"], {"torch": torch, "params": params})

    every = entry.get("every", 1)
    parts = [
        entry["torch"],
        entry.get("schedule"),
        entry.get("clip"),
        f"a step after {every} gradients" if every > 1 else None,
    ]
    params = _params(None, 0)
    return _compared(
        make,
        eval(entry["optax"], {"jax": jax, "optax": optax}),
        {"weight": params["weight"]} if entry.get("matrices") else params,
        clip if "clip" in entry else None,
        every,
        (STEPS, dtype, 0),
        described,
        (", ".join(filter(None, parts)), entry["optax"]),
    )


def _params(given: Any, seed: int) -> Any:
    """The pytree of parameters, as arrays of float64 whose numbers float32 holds."""
    import jax

    if given is None:
        rng = np.random.default_rng((seed, 1))
        given = {"weight": rng.normal(size=(4, 3)), "bias": rng.normal(size=3), "scale": rng.normal(size=())}
    if not jax.tree.leaves(given):
        raise UsageError("params: got no array, expected a tree of arrays of floats, such as {'w': numpy.ones((2, 3))}")
    return jax.tree.map(_floats, given)


def _floats(leaf: Any) -> FloatArray:
    detached = leaf.detach().cpu() if hasattr(leaf, "detach") else leaf
    array = np.asarray(detached)
    if array.dtype.kind != "f" or not array.size:
        raise UsageError(f"params: got an array of {array.dtype} of shape {array.shape}, expected floats, at least one")
    if not np.isfinite(array).all():
        raise UsageError("params: got NaN or infinity, expected finite numbers")
    return array.astype(np.float32).astype(np.float64)
