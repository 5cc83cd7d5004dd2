"""The session that tries mutants can fail and changes no source; the result that is kept has the survivors explained."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mutation.bench import Bench, UnusableTestsError
from mutation.records import (
    KILLED,
    ROOT,
    SURVIVED,
    TESTS,
    TIMED_OUT,
    Explained,
    Identity,
    Mutant,
    Outcome,
    chosen,
    explained,
)
from mutation.summary import MOST_SURVIVORS, Summary

pytestmark = pytest.mark.full

MODULE = "crosscheck/_arithmetic/profile.py"
RESULTS = ROOT / "results" / "robustness" / "mutation.json"


def mutant(name: str) -> Mutant:
    return Mutant(Identity(MODULE, "f", f"{name} + 1", f"{name} - 1"), 1, "core/ReplaceBinaryOperator_Add_Sub", 0)


MUTANTS = [mutant(f"x{k}") for k in range(100)]
KNOWN = {mutant.identity for mutant in MUTANTS}
DEAD, ENDLESS, ALIVE = (Outcome(result, 0.5) for result in (KILLED, TIMED_OUT, SURVIVED))
ALL_KILLED = dict.fromkeys(MUTANTS, DEAD)
FIRST = MUTANTS[0]
WHY = Explained(FIRST.identity, "it changes nothing")
NO_MORE = Explained(mutant("y").identity, "it changes nothing")
ELSEWHERE = Explained(replace(mutant("y").identity, module="crosscheck/_arithmetic/ulp.py"), "it changes nothing")


@pytest.mark.parametrize(
    ("outcomes", "rows", "problem"),
    [
        ({}, [], "nothing was mutated"),
        ({}, [WHY], "nothing was mutated"),
        ({**ALL_KILLED, FIRST: ALIVE}, [], "survived, and is not explained: "),
        (ALL_KILLED, [WHY], "explained, but it is killed: "),
        ({**ALL_KILLED, FIRST: ENDLESS}, [WHY], "explained, but it is killed: "),
        (ALL_KILLED, [NO_MORE], "explained, but there is no such mutant: "),
        ({**ALL_KILLED, FIRST: ALIVE}, [WHY, WHY], "explained 2 times: "),
        (
            {**ALL_KILLED, **dict.fromkeys(MUTANTS[:5], ALIVE)},
            [Explained(mutant.identity, "it changes nothing") for mutant in MUTANTS[:5]],
            "5.0% survived, less than 5% may",
        ),
    ],
    ids=["none", "none, one explained", "unexplained", "killed", "timed out", "no more", "twice", "too many"],
)
def test_a_run_fails(outcomes: dict[Mutant, Outcome], rows: list[Explained], problem: str) -> None:
    (told,) = Summary(outcomes, KNOWN, rows).problems()
    assert told.startswith(problem)


@pytest.mark.parametrize(
    ("outcomes", "rows"),
    [
        (ALL_KILLED, []),
        ({**ALL_KILLED, FIRST: ALIVE}, [WHY]),
        ({**ALL_KILLED, FIRST: ALIVE}, [WHY, ELSEWHERE]),
        (dict.fromkeys(MUTANTS[1:], DEAD), [WHY]),
    ],
    ids=["all killed", "one explained", "one explained in a module that was left out", "one explained that was left out"],
)
def test_a_run_passes(outcomes: dict[Mutant, Outcome], rows: list[Explained]) -> None:
    assert not list(Summary(outcomes, KNOWN, rows).problems())


def test_of_a_part_of_the_modules_more_may_survive() -> None:
    outcomes = {**ALL_KILLED, **dict.fromkeys(MUTANTS[:50], ALIVE)}
    rows = [Explained(mutant.identity, "it changes nothing") for mutant in MUTANTS[:50]]
    assert list(Summary(outcomes, KNOWN, rows).problems()) == ["50.0% survived, less than 5% may"]
    assert not list(Summary(outcomes, KNOWN, rows, whole=False).problems())


def test_a_survivor_is_shown_with_its_change_and_its_reason() -> None:
    outcomes = {**ALL_KILLED, FIRST: ALIVE, MUTANTS[1]: ENDLESS}
    summary = Summary(outcomes, KNOWN, [WHY])
    text = "\n".join(summary.lines())
    for part in (f"{MODULE}:1 core/ReplaceBinaryOperator_Add_Sub", "- x0 + 1", "+ x0 - 1", WHY.why, "99.0% of 100"):
        assert part in text
    assert "NOT EXPLAINED" in "\n".join(Summary(outcomes, KNOWN, []).lines())
    assert summary.data()["modules"] == [{"module": MODULE, "mutants": 100, "killed": 99, "timed_out": 1, "survived": 1}]
    assert summary.data()["seconds"] == 50
    (row,) = summary.data()["survivors"]
    assert (row["line"], row["mutant"], row["why"]) == ("x0 + 1", "x0 - 1", WHY.why)


def test_of_too_many_mutants_the_same_are_chosen_whatever_else_there_is() -> None:
    some = chosen(MUTANTS, 60)
    assert len(some) == 60
    assert chosen(MUTANTS, 100) == MUTANTS
    assert chosen(MUTANTS[::-1], 60) == some[::-1]
    assert len(set(some) & set(chosen(MUTANTS[1:], 60))) >= 59


def test_a_module_is_changed_in_a_copy_and_judged_there(tmp_path: Path) -> None:
    source = (ROOT / MODULE).read_text(encoding="utf-8")
    wrong = source.replace("COLUMNS = 96", "COLUMNS = 97")
    with Bench(ROOT, tmp_path) as bench:
        bench.check([MODULE])
        for text, result in ((source, SURVIVED), (wrong, KILLED), (source, SURVIVED)):
            assert bench.outcome(MODULE, text).result == result
    assert (ROOT / MODULE).read_text(encoding="utf-8") == (tmp_path / MODULE).read_text(encoding="utf-8") == source


def test_what_does_not_end_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mutation.bench.SLOWER", 0)
    monkeypatch.setattr("mutation.bench.MORE", 1)
    with Bench(ROOT, tmp_path) as bench:
        bench.check([MODULE])
        assert bench.outcome(MODULE, "while True: pass").result == TIMED_OUT


@pytest.mark.parametrize(
    ("test", "said"),
    [
        ("def test_nothing():\n    assert False\n", "its tests fail without a mutant"),
        ("def test_nothing():\n    assert True\n", "its tests pass without the module"),
        ("", "pytest exits with 5"),
    ],
    ids=["failing", "of something else", "none"],
)
def test_tests_that_cannot_judge_are_an_error(tmp_path: Path, test: str, said: str) -> None:
    (name,) = TESTS[MODULE]
    with Bench(ROOT, tmp_path) as bench:
        (tmp_path / "tests" / name).write_text(test)
        with pytest.raises(UnusableTestsError, match=said):
            bench.check([MODULE])


def test_every_module_of_the_numerics_is_mutated() -> None:
    there = {str(path.relative_to(ROOT)) for path in (ROOT / "crosscheck/_arithmetic").glob("*.py")}
    assert set(TESTS) == there - {"crosscheck/_arithmetic/__init__.py"} | {"crosscheck/_verdict/causes.py"}


def test_the_lines_of_the_mutants_explained_are_there() -> None:
    for explanation in explained():
        source = (ROOT / explanation.identity.module).read_text(encoding="utf-8")
        assert explanation.identity.line in {line.strip() for line in source.splitlines()}, explanation
        assert explanation.identity.line != explanation.identity.mutant
        assert explanation.why


@pytest.fixture(scope="module")
def kept() -> Any:
    return json.loads(RESULTS.read_text(encoding="utf-8"))


def test_the_result_that_is_kept_passed_and_its_survivors_are_those_explained(kept: Any) -> None:
    assert [row["module"] for row in kept["modules"]] == list(TESTS)
    assert all(row["mutants"] for row in kept["modules"])
    assert sum(row["survived"] for row in kept["modules"]) == len(kept["survivors"]) < MOST_SURVIVORS * kept["mutants"]
    whys = {explanation.identity: explanation.why for explanation in explained()}
    names = Identity.__dataclass_fields__
    assert {Identity(**{name: row[name] for name in names}): row["why"] for row in kept["survivors"]} == whys
