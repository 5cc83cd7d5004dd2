"""The formulas of derivatives on the pages of activations: differentiated, and held against the record."""

import dataclasses
import re
import sys
from pathlib import Path

import numpy as np
import pytest

import crosscheck
from crosscheck import Kink

sys.path.append(str(Path(__file__).parents[2] / "docs" / "_make"))

import formulas


def test_a_derivative_is_shown_as_differentiated() -> None:
    assert formulas.derivative(crosscheck.activations["sigmoid"]) == r"\frac{e^{- x}}{\left(1 + e^{- x}\right)^{2}}"
    assert formulas.derivative(crosscheck.activations["softmax"]) is None


def test_a_derivative_that_is_not_the_definition_s_fails_the_build() -> None:
    sigmoid = crosscheck.activations["sigmoid"]
    wrong = dataclasses.replace(sigmoid, derivative=lambda m, x: 1.001 * sigmoid.derivative(m, x))
    with pytest.raises(formulas.FormulaError, match="sigmoid: sympy's derivative"):
        formulas.derivative(wrong)


@pytest.mark.parametrize(
    ("name", "cases"),
    [
        ("relu", ["0 & x \\leq 0", "1 & x > 0"]),
        ("leaky_relu", ["a & x \\leq 0", "1 & x > 0"]),
        ("relu6", ["0 & x \\leq 0", "1 & 0 < x < 6", "0 & x \\geq 6"]),
        ("hard_tanh", ["0 & x \\leq -1", "1 & -1 < x < 1", "0 & x \\geq 1"]),
        (
            "sparse_sigmoid",
            ["0 & x < -1", r"\frac{1}{4} & x = -1", r"\frac{1}{2} & -1 < x < 1", r"\frac{1}{4} & x = 1", "0 & x > 1"],
        ),
    ],
)
def test_a_derivative_has_at_a_kink_the_slope_that_is_declared(name: str, cases: list[str]) -> None:
    shown = r" \\ ".join(cases)
    assert formulas.derivative(crosscheck.activations[name]) == rf"\begin{{cases}} {shown} \end{{cases}}"


def test_no_formula_contradicts_a_declared_slope() -> None:
    """The formula is made of the declared slopes and held against the record's own derivative, at the kinks too."""
    relu = crosscheck.activations["relu"]
    other = dataclasses.replace(relu, kinks=(Kink(at=0, chosen={1: 0.5}, source="https://example.org"),))
    with pytest.raises(formulas.FormulaError, match=r"frac\{1\}\{2\} & x = 0"):
        formulas.derivative(other)
    half = dataclasses.replace(other, derivative=lambda m, x: np.heaviside(x, 0.5))
    assert r"\frac{1}{2} & x = 0" in str(formulas.derivative(half))


@pytest.mark.full
def test_every_formula_is_free_of_sympy_s_own_words() -> None:
    shown = [formulas.derivative(record) for record in crosscheck.activations.values()]
    assert sum(formula is not None for formula in shown) > 20
    assert not [formula for formula in shown if formula and re.search(r"ITE|Piecewise|wedge|otherwise", formula)]
