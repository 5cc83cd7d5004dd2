"""A stretch of a JAX model as code: the equations of its jaxpr as calls of jax.lax."""

from __future__ import annotations

import inspect
import keyword
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import Enum
from typing import Any

import jax
import numpy as np
from jax import lax
from jax.extend.core import ClosedJaxpr, Jaxpr, Literal, primitives

from crosscheck._frameworks.programs import Array
from crosscheck._models.record.jax_recording import NOT_INLINED
from crosscheck._models.record.torch_code import FunctionCode, unused
from crosscheck._shadow.jax_equations import inner_program

NAMES = {"lax": lax, "np": np, "primitives": primitives, "inf": np.inf, "nan": np.nan}
"""The names that the code may use."""
IMPORTS = {
    r"\blax\.": "from jax import lax",
    r"\bprimitives\.": "from jax.extend.core import primitives",
    r"\binf\b": "from math import inf",
    r"\bnan\b": "from math import nan",
}


class NoCodeError(Exception):
    """An equation cannot be written as a call."""


Form = tuple[Callable[[Any, Sequence[str]], str], bool]
"""How an equation is written, and whether it then gives a sequence of results."""


def code(
    name: str, closed: ClosedJaxpr, given: Mapping[str, Array], said: Mapping[str, str], forms: dict[object, Form]
) -> FunctionCode:
    """A jaxpr with one result as a function: each equation is a line that was tried. Arrays in it become arguments.

    ``forms`` holds the forms found so far: equal equations are tried once.

    Raises:
        NoCodeError: If it loops, branches, or has an operation that no call gives.
    """
    writer = _Writer(given, forms)
    (result,) = writer.program(closed, list(given))
    body = [*writer.lines, f"    return {result}"]
    needed = [line for used, line in IMPORTS.items() if any(re.search(used, statement) for statement in body)]
    arguments = {**given, **writer.constants}
    return FunctionCode(
        name, [f"def {name}({', '.join(arguments)}):", *body], arguments, dict(said), ["import jax", *needed]
    )


def result(made: FunctionCode) -> Array:
    """The result of the code."""
    names = dict(NAMES)
    exec("\n".join(made.lines), names)
    return np.asarray(jax.jit(names[made.name])(*made.given.values()))  # one program, not one for each line


class _Writer:
    def __init__(self, names: Iterable[str], forms: dict[object, Form]) -> None:
        self._forms = forms
        self.lines: list[str] = []
        self.constants: dict[str, Array] = {}
        self._used = {*names, *NAMES, *keyword.kwlist}

    def program(self, closed: ClosedJaxpr, arguments: Sequence[str]) -> list[str]:
        jaxpr: Jaxpr = closed.jaxpr
        names = dict(zip(jaxpr.invars, arguments, strict=True))
        names.update(zip(jaxpr.constvars, map(self._constant, closed.consts), strict=True))

        def read(atom: Any) -> str:
            return self._constant(np.asarray(atom.val, atom.aval.dtype)) if isinstance(atom, Literal) else names[atom]

        for equation in jaxpr.eqns:
            given = [read(atom) for atom in equation.invars]
            if equation.primitive.name == "stop_gradient":
                names[equation.outvars[0]] = given[0]
            elif equation.primitive.name not in NOT_INLINED and (inside := inner_program(equation)):
                names.update(zip(equation.outvars, self.program(inside, given), strict=True))
            else:
                write, several = self._form(equation)
                made = [self._name(equation.primitive.name) for _ in equation.outvars]
                self.lines.append(f"    {', '.join(made)}{',' * (several and len(made) == 1)} = {write(equation, given)}")
                names.update(zip(equation.outvars, made, strict=True))
        return [read(atom) for atom in jaxpr.outvars]

    def _form(self, equation: Any) -> Form:
        key = equation.primitive, str(equation.params), str([atom.aval for atom in equation.invars])
        if key not in self._forms:
            self._forms[key] = _form(equation)
        return self._forms[key]

    def _constant(self, value: Any) -> str:
        array = np.asarray(value)
        if not array.ndim:
            plain = array.dtype.name in ("float64", "int64", "bool")  # the dtypes of Python's own numbers
            return repr(array.item()) if plain else f"np.{array.dtype.name}({array.item()!r})"
        name = self._name("constant")
        self.constants[name] = array
        return name

    def _name(self, word: str) -> str:
        name = unused(word.replace("-", "_"), self._used)
        self._used.add(name)
        return name


def _form(equation: Any) -> Form:
    """The first form of an equation that gives the equation again."""
    arguments = [f"a{k}" for k in range(len(equation.invars))]
    shapes = [jax.ShapeDtypeStruct(atom.aval.shape, atom.aval.dtype) for atom in equation.invars]
    wanted = jax.make_jaxpr(lambda *arrays: equation.primitive.bind(*arrays, **equation.params))(*shapes)
    for write in (_as_function, _as_function_of_list, _as_primitive):
        try:
            function = eval(f"lambda {', '.join(arguments)}: {write(equation, arguments)}", dict(NAMES))
            traced, results = jax.make_jaxpr(function, return_shape=True)(*shapes)
        except Exception:  # a wrong form may raise anything
            continue
        if _said(traced) == _said(wanted):
            return write, isinstance(results, tuple | list)
    raise NoCodeError(f"{equation.primitive.name} cannot be written as one call")


def _said(closed: ClosedJaxpr) -> str:
    """What a jaxpr does, in a text that does not depend on its layout; numpy's numbers are written as plain ones."""
    return re.sub(r"np\.\w+\((.*?)\)", r"\1", "".join(str(closed.jaxpr).split()))


def _as_function(equation: Any, given: Sequence[str]) -> str:
    return f"lax.{_lax(equation)}({', '.join([*given, *_options(equation)])})"


def _as_function_of_list(equation: Any, given: Sequence[str]) -> str:
    return _as_function(equation, [f"[{', '.join(given)}]"])


def _as_primitive(equation: Any, given: Sequence[str]) -> str:
    name = equation.primitive.name.replace("-", "_")
    options = (f"{key}={_written(value)}" for key, value in equation.params.items())
    return f"primitives.{name}_p.bind({', '.join([*given, *options])})"


def _lax(equation: Any) -> str:
    return str(equation.primitive.name.replace("-", "_"))


def _options(equation: Any) -> Iterator[str]:
    """The parameters that the function of that name takes, without those at their default values."""
    taken: Mapping[str, Any] = inspect.signature(getattr(lax, _lax(equation))).parameters
    for name, value in equation.params.items():
        if name in taken and value is not None and value is not taken[name].default:
            yield f"{name}={_written(value)}"


def _written(value: Any) -> str:
    """A parameter of an equation as code."""
    if isinstance(value, np.dtype) or (isinstance(value, type) and issubclass(value, np.generic)):
        return repr(np.dtype(value).name)
    if type(value) in (tuple, list):
        return f"({', '.join(map(_written, value))}{',' * (len(value) == 1)})"
    if isinstance(value, np.generic):
        return repr(value.item())
    if isinstance(value, Enum):
        return f"lax.{type(value).__name__}.{value.name}"
    return f"lax.{value!r}" if hasattr(lax, type(value).__name__) else repr(value)
