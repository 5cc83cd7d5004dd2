"""A function inside which PyTorch traces another one."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import crosscheck

X = np.linspace(-3, 3, 64, dtype=np.float32)


def original(x: Any) -> Any:
    result, tangent = torch.func.linearize(lambda x: torch.sin(x) * x, x)
    return result + tangent(torch.ones_like(x))


@pytest.mark.full
@pytest.mark.filterwarnings("ignore:Attempted to insert a get_attr Node")
def test_it_is_compared_as_it_is_and_the_note_says_so() -> None:
    def port(x: Any) -> Any:
        return jnp.sin(x) * x + jnp.cos(x) * x + jnp.sin(x)

    report = crosscheck.compare(original, port, [X], order=0)
    assert report.passed, str(report)
    assert "what PyTorch traces" in str(report)
