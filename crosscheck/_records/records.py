"""The frozen records that say what an activation is. They hold data and formulas and compute nothing."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf, isnan, nan
from types import MappingProxyType
from typing import Any

from crosscheck._records import fields
from crosscheck._records.errors import SpecError
from crosscheck._records.fields import (
    FLAG,
    FUNCTION,
    LINE,
    PERHAPS,
    Kind,
    either,
    identifier,
    instance,
    mapping,
    number,
    numbers,
    several,
)
from crosscheck._records.implementations import MODES, NATIVES
from crosscheck._records.interface import JaxInterface, TorchInterface
from crosscheck._records.names import CAUSES, DTYPES, ORDER_NAMES, ORDERS, PASSING
from crosscheck._records.ranges import ANY_NUMBER, Range

VOCABULARY, LONGEST = 50257, 131072
"""Lengths of long rows: as many entries as GPT-2 knows tokens, and about as many as the largest vocabularies in use."""


@dataclass(frozen=True)
class Kink:
    """A point at which a derivative has two one-sided values, and the value that this activation chooses there.

    ``chosen`` maps an order (1 or 2) to the chosen derivative, ``"left"`` or ``"right"`` being that of this side; orders
    left out have one derivative at this point.
    The one-sided values need no declaration: they follow from the definition and are the other valid conventions.
    ``source`` says who else chooses so.
    """

    at: float
    chosen: Mapping[int, float | str]
    source: str

    def __post_init__(self) -> None:
        if wrong := [
            choice for choice in self.chosen.values() if isinstance(choice, str) and choice not in ("left", "right")
        ]:
            raise SpecError(f"Kink.chosen: got {wrong[0]!r}, expected a number, 'left' or 'right'")

    def __str__(self) -> str:
        choices = (
            f"the {ORDER_NAMES[order]} " + (f"on the {choice}" if isinstance(choice, str) else f"{choice:g}")
            for order, choice in self.chosen.items()
        )
        return f"at x = {self.at:g}: chosen {' and '.join(choices)}"


@dataclass(frozen=True)
class Limits:
    """The limits of the value, the derivative and the second derivative at minus and plus infinity; NaN for none.

    Where the function's ``domain`` ends before, those at its lower and upper end.
    """

    minus: tuple[float, float, float]
    plus: tuple[float, float, float]

    def __post_init__(self) -> None:
        three = Kind(numbers(3), "three numbers: the limits of the value, the derivative and the second one")
        if said := fields.wrong(self, {"minus": three, "plus": three}):
            raise SpecError(f"Limits.{said}")


@dataclass(frozen=True)
class Native:
    """What a framework ships: the dotted path of a function, for example ``torch.nn.functional.elu``.

    A path that names a class, such as ``torch.nn.Identity``, is called without arguments to make the function.
    ``parameters`` maps our parameter names to the framework's where they differ. ``matched`` are the arguments with
    which it matches the definition, where its defaults do not. ``lacks`` are those of our parameters that it does not
    have: it is judged where they have their default values only.

    At the default values of our parameters it is called with its own defaults, but for the axis of a function of rows.
    Where it cannot be called with x and our parameters, ``call`` is a Python expression of them and the framework's module
    that calls it, for example ``torch.nn.functional.prelu(x, x.new_full((1,), weight))``; it is given all parameters.
    """

    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    matched: Mapping[str, object] = field(default_factory=dict)
    lacks: tuple[str, ...] = ()
    call: str = ""

    def __post_init__(self) -> None:
        text, dotted = Kind(instance(str), "text"), Kind(lambda path: fields.line(path) and "." in path, "a dotted path")
        names = Kind(mapping(identifier, identifier), "names of parameters, ours to the framework's")
        lacks = Kind(several(identifier), "names of our parameters")
        if said := fields.wrong(self, {"path": dotted, "parameters": names, "lacks": lacks, "call": text}):
            raise SpecError(f"Native.{said}")


@dataclass(frozen=True)
class Anchor:
    """An input at which a deviation must occur where it was seen, with the result of each subject, to the bit."""

    input: float
    results: Mapping[str, float]


@dataclass(frozen=True)
class Region:
    """Where a deviation occurs: closed intervals of inputs, for one order and some dtypes.

    For a function of rows: intervals of how far an entry lies below the largest of its row, or above the smallest, as the
    record says it, or of that itself where it is not finite, or of gates; ``lengths`` restricts it to rows of these
    lengths. In rows as long as a vocabulary ``max_ulp`` holds only where ``lengths`` names their length. The rest of the
    row matters too, so that it need not show at half of the inputs there.

    A named point is the interval ``(point, point)``; ``(nan, nan)`` is the input NaN. ``max_ulp`` is an upper bound of
    the error in ULP, for the causes that have one; declaring less than what is measured fails, and so does declaring
    more than ten times as much. ``parameters`` restricts it to these values of them.

    ``capability``, as ``crosscheck env`` prints it, such as ``AVX512``, says that a CPU with another one has other code
    there, and other results: it is examined on CPUs with that one only.
    """

    order: int
    dtypes: tuple[str, ...]
    intervals: tuple[tuple[float, float], ...]
    anchors: tuple[Anchor, ...]
    max_ulp: float = inf
    lengths: tuple[int, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)
    capability: str | None = None

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise SpecError(f"Region.order: got {self.order!r}, expected one of {ORDERS}")
        if not self.dtypes or not set(self.dtypes) <= set(DTYPES):
            raise SpecError(f"Region.dtypes: got {self.dtypes!r}, expected some of {DTYPES}")
        if not self.intervals or not self.anchors:
            raise SpecError("Region: intervals and anchors must not be empty, or nothing could ever refute it")
        for low, high in self.intervals:
            if not (low <= high or (isnan(low) and isnan(high))):
                raise SpecError(f"Region.intervals: got ({low}, {high}), expected low <= high, or (nan, nan)")
        for anchor in self.anchors:
            if not any(low <= anchor.input <= high or (isnan(low) and isnan(anchor.input)) for low, high in self.intervals):
                raise SpecError(f"Region.anchors: {anchor.input} lies in none of the intervals {self.intervals}")


@dataclass(frozen=True)
class Seen:
    """An environment in which a deviation was seen: version ranges as packaging writes them, device, capabilities."""

    torch: str
    jax: str
    device: str = "cpu"
    capabilities: tuple[str, ...] = ("AVX2", "AVX512")


@dataclass(frozen=True)
class Deviation:
    """A known disagreement of what the frameworks ship, declared as data; checked at every run.

    ``subjects`` are natives only: crosscheck's own implementations have no deviations. ``reason`` is a sentence or two
    for a reader; ``link`` leads to the documentation, source or issue that explains it. ``bug`` marks what looks like a
    mistake of the framework, not a choice or a limit of its arithmetic: ``crosscheck explain`` has a snippet to report it.
    """

    id: str
    cause: str
    subjects: tuple[str, ...]
    regions: tuple[Region, ...]
    reason: str
    link: str
    seen: tuple[Seen, ...]
    modes: tuple[str, ...] = MODES
    bug: bool = False

    def __post_init__(self) -> None:
        where = f"Deviation {self.id!r}"
        if said := fields.wrong(self, DEVIATION_FIELDS):
            raise SpecError(f"{where}: {said}")
        if not self.id or not self.reason or not self.link or not self.seen:
            raise SpecError(f"{where}: id, reason, link and seen must not be empty")
        if self.cause not in CAUSES or self.cause in PASSING:
            raise SpecError(f"{where}: cause: got {self.cause!r}, expected one of {CAUSES[:7]}")
        if not self.subjects or not set(self.subjects) <= set(NATIVES):
            raise SpecError(f"{where}: subjects: got {self.subjects!r}, expected natives, some of {NATIVES}")
        if not self.modes or not set(self.modes) <= set(MODES):
            raise SpecError(f"{where}: modes: got {self.modes!r}, expected some of {MODES}")
        if not self.regions:
            raise SpecError(f"{where}: regions must not be empty")
        for region in self.regions:
            for anchor in region.anchors:
                if not set(anchor.results) <= set(self.subjects):
                    raise SpecError(f"{where}: an anchor's results name {set(anchor.results)}, not only its subjects")


DEVIATION_FIELDS = {
    **dict.fromkeys(("id", "reason", "link"), LINE),
    "regions": Kind(several(instance(Region)), "Regions"),
    "seen": Kind(several(instance(Seen)), "Seens"),
}

Formula = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One function of the catalogue, or of yours: what it means, how it is computed, where it bends.

    Every formula takes its namespace first: ``definition(m, x, **parameters)``.

    name, aliases
        How it is found. ``latex`` is the definition for people.
    definition
        The textbook formula over ``m`` (``exp``, ``log``, ``tanh``, ``maximum``, ``where``, ``greater``, ...). The
        exact evaluator reads it; nothing else defines what is right.
    derivative, second_derivative
        The closed forms, accurate in float64 with ``m`` = numpy. They are judged against the definition's power series.
    torch_value, torch_gradient, torch_second
        The implementation: idiomatic, stable, right at every float, over ``torch`` and a float32 or float64 tensor
        (16-bit inputs arrive as float32 and the result is rounded once). Without ``torch_gradient``, autograd
        differentiates ``torch_value``. ``jax_value``, ``jax_gradient`` and ``jax_second`` likewise, over ``jax``.
    limits, kinks
        The limits at the infinities and the points with two one-sided derivatives; records, or functions of the
        parameters that return them.
    domain
        The lower and upper end of where the definition has a value. At an end that is finite the limits there stand;
        outside, the value is NaN, and derivatives are not judged.
    parameters, cases
        The parameters' default values, and further values at which it is verified.
    ranges
        Parameters to the :class:`Range` of numbers at which the implementations are right; any number unless given. Both
        interfaces refuse another number. What is learned, a tensor or an array, is not looked into.
    natives
        ``torch`` and ``jax`` to what each framework ships; left out where it ships none.
    deviations
        The known disagreements of the natives. Those of a function of rows are declared by what its entries are known by.
    rows
        Whether it is a function of rows along a parameter ``axis``. Its derivatives are then what reverse mode computes:
        ``derivative(m, x, v, axis)`` is J^T v, J being the Jacobian at x, and ``second_derivative(m, x, v, w, axis)`` its
        derivative along w. The rules are alike: ``torch_gradient(torch, x, v, axis)`` and
        ``torch_second(torch, x, v, w, axis)``.
    symmetric
        Whether the Jacobian of a function of rows is symmetric, as softmax's is, so that J^T v is the derivative along v.
        Otherwise forward mode has rules of its own, ``torch_along(torch, x, w, axis)`` and ``jax_along``: J w, in operations
        that the framework can differentiate.
    result
        What a function of rows makes of a row: ``row``, as many entries, or ``one``, whose axis the implementations drop, as
        a sum does; the formulas and rules keep it, with length 1, so that v has one entry for each row. The result is known
        by the row's largest entry. Or ``half``: of 2n entries n results, each of which depends on the entries j and n + j
        alone, the second of these being the gate; v has n entries then.
    known_by
        ``largest``: an entry of a row is known by how far it lies below the largest of its row. ``smallest``: by how far it
        lies above the smallest. ``gate``: by the gate of its pair, as is the result, where that is ``half`` of the row.
    """

    name: str
    definition: Formula
    derivative: Formula
    second_derivative: Formula
    torch_value: Formula
    jax_value: Formula
    limits: Limits | Callable[..., Limits]
    torch_gradient: Formula | None = None
    torch_second: Formula | None = None
    jax_gradient: Formula | None = None
    jax_second: Formula | None = None
    torch_along: Formula | None = None
    jax_along: Formula | None = None
    aliases: tuple[str, ...] = ()
    latex: str = ""
    kinks: tuple[Kink, ...] | Callable[..., tuple[Kink, ...]] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)
    cases: tuple[Mapping[str, float], ...] = ()
    ranges: Mapping[str, Range] = field(default_factory=dict)
    natives: Mapping[str, Native] = field(default_factory=dict)
    deviations: tuple[Deviation, ...] = ()
    rows: bool = False
    symmetric: bool = True
    result: str = "row"
    known_by: str = "largest"
    domain: tuple[float, float] = (-inf, inf)

    def __post_init__(self) -> None:
        if not identifier(self.name):
            raise SpecError(f"Activation.name: got {self.name!r}, expected a Python identifier such as 'silu'")
        if said := fields.wrong(self, ACTIVATION_FIELDS):
            raise SpecError(f"{self.name}: {said}")
        if not set(self.natives) <= {"torch", "jax"}:
            raise SpecError(f"{self.name}: natives: got {set(self.natives)}, expected 'torch' and 'jax' only")
        if self.known_by not in ("largest", "smallest", "gate"):
            raise SpecError(f"{self.name}: known_by: got {self.known_by!r}, expected 'largest', 'smallest' or 'gate'")
        if not self.domain[0] < self.domain[1]:
            raise SpecError(f"{self.name}: domain: got {self.domain}, expected a lower and a higher end")
        if self.rows and self.domain != (-inf, inf):
            raise SpecError(f"{self.name}: domain: got {self.domain}, expected none for a function of rows")
        if self.result not in ("row", "half", "one"):
            raise SpecError(f"{self.name}: result: got {self.result!r}, expected 'row', 'half' or 'one'")
        if self.result != "row" and not self.rows:
            raise SpecError(f"{self.name}: result: got {self.result!r}, expected 'row' where it is not a function of rows")
        if (self.result == "half") != (self.known_by == "gate"):
            raise SpecError(
                f"{self.name}: known_by: got {self.known_by!r} with the result {self.result!r}, expected 'gate' with 'half'"
            )
        for side, native in self.natives.items():
            if unknown := (set(native.lacks) | set(native.parameters)) - set(self.parameters):
                raise SpecError(f"{self.name}: natives: {side}: {sorted(unknown)} are none of {set(self.parameters)}")
        for deviation in self.deviations:
            if unknown := {name for region in deviation.regions for name in region.parameters} - set(self.parameters):
                raise SpecError(f"{self.name}: {deviation.id}: {sorted(unknown)} are none of {set(self.parameters)}")
        for case in self.cases:
            if set(case) != set(self.parameters):
                raise SpecError(f"{self.name}: cases: {dict(case)} must give exactly {set(self.parameters)}")
        if unknown := set(self.ranges) - set(self.parameters):
            raise SpecError(f"{self.name}: ranges: {sorted(unknown)} are none of {set(self.parameters)}")
        for what, values in (("parameters", self.parameters), *(("cases", case) for case in self.cases)):
            for name, value in values.items():
                if value not in self.range_of(name):
                    raise SpecError(f"{self.name}: {what}: {name}: got {value!r}, expected {self.range_of(name)}")
        for side in ("torch", "jax"):
            if getattr(self, f"{side}_second") and not getattr(self, f"{side}_gradient"):
                raise SpecError(f"{self.name}: {side}_second is given without {side}_gradient")
            if (self.symmetric or not getattr(self, f"{side}_second")) == bool(getattr(self, f"{side}_along")):
                raise SpecError(
                    f"{self.name}: {side}_along: expected with {side}_second where the Jacobian is not symmetric, only there"
                )
        ids = [deviation.id for deviation in self.deviations]
        if len(set(ids)) != len(ids):
            raise SpecError(f"{self.name}: deviations: an id occurs twice in {ids}")
        for name in ("parameters", "ranges"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[Any, ...]:
        """By its fields, whose functions pickle finds by their names; what it has made of them is made again."""
        given = {one.name: getattr(self, one.name) for one in dataclasses.fields(self)}
        return _restored, ({**given, "parameters": dict(self.parameters), "ranges": dict(self.ranges)},)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Activation":
        """Itself, since it cannot be changed."""
        return self

    def range_of(self, parameter: str) -> Range:
        """The numbers that a parameter may be."""
        return self.ranges.get(parameter, ANY_NUMBER)

    def native_arguments(self, side: str, values: Mapping[str, float], *, matched: bool = False) -> dict[str, object] | None:
        """With what arguments the native is called at these values of the parameters; None where it lacks one of them."""
        native = self.natives[side]
        if any(values[name] != self.parameters[name] for name in native.lacks):
            return None
        default = values == self.parameters and not native.call
        # torch's softmax wants to be told its axis
        given = {name: value for name, value in values.items() if name == "axis" or not default}
        arguments = {native.parameters.get(name, name): value for name, value in given.items() if name not in native.lacks}
        return {**(native.matched if matched else {}), **arguments}

    def outputs(self, length: int) -> int:
        """How many results a row of that length has."""
        return {"row": length, "half": length // 2, "one": 1}[self.result]

    def takes(self, length: int) -> bool:
        """Whether it is defined for a row of that length."""
        return self.result != "half" or length % 2 == 0

    @cached_property
    def torch(self) -> "TorchInterface":
        """The function for torch tensors, ready to use in a model; ``.native`` is what torch ships."""
        return TorchInterface(self)

    @cached_property
    def jax(self) -> "JaxInterface":
        """The function for JAX arrays, ready to use in a model; ``.native`` is what JAX ships."""
        return JaxInterface(self)

    def kinks_at(self, parameters: Mapping[str, float]) -> tuple[Kink, ...]:
        return self.kinks(**parameters) if callable(self.kinks) else self.kinks

    def limits_at(self, parameters: Mapping[str, float]) -> Limits:
        return self.limits(**parameters) if callable(self.limits) else self.limits


def _restored(given: Mapping[str, Any]) -> Activation:
    """A record from its fields by name."""
    return Activation(**given)


ACTIVATION_FIELDS = {
    **dict.fromkeys(("definition", "derivative", "second_derivative", "torch_value", "jax_value"), FUNCTION),
    **{f"{side}_{part}": PERHAPS for side in ("torch", "jax") for part in ("gradient", "second", "along")},
    "limits": Kind(either(instance(Limits), callable), "Limits, or a function of the parameters that returns them"),
    "aliases": Kind(several(identifier), "Python identifiers, such as ('swish',)"),
    "latex": Kind(instance(str), "text"),
    "kinks": Kind(either(several(instance(Kink)), callable), "Kinks, or a function of the parameters that returns them"),
    "parameters": Kind(mapping(identifier, number), "names with numbers, such as {'alpha': 1.0}"),
    "cases": Kind(several(mapping(identifier, number)), "mappings of the parameters to numbers"),
    "ranges": Kind(mapping(identifier, instance(Range)), "names of parameters to a Range each"),
    "natives": Kind(mapping(fields.line, instance(Native)), "'torch' and 'jax' to a Native each"),
    "deviations": Kind(several(instance(Deviation)), "Deviations"),
    "rows": FLAG,
    "symmetric": FLAG,
    "domain": Kind(numbers(2), "two numbers"),
}
"""What an activation's fields hold, but for those with a check of their own."""

NO_LIMITS = Limits((nan, nan, nan), (nan, nan, nan))
"""For a function without limits at the infinities."""
