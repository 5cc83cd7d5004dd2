"""The records that leave the comparison: plain, frozen, ready to be written down."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isinf
from typing import Any

import numpy as np

from crosscheck._arithmetic.profile import Profile


@dataclass(frozen=True)
class Point:
    """One input with what was got and what was expected there.

    ``expected`` is the correctly rounded exact result, or the other subject's where two are compared; ``ulp`` is the
    error in the comparison's unit (NaN where it has none), ``ulp_of_truth`` in ULP of the exact result itself.

    Two functions of which nothing is known may have no single input that a result belongs to: then ``input`` is NaN
    and ``input_bits`` empty. For these, ``element`` is the place in the result, or for a derivative in the input that
    it is taken by, and ``truth`` the true result where one is known, else NaN.
    """

    input: float
    input_bits: str
    got: float
    expected: float
    ulp: float
    ulp_of_truth: float
    element: tuple[int, ...] | None = None
    truth: float | None = None


@dataclass(frozen=True)
class CauseCount:
    """How many points show a cause, and the worst of them.

    ``side`` is who is at fault there, of two functions compared: ``torch``, ``jax``, ``both`` or None.
    """

    count: int
    worst: Point
    side: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One subject judged against ``exact`` or another subject, for one dtype, order, mode and device.

    Or against ``alone``: its own results where the input stands alone, or in the whole array.

    points
        How many inputs were judged; ``exhaustive`` where these are all values of the dtype.
    passed, cause, causes
        The verdict; the worst cause present (None where nothing was judged); each cause's count and worst point.
    side
        ``torch``, ``jax``, ``both`` or None: who is beyond the budget.
    max_ulp
        The largest error over points with a normal truth whose cause is exact, rounding or inaccurate: in ULP of the
        exact result, or, where an analytic derivative's terms cancel, of the sum of their magnitudes
        (``max_ulp_of_truth`` is without that exception).
    excepted
        Against ``exact``: how many inputs are within the budget by that exception alone, and the one of these whose error
        is the largest in ULP of the exact result. None where there are none.
    max_abs
        The largest absolute difference over points with finite results.
    worst
        The worst point of the worst cause.
    deviations
        The ids of the declared deviations that cover points of this comparison.
    uncovered
        For each failing cause, the worst point that no declared deviation covers.
    undecided
        How many inputs have no decided truth. ``message`` is what a subject raised, or None.
    profile
        How large the errors are and where; not part of the JSON. None where nothing was compared.
    notes, figures
        What else there is to say of two functions compared, and measures of how far they are apart: see
        :func:`crosscheck.compare`.
    """

    function: str
    parameters: Mapping[str, float]
    output: str
    wrt: str
    subject: str
    against: str
    dtype: str
    order: int
    mode: str
    device: str
    points: int
    exhaustive: bool
    passed: bool
    cause: str | None
    causes: Mapping[str, CauseCount] = field(default_factory=dict)
    side: str | None = None
    max_ulp: float = 0.0
    max_ulp_of_truth: float = 0.0
    excepted: CauseCount | None = None
    max_abs: float = 0.0
    worst: Point | None = None
    deviations: tuple[str, ...] = ()
    uncovered: Mapping[str, CauseCount] = field(default_factory=dict)
    undecided: int = 0
    message: str | None = None
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float | bool] = field(default_factory=dict)
    profile: Profile | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Finding:
    """What a run says about a declared deviation: ``failed`` findings fail the run, the others are notes."""

    deviation: str
    failed: bool
    message: str


@dataclass(frozen=True)
class Identity:
    """A function of the catalogue that a function of the user's is.

    parameters
        All its parameters, with the values at which it is that function.
    inputs, exceptions
        At how many of the stratified inputs the two were found to be the same; at how many others the user's gives NaN or an
        infinity where the catalogue's has a finite value.
    also
        The catalogue's other functions of as many parameters that are the same function: PReLU is Leaky ReLU too.
    """

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    inputs: int = 0
    exceptions: int = 0
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        # A threshold that is infinite is none.
        given = (f"no {name}" if isinf(value) else f"{name} {value!r}" for name, value in self.parameters.items())
        parameters = ", ".join(given)
        also = f" (also {', '.join(self.also)})" if self.also else ""
        return (f"{self.name} with {parameters}" if parameters else self.name) + also


@dataclass(frozen=True)
class Diagnosis:
    """What is told of a disagreement between two functions beyond the verdict.

    identities
        By ``torch`` and ``jax`` the function of the catalogue that the side is, None for none of them; empty where neither
        is one.
    recognised
        Ids of the catalogue's deviations, of the functions that the sides are, that cover what fails.
    worst
        The worst input that was found near those given, of an elementwise function.
    inputs, point
        The simplest inputs that show the disagreement, arrays by name, and the element of the result that shows it there.
    snippet
        Python code that shows it with these inputs; None where they are too many to be written out.
    notes
        What was not done, and why.
    """

    identities: Mapping[str, Identity | None] = field(default_factory=dict)
    recognised: tuple[str, ...] = ()
    worst: Point | None = None
    inputs: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    point: Point | None = None
    snippet: str | None = None
    notes: tuple[str, ...] = ()
