"""The frozen records that describe an activation. They hold data and formulas, and compute nothing."""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from math import inf
from types import MappingProxyType
from typing import Any

from crosscheck._records import fields
from crosscheck._records.deviations import Deviation
from crosscheck._records.errors import SpecError
from crosscheck._records.fields import Kind, either, identifier, instance, mapping, number, numbers, several
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.interface import JaxInterface, TorchInterface
from crosscheck._records.names import ORDER_NAMES
from crosscheck._records.ranges import ANY_NUMBER, Range

VOCABULARY, LONGEST = 50257, 131072
"""Lengths of long rows: the number of GPT-2's tokens, and about that of the largest vocabularies in use."""


@dataclass(frozen=True)
class Kink:
    """A point at which a derivative has two one-sided values, and the value that this activation chooses.

    The one-sided values are not declared: they follow from the definition. Each is a valid convention.

    Attributes:
        at: The input.
        chosen: The chosen derivative by order, 1 or 2: a number, or ``"left"`` or ``"right"`` for the one-sided value of
            that side. A missing order has one derivative at this point.
        source: A link to another source that chooses this value.

    Raises:
        SpecError: If a choice is a text other than ``"left"`` and ``"right"``.

    Examples:
        >>> from crosscheck import Kink
        >>> print(Kink(at=0.0, chosen={1: 0.0}, source="https://docs.jax.dev/en/latest/_autosummary/jax.nn.relu.html"))
        at x = 0: chosen the gradient 0
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
    """The limits of the value, the derivative and the second derivative at minus and plus infinity.

    If the ``domain`` of the activation ends at a finite number, these are the limits at that end.

    Attributes:
        minus: The three limits at minus infinity, or at the lower end of the domain; NaN if there is no limit.
        plus: The three limits at plus infinity, or at the upper end.

    Raises:
        SpecError: If a field is not three numbers.

    Examples:
        >>> from crosscheck import Limits, activations
        >>> activations.sigmoid.limits == Limits(minus=(0, 0, 0), plus=(1, 0, 0))
        True
    """

    minus: tuple[float, float, float]
    plus: tuple[float, float, float]

    def __post_init__(self) -> None:
        three = Kind(numbers(3), "three numbers: the limits of the value, the derivative and the second one")
        if said := fields.wrong(self, {"minus": three, "plus": three}):
            raise SpecError(f"Limits.{said}")


@dataclass(frozen=True)
class Native:
    """A function that a framework ships, and how it is called.

    If our parameters have their default values, the function is called with its own defaults, except for the axis of a
    function of rows.

    Attributes:
        path: The dotted path of the function, for example ``torch.nn.functional.elu``. If it names a class, such as
            ``torch.nn.Identity``, the class is called without arguments to make the function.
        parameters: The names of our parameters with the framework's names, if they differ.
        matched: The arguments with which the function matches the definition, if its defaults do not.
        lacks: Those of our parameters that the function does not have. It is judged only if these have their default values.
        call: A Python expression for the call, if the function cannot be called with x and our parameters, for example
            ``torch.nn.functional.prelu(x, x.new_full((1,), weight))``. It may use x, our parameters, which are then always
            passed, and the framework's module.

    Raises:
        SpecError: If a field has a wrong type, or ``path`` has no dot.

    Examples:
        >>> from crosscheck import Native
        >>> Native("jax.nn.gelu", matched={"approximate": False}).path
        'jax.nn.gelu'
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


Formula = Callable[..., Any]


@dataclass(frozen=True, kw_only=True)
class Activation:
    """A function of the catalogue, or one of yours: its definition, its implementations, its kinks and its limits.

    The first argument of each formula is its namespace: ``definition(m, x, **parameters)``.

    The derivatives of a function of rows are those of reverse mode: ``derivative(m, x, v, axis)`` is J^T v, where J is the
    Jacobian at x, and ``second_derivative(m, x, v, w, axis)`` is the derivative of J^T v along w. The implementations are
    called in the same way: ``torch_gradient(torch, x, v, axis)`` and ``torch_second(torch, x, v, w, axis)``.

    Attributes:
        name: The name, a Python identifier.
        definition: The textbook formula over ``m`` (``exp``, ``log``, ``tanh``, ``maximum``, ``where``, ``greater``, ...).
            The exact evaluator runs it; it alone defines the correct result.
        derivative: The closed form of the derivative, accurate in float64 with numpy as ``m``. It is judged against the
            power series of the definition.
        second_derivative: The closed form of the second derivative, judged in the same way.
        torch_value: The implementation over ``torch`` and a float32 or float64 tensor: idiomatic, stable, correct at every
            float. 16-bit inputs are passed as float32, and the result is rounded once.
        jax_value: The same over ``jax`` and an array.
        limits: The limits at the infinities, or a function of the parameters that returns them.
        torch_gradient: The gradient in PyTorch. Without it, autograd differentiates ``torch_value``.
        torch_second: The second derivative in PyTorch; it needs ``torch_gradient``.
        jax_gradient: As ``torch_gradient``, in JAX.
        jax_second: As ``torch_second``, in JAX.
        torch_along: The rule of forward mode, ``torch_along(torch, x, w, axis)``: J w, in operations that PyTorch can
            differentiate. It is needed only if ``torch_second`` is given and the Jacobian is not symmetric.
        jax_along: As ``torch_along``, in JAX.
        aliases: Other names in the catalogue.
        latex: The definition as LaTeX, for readers.
        kinks: The points with two one-sided derivatives, or a function of the parameters that returns them.
        parameters: The parameters with their default values.
        cases: Further values of all parameters, with which it is also verified.
        ranges: By parameter, the numbers with which the implementations are correct; a missing parameter may be any number.
            Both interfaces refuse other numbers. They do not check learned values: tensors or arrays.
        natives: What each framework ships, by ``torch`` and ``jax``; a framework that ships none is left out.
        deviations: The known disagreements of the natives.
        rows: Whether it is a function of rows along a parameter ``axis``.
        symmetric: Whether the Jacobian of a function of rows is symmetric, as that of softmax is. J^T v is then the
            derivative along v.
        result: The results of a row. ``row``: as many results as entries. ``one``: one result, identified by the largest
            entry. Its axis has length 1 in the formulas and rules, so that v has one entry for each row; the interfaces drop
            it. ``half``: n results from 2n entries. Each depends only on the entries j and n + j, and the second is the
            gate; v has n entries.
        known_by: The number that identifies an entry of a row. ``largest``: the entry minus the largest of its row.
            ``smallest``: the entry minus the smallest. ``gate``: the gate of its pair, which identifies the result too; only
            if ``result`` is ``half``.
        domain: The lower and upper end of the inputs at which the definition has a value. At a finite end, ``limits`` has
            the limits at that end. Outside, the value is NaN, and derivatives are not judged.

    Raises:
        SpecError: If a field has a wrong value or contradicts another.

    Examples:
        >>> from math import inf
        >>> import crosscheck
        >>> double = crosscheck.Activation(
        ...     name="double",
        ...     definition=lambda m, x: 2 * x,
        ...     derivative=lambda m, x: 2 + 0 * x,
        ...     second_derivative=lambda m, x: 0 * x,
        ...     torch_value=lambda torch, x: 2 * x,
        ...     jax_value=lambda jax, x: 2 * x,
        ...     limits=crosscheck.Limits(minus=(-inf, 2, 0), plus=(inf, 2, 0)),
        ... )
        >>> crosscheck.verify(double, dtypes=["float32"], orders=[0], quick=True).passed
        True
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
                raise SpecError(f"{self.name}: natives: {side}: got {sorted(unknown)}, expected {set(self.parameters)}")
        for deviation in self.deviations:
            if unknown := {name for region in deviation.regions for name in region.parameters} - set(self.parameters):
                raise SpecError(f"{self.name}: {deviation.id}: got {sorted(unknown)}, expected {set(self.parameters)}")
        for case in self.cases:
            if set(case) != set(self.parameters):
                raise SpecError(f"{self.name}: cases: got {dict(case)}, expected exactly {set(self.parameters)}")
        if unknown := set(self.ranges) - set(self.parameters):
            raise SpecError(f"{self.name}: ranges: got {sorted(unknown)}, expected some of {set(self.parameters)}")
        for what, values in (("parameters", self.parameters), *(("cases", case) for case in self.cases)):
            for name, value in values.items():
                if value not in self.range_of(name):
                    raise SpecError(f"{self.name}: {what}: {name}: got {value!r}, expected {self.range_of(name)}")
        for side in FRAMEWORKS:
            if getattr(self, f"{side}_second") and not getattr(self, f"{side}_gradient"):
                raise SpecError(f"{self.name}: {side}_second is given without {side}_gradient")
            if (self.symmetric or not getattr(self, f"{side}_second")) == bool(getattr(self, f"{side}_along")):
                raise SpecError(
                    f"{self.name}: {side}_along: expected if and only if {side}_second is given and J is not symmetric"
                )
        ids = [deviation.id for deviation in self.deviations]
        if len(set(ids)) != len(ids):
            raise SpecError(f"{self.name}: deviations: an id occurs twice in {ids}")
        for name in ("parameters", "ranges"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the fields, and their functions by name; cached properties are made again."""
        given = {attribute.name: getattr(self, attribute.name) for attribute in dataclasses.fields(self)}
        return _restored, ({**given, "parameters": dict(self.parameters), "ranges": dict(self.ranges)},)

    def __deepcopy__(self, memo: dict[int, Any]) -> "Activation":
        """The record itself, since it cannot be changed."""
        return self

    def range_of(self, parameter: str) -> Range:
        """The numbers that a parameter may have.

        Args:
            parameter: The name of the parameter.

        Returns:
            The range; any number if the record has none.
        """
        return self.ranges.get(parameter, ANY_NUMBER)

    def native_arguments(self, side: str, values: Mapping[str, float], *, matched: bool = False) -> dict[str, object] | None:
        """The arguments with which the framework's own function is called.

        Args:
            side: ``torch`` or ``jax``.
            values: A value for each parameter.
            matched: Whether to add the arguments with which the function matches the definition.

        Returns:
            The arguments by the framework's names. None if the function lacks a parameter and its value is not the default.
        """
        native = self.natives[side]
        if any(values[name] != self.parameters[name] for name in native.lacks):
            return None
        default = values == self.parameters and not native.call
        # torch's softmax requires the axis
        given = {name: value for name, value in values.items() if name == "axis" or not default}
        arguments = {native.parameters.get(name, name): value for name, value in given.items() if name not in native.lacks}
        return {**(native.matched if matched else {}), **arguments}

    def outputs(self, length: int) -> int:
        """The number of results of a row.

        Args:
            length: The number of entries of the row.

        Returns:
            The number of results.
        """
        return {"row": length, "half": length // 2, "one": 1}[self.result]

    def takes(self, length: int) -> bool:
        """Whether the function is defined for a row of some length.

        Args:
            length: The number of entries of the row.

        Returns:
            False if the length is odd and ``result`` is ``half``, otherwise True.
        """
        return self.result != "half" or length % 2 == 0

    @cached_property
    def torch(self) -> "TorchInterface":
        """The function for PyTorch tensors, ready for use in a model; ``.native`` is what PyTorch ships."""
        return TorchInterface(self)

    @cached_property
    def jax(self) -> "JaxInterface":
        """The function for JAX arrays, ready for use in a model; ``.native`` is what JAX ships."""
        return JaxInterface(self)

    def kinks_at(self, parameters: Mapping[str, float]) -> tuple[Kink, ...]:
        """The kinks at some values of the parameters.

        Args:
            parameters: A value for each parameter.

        Returns:
            The kinks.
        """
        return self.kinks(**parameters) if callable(self.kinks) else self.kinks

    def limits_at(self, parameters: Mapping[str, float]) -> Limits:
        """The limits at some values of the parameters.

        Args:
            parameters: A value for each parameter.

        Returns:
            The limits.
        """
        return self.limits(**parameters) if callable(self.limits) else self.limits


def _restored(given: Mapping[str, Any]) -> Activation:
    """A record from its fields by name."""
    return Activation(**given)


ACTIVATION_FIELDS = {
    **dict.fromkeys(("definition", "derivative", "second_derivative", "torch_value", "jax_value"), fields.FUNCTION),
    **{f"{side}_{part}": fields.PERHAPS for side in FRAMEWORKS for part in ("gradient", "second", "along")},
    "limits": Kind(either(instance(Limits), callable), "Limits, or a function of the parameters that returns them"),
    "aliases": Kind(several(identifier), "Python identifiers, such as ('swish',)"),
    "latex": Kind(instance(str), "text"),
    "kinks": Kind(either(several(instance(Kink)), callable), "Kinks, or a function of the parameters that returns them"),
    "parameters": Kind(mapping(identifier, number), "names with numbers, such as {'alpha': 1.0}"),
    "cases": Kind(several(mapping(identifier, number)), "mappings of the parameters to numbers"),
    "ranges": Kind(mapping(identifier, instance(Range)), "names of parameters to a Range each"),
    "natives": Kind(mapping(fields.line, instance(Native)), "'torch' and 'jax' to a Native each"),
    "deviations": Kind(several(instance(Deviation)), "Deviations"),
    "rows": fields.FLAG,
    "symmetric": fields.FLAG,
    "domain": Kind(numbers(2), "two numbers"),
}
"""The types of an activation's fields, except for fields with a check of their own."""
