"""The planted faults and right functions of tests/detection: a missed fault and an alarm are seen."""

from dataclasses import replace
from typing import Any

import pytest
from detection import FAULTS, RIGHT, alarms, corpus, noticed
from detection.corpus import place
from detection.planting import around
from detection.records import KINDS, Fault, lies
from detection.right import Own
from detection.verified import Planted
from usual_checks import CHECKS

pytestmark = pytest.mark.full

FEWEST_FAULTS = 80
FEWEST_COMPARISONS = 2000
QUICK = (
    "sigmoid: the sign, torch",
    "relu: NaN swallowed by a maximum, jax",
    "sigmoid: wrong at a single input of 16 bits, torch",
    "tanh: detached, torch",
    "softplus: clipped after what comes in, torch",
    "tanh: the sign, torch",
    "linear: from length 17 to 33, torch",
    "tanh: the result in float16, torch",
    "an output left out",
    "tanh: wrong in forward mode",
    "tanh: the input changed in place",
    "momentum",
    "relu: at one subnormal",
    "an input masked",
    "a failed comparison written as passed",
    "one element",
)


def named(name: str) -> Fault:
    (fault,) = [fault for fault in FAULTS if fault.name == name]
    return fault


def test_there_are_enough_faults_of_every_class() -> None:
    assert len(FAULTS) >= FEWEST_FAULTS
    assert {fault.kind for fault in FAULTS} == set(KINDS)


def test_the_tables_that_are_kept_say_what_is_expected_now_and_how_much_was_compared() -> None:
    kept = corpus.CORPUS.kept
    for fault in FAULTS:
        assert kept[fault.name]["expected"] == {"cause": fault.cause, "side": fault.side, "at": place(fault.at)}
    assert sum(row["comparisons"] for row in alarms.CORPUS.kept.values()) >= FEWEST_COMPARISONS


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.filterwarnings("ignore")  # some faults warn, as they do where people make them
def test_a_fault_is_found_with_its_cause_side_and_input(name: str) -> None:
    fault = named(name)
    verdict = fault.judge()
    assert fault.expects(verdict), verdict


@pytest.mark.parametrize(
    "wrong", [{"cause": "special"}, {"side": "jax"}, {"at": 2.0}, {"at": (10, 20)}], ids=["cause", "side", "input", "region"]
)
def test_a_fault_that_is_expected_to_be_another_is_not_found(wrong: dict[str, Any]) -> None:
    fault = named("sigmoid: wrong at a single input of 16 bits, torch")
    verdict = fault.judge()
    changed = replace(fault, **wrong)
    if "side" in wrong:  # it would be planted there
        assert not changed.expects(verdict)
    else:
        assert not changed.expects(changed.judge())
    assert fault.expects(verdict)


def right_after_all(own: Any, x: Any, **parameters: Any) -> Any:
    return own(x, **parameters)


NO_FAULT = Planted(name="none", kind="values", of="relu", plant=around(right_after_all), cause="definition", side="torch")


def test_a_right_function_that_is_called_a_fault_is_missed() -> None:
    row = corpus.judged(NO_FAULT)
    assert (row["found"], row["as_expected"], row["got"]["cause"]) == (False, False, None)
    assert corpus.CORPUS.worse(row, None)


def test_a_fault_that_is_called_right_raises_an_alarm() -> None:
    def doubled(activation: Any, side: str) -> Any:
        return lambda x: getattr(activation, side)(x) * 2

    row = alarms.judged(Own(name="doubled", kind="own implementations", of="relu", made=doubled, seeds=(1,)))
    assert row["alarms"]
    assert alarms.CORPUS.worse(row, None)
    assert "ALARM" in alarms.CORPUS.line(row)


def test_the_usual_checks_notice_a_gross_fault_and_no_right_function() -> None:
    gross = noticed.judged(named("sigmoid: half the gradient, torch"))["said"]
    assert [gross[check] is not None for check in CHECKS[:3]] == [True, True, True]
    (tanh,) = [right for right in RIGHT if right.name == "tanh, own"]
    for row in (named("softplus: wrong at -20, torch"), tanh):
        said = noticed.judged(row)["said"]
        assert [said.get(check) for check in (CHECKS[0], *CHECKS[2:])] == [None] * 3
    assert noticed.judged(named("a piece twice in the journal"))["said"] == {}


def test_a_check_that_notices_something_else_than_before_is_said() -> None:
    row = {"said": {CHECKS[0]: None, CHECKS[1]: "Mismatched elements: 1 / 2"}}
    assert not noticed.is_worse(row, {"said": {CHECKS[0]: None, CHECKS[1]: "in other words"}})
    assert noticed.is_worse(row, {"said": {CHECKS[0]: None, CHECKS[1]: None}})


def test_an_input_lies_where_a_fault_does() -> None:
    assert lies(-0.0, -0.0)
    assert not lies(0.0, -0.0)
    assert lies(float("nan"), float("nan"))
    assert lies(2.0, (1, 2))
    assert not lies(float("nan"), (1, 2))
