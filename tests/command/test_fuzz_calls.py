"""Calls with generated arguments keep their rules, and a function that breaks one of them is caught."""

from typing import Any

import pytest
from fuzz.__main__ import main
from fuzz.calls import FUNCTIONS, Function, broken, call_campaign

from crosscheck import UsageError

pytestmark = pytest.mark.full

QUICK = ("activations", "dump", "normal", "compare_arrays", "elu.torch", "plot")
"""Functions whose arguments are soon refused."""


@pytest.mark.parametrize("name", QUICK)
def test_a_few_calls_keep_the_rules(name: str) -> None:
    tally = call_campaign(name, 20)
    assert tally.failures == {}
    assert tally.examples >= 10


@pytest.mark.slow
@pytest.mark.parametrize("name", FUNCTIONS)
def test_many_calls_keep_the_rules(name: str) -> None:
    assert call_campaign(name, 100).failures == {}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_arguments_that_are_right_are_taken(name: str) -> None:
    """Else every call would be refused for what was not changed."""
    end, rule = broken(name, FUNCTIONS[name], FUNCTIONS[name].arguments)
    assert (end, rule) == ("UsageError" if name == "atlas_diff" else "returned", None)  # of files that are not there


def careless(x: Any) -> Any:
    return x + 1


def silent(x: Any) -> None:
    raise UsageError("")


def good(x: Any) -> None:
    raise UsageError(f"x: got {type(x).__name__}, expected nothing")


def test_a_bare_error_and_a_message_that_says_nothing_are_caught() -> None:
    ends = {
        function.__name__: call_campaign("planted", 20, Function(function, {"x": 1}))
        for function in (careless, silent, good)
    }
    assert any("it raised TypeError: " in told for told in ends["careless"].failures.values())
    assert all("says nothing" in told for told in ends["silent"].failures.values())
    assert ends["silent"].failures
    assert ends["good"].failures == {}


def test_the_command_tells_how_calls_ended(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["calls", "activations", "--examples", "5"]) == 0
    assert "activations         5 calls; " in capsys.readouterr().out
