"""The docstrings of the public names: each parameter and field is described, and the examples run."""

import doctest
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import griffe
import pytest

import crosscheck

CONSTRUCTED = {"Activation", "Deviation", "Kink", "Limits", "Native", "Perceptron", "Range", "Region"}
"""The classes that people construct: these have an example, as functions have."""

KINDS = griffe.DocstringSectionKind
STARS = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
NOTHING = ("None", "Iterator[None]")
"""What a function returns that gives nothing: itself, or what it yields."""


@functools.cache
def package() -> Any:
    return griffe.load("crosscheck", resolve_aliases=True)


def public(name: str) -> Any:
    """A public name as it is written, not as it runs: only there a constant has a docstring."""
    return package()[name].final_target


def documented(found: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What has a docstring of its own: a name and the public methods and properties of a class, inherited ones too."""
    yield name, found
    for one in found.all_members.values() if found.is_class else ():
        if not one.name.startswith("_") and (one.is_function or "property" in one.labels):
            yield f"{name}.{one.name}", one.final_target if one.is_alias else one


def sections(found: Any) -> dict[Any, Any]:
    return {section.kind: section.value for section in found.docstring.parse("google", warnings=False)}


def described(found: Any, kind: Any) -> set[str]:
    return {one.name for one in sections(found).get(kind, ())}


def wrong(found: Any) -> set[str]:
    """What a docstring lacks, or describes though it is not there."""
    if not found.has_docstring:
        return {"no docstring"}
    if found.is_class:
        attributes = (one for one in found.members.values() if one.is_attribute and not one.name.startswith("_"))
        fields = {one.name for one in attributes if "property" not in one.labels}
        return described(found, KINDS.attributes) ^ fields
    if not found.is_function:
        return set()
    given = {f"{STARS.get(one.kind, '')}{one.name}" for one in found.parameters if one.name != "self"}
    returns = set() if str(found.returns) in NOTHING or KINDS.returns in sections(found) else {"Returns"}
    return (described(found, KINDS.parameters) ^ given) | returns


def run(found: Any, name: str) -> tuple[int, str]:
    """How many lines the examples have, and what is said of those that fail."""
    text = found.docstring.value if found.has_docstring else ""
    test = doctest.DocTestParser().get_doctest(text, {}, name, str(found.filepath), found.lineno)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    return len(test.examples), "".join(said)


@pytest.mark.parametrize("name", crosscheck.__all__)
def test_each_parameter_and_field_is_described(name: str) -> None:
    assert {place: found for place, one in documented(public(name), name) if (found := wrong(one))} == {}


LONG = ("ModelsReport", "compare_models")
"""Names whose examples take longest."""
ELSEWHERE = ("optimizers",)
"""Names whose example runs in another test, which needs the same table."""
HERE = [pytest.param(one, marks=[pytest.mark.full] * (one in LONG)) for one in crosscheck.__all__ if one not in ELSEWHERE]


@pytest.mark.parametrize("name", HERE)
def test_the_examples_run(name: str) -> None:
    ran = [run(one, place) for place, one in documented(public(name), name)]
    assert "".join(said for _, said in ran) == ""
    if public(name).is_function or name in CONSTRUCTED:
        assert ran[0][0]


PLANTED = '''
from dataclasses import dataclass

def undescribed(a): ...

def function(a, b=1, *, c, **more) -> int:
    """Do it.

    Args:
        a: One.
        d: It is not there.
        more: Its stars are missing.

    Examples:
        >>> 6 * 7
        41
    """

@dataclass
class Record:
    """Two numbers.

    Attributes:
        x: One.
    """

    x: int
    y: int

    def method(self, z: int) -> None:
        """Do it."""
'''


def test_a_planted_gap_is_found() -> None:
    planted = griffe.visit("planted", Path("planted.py"), PLANTED)
    assert wrong(planted["undescribed"]) == {"no docstring"}
    assert wrong(planted["function"]) == {"b", "c", "d", "more", "**more", "Returns"}
    assert {place: wrong(one) for place, one in documented(planted["Record"], "Record")} == {
        "Record": {"y"},
        "Record.method": {"z"},
    }


def test_a_planted_example_that_fails_is_found() -> None:
    count, said = run(griffe.visit("planted", Path("planted.py"), PLANTED)["function"], "function")
    assert count == 1
    assert "Expected:\n    41\nGot:\n    42" in said
