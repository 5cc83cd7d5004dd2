"""A disagreement in a few words that need no explanation, made of its record and of what was seen at one input."""

from math import copysign, isinf, isnan

from crosscheck import Activation, Deviation
from crosscheck._records.implementations import MATCHED, USUAL_MODES, Implementation
from crosscheck._records.names import DTYPES, ORDER_NAMES
from crosscheck._verify.sightings.explanation import Disagreement
from crosscheck._verify.sightings.sight import Result, Sighting

NAMES = {"torch": "PyTorch", "jax": "JAX"}
MODES = {"compile": "compiled", "jit": "under jit", "vmap": "under vmap", "forward": "in forward mode"}
SIXTEEN = ("bfloat16", "float16")


def heading(record: Activation, deviation: Deviation, disagreement: Disagreement) -> str:
    """Who does what, where: ``JAX: the gradient is NaN at x = 1e+300, in float64``."""
    return f"{who(record, deviation.implementations)}: {what(deviation, disagreement)}{where(deviation)}"


def who(record: Activation, implementations: tuple[str, ...]) -> str:
    """The frameworks; where only the call with matching arguments is meant, with these."""
    chosen = [Implementation.of(name) for name in implementations]
    sides = dict.fromkeys(implementation.side for implementation in chosen)
    said = []
    for side in sides:
        kinds = {implementation.kind for implementation in chosen if implementation.side == side}
        matched = record.natives[side].matched if kinds == {MATCHED} else {}
        arguments = ", ".join(f"{key}={value!r}" for key, value in matched.items())
        said.append(NAMES[side] + (f" with {arguments}" if matched else ""))
    return " and ".join(said)


def what(deviation: Deviation, disagreement: Disagreement) -> str:
    results = orders(deviation)
    are = "are" if results.endswith("derivatives") or " and " in results else "is"
    sighting = disagreement.sighting
    at = place(sighting) if sighting else ""
    match deviation.cause:
        case "error":
            return f"the {results} cannot be computed"
        case "missing":
            return f"no {results}"
        case "special" if sighting:
            order, got = ORDER_NAMES[sighting.order], number(wrong(disagreement))
            if got == number(sighting.exact):  # neither here nor on record is it told
                return f"the {order} is wrong{at}"
            return f"the {order} is {got}{at}, not {number(sighting.exact)}"
        case "definition":
            return f"the {results} {are} that of another function".replace("are that", "are those")
        case "inaccurate":
            return f"the {results} {'lose' if are == 'are' else 'loses'} digits{at.replace(' at', ', as at', 1)}"
        case "layout":
            return f"the {results} {'depend' if are == 'are' else 'depends'} on the place in the array"
        case "convention":
            return f"another choice of the {results}{at}"
    return f"the {results}: {deviation.cause}"


def orders(deviation: Deviation) -> str:
    numbers = sorted({region.order for region in deviation.regions})
    if len(numbers) == len(ORDER_NAMES):
        return "value and derivatives"
    return "derivatives" if numbers == [1, 2] else " and ".join(ORDER_NAMES[order] for order in numbers)


def where(deviation: Deviation) -> str:
    """The dtypes and modes, where it is not in most of them."""
    dtypes = [dtype for dtype in DTYPES if any(dtype in region.dtypes for region in deviation.regions)]
    said = ""
    if len(dtypes) <= 2:
        said = ", in 16 bits" if tuple(dtypes) == SIXTEEN else f", in {' and '.join(dtypes)}"
    modes = [mode for mode in deviation.modes if mode in MODES]
    if modes and not set(deviation.modes) & set(USUAL_MODES):
        said += ", " + " or ".join(MODES[mode] for mode in modes)
    return said


def culprit(disagreement: Disagreement) -> Result:
    """The result of the first implementation that deviates here, or of the first that does so elsewhere."""
    assert disagreement.sighting is not None
    results = disagreement.sighting.results
    deviating = [result for result in results if result.implementation in disagreement.implementations] or results
    return next((result for result in deviating if not right(result, disagreement)), deviating[0])


def right(result: Result, disagreement: Disagreement) -> bool:
    """Whether this machine gives the exact result: a deviation may show with vectors of another width alone."""
    assert disagreement.sighting is not None
    return result.got is not None and repr(result.got) == repr(disagreement.sighting.exact)


def wrong(disagreement: Disagreement) -> float | None:
    """What is got where it deviates: here, or else where it is on record."""
    result = culprit(disagreement)
    if not right(result, disagreement):
        return result.got
    return disagreement.declared_results.get(result.implementation, result.got)


def place(sighting: Sighting) -> str:
    if sighting.row is None:
        return f" at x = {number(sighting.input)}"
    return f" in a row with {number(sighting.input)}" if not isnan(sighting.input) else " in a row with a NaN"


def number(value: float | None) -> str:
    if value is None:
        return "nothing"
    if isnan(value):
        return "NaN"
    said = "∞" if isinf(value) else f"{abs(value):.4g}"
    return f"−{said}" if copysign(1, value) < 0 else said
