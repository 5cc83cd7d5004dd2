"""Softplus with the arguments that no record can judge torch's own at, since it cannot do them."""

from dataclasses import replace
from math import inf

import jax.numpy as jnp
import pytest
import torch

import crosscheck

pytestmark = pytest.mark.full

SOFTPLUS = crosscheck.activations["softplus"]


@pytest.mark.parametrize(
    "parameters",
    [{"beta": 0.7, "threshold": inf}, {"beta": 0.013, "threshold": inf}, {"beta": 13.3, "threshold": 7.0}],
    ids=str,
)
def test_the_own_implementations_are_right_where_beta_is_no_power_of_two(parameters: dict[str, float]) -> None:
    own = replace(SOFTPLUS, parameters=parameters, cases=(), natives={}, deviations=())
    report = crosscheck.verify(own, dtypes=["float64", "float32"])
    assert report.passed, str(report)


def test_torch_s_needs_a_threshold() -> None:
    x = torch.tensor([100.0])
    assert torch.nn.functional.softplus(x, threshold=inf).item() == inf
    assert SOFTPLUS.torch(x).item() == SOFTPLUS.jax(jnp.array([100.0])).item() == 100.0


def test_the_natives_are_judged_with_the_arguments_that_they_take() -> None:
    report = crosscheck.verify("softplus", dtypes=["float32"], orders=[0])
    seen = {(c.implementation, c.parameters["beta"], c.parameters["threshold"]) for c in report.comparisons}
    assert {arguments for arguments in seen if arguments[0] == "jax.native"} == {("jax.native", 1.0, inf)}
    assert {arguments for arguments in seen if arguments[0] == "torch.native.matched"} == {
        ("torch.native.matched", 1.0, inf)
    }
    assert {arguments[1:] for arguments in seen if arguments[0] == "torch.native"} == {(1.0, inf), (2.0, 20.0), (0.5, 5.0)}
