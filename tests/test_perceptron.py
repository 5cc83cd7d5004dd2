"""The perceptron in both frameworks: the model, its losses, its training, and the agreement of two trainings."""

import pkgutil
from dataclasses import replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from contract import TRAINING_FAULTS
from trainings import TENSORS, TRAIN, History, Setup

import crosscheck
from crosscheck import Perceptron, PerceptronReport

SHORT = 60


@pytest.fixture(scope="module")
def learned() -> PerceptronReport:
    """Logical OR, as the command trains it."""
    return crosscheck.perceptron("or")


# the model


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("shape", [(2,), (1, 2), (7, 2), (3, 5, 2)])
def test_both_models_give_the_same_outputs_from_the_same_weights(logits: bool, shape: tuple[int, ...]) -> None:
    model = Perceptron(2, 3, logits=logits)
    module = model.torch()
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    ours = module(torch.from_numpy(x)).detach().numpy()
    theirs = model.apply(model.jax(module.weights()), jnp.asarray(x))
    assert ours.shape == theirs.shape == (*shape[:-1], 3)
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert logits or ((ours > 0) & (ours < 1)).all()


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
    ours, theirs = model.init(jax.random.key(0)), model.torch().weights()
    levels = np.linspace(0, 1, 21)
    for name in ("weight", "bias"):
        expected = np.linspace(-0.5, 0.5, 21)
        for drawn in (np.asarray(ours[name]), theirs[name]):
            assert np.abs(drawn).max() <= 0.5
            np.testing.assert_allclose(np.quantile(drawn, levels), expected, atol=0.03)
    assert np.abs(np.quantile(np.asarray(ours["weight"]) * 0.9, levels) - np.linspace(-0.5, 0.5, 21)).max() > 0.03


def test_the_start_is_what_torch_draws_and_its_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.nn.Linear(2, 1)
    before = torch.get_rng_state()
    report = crosscheck.perceptron("or", seed=5, epochs=1)
    assert torch.equal(before, torch.get_rng_state())
    assert np.array_equal(report.histories["jax"]["weight"][0], expected.weight.detach().numpy())


# the losses


@pytest.fixture(scope="module")
def losses() -> crosscheck.LossesReport:
    return crosscheck.losses()


def test_the_losses_differ_as_declared_and_nowhere_else(losses: crosscheck.LossesReport) -> None:
    assert losses.passed, str(losses)
    assert {point.input for point in losses.points} >= {-1e4, 1e4, 0.0, 1.0}


def test_what_torch_clamps_is_told(losses: crosscheck.LossesReport) -> None:
    def at(implementation: str, order: int, p: float, label: float) -> float:
        points = [
            q for q in losses.points if (q.implementation, q.order, q.input, q.label) == (implementation, order, p, label)
        ]
        return points[0].got

    assert at("torch.nn.BCELoss", 0, 0.0, 1.0) == at("crosscheck's in JAX", 0, 0.0, 1.0) == 100
    assert at("torch.nn.BCELoss", 1, 1.0, 0.0) == at("crosscheck's in JAX", 1, 1.0, 0.0) == float(np.float32(1e12))
    assert at("the formula in JAX", 0, 0.0, 1.0) == np.inf
    assert np.isnan(at("the formula in JAX", 0, 0.0, 0.0))
    assert "torch-log-clamped" in str(losses)


def test_a_difference_that_is_not_declared_is_found(losses: crosscheck.LossesReport) -> None:
    occurring = {point.declared for point in losses.points} - {None}
    assert {"torch-log-clamped", "torch-value-lost-tail"} < occurring
    for known in occurring:
        points = tuple(replace(one, declared=None if one.declared == known else one.declared) for one in losses.points)
        report = replace(losses, points=points)
        assert not report.passed
        assert any(not point.passed for point in points)
        assert report.stale == [known]


# two trainings


def test_or_is_learned_alike_in_both_frameworks(learned: PerceptronReport) -> None:
    assert learned.agree
    assert learned.agreement.cause == "rounding"
    for name in TRAIN:
        assert learned.accuracy(name) == 1
        assert learned.predictions(name).ravel().tolist() == [False, True, True, True]


@pytest.mark.parametrize("what", ["or", "points"])
def test_in_float64_the_trajectories_agree_to_1e_12(what: str) -> None:
    report = crosscheck.perceptron(what, dtype="float64")
    assert report.agree
    for tensor in TENSORS:
        a, b = (report.histories[name][tensor] for name in TRAIN)
        assert a.dtype == np.float64
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("what", ["points", "xor", "nand"])
@pytest.mark.parametrize("rate", [0.01, 1.0, 100.0])
def test_sound_trainings_agree_at_every_learning_rate(what: str, seed: int, rate: float) -> None:
    report = crosscheck.perceptron(what, seed=seed, learning_rate=rate, epochs=200)
    assert report.agree, str(report)


def test_the_first_difference_is_where_the_bits_part(learned: PerceptronReport) -> None:
    first = learned.agreement.first
    assert first is not None
    for tensor in TENSORS:
        a, b = (learned.histories[name][tensor] for name in TRAIN)
        before = first.epoch if tensor in ("weight", "bias") else first.epoch - 1
        assert a[:before].tobytes() == b[:before].tobytes()
    a, b = (learned.histories[name][first.tensor][(first.epoch - 1, *first.index)] for name in TRAIN)
    assert (first.torch, first.jax) == (float(a), float(b))
    assert a != b


def test_bit_equal_trainings_are_exact() -> None:
    report = crosscheck.perceptron("or", epochs=SHORT, replace={"jax": TRAIN["torch"]})
    assert report.agreement.cause == "exact"
    assert report.agreement.first is None
    assert "bit-equal at every epoch" in str(report)


FIRST_SEEN = {
    "sum": (1, "loss"),
    "no-reset": (2, "gradient.weight"),
    "flipped-label": (1, "loss"),
    "transposed": (1, "outputs"),
    "learning-rate": (1, "weight"),
    "start": (0, "weight"),
}


def test_every_fault_has_its_place() -> None:
    assert tuple(FIRST_SEEN) == TRAINING_FAULTS


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("what", ["or", "points"])
@pytest.mark.parametrize("side", ["torch", "jax"])
@pytest.mark.parametrize("fault", TRAINING_FAULTS)
def test_a_planted_fault_is_named_with_its_side_epoch_and_tensor(fault: str, side: str, what: str, dtype: str) -> None:
    report = crosscheck.perceptron(what, epochs=SHORT, dtype=dtype, plant={side: fault})
    assert not report.agree
    (found,) = report.agreement.findings
    assert report.agreement.cause == "definition"
    assert (found.framework, found.fault, (found.epoch, found.tensor)) == (side, fault, FIRST_SEEN[fault])
    assert fault in report.headline


def test_the_label_and_the_learning_rate_of_a_fault_are_told() -> None:
    rate = crosscheck.perceptron("or", epochs=SHORT, plant={"jax": "learning-rate"})
    assert rate.agreement.findings[0].message == "the learning rate is 0.2, not 0.1"
    label = crosscheck.perceptron("or", epochs=SHORT, plant={"jax": "flipped-label"})
    assert label.agreement.findings[0].message == "point 0 has the label 1, not 0"


def test_faults_on_both_sides_are_both_named() -> None:
    report = crosscheck.perceptron("or", epochs=SHORT, plant={"torch": "sum", "jax": "sum"})
    assert [(found.framework, found.fault) for found in report.agreement.findings] == [("torch", "sum"), ("jax", "sum")]


def test_a_transposed_weight_matrix_is_named_where_there_is_one_to_transpose() -> None:
    def turned(setup: Setup, progress: Any = None) -> History:
        weights = {**setup.weights, "weight": np.ascontiguousarray(setup.weights["weight"].T)}
        return TRAIN["jax"](replace(setup, weights=weights))

    x = np.random.default_rng(0).normal(size=(6, 2))
    report = crosscheck.perceptron(data=(x, x > 0), epochs=SHORT, replace={"jax": turned})
    (found,) = report.agreement.findings
    assert (found.fault, found.epoch, found.tensor) == ("transposed", 0, "weight")


def test_wrong_outputs_after_the_last_epoch_are_found() -> None:
    """Nothing follows from them but the predictions."""

    def late(setup: Setup, progress: Any = None) -> History:
        history = TRAIN["jax"](setup)
        outputs = history["outputs"].copy()
        outputs[-1] *= -1
        return History({**history.tensors, "outputs": outputs})

    report = crosscheck.perceptron("or", epochs=SHORT, replace={"jax": late})
    (found,) = report.agreement.findings
    assert (found.framework, found.tensor, found.epoch) == ("jax", "outputs", SHORT + 1)


@pytest.mark.parametrize("tensor", TENSORS)
def test_a_single_wrong_number_is_found_where_it_is(tensor: str) -> None:
    def nudged(setup: Setup, progress: Any = None) -> History:
        history = TRAIN["jax"](setup)
        tensors = {name: array.copy() for name, array in history.tensors.items()}
        tensors[tensor][37] *= 1 + 2.0**-14
        return History(tensors)

    report = crosscheck.perceptron("or", epochs=SHORT, replace={"jax": nudged})
    (found,) = report.agreement.findings
    assert (found.framework, found.fault, found.tensor) == ("jax", "unknown", tensor)
    assert found.epoch == (37 if tensor in ("weight", "bias") else 38)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_learning_rate_is_named_when_it_differs_in_the_sixth_digit(dtype: str) -> None:
    def faster(setup: Setup, progress: Any = None) -> History:
        return TRAIN["jax"](replace(setup, learning_rate=setup.learning_rate * 1.000002))

    report = crosscheck.perceptron("or", dtype=dtype, replace={"jax": faster})
    assert report.agreement.findings[0].message.startswith("the learning rate is 0.1000002")


def test_what_hides_in_the_rounding_of_a_step_but_adds_up_is_a_drift() -> None:
    """Weights that are always rounded up, where that is within the bound of one step."""

    def jax_outputs(setup: Setup) -> Any:
        return TRAIN["jax"](replace(setup, epochs=1))["outputs"][:1]

    def upwards(setup: Setup, progress: Any = None) -> History:
        steps = []
        for _ in range(setup.epochs):
            step = TRAIN["jax"](replace(setup, epochs=1))
            for name in ("weight", "bias"):
                after = step.tensors[name][1]
                after[...] = np.where(np.frexp(after)[0] >= 0.75, np.nextafter(after, np.inf, dtype=after.dtype), after)
            steps.append(step)
            setup = replace(setup, weights={name: step[name][1] for name in setup.weights})
        tensors = {name: np.concatenate([step[name] for step in steps]) for name in TENSORS}
        for name in ("weight", "bias"):
            tensors[name] = np.concatenate([steps[0][name][:1], *(step[name][1:] for step in steps)])
        tensors["outputs"] = np.concatenate([*(step["outputs"][:1] for step in steps), jax_outputs(setup)])
        return History(tensors)

    report = crosscheck.perceptron("or", replace={"jax": upwards})
    assert not report.agree
    assert report.agreement.cause == "inaccurate", str(report)
    assert "more than rounding explains" in report.headline


@pytest.mark.parametrize("name", TRAIN)
def test_a_training_from_a_start_moved_by_one_ulp_is_sound_but_not_the_other_one_s(name: str) -> None:
    """This is the control."""

    def moved(setup: Setup, progress: Any = None) -> History:
        return TRAIN[name](replace(setup, weights={key: np.nextafter(w, np.inf, dtype=w.dtype) for key, w in start.items()}))

    start = crosscheck.perceptron("or", epochs=1).setup.weights
    report = crosscheck.perceptron("or", epochs=SHORT, replace={name: moved})
    (found,) = report.agreement.findings
    assert (found.framework, found.epoch, found.tensor) == (name, 0, "weight")
    weights = {tensor: report.histories[name][tensor][0] for tensor in start}
    assert crosscheck.perceptron("or", weights=weights, epochs=SHORT, replace={name: moved}).agree


def test_overflow_names_the_epoch_and_the_framework() -> None:
    report = crosscheck.perceptron("xor", learning_rate=3.2e38, epochs=20)
    assert not report.agree
    assert [(found.framework, found.epoch) for found in report.agreement.findings] == [("torch", 3), ("jax", 3)]
    assert report.agreement.cause == "special"
    for found in report.agreement.findings:
        losses = report.histories[found.framework]["loss"]
        assert not np.isfinite(losses[found.epoch - 1])
        assert np.isfinite(losses[: found.epoch - 1]).all()
    assert "torch: overflow, from epoch 3 on, first in loss: the loss stopped being finite and is inf" in str(report)


def test_a_nan_that_nothing_explains_is_not_an_overflow() -> None:
    def spoiled(setup: Setup, progress: Any = None) -> History:
        history = TRAIN["jax"](setup)
        loss = history["loss"].copy()
        loss[4] = np.nan
        return replace(history, tensors={**history.tensors, "loss": loss})

    report = crosscheck.perceptron("or", epochs=SHORT, replace={"jax": spoiled})
    assert [(found.fault, found.epoch) for found in report.agreement.findings] == [("unknown", 5), ("overflow", 5)]


def test_probabilities_that_become_nan_are_a_report_too() -> None:
    weights = {"weight": np.array([[2.0, -2.0]]), "bias": np.zeros(1)}
    report = crosscheck.perceptron(data=([[3e38, 3e38]], [1]), logits=False, weights=weights, epochs=20)
    assert not report.agree
    found = report.agreement.findings[0]
    assert (found.framework, found.fault, found.epoch) == ("torch", "overflow", 1)


def test_what_the_losses_are_known_to_lose_is_told_and_is_no_disagreement() -> None:
    report = crosscheck.perceptron("or", learning_rate=100.0, seed=2, epochs=200)
    assert report.agree
    assert (report.agreement.cause, report.agreement.declared) == ("rounding", True)
    assert "they differ by rounding and by what the losses are known to lose far out" in report.headline
    assert "together with what the losses are known to lose far out" in str(report)


# every gate, many seeds


@pytest.fixture(scope="module")
def many() -> crosscheck.PerceptronsReport:
    return crosscheck.perceptrons(seeds=20)


def test_every_gate_is_learned_but_the_two_that_cannot_be(many: crosscheck.PerceptronsReport) -> None:
    assert many.agree
    assert len(many.gates) == 16
    for gate in many.gates:
        for name in TRAIN:
            assert gate.learned(name) == (0 if gate.gate in ("xor", "xnor") else 20)
    assert "Never learned, in either framework: xor, xnor." in str(many)


def test_the_sixteen_gates_are_all_there_are(many: crosscheck.PerceptronsReport) -> None:
    truths = {gate.gate: gate.truth for gate in many.gates}
    assert len(set(truths.values())) == 16
    for name, function in {"or": np.logical_or, "xor": np.logical_xor, "and": np.logical_and}.items():
        assert truths[name] == "".join(str(int(function(a, b))) for a in (0, 1) for b in (0, 1))


def test_many_trainings_are_those_of_one_by_one(many: crosscheck.PerceptronsReport) -> None:
    for gate in ("or", "xor"):
        one = crosscheck.perceptron(gate, seed=3)
        (result,) = [result for result in many.gates if result.gate == gate]
        for name in TRAIN:
            assert result.predictions[name][3].tolist() == one.predictions(name).ravel().tolist()


def test_a_logit_on_the_boundary_is_listed_and_no_disagreement() -> None:
    """XOR's logits go to 0."""
    report = crosscheck.perceptrons("xor", seeds=3, epochs=10_000)
    (gate,) = report.gates
    assert report.agree
    assert gate.boundary
    assert all(abs(one.torch) < 1e-5 for one in gate.boundary)
    assert "on the boundary" in str(report)


@pytest.mark.parametrize("wrong", [0.5, np.nan])
def test_a_prediction_that_differs_off_the_boundary_is_found(wrong: float, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "crosscheck._training.torch_many.train_many"
    train_many = pkgutil.resolve_name(name)

    def spoiled(*arguments: Any) -> Any:
        logits = train_many(*arguments)
        logits[1, 2] = -np.sign(logits[1, 2]) * wrong
        return logits

    monkeypatch.setattr(name, spoiled)
    report = crosscheck.perceptrons(["or", "xor"], seeds=2, epochs=SHORT)
    assert [result.disagreements for result in report.gates] == [((1, 2),), ()]
    assert report.headline.startswith("DISAGREE")
