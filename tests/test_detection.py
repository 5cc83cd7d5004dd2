"""The planted faults and right functions of tests/detection: their tables can fail, and the kept one is of these rows."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from detection import FAULTS, RIGHT
from detection.__main__ import main
from detection.planting import around
from detection.records import KINDS, Fault, Right, lies
from detection.right import Own
from detection.tables import CHECKS, alarm_row, fault_row, place, usual_row
from detection.verified import Planted

pytestmark = pytest.mark.full

RESULTS = Path(__file__).parent.parent / "results" / "detection.json"
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


@pytest.fixture(scope="module")
def kept() -> Any:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def test_there_are_enough_faults_of_every_class_and_names_are_unique() -> None:
    assert len(FAULTS) >= FEWEST_FAULTS
    assert {fault.kind for fault in FAULTS} == set(KINDS)
    for rows in (FAULTS, RIGHT):
        assert len({row.name for row in rows}) == len(rows)


def test_the_table_that_is_kept_is_of_these_faults_and_all_were_found(kept: Any) -> None:
    expected = {
        fault.name: (fault.kind, {"cause": fault.cause, "side": fault.side, "at": place(fault.at)}) for fault in FAULTS
    }
    assert {row["name"]: (row["class"], row["expected"]) for row in kept["faults"]} == expected
    for row in kept["faults"]:
        assert row["found"], row
        assert row["as_expected"], row
        assert [row["got"][field] for field in ("cause", "side")] == [row["expected"][field] for field in ("cause", "side")]


def test_of_the_right_functions_none_was_complained_of(kept: Any) -> None:
    assert [row["name"] for row in kept["alarms"]] == [right.name for right in RIGHT]
    assert not any(row["alarms"] for row in kept["alarms"])
    assert sum(row["comparisons"] for row in kept["alarms"]) >= FEWEST_COMPARISONS


def test_what_the_usual_checks_said_is_kept_of_every_row(kept: Any) -> None:
    for rows, name in ((FAULTS, "faults"), (RIGHT, "right")):
        assert [row["name"] for row in kept["usual"][name]] == [row.name for row in rows]
        assert all(set(row["said"]) <= set(CHECKS) for row in kept["usual"][name])


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
    row = fault_row(NO_FAULT)
    assert (row["found"], row["as_expected"], row["got"]["cause"]) == (False, False, None)


def test_a_fault_that_is_called_right_raises_an_alarm() -> None:
    def doubled(activation: Any, side: str) -> Any:
        return lambda x: getattr(activation, side)(x) * 2

    row = alarm_row(Own(name="doubled", kind="own implementations", of="relu", made=doubled, seeds=(1,)))
    assert row["alarms"]


def test_the_command_exits_1_where_a_fault_is_missed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    found = replace(NO_FAULT, name="a third", plant=around(lambda own, x, **p: own(x, **p) / 3))
    path = tmp_path / "detection.json"
    for faults, code, rate in (([found], 0, "100.0%"), ([found, NO_FAULT], 1, "50.0%")):
        monkeypatch.setattr("detection.__main__.FAULTS", faults)
        assert main(["faults", "--json", str(path)]) == code
        assert f"detection rate: {rate}" in capsys.readouterr().out
        assert [row["name"] for row in json.loads(path.read_text())["faults"]] == [fault.name for fault in faults]


def test_the_usual_checks_notice_a_gross_fault_and_no_right_function() -> None:
    gross = usual_row(named("sigmoid: half the gradient, torch"))["said"]
    assert [gross[check] is not None for check in CHECKS[:3]] == [True, True, True]
    (tanh,) = [right for right in RIGHT if right.name == "tanh, own"]
    for row in (named("softplus: wrong at -20, torch"), tanh):
        said = usual_row(row)["said"]
        assert [said.get(check) for check in (CHECKS[0], *CHECKS[2:])] == [None] * 3
    assert usual_row(named("a piece twice in the journal"))["said"] == {}


def test_an_input_lies_where_a_fault_does() -> None:
    assert lies(-0.0, -0.0)
    assert not lies(0.0, -0.0)
    assert lies(float("nan"), float("nan"))
    assert lies(2.0, (1, 2))
    assert not lies(float("nan"), (1, 2))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_every_fault_is_found(fault: Fault) -> None:
    verdict = fault.judge()
    assert fault.expects(verdict), verdict


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("right", RIGHT, ids=lambda right: right.name)
def test_nothing_right_is_complained_of(right: Right) -> None:
    row = alarm_row(right)
    assert row["comparisons"]
    assert not row["alarms"]
