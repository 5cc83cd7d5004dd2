"""Optimisers of PyTorch and optax that do the same, and such that do not, each with what differs."""

import doctest
import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from facts import assert_facts, has_fact

import crosscheck
from crosscheck import Fact, OptimizerReport, UsageError, compare_optimizers

SGD = partial(torch.optim.SGD, lr=0.1)
OTHER_DECAY = Fact("option", role="weight_decay", torch="0.01", jax="0.0001")


def test_the_same_optimiser_is_the_same_for_all_kinds_of_gradients() -> None:
    report = compare_optimizers(torch.optim.Adam, optax.adam(1e-3))
    assert report.passed, report
    assert report.verdict.startswith("AGREE: Adam / optax: the same after each of 50 steps, of 4 kinds of gradients")
    assert [run.steps for run in report.judged] == [50] * 4
    assert (report.cause, report.side, report.explanation, report.first) == (None, None, "", None)
    assert {run.cause for run in report.judged} <= {"exact", "rounding"}


@pytest.mark.parametrize(
    ("of_torch", "of_optax", "facts"),
    [
        (
            partial(torch.optim.Adam, weight_decay=0.01),
            optax.adamw(1e-3),
            (OTHER_DECAY, Fact("option", role="decoupled_weight_decay", torch="False", jax="True")),
        ),
        (SGD, optax.sgd(0.05), (Fact("moves", jax="0.5"),)),
        (SGD, optax.chain(optax.scale(-1.0), optax.sgd(0.1)), (Fact("moves", jax="-1"),)),
        (partial(torch.optim.Adam, betas=(0.9, 0.99)), optax.adam(1e-3, b1=0.8), ()),
        (partial(torch.optim.Adam, eps=1e-4), optax.adam(1e-3, eps=0.0, eps_root=1e-4), (Fact("epsilon in the root"),)),
        (
            partial(torch.optim.AdamW, amsgrad=True, eps=1e-4, weight_decay=0.1),
            optax.chain(
                optax.scale_by_amsgrad(eps=0.0, eps_root=1e-4),
                optax.add_decayed_weights(0.1),
                optax.scale_by_learning_rate(1e-3),
            ),
            (Fact("epsilon in the root"), Fact("maximum")),
        ),
    ],
)
def test_what_would_make_them_the_same_is_named(of_torch: Any, of_optax: Any, facts: tuple[Fact, ...]) -> None:
    report = compare_optimizers(of_torch, of_optax, steps=20)
    assert not report.passed
    assert report.cause == "definition"
    assert report.facts == facts
    assert report.first is not None
    assert report.verdict.startswith("DISAGREE (definition): ")


def test_an_epsilon_at_another_place_shows_beside_tiny_gradients() -> None:
    report = compare_optimizers(partial(torch.optim.Adam, eps=1e-12), optax.adam(1e-3, eps=0.0, eps_root=1e-24), steps=20)
    assert {run.gradients: run.passed for run in report.judged} == {
        "usual": True,
        "zeros": True,
        "sparse": True,
        "tiny": False,
    }


def scheduled(params: list[Any]) -> tuple[Any, Any]:
    optimizer = SGD(params)
    return optimizer, torch.optim.lr_scheduler.StepLR(optimizer, 5, 0.5)


@pytest.mark.parametrize(
    ("late", "facts"), [(0, ()), (1, (Fact("moves at", jax="2", where="6"), Fact("schedule", jax="behind")))]
)
def test_a_schedule_that_is_a_step_late_is_told(late: int, facts: tuple[Fact, ...]) -> None:
    report = compare_optimizers(scheduled, optax.sgd(lambda step: 0.1 * 0.5 ** (jnp.maximum(step - late, 0) // 5)), steps=20)
    assert report.passed == (not late)
    assert_facts(report.facts, *facts)
    if report.first:
        assert report.first.first == 6


def cosine(params: list[Any]) -> tuple[Any, Any]:
    optimizer = torch.optim.AdamW(params, lr=0.01, weight_decay=0.1)
    return optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30)


def warmed(params: list[Any]) -> tuple[Any, Any]:
    optimizer = torch.optim.AdamW(params, lr=0.01, weight_decay=0.1)
    return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 8, 1.0))


@pytest.mark.full
@pytest.mark.parametrize(
    ("of_torch", "schedule", "fact"),
    [
        (cosine, optax.cosine_decay_schedule(0.01, 30), None),
        (cosine, optax.cosine_decay_schedule(0.01, 29), Fact("setting", "CosineAnnealingLR", "T_max", "30", "29")),
        (cosine, 0.01, Fact("moves at", jax="1.00275", where="2")),
        (cosine, optax.cosine_decay_schedule(0.02, 30), Fact("moves", jax="2")),
        (
            warmed,
            lambda step: 0.01 * jnp.minimum((step + 1) / 8, 1.0),
            Fact("schedule", jax="ahead"),
        ),
        (warmed, lambda step: 0.01 * jnp.minimum(jnp.maximum(step - 1, 0) / 8, 1.0), Fact("schedule", jax="behind")),
    ],
)
def test_learning_rates_are_found_beside_a_weight_decay(of_torch: Any, schedule: Any, fact: Fact | None) -> None:
    report = compare_optimizers(of_torch, optax.adamw(schedule, weight_decay=0.1), steps=20)
    assert report.passed == (fact is None)
    assert fact is None or has_fact(report.facts, fact)


def test_gradients_that_are_none_are_told_and_do_not_decide() -> None:
    assert not compare_optimizers(SGD, optax.sgd(0.1)).skips
    report = compare_optimizers(partial(SGD, momentum=0.9), optax.sgd(0.1, momentum=0.9))
    assert report.passed
    assert report.skips
    assert Fact("no gradients given").words() in report.verdict


def test_gradients_are_clipped_and_added_up_in_torch() -> None:
    clipped = compare_optimizers(
        SGD,
        optax.chain(optax.clip(0.5), optax.sgd(0.1)),
        clip=lambda params: torch.nn.utils.clip_grad_value_(params, 0.5),
        steps=10,
    )
    assert clipped.passed
    assert not compare_optimizers(SGD, optax.chain(optax.clip(0.5), optax.sgd(0.1)), steps=10).passed
    for rate, passed in ((0.2, True), (0.1, False)):  # optax takes the mean
        assert compare_optimizers(SGD, optax.MultiSteps(optax.sgd(rate), 2), every=2, steps=10).passed == passed


def test_a_side_that_is_inaccurate_in_the_dtype_is_named() -> None:
    def lost(x: Any) -> Any:
        return jax.lax.optimization_barrier(x + 1e4) - 1e4

    cancelling = optax.stateless(lambda g, _: jax.tree.map(lost, g))
    report = compare_optimizers(SGD, optax.chain(cancelling, optax.sgd(0.1)), steps=10)
    assert (report.cause, report.side) == ("inaccurate", "jax")


def test_a_schedule_in_float32_is_inaccurate_in_float64_and_no_side_is_blamed_for_it() -> None:
    def rounded(step: Any) -> Any:
        return (0.1 * 0.5 ** (step // 5)).astype(jnp.float32)

    report = compare_optimizers(scheduled, optax.sgd(rounded), steps=10, dtype="float64")
    assert (report.cause, report.side) == ("inaccurate", None)
    assert compare_optimizers(scheduled, optax.sgd(rounded), steps=10).passed


def test_a_nan_is_special() -> None:
    broken = optax.stateless(lambda g, _: jax.tree.map(lambda x: jnp.where(x == 0, jnp.nan, x), g))
    report = compare_optimizers(SGD, optax.chain(broken, optax.sgd(0.1)), steps=10)
    assert report.cause == "special"
    assert report.first is not None
    assert report.first.gradients == "zeros"
    assert report.first.first == 6


class Descent(torch.optim.Optimizer):
    """Asks for the function itself."""

    def __init__(self, params: list[Any], lr: float) -> None:
        super().__init__(params, {"lr": lr})

    def step(self, closure: Any) -> None:
        closure()
        with torch.no_grad():
            for group in self.param_groups:
                for parameter in group["params"]:
                    parameter.sub_(group["lr"] * parameter.grad)


def test_what_asks_for_the_function_gets_one() -> None:
    report = compare_optimizers(partial(Descent, lr=0.01), optax.sgd(0.01))
    assert report.passed, report
    assert [run.gradients for run in report.runs] == ["objective"]
    assert not compare_optimizers(partial(Descent, lr=0.01), optax.sgd(0.02)).passed


def test_parameters_of_ones_own_are_a_tree() -> None:
    params = {"layer": {"w": np.ones((2, 3)), "b": np.zeros(3)}, "scale": [np.float32(2)]}
    report = compare_optimizers(
        SGD, optax.masked(optax.sgd(0.1), {"layer": {"w": True, "b": True}, "scale": [False]}), params
    )
    assert report.first is not None
    assert report.first.parameter == "['scale'][0]"


def test_the_report_is_written(tmp_path: Path) -> None:
    report = compare_optimizers(torch.optim.AdamW, optax.adamw(1e-3), steps=5)
    report.to_json(tmp_path / "report.json")
    data = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert data["schema"] == "crosscheck.optimizers/1"
    assert data["environment"]["packages"]["optax"] == optax.__version__
    assert data["pairs"][0]["runs"][0]["gradients"] == "usual"
    assert Fact(**data["pairs"][0]["facts"][0]) == OTHER_DECAY
    table = crosscheck.OptimizersReport((report,), report.environment, {"optax.lbfgs()": "too old"})
    for text in (str(report), report.markdown(), str(table), table.markdown()):
        said = " ".join(text.replace("\\", "").split())
        assert OTHER_DECAY.words() in said
        assert "Fact(" not in said


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"torch_optimizer": 3}, "torch_optimizer: got int, expected a function"),
        ({"torch_optimizer": lambda params: None}, "torch_optimizer: it returned NoneType"),
        ({"torch_optimizer": lambda params: torch.optim.SGD(params, lr=-1)}, "torch_optimizer: it raised ValueError"),
        ({"optax_transform": optax.sgd}, "optax_transform: got function, expected a GradientTransformation"),
        ({"optax_transform": optax.GradientTransformation(lambda params: 1 / 0, None)}, "optax_transform: it raised Zero"),
        ({"params": {}}, "params: got no array"),
        ({"params": [np.arange(3)]}, "params: got an array of int64"),
        ({"params": [np.array([np.nan])]}, "params: got NaN"),
        ({"clip": 1.0}, "clip: got float"),
        ({"every": 0}, "every: got 0"),
        ({"steps": 0}, "steps: got 0"),
        ({"dtype": "bfloat16"}, "unknown dtype 'bfloat16'"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_message(options: dict[str, Any], message: str) -> None:
    given = {"torch_optimizer": SGD, "optax_transform": optax.sgd(0.1)} | options
    with pytest.raises(UsageError, match=message.replace("(", r"\(")):
        compare_optimizers(**given)


@pytest.fixture(scope="module")
def table() -> crosscheck.OptimizersReport:
    return crosscheck.optimizers()


def of(table: crosscheck.OptimizersReport, jax_side: str) -> OptimizerReport:
    return next(pair for pair in table.pairs if pair.jax == jax_side)


@pytest.mark.slow
def test_the_table_runs_whole(table: crosscheck.OptimizersReport, monkeypatch: pytest.MonkeyPatch) -> None:
    example = doctest.DocTestParser().get_doctest(str(crosscheck.optimizers.__doc__), {}, "optimizers", None, 0)
    monkeypatch.setattr(crosscheck, "optimizers", lambda: table)  # the table takes most of a minute
    assert example.examples
    assert doctest.DocTestRunner(verbose=False).run(example).failed == 0
    assert not table.skipped
    assert table.passed
    assert of(table, "optax.adam(1e-3)").passed
    assert not of(table, "optax.adamw(1e-3)").passed
    assert not of(table, "optax.lbfgs()").passed
    differ = [pair for pair in table.pairs if not pair.passed]
    assert all(pair.first is not None and pair.difference for pair in differ)
    assert len(table.data()["pairs"]) == len(table.pairs)
    assert f"{len(differ)} differ" in table.headline
