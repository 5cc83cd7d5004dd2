"""The records of a comparison: plain and frozen."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isinf
from typing import Any

import numpy as np

from crosscheck._arithmetic.profile import Profile
from crosscheck._explain.facts import Fact


@dataclass(frozen=True)
class Point:
    """One input, with the result there and the expected one.

    Two functions may be compared whose results belong to no single input. Then ``input`` is NaN and ``input_bits`` is
    empty.

    Attributes:
        input: The input.
        input_bits: Its bits in hexadecimal.
        got: The result.
        expected: The exact result, correctly rounded; or the result of the other implementation, if two are compared.
        ulp: The error in the unit of the comparison; NaN if it has none.
        ulp_of_truth: The error in ULP of the exact result itself.
        element: For two functions, the index in the result, or for a derivative in the input to differentiate by; else None.
        truth: For two functions, the true result, NaN if it is not known; else None.
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
    """The number of points with a cause, and the worst of them.

    Attributes:
        count: The number of points.
        worst: The worst of them.
        side: If two functions are compared, the side at fault at the worst point: ``torch``, ``jax``, ``both`` or None.
    """

    count: int
    worst: Point
    side: str | None = None


@dataclass(frozen=True)
class Comparison:
    """One implementation, judged against the truth or another implementation, for one dtype, order, mode and device.

    An error is in ULP of the exact result. Where the terms of an analytic derivative cancel, it is in ULP of the sum of
    their magnitudes.

    Attributes:
        function: The name of the activation, or the names of the two functions.
        parameters: The values of its parameters.
        output: The name of the output that is judged.
        wrt: The name of the input to differentiate by.
        implementation: What is judged, for example ``torch.native``.
        against: ``exact``, another implementation, or ``alone``: the implementation's own results in a one-element array.
        dtype: The dtype.
        order: 0 for the value, 1 for the gradient, 2 for the second derivative.
        mode: How the implementation is run, for example ``jit``.
        device: ``cpu`` or ``gpu``.
        points: The number of inputs that were judged.
        exhaustive: Whether these are all values of the dtype.
        passed: The verdict.
        new: Whether points that no deviation covers are shown as new and pass, since this environment is not on record.
        cause: The worst cause; None where nothing was judged.
        causes: The count and the worst point of each cause.
        side: The side that is beyond the budget: ``torch``, ``jax``, ``both`` or None.
        max_ulp: The largest error over the points with a normal truth whose cause is exact, rounding or inaccurate. For two
            functions, the largest difference in ULP of the larger result.
        max_ulp_of_truth: The same, always in ULP of the exact result.
        excepted: Against ``exact``: the number of inputs that are within the budget only because of the unit for terms that
            cancel, and the input of these with the largest error in ULP of the exact result. None if there is no such input.
        max_abs: The largest absolute difference over the points with finite results.
        worst: The worst point of the worst cause.
        deviations: The ids of the declared deviations that cover points of this comparison.
        uncovered: For each failing cause, the count and the worst of the points that no declared deviation covers.
        undecided: The number of inputs at which the truth could not be decided.
        diagnosed: The number of points that were diagnosed, if these are only a part of those compared.
        message: What an implementation raised, or None.
        notes: Other remarks on two functions.
        figures: Measures of the difference of two functions: see ``compare``.
        profile: The size and the place of the errors; not part of the JSON. None if nothing was compared.
    """

    function: str
    parameters: Mapping[str, float]
    output: str
    wrt: str
    implementation: str
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
    new: bool = False
    undecided: int = 0
    diagnosed: int | None = None
    message: str | None = None
    notes: tuple[str, ...] = ()
    figures: Mapping[str, float | bool] = field(default_factory=dict)
    profile: Profile | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Finding:
    """What a run says about a declared deviation.

    Attributes:
        deviation: The id of the deviation.
        failed: Whether this fails the run; otherwise it is a note.
        message: What was found.
    """

    deviation: str
    failed: bool
    message: str


@dataclass(frozen=True)
class Identity:
    """The function of the catalogue that a user's function was identified as.

    Attributes:
        name: The name of the function of the catalogue, or ``quick_gelu``: x times the sigmoid of 1.702 x.
        parameters: All its parameters, with the values at which it is that function.
        inputs: The number of stratified inputs at which the two are equal.
        exceptions: The number of other inputs at which the user's function gives NaN or an infinity, and that of the
            catalogue gives a finite value.
        also: Other functions of the catalogue with as many parameters that are the same function: PReLU is also Leaky ReLU.
    """

    name: str
    parameters: Mapping[str, float] = field(default_factory=dict)
    inputs: int = 0
    exceptions: int = 0
    also: tuple[str, ...] = ()

    def __str__(self) -> str:
        # An infinite threshold is no threshold.
        given = (f"no {name}" if isinf(value) else f"{name} {value!r}" for name, value in self.parameters.items())
        parameters = ", ".join(given)
        also = f" (also {', '.join(self.also)})" if self.also else ""
        return (f"{self.name} with {parameters}" if parameters else self.name) + also


@dataclass(frozen=True)
class Diagnosis:
    """What is known of a disagreement between two functions besides the verdict.

    Attributes:
        identities: The function of the catalogue that each side is, by ``torch`` and ``jax``, or None; empty if neither side
            is one.
        how: How the functions differ, as a clause that runs in float64 proved, at the given inputs and at others; None if
            that is not known.
        facts: The same as facts, one for each mistake; none if that is not known.
        where: Where they differ: as slices of the result, or as a range of inputs; empty for a single element.
        places: The same as facts.
        recognised: The ids of the deviations of these functions of the catalogue that cover what fails.
        worst: The worst input that was found near the given ones, for an elementwise function.
        inputs: The simplest inputs that show the disagreement, as arrays by name.
        point: The element of the result that shows it with these inputs.
        snippet: Python code that shows it with these inputs; None if they are too many to be written out.
        notes: What was not done, and why.
    """

    identities: Mapping[str, Identity | None] = field(default_factory=dict)
    how: str | None = None
    facts: tuple[Fact, ...] = ()
    where: str = ""
    places: tuple[Fact, ...] = ()
    recognised: tuple[str, ...] = ()
    worst: Point | None = None
    inputs: Mapping[str, np.ndarray[Any, Any]] = field(default_factory=dict)
    point: Point | None = None
    snippet: str | None = None
    notes: tuple[str, ...] = ()
