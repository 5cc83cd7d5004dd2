"""The public functions: arguments checked, the layers put together."""

from __future__ import annotations

import ctypes
import dataclasses
import importlib.metadata
import platform
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from crosscheck._backends import backend
from crosscheck._backends.settings import undisturbed
from crosscheck._catalogue import activations, unknown
from crosscheck._compare.curves import Declared, Sighting, curves, sight, sight_declared
from crosscheck._compare.deviations import Environment, examined_here, settle
from crosscheck._compare.judged import ALONE, EXACT, Judged
from crosscheck._compare.records import Comparison
from crosscheck._compare.search import THOROUGH_EFFORT
from crosscheck._compare.task import EVERY_LENGTH, Plan
from crosscheck._compare.verify import run
from crosscheck._numerics.formats import FORMATS, FloatArray
from crosscheck._report.explain import Disagreement, Explanation
from crosscheck._report.report import Report
from crosscheck._report.reproduce import Source
from crosscheck._spec.errors import SpecError, UsageError, said
from crosscheck._spec.interface import MissingFrameworkError
from crosscheck._spec.records import (
    CAUSES,
    DEVICES,
    DTYPES,
    MODES,
    MODES_OF,
    ORDERS,
    SUBJECTS,
    USUAL_MODES,
    Activation,
    Deviation,
)
from crosscheck._workers import FEWER, Workers, none_left

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUICK: dict[str, Any] = {
    "per_binade": 1,
    "uniform": 512,
    "lengths": {100: DTYPES},
    "search": None,
    "eager_in_jax": (),
}
THOROUGH = {"lengths": EVERY_LENGTH, "search": THOROUGH_EFFORT, "eager_in_jax": (None, 8, 1000)}
QUICK_DTYPES = ("float32",)


@undisturbed()
def verify(
    what: str | Activation | Iterable[str | Activation] | None = None,
    *,
    dtypes: Sequence[str] | None = None,
    orders: Sequence[int] = ORDERS,
    subjects: Sequence[str] = SUBJECTS,
    modes: Sequence[str] | None = None,
    layout: bool = False,
    device: str = "cpu",
    seed: int = 0,
    quick: bool = False,
    thorough: bool = False,
    replace: Mapping[str, Callable[..., Any]] | None = None,
    without: Iterable[str] = (),
    progress: Callable[[str, str], None] | None = None,
    processes: int = 1,
) -> Report:
    """Judge activations against the proven truth, and the frameworks against each other.

    what
        The name or alias of an activation of the catalogue, a record, several of these, or None for the catalogue.
    dtypes, orders, subjects, modes, device
        What to run: float64, float32, bfloat16, float16; 0 the value, 1 the gradient, 2 the second derivative;
        ``torch``, ``jax``, ``torch.native``, ``jax.native``, ``torch.native.matched``, ``jax.native.matched``,
        ``analytic``; ``eager``, ``jit`` (of JAX), ``compile`` (of torch, values and gradients), ``vmap`` and ``forward``,
        which is forward mode instead of reverse; ``cpu`` or ``gpu``. All of them unless given, but of the modes the first
        two, and the CPU. JAX runs ``vmap`` and ``forward`` under jit. What cannot be run here is said in ``report.skipped``.
    layout
        Whether to ask too, in float32 and bfloat16, if the same input gives the same bits alone, in short arrays at every
        position, and in a view with gaps.
    seed, quick, thorough
        The seed of the sampled inputs of float64 and float32; ``quick`` samples fewer of them, takes float32 unless
        ``dtypes`` says otherwise, and runs JAX under jit unless ``modes`` says otherwise. Functions of rows are judged at
        rows of 1 to 50,257 entries, of 100 with ``quick``, of up to 131,072 in every dtype with ``thorough``. Rows
        at which the own implementations err more are searched for, but not with ``quick``; with ``thorough`` longer, and
        inputs of elementwise functions too.
    replace
        Functions to be judged in a subject's place, called with the framework's array and the parameters:
        ``replace={"torch": my_sigmoid}``. That is how a fault is planted.
    without
        Ids of declared deviations that are to be treated as not declared.
    progress
        Called with the activation's name and the dtype before each is run.
    processes
        Among how many processes the activations of the catalogue are shared; each takes about 700 MB. More than one needs
        a main module that can be imported again, under ``if __name__ == "__main__":``, as :mod:`multiprocessing` does.

    Raises :class:`UsageError` for arguments that are unknown, ``NoDeviceError`` where there is no such device and
    ``SpecError`` for a record that its own definition contradicts. What the functions do when run is in the report.
    """
    chosen = _chosen(what)
    if quick and thorough:
        raise UsageError("quick and thorough: got both, expected one of them")
    if dtypes is None:
        dtypes = QUICK_DTYPES if quick else DTYPES
    sizes = dict(QUICK if quick else THOROUGH if thorough else {})
    if modes is None:
        modes = USUAL_MODES
    else:
        sizes.pop("eager_in_jax", None)
    replace = dict(replace or {})
    if replace:
        _known("subject", replace, SUBJECTS)
    plan = Plan(
        dtypes=_known("dtype", dtypes, DTYPES),
        orders=_known("order", orders, ORDERS),
        subjects=_known("subject", subjects, SUBJECTS),
        modes=_known("mode", modes, MODES),
        layout=layout,
        device=_known("device", (device,), DEVICES)[0],
        seed=_seed(seed),
        replace=replace,
        **sizes,
    )
    return verified(chosen, plan, without=without, progress=progress, processes=processes, release=not quick)[0]


Look = Callable[[Activation, Sequence[Judged], Report], Any]


def verified(
    chosen: Sequence[Activation],
    plan: Plan,
    *,
    without: Iterable[str] = (),
    progress: Callable[[str, str], None] | None = None,
    processes: int = 1,
    release: bool = True,
    look: Look | None = None,
) -> tuple[Report, list[Any]]:
    """A plan carried out: the report, and what ``look`` makes of each activation.

    ``release`` is whether each of several activations' compiled programs are let go of when it is done.

    ``look`` is called where the activation was judged, which may be in another process, with its judged points and the
    report on it alone; both it and what it returns are pickled then.
    """
    device, replace = plan.device, plan.replace
    without = set(without)
    declared = tuple(deviation.id for activation in chosen for deviation in activation.deviations)
    for id_ in sorted(without.difference(declared)):
        raise UsageError(unknown("deviation", id_, declared) if declared else f"unknown deviation {id_!r}: none is declared")
    skipped = {mode: why for mode in plan.modes if "torch" in _sides(plan) and (why := _lacks(mode))}
    plan = dataclasses.replace(plan, modes=tuple(mode for mode in plan.modes if mode not in skipped))
    described = environment(device)
    here = _deviation_environment(described, device)
    judge = partial(
        _judge, plan=plan, here=here, described=described, without=without, several=release and len(chosen) > 1, look=look
    )
    if not isinstance(processes, int) or isinstance(processes, bool) or processes < 1:
        raise UsageError(f"processes: got {processes!r}, expected an integer of at least 1")
    shared = [activation.name for activation in chosen if activation is activations.get(activation.name)]
    reports: list[Report] = []
    looked: list[Any] = []
    with _pool(1 if replace else min(processes, len(shared))) as pool:
        ahead = {name: pool.submit(judge, name) for name in shared} if pool else {}
        for activation in chosen:
            if activation.name in ahead:
                if progress is not None:
                    progress(activation.name, "")
                report, seen = ahead[activation.name].result()
            else:
                report, seen = judge(activation, progress=progress)
            reports.append(report)
            looked.append(seen)
    whole = Report(
        comparisons=tuple(comparison for report in reports for comparison in report.comparisons),
        environment=described,
        findings=tuple(finding for report in reports for finding in report.findings),
        deviations={id_: told for report in reports for id_, told in report.deviations.items()},
        skipped=tuple(skipped.values()),
    )
    return whole, looked


def _sides(plan: Plan) -> set[str]:
    return {subject.partition(".")[0] for subject in plan.subjects}


def _lacks(mode: str) -> str | None:
    """Why torch cannot run a mode here."""
    if mode not in MODES_OF["torch"]:
        return None
    with suppress(MissingFrameworkError):
        return backend("torch").lacks(mode)
    return None


def _judge(
    what: str | Activation,
    plan: Plan,
    here: Environment,
    described: Mapping[str, object],
    without: set[str],
    several: bool,
    look: Look | None,
    progress: Callable[[str, str], None] | None = None,
) -> tuple[Report, Any]:
    """All of one activation; by its name in another process, since a record does not travel there."""
    activation = activations[what] if isinstance(what, str) else what
    with formulas_of(activation):
        judged = list(run(activation, plan, progress))
    comparisons, findings = settle(judged, activation, here, without=without)
    used = {id_ for comparison in comparisons for id_ in comparison.deviations}
    deviations = {d.id: (d.cause, d.reason) for d in activation.deviations if d.id in used}
    report = Report(tuple(comparisons), described, tuple(findings), deviations)
    with formulas_of(activation):
        looked = look(activation, judged, report) if look else None
    if several:
        _release()  # or the programs of all activations would fill the memory
    return report, looked


@contextmanager
def formulas_of(activation: Activation) -> Iterator[None]:
    """What the formulas of a record of the user's raise is told as :class:`SpecError`, with the place."""
    try:
        yield
    except (SpecError, UsageError, MissingFrameworkError):
        raise
    except Exception as error:
        if activations.get(activation.name) is activation:
            raise  # a fault of crosscheck's own
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise SpecError(
            f"{activation.name}: its formulas raised {said(error)} ({last.filename}, line {last.lineno})"
        ) from error


@contextmanager
def _pool(processes: int) -> Iterator[Workers | None]:
    """None for one process. What has not begun when an exception comes, such as an interruption, is not begun."""
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


def _release() -> None:
    for name in ("jax", "torch"):
        with suppress(MissingFrameworkError):
            backend(name).release()
    with suppress(AttributeError, TypeError):  # another C library than glibc, which keeps what is freed
        ctypes.CDLL(None).malloc_trim(0)


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


def explain(what: str | Activation) -> str:
    """An activation explained: its definition and derivatives, and each disagreement of the frameworks about it.

    ``what`` is a name or alias of the catalogue, or a record. Everything is verified first, which takes seconds. Each
    disagreement, declared or not, comes with an input, all results there, the cause and a snippet that reproduces it.
    """
    return str(explanation(what))


@undisturbed()
def explanation(what: str | Activation, *, progress: Callable[[str, str], None] | None = None) -> Explanation:
    """What :func:`explain` prints, as data."""
    activation = _one(what)
    return explained(activation, verify(activation, progress=progress))


@undisturbed()
def explained(activation: Activation, report: Report) -> Explanation:
    """The disagreements in a report on one activation, each looked at once more at one input."""
    with formulas_of(activation):
        declared = [_declared(activation, deviation, report) for deviation in activation.deviations]
        return Explanation(activation, _source(activation), report, (*declared, *_undeclared(activation, report)))


def _one(what: str | Activation) -> Activation:
    if not isinstance(what, str | Activation):
        raise UsageError(f"what: got {type(what).__name__}, expected the name of an activation or an Activation")
    return what if isinstance(what, Activation) else activations[what]


def _declared(activation: Activation, deviation: Deviation, report: Report) -> Disagreement:
    """A declared deviation at the first anchor of its first region, of those that this CPU's code shows if there are any."""
    here = _deviation_environment(environment(), "cpu")
    region = next((one for one in deviation.regions if examined_here(one, here)), deviation.regions[0])
    anchor = region.anchors[0]
    dtype = "float32" if "float32" in region.dtypes else region.dtypes[0]
    return Disagreement(
        id=deviation.id,
        cause=deviation.cause,
        subjects=deviation.subjects,
        order=region.order,
        sighting=sight_declared(activation, Declared(deviation, region, anchor, dtype)),
        seen=deviation.id in report.deviations,
        looked_for=any(
            one.mode in deviation.modes and (deviation.cause != "layout" or one.against == ALONE)
            for one in report.comparisons
        ),
        declared_results=dict(anchor.results),
        reason=deviation.reason,
        link=deviation.link,
        bug=deviation.bug,
    )


@dataclass(frozen=True)
class Uncovered:
    """What no deviation covers: some subjects' disagreement in an order, of one cause, in the comparisons that show it."""

    subjects: tuple[str, ...]
    order: int
    cause: str
    comparisons: tuple[Comparison, ...]


def uncovered(activation: Activation, report: Report) -> list[Uncovered]:
    """What no deviation covers, the worst cause first, its comparisons with the setting in which to look at it first.

    Two subjects' disagreement is left out where one of them already disagrees with the exact results in that way.
    """
    groups: dict[tuple[tuple[str, ...], int, str], list[Comparison]] = {}
    for comparison in sorted(report.comparisons, key=lambda c: c.against != EXACT):
        subjects: tuple[str, ...] = (comparison.subject,)
        if comparison.against not in (EXACT, ALONE):
            subjects = (comparison.subject, comparison.against)
        raised = comparison.message is not None and not comparison.passed  # else it is declared that it raises
        for cause in ("error",) if raised else comparison.uncovered:
            alone = any(((subject,), comparison.order, cause) in groups for subject in subjects)
            if len(subjects) == 1 or not alone:
                groups.setdefault((subjects, comparison.order, cause), []).append(comparison)
    found = []
    for (subjects, order, cause), comparisons in sorted(groups.items(), key=lambda item: CAUSES.index(item[0][2])):
        # float32 first, then eager, then the default parameters
        comparisons.sort(key=lambda c: (c.dtype != "float32", c.mode != "eager", c.parameters != activation.parameters))
        found.append(Uncovered(subjects, order, cause, tuple(comparisons)))
    return found


def sight_uncovered(activation: Activation, one: Uncovered, beside: Sequence[tuple[str, str]] = ()) -> Sighting | None:
    """The worst input in the first setting, with others ``beside``; None where a subject raised, whatever the input."""
    first = one.comparisons[0]
    count = first.uncovered.get(one.cause)
    if count is None:
        return None
    x = _from_bits(count.worst.input_bits, first.dtype)
    layouts = one.cause == "layout"
    return sight(activation, one.subjects, x, one.order, first.mode, first.parameters, layouts=layouts, beside=beside)


def _undeclared(activation: Activation, report: Report) -> list[Disagreement]:
    """What no deviation covers."""
    found = []
    for one in uncovered(activation, report):
        first = one.comparisons[0]
        count = first.uncovered.get(one.cause)
        found.append(
            Disagreement(
                id=None,
                cause=one.cause,
                subjects=one.subjects,
                order=one.order,
                sighting=sight_uncovered(activation, one),
                elsewhere=tuple(dict.fromkeys(map(_setting, one.comparisons)))[1:],
                inputs=count.count if count else 0,
                message=first.message,
            )
        )
    return found


def _setting(comparison: Comparison) -> str:
    parameters = "".join(f", {name} = {value:g}" for name, value in comparison.parameters.items())
    return f"{comparison.dtype} {comparison.mode}{parameters}"


def _from_bits(bits: str, dtype: str) -> FloatArray:
    fmt = FORMATS[dtype]
    return np.array([int(bits, 16)], fmt.unsigned).view(fmt.dtype)


def _source(activation: Activation) -> Source:
    """How code gets hold of a record: from the catalogue, or from the module or file in which it was defined."""
    if activations.get(activation.name) is activation:
        return Source(("import crosscheck",), f"crosscheck.activations[{activation.name!r}]")
    module = getattr(activation.definition, "__globals__", {})
    name = next((key for key, value in module.items() if value is activation), None)
    file = module.get("__file__")
    if name and file and Path(file).is_file():
        return Source(("import runpy",), f"runpy.run_path({str(Path(file).resolve())!r})[{name!r}]")
    return Source((f"# {name or 'activation'} is your record of {activation.name}",), name or "activation")


PLOTTED = tuple(subject for subject in SUBJECTS if subject != "analytic")
POINTS = 3000
DRAWABLE = 1e300
"""Beyond it matplotlib's own arithmetic overflows."""


@undisturbed()
def plot(what: str | Activation, *, dtype: str = "float32", low: float = -10.0, high: float = 10.0) -> Figure:
    """A figure of an activation and its gradient over an interval, with each subject's error in ULP below them.

    what
        A name or alias of the catalogue, or a record; its parameters are at their defaults.
    dtype, low, high
        The dtype in which the frameworks compute, and the interval of inputs.

    The figure belongs to no window and no ``pyplot``; save it with ``figure.savefig(path)``. Raises
    :class:`UsageError` for arguments that are unknown or an interval that is empty.
    """
    from crosscheck._report.plots import draw

    activation = _one(what)
    (dtype,) = _known("dtype", (dtype,), DTYPES)
    low, high = _bound("low", low, dtype), _bound("high", high, dtype)
    if not low < high:
        raise UsageError(f"low, high: got {low!r} and {high!r}, expected low < high")
    if np.unique(np.array([low, high]).astype(FORMATS[dtype].dtype)).size < 2:
        raise UsageError(f"low, high: got {low!r} and {high!r}, expected bounds that differ in {dtype}")
    with formulas_of(activation):
        return draw(curves(activation, PLOTTED, dtype, low, high, POINTS))


def _bound(name: str, value: float, dtype: str) -> float:
    largest = min(FORMATS[dtype].largest, DRAWABLE)
    real = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    if not real or not -largest <= value <= largest:
        raise UsageError(f"{name}: got {value!r}, expected a finite number within {largest:.4g}, for {dtype}")
    return float(value)
