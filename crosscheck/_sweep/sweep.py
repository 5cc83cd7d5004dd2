"""``sweep``: check the arguments, share the pieces among processes, and make the report."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from contextlib import closing, contextmanager, nullcontext, suppress
from functools import lru_cache, partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from crosscheck import _arguments
from crosscheck._arguments import known
from crosscheck._arithmetic.formats import FORMATS, Format
from crosscheck._catalogue import activations, formulas_of
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.lacking import Lacking
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError, unknown
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.interface import MissingFrameworkError, framework
from crosscheck._records.names import DEVICES
from crosscheck._records.records import Activation
from crosscheck._report.journal import Journal, digest
from crosscheck._sweep.piece import Judge, SweepSetup, swept
from crosscheck._sweep.positions import PIECE, Span, bits_at, pieces, position_of, position_of_bits, value_at, whole
from crosscheck._sweep.report import SweepReport
from crosscheck._sweep.results import differences, merged, results
from crosscheck._sweep.spread import MOST_ATTEMPTS, Piece, spread
from crosscheck._workers import FEWER, Workers, none_left

End = float | int | str
NANOSECONDS = 10
"""The time that one input takes on one core."""
MOST_WORKERS = 256
LEFT_TO_ITSELF = 16
"""This many pieces are done sooner than other processes start."""


@undisturbed()
def sweep(
    what: str | Activation,
    *,
    dtype: str | Any = "float32",
    orders: Sequence[int] | None = None,
    implementations: Sequence[str] | None = None,
    range: tuple[End, End] | None = None,
    device: str = "cpu",
    out: str | os.PathLike[str] | None = None,
    resume: bool = False,
    processes: int = 1,
    executor: Executor | None = None,
    replace: Mapping[str, Callable[..., Any]] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SweepReport:
    """Judge a function at every input of a dtype: 4,294,967,296 of float32, or 65,536 of bfloat16 or float16.

    In float32, value and gradient come from one run, a forward and a backward pass. JAX compiles the function. PyTorch runs
    eagerly, in one thread.

    Args:
        what: An elementwise activation: a name or alias of the catalogue, or a record. Its parameters have their default
            values.
        dtype: ``float32``, ``bfloat16`` or ``float16``, by name or as a dtype of PyTorch, JAX or numpy.
        orders: Some of 0 for the value, 1 for the gradient, and in 16 bits 2 for the second derivative; None for all.
        implementations: Some of ``torch``, ``jax``, ``torch.native``, ``jax.native``, ``torch.native.matched`` and
            ``jax.native.matched``; None for all that exist.
        range: The first and last input in the order of the values. Each is a number, rounded to the dtype, or its bits in
            hexadecimal, such as ``"0x3f800000"``. None for every input, including the NaNs of both signs.
        device: The device of the frameworks, ``cpu`` or ``gpu``. The truth is proven on the CPU.
        out: A folder for a journal of the finished pieces, of 2^20 inputs each.
        resume: Whether to continue with the journal in ``out``. The results are those of a sweep without interruption.
        processes: The number of processes that share the pieces. For more than one, the main module must be importable
            again.
        executor: A ``concurrent.futures.Executor`` that shares the pieces instead, such as
            ``dask.distributed.Client(...).get_executor()``; its workers need crosscheck. Pieces of workers that died are
            done again, in this process if the executor is broken. The results are the same.
        replace: By implementation, a function that is judged instead, as in ``verify``; only in this process.
        progress: Called with the number of inputs done and the number of all inputs.

    Returns:
        The report.

    Raises:
        UsageError: If an argument cannot be used, or a folder or disk cannot be written.
        UnknownActivationError: If the catalogue has no activation of this name.
        MissingFrameworkError: If neither framework can be imported. If one cannot, the report says so, for the other alone.
        NoDeviceError: If a framework has no such device.

    Examples:
        >>> import crosscheck
        >>> report = crosscheck.sweep("relu", dtype="bfloat16", orders=[0])
        >>> print(report.headline)
        relu, bfloat16: every input there is, 65,536: the own implementations keep the budget at each
    """
    activation = _activation(what)
    dtype = _arguments.dtype(dtype)
    fmt = _format(dtype)
    replace = _arguments.functions("replace", replace)
    setup = _setup(activation, fmt, orders, implementations, device)
    if unswept := set(replace) - set(setup.implementations):
        raise UsageError(unknown("implementation", min(unswept), setup.implementations))
    span = _span(range, fmt)
    _arguments.progress(progress)
    _arguments.flags(resume=resume)
    if resume and out is None:
        raise UsageError("resume: got no folder; give that of the sweep to continue, out=FOLDER")
    _check_processes(processes, executor, own=bool(replace) or activations.get(activation.name) is not activation)
    spans = list(pieces(span))
    shared = executor is not None or (processes > 1 and len(spans) > LEFT_TO_ITSELF)
    with formulas_of(activation), _executors(executor, processes if shared else 1) as executors:
        first, described = (None, environment(device)) if executors is None else _working(executors, device)
        setup, skipped = _runnable(setup, described)
        header = _header(setup, span, fmt, described)
        path = None if out is None else journal_path(_arguments.path("out", out), activation.name, dtype)
        with closing(Journal(path, header, resume=resume)) if path else nullcontext() as journal:
            done: list[Mapping[str, Any]] = list(journal.pieces) if journal else []
            finished = {piece["first"] for piece in done}
            missing = [piece for piece in spans if piece.first not in finished]
            judged: Iterator[Piece]
            if first is None or executors is None:
                judged = map(Judge(activation, setup, replace).judge, missing)
            else:
                # a cluster does not say how many workers it has
                workers = processes if executor is None else int(getattr(executor, "_max_workers", MOST_WORKERS))
                judged = spread(partial(judge_piece, setup), missing, first, executors, workers)
            inputs = sum(piece["last"] - piece["first"] + 1 for piece in done)
            for piece in judged:
                if journal:
                    journal.append(piece)
                done.append(piece)
                inputs += piece["last"] - piece["first"] + 1
                if progress is not None:
                    progress(inputs, span.size)
    all_of = merged(setup, fmt, span, done)
    with formulas_of(activation):
        records = tuple(results(activation, fmt, all_of))
    return SweepReport(
        function=activation.name,
        dtype=dtype,
        parameters=dict(activation.parameters),
        low=value_at(span.first, fmt),
        high=value_at(span.last, fmt),
        bits=_bits(span, fmt),
        results=records,
        differences=tuple(differences(all_of)),
        environment=described,
        skipped=skipped,
    )


def _setup(
    activation: Activation, fmt: Format, orders: Sequence[int] | None, implementations: Sequence[str] | None, device: str
) -> SweepSetup:
    """What is swept, in the order of the closed lists; by default everything that exists."""
    there = tuple(implementation.name for implementation in swept(activation))
    possible = (0, 1) if fmt.bits == 32 else (0, 1, 2)
    named = known("implementation", there if implementations is None else implementations, there)
    return SweepSetup(
        function=activation.name,
        dtype=fmt.name,
        implementations=tuple(sorted(named, key=there.index)),
        orders=tuple(sorted(known("order", possible if orders is None else orders, possible))),
        device=_arguments.one_of("device", device, DEVICES),
    )


def _check_processes(processes: int, executor: Executor | None, *, own: bool) -> None:
    """Refuse processes that cannot share the pieces: for example if what is judged is the caller's ``own`` function."""
    _arguments.integer("processes", processes, 1)
    if executor is not None:
        _arguments.function("executor.submit", getattr(executor, "submit", None))
    if own and (executor is not None or processes > 1):
        raise UsageError(
            "processes, executor: functions in an implementation's place, and your own records, cannot be sent there"
        )


def _runnable(setup: SweepSetup, described: Mapping[str, Any]) -> tuple[SweepSetup, dict[str, str]]:
    """The part of a setup that can be run here; and the rest, with the reasons."""
    lacking = Lacking.of(described)
    skipped = lacking.of_those(setup.implementations, [setup.dtype])
    run = tuple(name for name in setup.implementations if lacking.runs(name, setup.dtype))
    if not run:
        raise UsageError(f"dtype: got {setup.dtype!r}, which cannot be run here: {'; '.join(skipped.values())}")
    return dataclasses.replace(setup, implementations=run), skipped


def judge_piece(setup: SweepSetup, span: Span) -> Piece:
    """Judge one piece, in any process or thread of a worker."""
    with _ONE_AT_A_TIME:
        return _judge(setup).judge(span)


_ONE_AT_A_TIME = threading.Lock()
"""The precision of the balls is a setting of the whole process."""


@lru_cache(maxsize=2)
def _judge(setup: SweepSetup) -> Judge:
    with suppress(MissingFrameworkError):
        framework("jax")  # first: on a shared GPU it is set not to take all memory
    return Judge(activations[setup.function], setup)


@contextmanager
def _executors(given: Executor | None, processes: int) -> Iterator[Iterator[Executor] | None]:
    """The executor given, or one of processes; another one after each that breaks. None to work in this process."""
    started: list[Executor] = []

    def one_after_another() -> Iterator[Executor]:
        if given is not None:
            yield given
        while True:
            started.append(Workers(processes) if given is None else ThreadPoolExecutor(1))
            yield started[-1]

    try:
        with none_left():
            yield None if given is None and processes == 1 else one_after_another()
    except BrokenExecutor as error:
        raise UsageError(f"processes: {error}; {FEWER}") from error
    finally:
        for executor in started:
            executor.shutdown(cancel_futures=True)


def _working(executors: Iterator[Executor], device: str) -> tuple[Executor, dict[str, object]]:
    """The first executor whose workers do not die at once, and the environment of the workers."""
    for executor in islice(executors, MOST_ATTEMPTS - 1):
        with suppress(BrokenExecutor):
            return executor, executor.submit(environment, device).result()
    executor = next(executors)
    return executor, executor.submit(environment, device).result()


def journal_path(out: str | os.PathLike[str], name: str, dtype: str) -> Path:
    return Path(out) / f"{name}-{dtype}.journal"


def _header(setup: SweepSetup, span: Span, fmt: Format, described: Mapping[str, Any]) -> dict[str, Any]:
    """The data on which the pieces of a journal depend."""
    keys = ("version", "device", "capability", "onednn", "xla_flags")
    return {
        "schema": "crosscheck.sweep-journal/1",
        "function": setup.function,
        "dtype": setup.dtype,
        "range": _bits(span, fmt),
        "implementations": setup.implementations,
        "orders": setup.orders,
        "device": setup.device,
        "inputs of a piece": PIECE,
        "packages": described["packages"],
        "crosscheck's source": digest("_arithmetic", "_catalogue", "_frameworks", "_records", "_sweep", "_truth"),
        **{name: {key: described[name].get(key) for key in keys} for name in FRAMEWORKS},
    }


def _activation(what: str | Activation) -> Activation:
    activation = _arguments.activation_of(what)
    if activation.rows:
        raise UsageError(
            f"what: got {activation.name}, a function of rows, which are too many to try all of them; expected an "
            f"elementwise function. `crosscheck verify {activation.name}` samples rows"
        )
    return activation


def _format(dtype: str) -> Format:
    if dtype == "float64":
        years = 2**64 * NANOSECONDS * 1e-9 / (365.25 * 86400)
        raise UsageError(
            f"dtype: got float64, whose 2^64 values would take {years:,.0f} years on one core at {NANOSECONDS} ns each; "
            f"expected float32, bfloat16 or float16. `crosscheck verify` samples float64"
        )
    return FORMATS[dtype]


def _span(ends: tuple[End, End] | None, fmt: Format) -> Span:
    if ends is None:
        return whole(fmt)
    if not isinstance(ends, tuple | list) or len(ends) != 2:
        raise UsageError(f"range: got {ends!r}, expected two ends, numbers or bit patterns such as '0x3f800000'")
    first, last = (_position(end, fmt) for end in ends)
    if first > last:
        raise UsageError(f"range: got {ends[0]} and {ends[1]}, expected the lower end first")
    return Span(first, last)


def _position(end: End, fmt: Format) -> int:
    in_bits = isinstance(end, str) and end.lower().startswith("0x")
    try:
        number = int(str(end), 16) if in_bits else float(end)
    except (TypeError, ValueError):
        raise UsageError(f"range: got {end!r}, expected a number, or bits in hexadecimal such as 0x3f800000") from None
    if in_bits:
        if number >= 2**fmt.bits:
            raise UsageError(f"range: got the bits {end}, expected at most {fmt.bits // 4} digits for {fmt.name}")
        return position_of_bits(int(number), fmt)
    if np.isnan(number):
        raise UsageError("range: got nan, which has many bit patterns; give its bits, such as 0x7fc00000")
    with np.errstate(over="ignore"):
        return position_of(number, fmt)


def _bits(span: Span, fmt: Format) -> tuple[str, str]:
    digits = fmt.bits // 4
    first, last = (f"0x{bits_at(position, fmt):0{digits}x}" for position in (span.first, span.last))
    return first, last
