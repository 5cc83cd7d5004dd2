"""The checks that people use, measured: a gross fault is noticed by all of them, a subtle one by none."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from atlases import read_atlas, row_of
from usual_checks import ASSERT_ALLCLOSE, ASSERT_CLOSE, CHECK_GRADS, CHECKS, GRADCHECK, of_arrays, usual_of

from crosscheck import Native, activations

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import usual

pytestmark = pytest.mark.full

ROWS = {row.id: row for row in read_atlas(usual.ATLAS, "results").rows}
X = np.linspace(-2, 2, 9)
DOUBLED = "2 * torch.tanh(x) - torch.tanh(x).detach()"
TRIPLED = "3 * jax.numpy.tanh(x) - 2 * jax.lax.stop_gradient(jax.numpy.tanh(x))"
"""tanh with twice and three times its gradient."""


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_gross_fault_is_noticed_by_all(dtype: str) -> None:
    said = usual_of(
        {"torch": lambda x: eval(DOUBLED, {"torch": torch, "x": x}), "jax": lambda x: eval(TRIPLED, {"jax": jax, "x": x})},
        [X.astype(dtype)],
        1,
    )
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
    first, second = (np.array([value]).astype("bfloat16") for value in (1.0, 1.5))
    assert of_arrays(first, first) == {ASSERT_CLOSE: None, ASSERT_ALLCLOSE: None}
    assert all(of_arrays(first, second).values())
    assert all(of_arrays(first, None).values())


# the benchmark


def test_a_gross_disagreement_of_an_atlas_is_noticed_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    natives = {"torch": Native("torch.tanh", call=DOUBLED), "jax": Native("jax.numpy.tanh", call=TRIPLED)}
    planted = replace(activations["tanh"], name="planted", natives=natives, deviations=())
    monkeypatch.setattr(usual, "activations", {"planted": planted})
    both, nothing = ("torch.native", "jax.native"), {"inputs": (), "results": (), "truth": ()}
    answers = usual.judged(row_of("planted", function="planted", implementations=both, **nothing), ["float32"])
    assert all(answers[check]["normal"]["noticed"] for check in CHECKS), answers


def test_a_subtle_one_is_noticed_by_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """-0 for 0; where a check is right to raise, or to raise of anything, it does not apply."""
    usual.main(["relu", "--json", str(tmp_path / "usual.json")])
    rows = json.loads((tmp_path / "usual.json").read_text(encoding="utf-8"))["rows"]
    assert [*rows] == ["relu-negative-zero", "relu-gradient-at-nan"]
    answers = rows["relu-negative-zero"]
    assert not any(answer["noticed"] for by_inputs in answers.values() for answer in by_inputs.values())
    assert all(by_inputs["normal"]["said"] == usual.NOWHERE for by_inputs in answers.values())
    assert all(answers[check]["anchors"]["said"].startswith(usual.RIGHT_TOO) for check in (GRADCHECK, CHECK_GRADS))
    printed = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert {"relu-negative-zero no no no no", f"{ASSERT_CLOSE} normal 0 2 0", f"{GRADCHECK} anchors 0 0 2"} <= {*printed}


def test_normal_inputs_count_where_the_disagreement_is() -> None:
    """JAX loses elu's gradient from -2.5 down, where some normal inputs lie; torch does not deviate."""
    answers = usual.judged(ROWS["elu-derivative-lost-tail"], ["float32"])
    assert answers[ASSERT_ALLCLOSE]["anchors"]["noticed"]
    assert answers[ASSERT_ALLCLOSE]["normal"]["said"] != usual.NOWHERE
    assert "that deviates" in answers[GRADCHECK]["normal"]["said"]


def test_a_row_as_long_as_a_vocabulary_is_not_given_to_gradcheck() -> None:
    """Its Jacobian takes tens of gigabytes. The atlas holds how it is made."""
    row = ROWS["log_softmax-long-row"]
    answers = usual.judged(row, ["float32"])
    assert answers[ASSERT_CLOSE]["anchors"]["noticed"] is not None
    assert answers[GRADCHECK]["anchors"] == {"noticed": None, "said": usual.TOO_LONG}
    assert all(at.place and usual.numbers(at).shape == (1, at.place.length) for at in row.inputs)


def test_the_axis_of_a_file_is_an_integer_again() -> None:
    """A file has it as a float, of which every function would raise, crosscheck's own too."""
    answers = usual.judged(ROWS["softmin-infinite-minimum"], ["float32"])
    assert answers[GRADCHECK]["anchors"]["noticed"] is not None, answers


@pytest.mark.parametrize("name", ["relu", "log1mexp", "softmax"])
def test_normal_inputs_are_seeded_and_lie_in_the_domain(name: str) -> None:
    usual.normal.cache_clear()
    numbers = usual.normal(name, "float32").x
    usual.normal.cache_clear()
    low, high = activations[name].domain
    assert numbers.size == 1000
    assert ((low < numbers) & (numbers < high)).all()
    assert (usual.normal(name, "float32").x == numbers).all()
