"""What a report on trainings says, draws and writes, and the messages for wrong arguments."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch

import crosscheck
from crosscheck import Fact, Perceptron, PerceptronReport, UsageError

SIDES = ("torch", "jax")


def test_json_holds_every_loss(learned: PerceptronReport, tmp_path: Path) -> None:
    learned.to_json(tmp_path / "or.json")
    data = json.loads((tmp_path / "or.json").read_text())
    assert data["schema"] == "crosscheck.perceptron/1"
    assert (data["gate"], data["agree"]) == ("or", True)
    assert data["environment"]["packages"]["optax"]
    for name in SIDES:
        side = data["frameworks"][name]
        assert np.array_equal(np.float32(side["losses"]), learned.histories[name]["loss"])
        assert (side["accuracy"], side["predictions"]) == (1.0, [0, 1, 1, 1])
    assert data["first_difference"].keys() == {"epoch", "tensor", "index", "torch", "jax"}
    assert data["comparisons"]["own"]["summary"]["passed"]


def test_the_text_shows_every_tenth_loss_and_the_verdict(learned: PerceptronReport) -> None:
    text = str(learned)
    assert (learned.cause, learned.gate, learned.setup.dtype, learned.setup.epochs) == ("rounding", "or", "float32", 100)
    assert text.startswith(learned.headline)
    assert learned.headline.split(": ") == ["AGREE", "or, float32, 100 epochs", f"{Fact('by rounding').words()}."]
    shown = [line.split()[0] for line in text.splitlines()[3:14]]
    assert shown == ["1", *(f"{n}0" for n in range(1, 11))]
    drift = learned.comparisons["own"].drift
    assert drift is not None
    for part in ("accuracy", "[0, 1, 1, 1]", "First difference: epoch", Fact("other starts", str(drift.runs)).words()):
        assert part in text


def test_the_figure_shows_losses_difference_and_boundary(learned: PerceptronReport) -> None:
    first, second, third = learned.plot().axes
    drawn = {line.get_label(): line.get_ydata() for line in first.lines}
    for name in SIDES:
        assert np.array_equal(drawn[name], learned.histories[name]["loss"].astype(float))
    assert second.get_yscale() == "log"
    points = np.concatenate([collection.get_offsets() for collection in third.collections[-2:]])
    assert sorted(map(tuple, points.tolist())) == [(0, 0), (0, 1), (1, 0), (1, 1)]


def test_a_training_without_two_inputs_has_no_boundary_to_draw() -> None:
    report = crosscheck.perceptron(data=([[0.0], [1.0]], [0, 1]), epochs=5)
    assert len(report.plot().axes) == 2


def test_a_figure_is_drawn_whatever_was_learned() -> None:
    for rate in (0.1, 3.3e38):
        assert crosscheck.perceptron("true", learning_rate=rate, epochs=5).plot().axes


# bad input

X, Y = [[0.0, 1.0], [1.0, 0.0]], [0, 1]
BAD: dict[str, tuple[Callable[[], object], str]] = {
    "gate": (lambda: crosscheck.perceptron("orr"), "unknown gate 'orr'; did you mean 'or'?"),
    "capitals": (lambda: crosscheck.perceptron("OR"), "unknown gate 'OR'; did you mean 'or'?"),
    "no epochs": (lambda: crosscheck.perceptron(epochs=0), "epochs: got 0, expected an integer of at least 1"),
    "epochs": (lambda: crosscheck.perceptron(epochs=-5), "epochs: got -5"),
    "half an epoch": (lambda: crosscheck.perceptron(epochs=1.5), "epochs: got 1.5"),  # type: ignore[arg-type]
    "nan": (lambda: crosscheck.perceptron(learning_rate=np.nan), "learning_rate: got nan, expected a number above 0"),
    "negative": (lambda: crosscheck.perceptron(learning_rate=-0.1), "learning_rate: got -0.1"),
    "too large": (lambda: crosscheck.perceptron(learning_rate=1e39), "at most 3.4e+38, the largest float32"),
    "seed": (lambda: crosscheck.perceptron(seed=-1), "seed: got -1"),
    "dtype": (lambda: crosscheck.perceptron(dtype="float31"), "did you mean 'float32'?"),
    "fault": (lambda: crosscheck.perceptron(plant={"jax": "sums"}), "did you mean 'sum'?"),
    "side": (lambda: crosscheck.perceptron(plant={"torhc": "sum"}), "did you mean 'torch'?"),
    "replaced": (lambda: crosscheck.perceptron(replace={"numpy": lambda setup: setup}), "unknown framework 'numpy'"),
    "flat x": (lambda: crosscheck.perceptron(data=([0.0, 1.0], Y)), "data: x: got shape (2,), expected (points, inputs)"),
    "y too long": (lambda: crosscheck.perceptron(data=(X, [0, 1, 1])), "data: y: got shape (3, 1) for x of shape (2, 2)"),
    "label": (lambda: crosscheck.perceptron(data=(X, [0, 2])), "data: y: got the label 2, expected 0 or 1"),
    "nan label": (lambda: crosscheck.perceptron(data=(X, [0, np.nan])), "data: y: got the label nan"),
    "nan input": (lambda: crosscheck.perceptron(data=([[np.nan, 0.0]], [1])), "data: x: got NaN or infinity"),
    "weights": (
        lambda: crosscheck.perceptron(weights={"weight": np.zeros((2, 1)), "bias": np.zeros(1)}),
        "weights: weight: got shape (2, 1), expected (1, 2)",
    ),
    "names": (lambda: crosscheck.perceptron(weights={"kernel": np.zeros((1, 2))}), "got kernel, expected weight and bias"),
}


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_gets_one_message_that_teaches(kind: str) -> None:
    call, message = BAD[kind]
    with pytest.raises(UsageError) as raised:
        call()
    assert message in str(raised.value)


@pytest.mark.parametrize("dim", [0, -1, 1.5, True])
def test_a_perceptron_needs_positive_dimensions(dim: Any) -> None:
    with pytest.raises(ValueError, match=r"input_dim: got .*, expected a positive integer"):
        Perceptron(dim, 1)


def test_an_input_of_another_shape_is_refused_by_both_models() -> None:
    model = Perceptron(2, 1)
    module = model.torch()
    for call in (
        lambda: module(torch.zeros(2, 4)),
        lambda: model.apply(model.jax(module.weights()), jnp.zeros((2, 4))),
        lambda: model.apply(model.jax(module.weights()), jnp.array(1.0)),
    ):
        with pytest.raises(ValueError, match=r"x: got shape .*, expected \(2,\) or \(points, 2\)"):
            call()


def test_weights_of_another_shape_or_dtype_are_refused() -> None:
    model = Perceptron(2, 1)
    weights = model.torch().weights()
    with pytest.raises(ValueError, match=r"weight: got shape \(2, 1\), expected \(1, 2\)"):
        model.torch({**weights, "weight": weights["weight"].T})
    with pytest.raises(ValueError, match=r"weight: got shape \(2, 1\), expected \(1, 2\)"):
        model.jax({**weights, "weight": weights["weight"].T})
    with pytest.raises(ValueError, match="got dtype float64, expected float32"):
        model.torch({**weights, "weight": weights["weight"].astype(float)})
