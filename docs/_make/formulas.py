"""The derivative of a definition as a formula for people: sympy differentiates, and the analytic derivative checks it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise
from math import isfinite
from types import SimpleNamespace
from typing import Any

import numpy as np
import sympy

from crosscheck import Activation

AT = np.array([-2.7, -1.3, -0.4, 0.6, 1.7, 3.1])
"""Inputs at which the formula is compared with the record's derivative; no kink lies here."""
CLEARLY_SHORTER = 0.75
SOMEWHERE = 20.0


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
SIGNS = {"b": "b", "lambd": r"\lambda", "negative_slope": "a", "weight": "w"}
"""Of parameters, those by which the formulas of the records call them."""


class FormulaError(Exception):
    """A formula that is not the record's derivative."""


@dataclass(frozen=True)
class Piece:
    """A formula between two boundaries, None where there is none; or at one point, where the two are the same."""

    formula: sympy.Expr
    low: sympy.Expr | None
    high: sympy.Expr | None
    low_is_in: bool = False
    high_is_in: bool = False

    def condition(self, latex: Callable[[Any], str]) -> str:
        if self.low == self.high:
            return f"x = {latex(self.low)}"
        low = "" if self.low is None else f"{latex(self.low)} {LESS[self.low_is_in]} "
        high = "" if self.high is None else f" {LESS[self.high_is_in]} {latex(self.high)}"
        if self.high is None:
            return f"x {MORE[self.low_is_in]} {latex(self.low)}"
        return f"{low}x{high}"


LESS = {True: r"\leq", False: "<"}
MORE = {True: r"\geq", False: ">"}


def derivative(record: Activation) -> str | None:
    """The first derivative in LaTeX; None for a function of rows, or a definition that sympy has no symbols for."""
    if record.rows:
        return None
    x = sympy.Symbol("x", real=True)
    parameters = {name: sympy.Symbol(name, positive=True) for name in record.parameters}
    values = {parameters[name]: value for name, value in _numbers(record).items()}
    low, high = record.domain
    inputs = AT[(low < AT) & (high > AT)]

    def latex(expression: Any) -> str:
        return _latex(expression, parameters)

    try:
        expression = sympy.diff(record.definition(NAMESPACE, x, **parameters), x)
    except (AttributeError, TypeError, ValueError):
        return None
    if expression.has(sympy.Piecewise):
        pieces = _pieces(record, expression, x, values)
        inputs = np.concatenate([inputs, [float(piece.low.subs(values)) for piece in pieces if piece.low is not None]])
        numbers = [float(_at(pieces, at, values).subs({x: at, **values})) for at in inputs]
        shown = _cases(pieces, latex)
    else:
        formula, shown = _shown(expression, latex)
        numbers = [float(formula.subs({x: at, **values})) for at in inputs]
    expected = np.broadcast_to(record.derivative(np, inputs, **_numbers(record)), inputs.shape)
    if not np.allclose(numbers, expected, rtol=1e-9, atol=0):
        raise FormulaError(f"{record.name}: sympy's derivative of the definition is not the analytic one: {shown}")
    return shown


def _pieces(record: Activation, expression: Any, x: sympy.Symbol, values: dict[sympy.Symbol, float]) -> list[Piece]:
    """Split the derivative into intervals, each with its formula.

    The record declares a slope at each kink. The kink is put into the interval that has this slope there; if neither has it,
    the kink is a piece of its own. sympy alone would take the branch of the definition, whose slope may be another one.
    """
    relations = expression.atoms(sympy.core.relational.Relational)
    places = {end for relation in relations for end in sympy.solve(sympy.Eq(relation.lhs, relation.rhs), x)}
    ends = sorted(places, key=lambda end: float(end.subs(values)))
    at = [float(end.subs(values)) for end in ends]
    inside = [at[0] - 1, *((a + b) / 2 for a, b in pairwise(at)), at[-1] + 1]
    formulas = [_branch(expression, {x: point, **values}) for point in inside]
    chosen = {kink.at: kink.chosen[1] for kink in record.kinks_at(_numbers(record)) if 1 in kink.chosen}

    made = [Piece(formulas[0], None, ends[0])]
    for number, end in enumerate(ends):
        left, right = formulas[number], formulas[number + 1]
        slopes = [float(formula.subs(x, end).subs(values)) for formula in (left, right)]
        choice = chosen.get(at[number], "left")
        slope = slopes[("left", "right").index(choice)] if isinstance(choice, str) else choice
        after = ends[number + 1] if number + 1 < len(ends) else None
        last = made[-1]
        if slope == slopes[0]:
            made[-1] = replace(last, high_is_in=True)
        elif slope != slopes[1]:
            made.append(Piece(sympy.nsimplify(slope), end, end))
        made.append(Piece(right, end, after, low_is_in=slope == slopes[1] != slopes[0]))
        if left == right and slope in slopes:
            made[-2:] = [replace(last, high=after)]
    return made


def _branch(expression: Any, point: dict[sympy.Symbol, float]) -> Any:
    """The expression with the branch of each condition that holds at a point."""

    def taken(piecewise: Any) -> Any:
        return next(formula for formula, condition in piecewise.args if condition.subs(point) == sympy.true)

    while expression.has(sympy.Piecewise):
        expression = expression.replace(lambda node: isinstance(node, sympy.Piecewise), taken)
    return sympy.simplify(expression)


def _at(pieces: list[Piece], at: float, values: dict[sympy.Symbol, float]) -> Any:
    """The formula that is shown for an input."""
    for piece in pieces:
        low, high = (None if end is None else float(end.subs(values)) for end in (piece.low, piece.high))
        above = low is None or low < at or (low == at and (piece.low_is_in or low == high))
        below = high is None or at < high or (high == at and (piece.high_is_in or low == high))
        if above and below:
            return piece.formula
    raise ValueError(at)


def _cases(pieces: list[Piece], latex: Callable[[Any], str]) -> str:
    lines = (f"{latex(piece.formula)} & {piece.condition(latex)}" for piece in pieces)
    return r"\begin{cases} " + r" \\ ".join(lines) + r" \end{cases}" if len(pieces) > 1 else latex(pieces[0].formula)


def _numbers(record: Activation) -> dict[str, float]:
    """The parameters' defaults; a threshold that is none has a place too, and so a formula on both sides of it."""
    return {name: value if isfinite(value) else SOMEWHERE for name, value in record.parameters.items()}


def _shown(expression: Any, latex: Callable[[Any], str]) -> tuple[Any, str]:
    """The expression as differentiated, unless sympy knows a form that is clearly shorter."""
    plain = latex(expression)
    others = [(other, latex(other)) for other in (sympy.factor(expression), sympy.simplify(expression))]
    shortest = min(others, key=lambda form: len(form[1]))
    return shortest if len(shortest[1]) < CLEARLY_SHORTER * len(plain) else (expression, plain)


def _latex(expression: Any, parameters: dict[str, sympy.Symbol]) -> str:
    names = {
        symbol: SIGNS.get(name, rf"\text{{{name.replace('_', ' ')}}}")
        for name, symbol in parameters.items()
        if sympy.latex(symbol) != rf"\{name}"  # Greek letters are known
    }
    return str(sympy.latex(expression, symbol_names=names, ln_notation=False)).replace(r"\text{for}\: ", "")
