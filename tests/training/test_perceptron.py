"""The perceptron in both frameworks: the model, its training, and the agreement of two trainings."""

from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from detection.trained import trainer
from facts import assert_facts, facts_of, has_fact

import crosscheck
from crosscheck import Fact, Perceptron, PerceptronReport

SIDES = ("torch", "jax")
SHORT = 20
GATES = (
    *("false", "and", "a-and-not-b", "a", "b-and-not-a", "b", "xor", "or"),
    *("nor", "xnor", "not-b", "a-or-not-b", "not-a", "b-or-not-a", "nand", "true"),
)


# the model


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("shape", [(2,), (1, 2), (7, 2), (3, 5, 2)])
def test_both_models_give_the_same_outputs_from_the_same_weights(logits: bool, shape: tuple[int, ...]) -> None:
    model = Perceptron(2, 3, logits=logits)
    module = model.torch()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    torch_outputs = module(torch.from_numpy(x)).detach().numpy()
    jax_outputs = model.apply(model.jax(module.weights()), jnp.asarray(x))
    assert torch_outputs.shape == jax_outputs.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(torch_outputs, jax_outputs, rtol=1e-5, atol=1e-6)
    assert logits or ((torch_outputs > 0) & (torch_outputs < 1)).all()


def test_one_input_gives_one_probability() -> None:
    model = Perceptron(2, 1)
    module = model.torch()
    x = [0.5, 0.2]
    assert module(torch.tensor(x)).item() == pytest.approx(model.apply(model.jax(module.weights()), jnp.array(x)).item())


def test_the_sigmoid_is_the_catalogue_s() -> None:
    model = Perceptron(1, 1)
    weights = {"weight": np.ones((1, 1), np.float32), "bias": np.zeros(1, np.float32)}
    x = torch.linspace(-90, 90, 50)[:, None]
    assert torch.equal(model.torch(weights)(x), crosscheck.activations["sigmoid"].torch(x))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_weights_move_there_and_back_bit_for_bit(dtype: str) -> None:
    model = Perceptron(3, 2)
    with jax.enable_x64(dtype == "float64"):
        drawn = model.init(jax.random.key(1), dtype=dtype)
        back = model.torch({name: np.asarray(array) for name, array in drawn.items()}).weights()
        again = model.jax(back)
        for name, array in drawn.items():
            assert array.dtype == back[name].dtype == again[name].dtype == dtype
            assert np.asarray(array).tobytes() == back[name].tobytes() == np.asarray(again[name]).tobytes()


def test_the_jax_initialiser_draws_from_pytorch_s_distribution() -> None:
    """Both are uniform within 1/sqrt(inputs): the quantiles of many draws lie within what chance allows."""
    model = Perceptron(4, 5000)
    torch.manual_seed(0)
    jax_start, torch_start = model.init(jax.random.key(0)), model.torch().weights()
    levels = np.linspace(0, 1, 21)
    for name in ("weight", "bias"):
        expected = np.linspace(-0.5, 0.5, 21)
        for drawn in (np.asarray(jax_start[name]), torch_start[name]):
            assert np.abs(drawn).max() <= 0.5
            np.testing.assert_allclose(np.quantile(drawn, levels), expected, atol=0.03)
    assert np.abs(np.quantile(np.asarray(jax_start["weight"]) * 0.9, levels) - np.linspace(-0.5, 0.5, 21)).max() > 0.03


def test_the_start_is_what_torch_draws_and_its_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.nn.Linear(2, 1)
    before = torch.get_rng_state()
    report = crosscheck.perceptron("or", seed=5, epochs=1)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(report.histories["jax"]["weight"][0], expected.weight.detach().numpy())


# two trainings


def test_or_is_learned_alike_in_both_frameworks(learned: PerceptronReport) -> None:
    assert learned.agree
    assert learned.cause == "rounding"
    for name in SIDES:
        assert learned.accuracy(name) == 1
        assert learned.predictions(name).ravel().tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    "gate",
    [pytest.param(gate, marks=pytest.mark.full if gate in ("and", "xor") else pytest.mark.catalogue) for gate in GATES],
)
def test_every_gate_is_trained_alike_and_learned_but_the_two_that_cannot_be(gate: str) -> None:
    report = crosscheck.perceptron(gate, learning_rate=1.0, epochs=60)
    assert report.agree, str(report)
    for name in SIDES:
        assert (report.accuracy(name) == 1) == (gate not in ("xor", "xnor"))


def test_a_loss_that_loses_digits_near_0_is_a_finding_of_its_side() -> None:
    """PyTorch's, where the label is 0 and the logit far below: z - log sigmoid(z) cancels."""
    report = crosscheck.perceptron("false", learning_rate=3.0, epochs=60)
    (finding,) = report.findings
    assert (finding.framework, finding.part, report.cause) == ("torch", "loss", "inaccurate")
    assert_facts(finding.facts, Fact("more than rounding", "loss"))
    assert str(finding).startswith(f"torch's loss, from epoch {finding.epoch} on: {finding.facts[0].words()}")
    assert str(finding) in report.headline
    assert np.array_equal(report.predictions("torch"), report.predictions("jax"))


def test_in_float64_the_trajectories_agree_to_1e_12() -> None:
    report = crosscheck.perceptron("or", dtype="float64", epochs=100)
    assert report.agree
    for tensor in ("loss", "weight", "bias"):
        a, b = (report.histories[name][tensor] for name in SIDES)
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("what", "rate", "seed", "dtype"),
    [
        ("nand", 0.01, 1, "float32"),
        ("xor", 10.0, 1, "float64"),
        pytest.param("xor", 10.0, 1, "float32", marks=pytest.mark.full),
        pytest.param("or", 1.0, 0, "float64", marks=pytest.mark.catalogue),
        pytest.param("or", 10.0, 1, "float64", marks=pytest.mark.catalogue),
        *(
            pytest.param(what, rate, seed, dtype, marks=pytest.mark.catalogue)
            for what in ("and", "xor", "nand")
            for rate in (0.1, 1.0, 10.0)
            for seed, dtype in ((0, "float32"), (2, "float64"))
        ),
    ],
)
def test_sound_trainings_agree_at_every_learning_rate(what: str, rate: float, seed: int, dtype: str) -> None:
    report = crosscheck.perceptron(what, seed=seed, learning_rate=rate, epochs=100, dtype=dtype)
    assert report.agree, str(report)


@pytest.mark.full
def test_gradients_of_which_float64_keeps_no_digit_differ_by_rounding() -> None:
    """The loss of xor comes to rest, and the gradients shrink until they are what rounding leaves of a sum."""
    report = crosscheck.perceptron("xor", learning_rate=1.0, dtype="float64", epochs=1000)
    assert report.agree, str(report)


def test_the_first_difference_is_where_the_bits_part(learned: PerceptronReport) -> None:
    first = learned.first
    assert first is not None
    for tensor in ("loss", "weight", "bias"):
        a, b = (learned.histories[name][tensor] for name in SIDES)
        before = first.epoch - (tensor == "loss")
        assert a[:before].tobytes() == b[:before].tobytes()
    at = (first.epoch - (first.tensor == "loss"), *first.index)
    a, b = (learned.histories[name][first.tensor][at] for name in SIDES)
    assert (first.torch, first.jax) == (float(a), float(b))
    assert a != b


def test_bit_equal_trainings_are_exact() -> None:
    weights = {"weight": np.zeros((1, 1)), "bias": np.zeros(1)}
    report = crosscheck.perceptron(data=([[0.0], [0.0]], [0, 1]), weights=weights, epochs=5)
    assert report.cause == "exact"
    assert report.first is None
    assert Fact("no difference").words() in " ".join(str(report).split())


def test_the_label_and_the_learning_rate_of_a_fault_are_told() -> None:
    rate = crosscheck.perceptron("or", epochs=SHORT, plant={"jax": "learning-rate"})
    assert_facts(facts_of(rate.comparisons["jax"]), Fact("rate", torch="0.1", jax="0.2"))
    label = crosscheck.perceptron("or", epochs=SHORT, plant={"jax": "flipped-label"})
    (fact,) = facts_of(label.comparisons["jax"])
    assert fact == Fact("batch numbers", fact.what, "1 of its 4 numbers differs", "0", "1", " at [0, 0]")


def test_faults_on_both_sides_are_both_named() -> None:
    report = crosscheck.perceptron("or", epochs=SHORT, plant={"torch": "sum", "jax": "sum"})
    assert [(finding.framework, finding.part) for finding in report.findings] == [("torch", "loss"), ("jax", "loss")]


def test_a_transposed_weight_matrix_is_named() -> None:
    def turned(setup: Any) -> Any:
        return trainer()(replace(setup, weights={**setup.weights, "weight": setup.weights["weight"].T.copy()}))

    x = np.random.default_rng(0).normal(size=(6, 2))
    report = crosscheck.perceptron(data=(x, x > 0), epochs=5, replace={"jax": turned})
    assert (report.findings[0].framework, report.findings[0].part) == ("jax", "model")
    assert has_fact(facts_of(report.comparisons["jax"]), Fact("order", jax="transposed", where="linear.weight"))


def test_a_training_of_another_kind_is_judged() -> None:
    """In JAX, with kernels of shape (inputs, outputs) and without optax; in PyTorch, with a module of another name."""

    def plain(setup: Any) -> Any:
        def loss(params: Any, x: Any, y: Any) -> Any:
            z = x @ params["kernel"] + params["b"]
            return jnp.mean(jax.nn.softplus(z) - y * z)

        def step(params: Any, x: Any, y: Any) -> Any:
            value, by = jax.value_and_grad(loss)(params, x, y)
            return jax.tree.map(lambda weight, gradient: weight - setup.learning_rate * gradient, params, by), value

        return step, {"kernel": jnp.asarray(setup.weights["weight"].T), "b": jnp.asarray(setup.weights["bias"])}

    def module(setup: Any) -> Any:
        model = torch.nn.Sequential(torch.nn.Linear(2, 1))
        with torch.no_grad():
            for parameter, array in zip(model.parameters(), setup.weights.values(), strict=True):
                parameter.copy_(torch.from_numpy(array))
        optimizer = torch.optim.SGD(model.parameters(), lr=setup.learning_rate, momentum=0.9)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            value = torch.nn.functional.binary_cross_entropy_with_logits(model(x), y)
            value.backward()
            optimizer.step()
            return value

        return step, (model, optimizer)

    right = crosscheck.perceptron("or", epochs=SHORT, replace={"jax": plain})
    assert right.agree, str(right)
    assert right.histories["jax"]["weight"].shape == (SHORT + 1, 1, 2)
    np.testing.assert_allclose(*(right.histories[name]["weight"] for name in SIDES), rtol=1e-5)
    wrong = crosscheck.perceptron("or", epochs=SHORT, replace={"torch": module})
    (finding,) = wrong.findings
    assert (finding.framework, finding.part, finding.epoch) == ("torch", "optimiser", 2)
    assert_facts(facts_of(wrong.comparisons["torch"]), Fact("option", role="momentum", torch="0.9", jax="0.0"))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_learning_rate_is_named_when_it_differs_in_the_sixth_digit(dtype: str) -> None:
    def faster(setup: Any) -> Any:
        tx = optax.sgd(setup.learning_rate * 1.00001)

        def loss(weights: Any, x: Any, y: Any) -> Any:
            return optax.sigmoid_binary_cross_entropy(x @ weights["weight"].T + weights["bias"], y).mean()

        def step(state: Any, x: Any, y: Any) -> Any:
            value, gradients = jax.value_and_grad(loss)(state[0], x, y)
            updates, held = tx.update(gradients, state[1])
            return (optax.apply_updates(state[0], updates), held), value

        with jax.enable_x64(dtype == "float64"):
            weights = {name: jnp.asarray(weight) for name, weight in setup.weights.items()}
            return step, (weights, tx.init(weights))

    report = crosscheck.perceptron("or", dtype=dtype, epochs=5, replace={"jax": faster})
    assert_facts(facts_of(report.comparisons["jax"]), Fact("rate", torch="0.1", jax="0.100001"))


@pytest.mark.full
def test_what_hides_in_the_rounding_of_a_step_but_adds_up_is_a_drift() -> None:
    """Weights that are always rounded up."""

    def upwards(setup: Any) -> Any:
        step, state = trainer()(setup)

        def wrong(state: Any, x: Any, y: Any) -> Any:
            (weights, *rest), loss = step(state, x, y)
            up = jax.lax.stop_gradient({name: weight * (1 + 2.0**-24 + 2.0**-25) for name, weight in weights.items()})
            return (up, *rest), loss

        return wrong, state

    report = crosscheck.perceptron("or", epochs=400, replace={"jax": upwards})
    assert report.cause == "definition", str(report)
    assert report.findings == ()
    assert report.headline.endswith(f": {Fact('drift').words()}.")
    assert report.comparisons["jax"].drift.faster is not None


def test_a_start_moved_by_one_ulp_is_another_start() -> None:
    def moved(setup: Any) -> Any:
        weights = {name: np.nextafter(weight, np.inf, dtype=weight.dtype) for name, weight in setup.weights.items()}
        return trainer()(replace(setup, weights=weights))

    report = crosscheck.perceptron("or", epochs=5, replace={"jax": moved})
    assert [finding.part for finding in report.findings] == ["start"]


def test_overflow_names_the_epoch_and_the_framework() -> None:
    report = crosscheck.perceptron("xor", learning_rate=3.2e38, epochs=20)
    assert not report.agree
    overflows = [finding for finding in report.findings if finding.part == "overflow"]
    assert [(overflow.framework, overflow.epoch) for overflow in overflows] == [("torch", 3), ("jax", 3)]
    assert report.cause == "special"
    for overflow in overflows:
        assert overflow.framework is not None
        losses = report.histories[overflow.framework]["loss"]
        assert not np.isfinite(losses[overflow.epoch - 1])
        assert np.isfinite(losses[: overflow.epoch - 1]).all()
        assert overflow.facts == (Fact("not finite", "the loss", where="inf"),)
        assert str(overflow) in " ".join(str(report).split())


def test_a_nan_on_one_side_is_a_finding_of_that_side() -> None:
    def spoiled(setup: Any) -> Any:
        step, state = trainer()(setup)
        return (lambda state, x, y: (step(state, x, y)[0], step(state, x, y)[1] * jnp.nan)), state

    report = crosscheck.perceptron("or", epochs=5, replace={"jax": spoiled})
    assert {finding.framework for finding in report.findings} == {"jax"}
    assert report.cause == "special"


@pytest.mark.parametrize(
    ("made", "message"),
    [
        (lambda setup: 3, "replace: got int from its function, expected a pair: a step and its state"),
        (lambda setup: (lambda x, y: x.sum(), 3), "torch_state: got int"),
    ],
)
def test_a_training_that_is_none_is_refused(made: Any, message: str) -> None:
    with pytest.raises(crosscheck.UsageError, match=message):
        crosscheck.perceptron("or", epochs=2, replace={"torch": made})
