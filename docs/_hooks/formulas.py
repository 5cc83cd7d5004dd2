"""The derivative of a definition as a formula for people: sympy differentiates, and the analytic derivative checks it."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import sympy
from mkdocs.exceptions import PluginError

from crosscheck import Activation

AT = np.array([-2.7, -1.3, -0.4, 0.6, 1.7, 3.1])
"""Inputs at which the formula is compared with the record's derivative; no kink lies here."""
CLEARLY_SHORTER = 0.75


def where(condition: Any, a: Any, b: Any) -> Any:
    return sympy.Piecewise((a, condition), (b, True))


NAMESPACE = SimpleNamespace(
    where=where,
    maximum=lambda a, b: where(sympy.sympify(a) > b, a, b),
    minimum=lambda a, b: where(sympy.sympify(a) < b, a, b),
    greater=lambda a, b: sympy.sympify(a) > b,
    greater_equal=lambda a, b: sympy.sympify(a) >= b,
    less=lambda a, b: sympy.sympify(a) < b,
    less_equal=lambda a, b: sympy.sympify(a) <= b,
    abs=sympy.Abs,
    expm1=lambda a: sympy.exp(a) - 1,
    log1p=lambda a: sympy.log(1 + a),
    **{name: getattr(sympy, name) for name in ("cosh", "erf", "erfc", "exp", "log", "pi", "sinh", "sqrt", "tanh")},
)
"""What a definition may call, in symbols."""


def derivative(record: Activation) -> str | None:
    """The first derivative in LaTeX; None for a function of rows, or a definition that sympy has no symbols for."""
    if record.rows:
        return None
    x = sympy.Symbol("x", real=True)
    parameters = {name: sympy.Symbol(name, positive=True) for name in record.parameters}
    low, high = record.domain
    inputs = AT[(low < AT) & (high > AT)]
    try:
        found = sympy.diff(record.definition(NAMESPACE, x, **parameters), x)
        shown = _shown(found, lambda expression: _latex(expression, parameters))
        numbers = [float(shown[0].subs({x: at, **_values(record, parameters)})) for at in inputs]
    except (AttributeError, TypeError, ValueError):
        return None
    expected = np.broadcast_to(record.derivative(np, inputs, **record.parameters), inputs.shape)
    if not np.allclose(numbers, expected, rtol=1e-9, atol=0):
        raise PluginError(f"{record.name}: sympy's derivative of the definition is not the analytic one: {shown[1]}")
    return shown[1]


def _values(record: Activation, parameters: dict[str, sympy.Symbol]) -> dict[sympy.Symbol, float]:
    return {symbol: record.parameters[name] for name, symbol in parameters.items()}


def _shown(found: Any, latex: Callable[[Any], str]) -> tuple[Any, str]:
    """The expression as differentiated, unless sympy knows a form that is clearly shorter."""
    plain = latex(found)
    others = [(other, latex(other)) for other in (sympy.factor(found), sympy.simplify(found))]
    shortest = min(others, key=lambda one: len(one[1]))
    return shortest if len(shortest[1]) < CLEARLY_SHORTER * len(plain) else (found, plain)


def _latex(expression: Any, parameters: dict[str, sympy.Symbol]) -> str:
    names = {
        symbol: rf"\text{{{name.replace('_', ' ')}}}"
        for name, symbol in parameters.items()
        if sympy.latex(symbol) != rf"\{name}"  # Greek letters are known
    }
    return str(sympy.latex(expression, symbol_names=names, ln_notation=False)).replace(r"\text{for}\: ", "")
