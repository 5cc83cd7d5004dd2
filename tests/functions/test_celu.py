"""CELU at values of alpha that no record can declare deviations for, since they deviate at these alone."""

from dataclasses import replace

import numpy as np
import pytest

import crosscheck

torch = pytest.importorskip("torch")

CELU = crosscheck.activations["celu"]


@pytest.mark.parametrize("alpha", [0.7, 11.3])
@pytest.mark.full
def test_the_own_implementations_are_right_where_alpha_is_no_power_of_two(alpha: float) -> None:
    own = replace(CELU, parameters={"alpha": alpha}, cases=(), natives={}, deviations=())
    report = crosscheck.verify(own, dtypes=["float64", "float32"])
    assert report.passed, str(report)


def test_torch_s_double_gradient_divides_by_alpha_rounded_to_float32() -> None:
    """A bug of torch: tools/autograd/derivatives.yaml has 1.0/alpha.toFloat() for celu."""
    x = torch.tensor([-3.0, -50.0], dtype=torch.float64, requires_grad=True)
    torch.nn.functional.celu(x, 0.7).sum().backward()
    inputs, rounded = x.detach().numpy(), float(np.float32(0.7))
    np.testing.assert_allclose(x.grad.numpy(), 0.7 / rounded * np.exp(inputs / rounded), rtol=1e-13)
    assert (abs(x.grad.numpy() / np.exp(inputs / 0.7) - 1) > 5e-8).all()
