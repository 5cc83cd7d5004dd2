"""Functions that jump, at places that float32 does not hold: neither side of the jump may move."""

from dataclasses import replace

import pytest

import crosscheck


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("hardshrink", {"lambd": 0.1}),
        ("hardshrink", {"lambd": 0.3}),
        ("threshold", {"threshold": 0.1, "value": 7.0}),
        ("threshold", {"threshold": -0.7, "value": 7.0}),
        pytest.param("softplus", {"beta": 0.3, "threshold": -1.0}, marks=pytest.mark.full),
    ],
    ids=str,
)
def test_the_own_implementations_jump_where_the_definition_does(name: str, parameters: dict[str, float]) -> None:
    own = replace(crosscheck.activations[name], parameters=parameters, cases=(), natives={}, deviations=())
    report = crosscheck.verify(own, dtypes=["float64", "float32"])
    assert report.passed, str(report)
