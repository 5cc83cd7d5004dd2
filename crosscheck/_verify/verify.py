"""``verify``: check the arguments, carry out the plan, in several processes if requested, and make the report."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from typing import Any

from crosscheck import _arguments
from crosscheck._arguments import known
from crosscheck._catalogue import activations, formulas_of
from crosscheck._frameworks import backend
from crosscheck._frameworks.base import THREADS
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.lacking import Lacking
from crosscheck._frameworks.settings import spared, undisturbed
from crosscheck._recorded.files import name_of
from crosscheck._records.errors import UsageError, unknown
from crosscheck._records.implementations import IMPLEMENTATIONS, MODES, MODES_OF, NATIVES, USUAL_MODES, Implementation
from crosscheck._records.interface import MissingFrameworkError
from crosscheck._records.names import DEVICES, DTYPES, ORDERS
from crosscheck._records.records import Activation
from crosscheck._report.report import Report
from crosscheck._verdict.deviations import settle
from crosscheck._verdict.environments import Environment, nearest, of_here, on_record
from crosscheck._verdict.judged import ComparisonCauses
from crosscheck._verify.inputs.search import THOROUGH_EFFORT
from crosscheck._verify.run.run import Progress, run
from crosscheck._verify.run.task import EVERY_LENGTH, Plan
from crosscheck._workers import FEWER, Workers, none_left

QUICK: dict[str, Any] = {"per_binade": 1, "uniform": 512, "lengths": {100: DTYPES}, "search": None, "eager_in_jax": ()}
THOROUGH = {"lengths": EVERY_LENGTH, "search": THOROUGH_EFFORT, "eager_in_jax": (None, 8, 1000)}
QUICK_DTYPES = ("float32",)


@undisturbed()
def verify(
    what: str | Activation | Iterable[str | Activation] | None = None,
    *,
    dtypes: Sequence[str | Any] | None = None,
    orders: Sequence[int] = ORDERS,
    implementations: Sequence[str] = IMPLEMENTATIONS,
    modes: Sequence[str] | None = None,
    layout: bool = False,
    device: str = "cpu",
    seed: int = 0,
    quick: bool = False,
    thorough: bool = False,
    replace: Mapping[str, Callable[..., Any]] | None = None,
    without: Iterable[str] = (),
    strict: bool = False,
    progress: Callable[[str, str, float], None] | None = None,
    processes: int = 1,
) -> Report:
    """Judge activations against the proven truth, and the frameworks against each other.

    Errors are in ULP, the unit in the last place: for a real number r and a format of precision p and exponents from e_min
    to e_max, ``ulp(r) = 2^(clamp(floor(log2|r|), e_min, e_max) - (p - 1))``, as on JAX's page on numerical accuracy
    (https://docs.jax.dev/en/latest/accuracy.html). Functions of rows are judged at rows of 1 to 50,257 entries. A search
    finds further rows, at which crosscheck's own implementations err more.

    Args:
        what: The name or alias of an activation of the catalogue, a record, several of these, or None for the catalogue.
        dtypes: Some of ``float64``, ``float32``, ``bfloat16`` and ``float16``, by name or as dtypes of a framework or numpy;
            None for all.
        orders: Some of 0 for the value, 1 for the gradient, 2 for the second derivative; all by default.
        implementations: Some of ``torch``, ``jax``, ``torch.native``, ``jax.native``, ``torch.native.matched``,
            ``jax.native.matched`` and ``analytic``; all by default.
        modes: Some of ``eager``, ``jit`` (of JAX), ``compile`` (of PyTorch, values and gradients), ``vmap`` and ``forward``
            (forward mode instead of reverse); None for the first two. JAX runs ``vmap`` and ``forward`` under jit.
            ``report.skipped`` names the modes that cannot be run here.
        layout: Whether to check also, in float32 and bfloat16, that an input gives the same bits in a one-element array, in
            short arrays at every position, and in a view with gaps.
        device: ``cpu`` or ``gpu``.
        seed: The seed of the sampled inputs of float64 and float32.
        quick: Whether to save time: with fewer sampled inputs, only float32 unless ``dtypes`` is given, JAX only under jit
            unless ``modes`` is given, and rows of 100 entries without a search.
        thorough: Whether to use rows of up to 131,072 entries in every dtype, and to search longer, also for inputs of
            elementwise functions.
        replace: By implementation, a function that is judged instead, called with the framework's array and the parameters:
            ``replace={"torch": my_sigmoid}``. Use it to plant a fault.
        without: Ids of declared deviations that count as not declared; the run is then strict.
        strict: Whether new disagreements of what the frameworks ship fail even if this environment (these releases on this
            device and CPU) is not on record. If it is on record, they always fail.
        progress: Called with the name of the activation, what begins, such as ``float32 gradient``, and the share of the
            activation that is done.
        processes: The number of processes that share the activations of the catalogue; each takes about 700 MB. For more
            than one, the main module must be importable again: put its code under ``if __name__ == "__main__":``, as for
            ``multiprocessing``.

    Returns:
        The report. Exceptions that the functions raise are in the report.

    Raises:
        UsageError: If an argument has an unknown value.
        UnknownActivationError: If the catalogue has no activation of this name.
        NoDeviceError: If a framework has no such device.
        SpecError: If a record contradicts its own definition.
        MissingFrameworkError: If no framework of the implementations can be imported. If one of two cannot, the other is
            judged alone, and ``report.skipped`` says so.

    Examples:
        >>> import crosscheck, torch
        >>> crosscheck.verify("relu", dtypes=["float32"], quick=True).passed
        True
        >>> fault = {"torch": lambda x: 1.001 * torch.relu(x)}
        >>> report = crosscheck.verify("relu", orders=[0], quick=True, replace=fault)
        >>> [one.cause for one in report.comparisons if not one.passed]
        ['definition', 'definition']
    """
    chosen = _arguments.chosen(what)
    _arguments.flags(layout=layout, quick=quick, thorough=thorough, strict=strict)
    if quick and thorough:
        raise UsageError("quick, thorough: got both, expected one of them")
    sizes = dict(QUICK if quick else THOROUGH if thorough else {})
    if modes is None:
        modes = USUAL_MODES
    else:
        sizes.pop("eager_in_jax", None)
    replace = _arguments.functions("replace", replace)
    if replace:
        known("implementation", replace, IMPLEMENTATIONS)
    plan = Plan(
        dtypes=_arguments.dtypes((QUICK_DTYPES if quick else DTYPES) if dtypes is None else dtypes),
        orders=known("order", orders, ORDERS),
        implementations=known("implementation", implementations, IMPLEMENTATIONS),
        modes=known("mode", modes, MODES),
        layout=layout,
        device=_arguments.one_of("device", device, DEVICES),
        seed=_arguments.seed(seed),
        replace=replace,
        **sizes,
    )
    report, _ = verified(
        chosen, plan, without=without, strict=strict, progress=progress, processes=processes, release=not quick
    )
    return report


Look = Callable[[Activation, Sequence[ComparisonCauses], Report], Any]


def verified(
    chosen: Sequence[Activation],
    plan: Plan,
    *,
    without: Iterable[str] = (),
    strict: bool = False,
    progress: Progress | None = None,
    processes: int = 1,
    release: bool = True,
    look: Look | None = None,
) -> tuple[Report, list[Any]]:
    """Carry out a plan: the report, and the result of ``look`` for each activation.

    ``release`` is whether the compiled programs of each of several activations are released when it is done.

    ``look`` is called where the activation was judged, possibly in another process, with its judged points and the report on
    it alone; then both ``look`` and its result are pickled.
    """
    _arguments.progress(progress)
    left_out = _declared(without, chosen)
    described = environment(plan.device, threads=THREADS)
    lacking = Lacking.of(described)
    skipped = lacking.of_those(plan.implementations, plan.dtypes)
    sides = {Implementation.of(implementation).side for implementation in plan.implementations}
    lost = {mode: why for mode in plan.modes if "torch" in sides and (why := lacks(mode))}
    plan = dataclasses.replace(plan, modes=tuple(mode for mode in plan.modes if mode not in lost), lacking=lacking)
    here = Environment.of(described, plan.device)
    judge = partial(
        _judge,
        plan=plan,
        described=described,
        without=left_out,
        strict=strict or bool(left_out) or bool(set(plan.replace) & set(NATIVES)),
        several=release and len(chosen) > 1,
        look=look,
    )
    _arguments.integer("processes", processes, 1)
    outcomes = list(_each(chosen, judge, 1 if plan.replace else processes, progress))
    reports = [report for report, _ in outcomes]
    whole = Report(
        comparisons=tuple(comparison for report in reports for comparison in report.comparisons),
        environment=described,
        findings=tuple(finding for report in reports for finding in report.findings),
        deviations={id_: why for report in reports for id_, why in report.deviations.items()},
        skipped=skipped | lost,
        recorded=on_record(here),
        compared_with=name_of(nearest(here)),
    )
    return whole, [seen for _, seen in outcomes]


def _declared(without: Iterable[str], chosen: Sequence[Activation]) -> set[str]:
    """The given ids; each must be that of a deviation of one of the activations."""
    given = set(_arguments.several(without))
    declared = tuple(deviation.id for activation in chosen for deviation in activation.deviations)
    for id_ in sorted(given.difference(declared), key=str):
        none = f"unknown deviation {id_!r}: none is declared"
        raise UsageError(unknown("deviation", str(id_), declared) if declared else none)
    return given


def _each(
    chosen: Sequence[Activation], judge: Callable[..., tuple[Report, Any]], processes: int, progress: Progress | None
) -> Iterator[tuple[Report, Any]]:
    """The result of ``judge`` for each activation; if there are several processes, they share those of the catalogue."""
    shared = [activation.name for activation in chosen if activation is activations.get(activation.name)]
    with pool(min(processes, len(shared))) as workers:
        ahead = {name: workers.submit(judge, name) for name in shared} if workers else {}
        for activation in chosen:
            if activation.name not in ahead:
                yield judge(activation, progress=progress)
                continue
            if progress is not None:
                progress(activation.name, "", 0.0)
            yield ahead[activation.name].result()


def lacks(mode: str) -> str | None:
    """Why torch cannot run a mode here."""
    if mode not in MODES_OF["torch"]:
        return None
    with suppress(MissingFrameworkError):
        return backend("torch").lacks(mode)
    return None


def _judge(
    what: str | Activation,
    plan: Plan,
    described: Mapping[str, object],
    without: set[str],
    strict: bool,
    several: bool,
    look: Look | None,
    progress: Progress | None = None,
) -> tuple[Report, Any]:
    """Judge one activation; given by its name in another process, since a record is not sent there."""
    with releasing() if several else nullcontext():
        given = activations[what] if isinstance(what, str) else what
        here = Environment.of(described, plan.device)
        activation = of_here(given, here)
        with formulas_of(given):
            judged = list(run(activation, plan, progress))
        of_catalogue = given is activations.get(given.name)
        recorded = on_record(here)
        lenient = of_catalogue and not recorded and not strict
        comparisons, findings = settle(judged, given, here, without=without, lenient=lenient)
        used = {id_ for comparison in comparisons for id_ in comparison.deviations}
        deviations = {d.id: (d.cause, d.reason) for d in activation.deviations if d.id in used}
        report = Report(tuple(comparisons), described, tuple(findings), deviations, recorded=recorded)
        with formulas_of(given):
            return report, look(activation, judged, report) if look else None


@contextmanager
def pool(processes: int) -> Iterator[Workers | None]:
    """None for one process. After an exception, such as an interruption, work that has not begun is dropped."""
    if processes < 2:
        yield None
        return
    pool = Workers(processes)
    try:
        with none_left():
            yield pool
    except BrokenExecutor as error:
        raise UsageError(f"processes: one of the {processes} ended before its work was done; {FEWER}") from error
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def releasing() -> Iterator[None]:
    """Release the frameworks' compiled programs at the end: those of all activations would fill the memory."""
    with spared():  # frees them: compiled programs are in reference cycles
        try:
            yield
        finally:
            for name in ("jax", "torch"):
                with suppress(MissingFrameworkError):
                    backend(name).release()
