"""The checks that people use, measured: a gross fault is noticed by all of them, a subtle one by none."""

import dataclasses
from typing import Any

import jax
import numpy as np
import pytest
import torch
from recorded_here import HERE, seen_here
from usual_checks import ASSERT_ALLCLOSE, ASSERT_CLOSE, CHECK_GRADS, CHECKS, GRADCHECK, of_arrays, usual_of

import crosscheck
from crosscheck import Atlas, activations
from crosscheck._atlas.noticed import normal

pytestmark = pytest.mark.full

X = np.linspace(-2, 2, 9)


class Doubled(torch.autograd.Function):
    """tanh with twice its gradient."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return torch.tanh(x)

    @staticmethod
    def backward(ctx: Any, v: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * v * (1 - torch.tanh(x) ** 2)


@jax.custom_jvp
def tripled(x: Any) -> Any:
    """tanh with three times its gradient."""
    return jax.numpy.tanh(x)


@tripled.defjvp
def _(primals: Any, tangents: Any) -> Any:
    return tripled(primals[0]), 3 * tangents[0] * (1 - jax.numpy.tanh(primals[0]) ** 2)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_gross_fault_is_noticed_by_all(dtype: str) -> None:
    said = usual_of({"torch": Doubled.apply, "jax": tripled}, [X.astype(dtype)], 1)
    assert tuple(said) == CHECKS
    assert all(said.values()), said


def test_a_gradient_that_is_lost_is_noticed_by_none() -> None:
    """sigmoid's gradient at 19.5 is 3.4e-9; in float32 both frameworks give 0."""
    x = np.array([19.5], np.float32)
    assert usual_of({"torch": torch.sigmoid, "jax": jax.nn.sigmoid}, [x], 1) == dict.fromkeys(CHECKS)


def test_what_is_right_is_noticed_by_none() -> None:
    assert usual_of({"torch": torch.tanh, "jax": jax.numpy.tanh}, [X], 2) == dict.fromkeys(CHECKS)


def test_a_second_derivative_is_looked_at_where_it_is_asked_for() -> None:
    class Detached(torch.autograd.Function):
        """tanh, whose gradient has half the gradient that it should have."""

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return torch.tanh(x)

        @staticmethod
        def backward(ctx: Any, v: Any) -> Any:
            (x,) = ctx.saved_tensors
            tanh = torch.tanh(x)
            return v * (1 - tanh * tanh.detach())

    said = {order: usual_of({"torch": Detached.apply, "jax": jax.numpy.tanh}, [X], order)[GRADCHECK] for order in (1, 2)}
    assert said[1] is None
    assert "numerical" in str(said[2])


def test_results_of_16_bits_are_compared_too() -> None:
    import ml_dtypes

    one, two = (np.array([value]).astype(ml_dtypes.bfloat16) for value in (1.0, 1.5))
    assert of_arrays(one, one) == {ASSERT_CLOSE: None, ASSERT_ALLCLOSE: None}
    assert all(of_arrays(one, two).values())
    assert all(of_arrays(one, None).values())


def noticed(name: str, id_: str, order: int) -> tuple[Atlas, dict[tuple[str, str], Any]]:
    """What the checks notice of one deviation, in float32 and one order."""
    activation = activations[name]
    (deviation,) = (one for one in activation.deviations if one.id == id_)
    chosen = [region for region in deviation.regions if region.order == order and "float32" in region.dtypes]
    regions = tuple(dataclasses.replace(region, dtypes=("float32",)) for region in chosen)
    only = dataclasses.replace(activation, deviations=(dataclasses.replace(deviation, regions=regions),))
    atlas = crosscheck.atlas(only, dtypes=["float32"], quick=True, usual=True)
    (row,) = (row for row in atlas.rows if row.declared)
    return dataclasses.replace(atlas, rows=(row,)), {(one.check, one.inputs): one for one in row.usual}


def test_what_the_checks_notice_of_a_deviation_is_measured() -> None:
    """-0 for 0 is noticed by none; where a check is right to raise, or to raise of anything, it does not apply."""
    atlas, found = noticed("relu", "relu-negative-zero", 0)
    assert set(found) == {(check, inputs) for check in CHECKS for inputs in ("anchors", "normal")}
    for (check, inputs), one in found.items():
        if inputs == "normal" or check in (ASSERT_CLOSE, ASSERT_ALLCLOSE):
            said = "none of these inputs lies in its regions" if inputs == "normal" else ""
            assert (one.noticed, one.said) == (False, said)
        else:  # at a kink
            assert one.noticed is None
            assert one.said.startswith("it raises of right functions too")
    printed = [" ".join(line.split()) for line in str(atlas).splitlines()]
    for line in (
        "relu-negative-zero no no no no",
        *(f"{check} {inputs} 0 1 0" for check in CHECKS[:2] for inputs in ("anchors", "normal")),
        *(f"{check} {cells}" for check in CHECKS[2:] for cells in ("anchors 0 0 1", "normal 0 1 0")),
    ):
        assert line in printed


def test_normal_inputs_notice_a_deviation_only_where_it_is() -> None:
    """JAX loses elu's gradient from -2.5 down, where some normal inputs lie; torch's comparison sees that, in float32."""
    (deviation,) = (one for one in activations["elu"].deviations if one.id == "elu-derivative-lost-tail")
    if not seen_here(deviation, HERE):
        pytest.skip("it was not seen in this JAX")
    _, found = noticed("elu", deviation.id, 1)
    assert found[ASSERT_CLOSE, "anchors"].noticed is False  # 3e-9 is 0 within its atol
    assert found[ASSERT_ALLCLOSE, "anchors"].noticed is True
    assert found[ASSERT_ALLCLOSE, "normal"].said != "none of these inputs lies in its regions"


def test_the_side_that_does_not_deviate_is_not_differentiated() -> None:
    atlas, found = noticed("leaky_relu", "leaky-relu-gradient-at-zero", 1)
    other = CHECK_GRADS if atlas.rows[0].side == "torch" else GRADCHECK
    assert found[other, "normal"].noticed is None
    assert "that deviates" in found[other, "normal"].said


@pytest.mark.full
def test_a_row_as_long_as_a_vocabulary_is_not_given_to_gradcheck() -> None:
    """Its Jacobian takes tens of gigabytes."""
    atlas, found = noticed("log_softmax", "log_softmax-long-row", 0)
    assert found[ASSERT_CLOSE, "anchors"].noticed is not None
    assert found[GRADCHECK, "anchors"].noticed is None
    assert "the whole Jacobian" in found[GRADCHECK, "anchors"].said
    ((at, *_),) = (row.inputs for row in atlas.rows)
    assert at.place is not None
    assert f"in a row of {at.place.length}" in str(atlas)
    assert not at.place.bits  # a file with them has megabytes for each
    drawn: dict[str, Any] = {"numpy": np}
    exec("\n".join(at.place.made), drawn)
    assert at.place.length == drawn["row"].size


@pytest.mark.parametrize("name", ["relu", "log1mexp", "softmax"])
def test_normal_inputs_are_seeded_and_lie_in_the_domain(name: str) -> None:
    sample = normal(activations[name], "float32")
    low, high = activations[name].domain
    assert sample.x.size == 1000
    assert ((low < sample.x) & (sample.x < high)).all()
    assert (normal(activations[name], "float32").x == sample.x).all()
