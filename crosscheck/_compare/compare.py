"""``compare``, ``assert_agree`` and ``identify``: check the arguments, run the two functions and make the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from math import isnan
from typing import Any

from crosscheck import _arguments
from crosscheck._catalogue import UnknownActivationError, activations
from crosscheck._compare.report import PairReport
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError, unknown
from crosscheck._records.implementations import FRAMEWORKS, USUAL_MODES
from crosscheck._records.interface import framework as imported
from crosscheck._records.names import CAUSES, DEVICES, ORDERS, PASSING, SIGN_OF_ZERO
from crosscheck._records.records import Activation
from crosscheck._verdict.records import Identity

Acceptable = str | tuple[str, tuple[float, float] | None]


@undisturbed(alone=True)
def compare(
    torch_fn: Callable[..., Any],
    jax_fn: Callable[..., Any],
    inputs: Any = None,
    *,
    order: int | None = None,
    dtype: str | Any = "float32",
    wrt: int | list[int] | tuple[int, ...] | None = None,
    exact: str | Activation | Callable[..., Any] | None = None,
    device: str = "cpu",
    modes: tuple[str, ...] | list[str] | str = USUAL_MODES,
    seed: int = 0,
    accept: Iterable[Acceptable] = (),
) -> PairReport:
    """Compare a function of PyTorch with one of JAX: does rounding explain all differences, and if not, which side is wrong?

    Each comparison in the report has ``figures``, taken over the elements that are finite on both sides. ``abs_p50``,
    ``abs_p99`` and ``abs_max`` are the median, the 99th percentile and the maximum of the absolute difference; ``rel_...``
    are the same relative to the result of JAX, and ``ulp_...`` in ULP of the larger result. ``torch_ulp`` and ``jax_ulp``
    are the largest error of each side against the truth, in ULP of the truth, NaN if no truth is known. ``rtol`` and
    ``atol`` are the smallest that would pass. ``assert_close_notices`` and ``assert_allclose_notices`` say whether the
    checks of PyTorch and numpy would fail.

    Args:
        torch_fn: A function, or a ``torch.nn.Module``, which is copied and cast to ``dtype``. It returns an array, or a tree
            of arrays: dicts, lists, tuples, dataclasses, and nodes registered with JAX, such as modules of equinox.
        jax_fn: A function whose result has the same structure, shapes and dtypes; or a module of flax (``nnx``, or ``linen``
            bound to its variables) or equinox, which is copied and cast too.
        inputs: A list or tuple of positional arguments. Each is an array of numpy, PyTorch or JAX, a number, a tree of
            these, or a description: ``uniform``, ``normal``, ``stratified`` or ``every_value``. A bare array is one
            argument. Floats are converted to ``dtype``; integers and booleans are kept. None for ``stratified()``.
        order: 0 compares values, 1 gradients too, 2 second derivatives too. If a function is not elementwise, the
            derivatives are vector-Jacobian products with seeded normal vectors. None means 1, or 0 if no input is a float.
        dtype: ``float64``, ``float32``, ``bfloat16`` or ``float16``, by name or as a dtype of PyTorch, JAX or numpy.
        wrt: The positions of the inputs to differentiate with respect to; None for all.
        exact: For elementwise functions, what they should compute: a definition ``f(m, x)``, a record, or a name of the
            catalogue. The truth is then proven, as for the catalogue. Without it, the truth is inferred from runs in float64
            under noise.
        device: ``cpu`` or ``gpu``.
        modes: How JAX is run: ``eager``, ``jit`` or both.
        seed: The seed of inputs, vectors and noise.
        accept: Known disagreements, which are shown and pass: ids of deviations of the catalogue, or pairs ``(cause, (low,
            high))`` of a cause and an interval of inputs; ``(cause, None)`` means all inputs.

    Returns:
        The report. Exceptions that the functions raise are in the report.

    Raises:
        UsageError: If an argument has a value that cannot be used.
        MissingFrameworkError: If PyTorch or JAX cannot be imported.
        NoDeviceError: If a framework has no such device.

    Examples:
        >>> import crosscheck, jax, torch
        >>> inputs = crosscheck.uniform(-2, 2, shape=16)
        >>> report = crosscheck.compare(torch.nn.functional.gelu, jax.nn.gelu, inputs, order=0)
        >>> report.passed, report.cause
        (False, 'definition')
        >>> print(report.headline)
        DISAGREE (definition): gelu / gelu: the PyTorch function is gelu, the JAX function is gelu_tanh.
    """
    for name in ("jax", "torch"):  # JAX first: on a shared GPU it is set not to take all memory
        imported(name)
    from crosscheck._compare.diagnosis import diagnose
    from crosscheck._compare.inputs import gather
    from crosscheck._compare.judge.comparisons import Request
    from crosscheck._compare.judge.run import run

    for argument, function in (("torch_fn", torch_fn), ("jax_fn", jax_fn)):
        if not callable(function):
            raise UsageError(f"{argument}: got {type(function).__name__}, expected a function or a module to call")
    if order is not None and (not isinstance(order, int) or order not in ORDERS or isinstance(order, bool)):
        raise UsageError(f"order: got {order!r}, expected 0, 1 or 2")
    dtype = _arguments.dtype(dtype)
    _arguments.one_of("device", device, DEVICES)
    modes = (modes,) if isinstance(modes, str) else modes
    if not isinstance(modes, list | tuple) or not modes or any(mode not in USUAL_MODES for mode in modes):
        raise UsageError(f"modes: got {modes!r}, expected some of {', '.join(USUAL_MODES)}")
    _arguments.seed(seed)
    described = environment(device)
    gathered = gather(inputs, dtype, wrt, order, seed)
    request = Request(
        torch=torch_fn,
        jax=jax_fn,
        inputs=gathered,
        name=f"{_arguments.name_of(torch_fn)} / {_arguments.name_of(jax_fn)}",
        order=bool(gathered.wrt) if order is None else order,
        device=device,
        modes=tuple(dict.fromkeys(modes)),
        seed=seed,
        exact=_definition(exact),
        accepted=_accepted(accept),
    )
    outcome = run(request)
    known_reasons = {d.id: (d.cause, d.reason) for a in activations.values() for d in a.deviations}
    known_reasons[SIGN_OF_ZERO] = ("convention", "a zero may have either sign")
    for acceptance in request.accepted.all:
        known_reasons.setdefault(acceptance.name, (acceptance.cause, "accepted by the caller"))
    used = {id_ for comparison in outcome.comparisons for id_ in comparison.deviations}
    report = PairReport(
        tuple(outcome.comparisons),
        described,
        deviations={id_: known_reasons[id_] for id_ in sorted(used)},
        exceptions=outcome.exceptions,
    )
    if report.cause is None or report.decisive is None:
        return report
    return replace(
        report,
        diagnosis=diagnose(
            outcome.request or request, outcome.failing, report.decisive, report.cause, report.side, activations
        ),
    )


def assert_agree(torch_fn: Callable[..., Any], jax_fn: Callable[..., Any], inputs: Any = None, **options: Any) -> PairReport:
    """Compare two functions as ``compare`` does, and raise an exception unless they agree.

    Args:
        torch_fn: A function of PyTorch, as for ``compare``.
        jax_fn: A function of JAX, as for ``compare``.
        inputs: Their arguments, as for ``compare``.
        **options: The other arguments of ``compare``.

    Returns:
        The report.

    Raises:
        AssertionError: If the two disagree. The message is the story of the report, in under 25 lines.

    Examples:
        >>> import crosscheck, jax.numpy as jnp, torch
        >>> report = crosscheck.assert_agree(torch.tanh, jnp.tanh, crosscheck.normal(16), order=0)
        >>> report.passed
        True
    """
    report = compare(torch_fn, jax_fn, inputs, **options)
    if not report.passed:
        raise AssertionError(report.story())
    return report


@undisturbed(alone=True)
def identify(
    function: Callable[..., Any], framework: str, *, dtype: str | Any = "float32", seed: int = 0
) -> Identity | None:
    """Find out which function of the catalogue a function is, and with which parameters.

    The values of the function, in float64 under noise, are compared with the proven truth of every function of the
    catalogue, at the stratified inputs of ``dtype``. Parameters are fitted first. A known deviation of what a framework
    ships, such as NaN at an infinity, does not prevent the match.

    Args:
        function: A function of one array, or a ``torch.nn.Module``.
        framework: ``torch`` or ``jax``.
        dtype: ``float64``, ``float32``, ``bfloat16`` or ``float16``, by name or as a dtype of PyTorch, JAX or numpy.
        seed: The seed of the inputs and the noise.

    Returns:
        The function of the catalogue; None if it matches none.

    Raises:
        UsageError: If an argument has an unknown value.
        MissingFrameworkError: If PyTorch or JAX cannot be imported.

    Examples:
        >>> import crosscheck, torch
        >>> print(crosscheck.identify(lambda x: x * torch.sigmoid(x), "torch"))
        silu
    """
    if not callable(function):
        raise UsageError(f"function: got {type(function).__name__}, expected a function or a module to call")
    _arguments.one_of("framework", framework, FRAMEWORKS)
    _arguments.seed(seed)
    dtype = _arguments.dtype(dtype)
    for name in ("jax", "torch"):
        imported(name)
    from crosscheck._compare.diagnosis import identity_of
    from crosscheck._compare.inputs import gather

    return identity_of(framework, function, gather(None, dtype, None, 0, seed), activations, seed)


def _definition(exact: Any) -> Any:
    if isinstance(exact, str):
        try:
            exact = activations[exact]
        except UnknownActivationError as error:
            raise UsageError(f"exact: {error}") from None
    if isinstance(exact, Activation) and exact.rows:
        raise UsageError(f"exact: got {exact.name}, a function of rows, expected an elementwise function")
    if exact is not None and not isinstance(exact, Activation) and not callable(exact):
        raise UsageError(f"exact: got {type(exact).__name__}, expected a definition f(m, x), a record or a name")
    return exact


def _accepted(accept: Iterable[Acceptable]) -> Any:
    from crosscheck._verdict.accept import Acceptance, Accepted, declared

    known = {d.id: d for activation in activations.values() for d in activation.deviations}
    if isinstance(accept, str):
        accept = (accept,)
    if not isinstance(accept, Iterable):
        raise UsageError(
            f"accept: got {accept!r}, expected a list: the id of a deviation, or a pair (cause, (low, high)), each"
        )
    acceptances = []
    for acceptable in accept:
        if isinstance(acceptable, str):
            if acceptable not in known:
                raise UsageError(unknown("deviation", acceptable, tuple(known)))
            acceptances += declared(known[acceptable])
            continue
        failing = tuple(cause for cause in CAUSES if cause not in PASSING and cause != "error")
        if not isinstance(acceptable, tuple | list) or len(acceptable) != 2 or acceptable[0] not in failing:
            raise UsageError(
                f"accept: got {acceptable!r}, expected the id of a deviation, or a pair of one of {', '.join(failing)} and "
                f"an interval (low, high) of inputs or None"
            )
        cause, region = acceptable
        if region is None:
            acceptances.append(Acceptance(f"{cause} anywhere", cause))
            continue
        try:
            low, high = (float(end) for end in region)
        except (TypeError, ValueError):
            raise UsageError(f"accept: got the region {region!r}, expected (low, high) or None") from None
        if not low <= high and not (isnan(low) and isnan(high)):
            raise UsageError(f"accept: got the region {region!r}, expected low <= high")
        acceptances.append(Acceptance(f"{cause} in [{low:g}, {high:g}]", cause, low, high))
    return Accepted(tuple(acceptances))
