"""The public functions: arguments checked, the layers put together."""

from __future__ import annotations

import importlib.metadata
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from crosscheck._backends import backend
from crosscheck._catalogue import activations, unknown
from crosscheck._compare.deviations import Environment, settle
from crosscheck._compare.records import Comparison, Finding
from crosscheck._compare.verify import Plan, run
from crosscheck._report.report import Report
from crosscheck._spec.interface import MissingFrameworkError
from crosscheck._spec.records import DEVICES, DTYPES, MODES, ORDERS, SUBJECTS, Activation

QUICK = {"per_binade": 1, "uniform": 512}
QUICK_DTYPES = ("float32", "bfloat16")


class UsageError(ValueError):
    """An argument that crosscheck cannot work with; the message says what was got and what was expected."""


def verify(
    what: str | Activation | Iterable[str | Activation] | None = None,
    *,
    dtypes: Sequence[str] | None = None,
    orders: Sequence[int] = ORDERS,
    subjects: Sequence[str] = SUBJECTS,
    modes: Sequence[str] = MODES,
    device: str = "cpu",
    seed: int = 0,
    quick: bool = False,
    replace: Mapping[str, Callable[..., Any]] | None = None,
    without: Iterable[str] = (),
    progress: Callable[[str, str], None] | None = None,
) -> Report:
    """Judge activations against the proven truth, and the frameworks against each other.

    what
        The name or alias of an activation of the catalogue, a record, several of these, or None for the catalogue.
    dtypes, orders, subjects, modes, device
        What to run: float64, float32, bfloat16, float16; 0 the value, 1 the gradient, 2 the second derivative;
        ``torch``, ``jax``, ``torch.native``, ``jax.native``, ``torch.native.matched``, ``jax.native.matched``,
        ``analytic``; ``eager``, ``jit``; ``cpu`` or ``gpu``. All of them unless given, on the CPU.
    seed, quick
        The seed of the sampled inputs of float64 and float32; ``quick`` samples fewer of them, and takes float32 and
        bfloat16 unless ``dtypes`` says otherwise.
    replace
        Functions to be judged in a subject's place, called with the framework's array and the parameters:
        ``replace={"torch": my_sigmoid}``. That is how a fault is planted.
    without
        Ids of declared deviations that are to be treated as not declared.
    progress
        Called with the activation's name and the dtype before each is run.

    Raises :class:`UsageError` for arguments that are unknown, ``NoDeviceError`` where there is no such device and
    ``SpecError`` for a record that its own definition contradicts. What the functions do when run is in the report.
    """
    chosen = _chosen(what)
    if dtypes is None:
        dtypes = QUICK_DTYPES if quick else DTYPES
    replace = dict(replace or {})
    if replace:
        _known("subject", replace, SUBJECTS)
    plan = Plan(
        dtypes=_known("dtype", dtypes, DTYPES),
        orders=_known("order", orders, ORDERS),
        subjects=_known("subject", subjects, SUBJECTS),
        modes=_known("mode", modes, MODES),
        device=_known("device", (device,), DEVICES)[0],
        seed=_seed(seed),
        replace=replace,
        **(QUICK if quick else {}),
    )
    without = set(without)
    declared = tuple(deviation.id for activation in chosen for deviation in activation.deviations)
    for id_ in sorted(without.difference(declared)):
        raise UsageError(unknown("deviation", id_, declared) if declared else f"unknown deviation {id_!r}: none is declared")
    described = environment(device)
    here = _deviation_environment(described, device)
    comparisons: list[Comparison] = []
    findings: list[Finding] = []
    for activation in chosen:
        judged = list(run(activation, plan, progress))
        settled, found = settle(judged, activation, here, without=without)
        comparisons += settled
        findings += found
    used = {id_ for comparison in comparisons for id_ in comparison.deviations}
    deviations = {d.id: (d.cause, d.reason) for a in chosen for d in a.deviations if d.id in used}
    return Report(tuple(comparisons), described, tuple(findings), deviations)


def _chosen(what: str | Activation | Iterable[str | Activation] | None) -> list[Activation]:
    if what is None:
        return list(activations.values())
    items = [what] if isinstance(what, str | Activation) else list(what)
    if not items:
        raise UsageError("activations: got none; name one, or leave them out for the whole catalogue")
    chosen = [item if isinstance(item, Activation) else activations[item] for item in items]
    return list({activation.name: activation for activation in chosen}.values())


def _known(what: str, given: Iterable[Any], known: tuple[Any, ...]) -> tuple[Any, ...]:
    """The given values, without repetitions, all of them known."""
    values = tuple(dict.fromkeys([given] if isinstance(given, str | int) else given))
    if not values:
        raise UsageError(f"{what}: got none, expected some of {', '.join(map(str, known))}")
    for value in values:
        if value not in known or isinstance(value, bool):
            raise UsageError(unknown(what, str(value), tuple(map(str, known))))
    return values


def _seed(seed: int) -> int:
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise UsageError(f"seed: got {seed!r}, expected an integer that is not negative")
    return seed


def environment(device: str = "cpu") -> dict[str, object]:
    """Versions, devices and settings on which results may depend; a framework that is missing says why."""
    packages = ("torch-jax-crosscheck", "numpy", "ml_dtypes", "python-flint")
    described: dict[str, object] = {
        "python": platform.python_version(),
        "platform": platform.platform(),
        "packages": {name: _version(name) for name in packages},
        "device": device,
    }
    for name in ("jax", "torch"):  # JAX first: on a shared GPU it must be told not to take all memory
        try:
            described[name] = dict(backend(name).environment(device))
        except MissingFrameworkError as error:
            described[name] = {"error": str(error)}
    return described


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _deviation_environment(described: Mapping[str, Any], device: str) -> Environment:
    return Environment(
        torch=described["torch"].get("version"),
        jax=described["jax"].get("version"),
        device=device,
        capability=described["torch"].get("capability"),
    )
