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


def documented(subject: Any, name: str) -> Iterator[tuple[str, Any]]:
    """What has a docstring of its own: a name and the public methods and properties of a class, inherited ones too."""
    yield name, subject
    for member in subject.all_members.values() if subject.is_class else ():
        if not member.name.startswith("_") and (member.is_function or "property" in member.labels):
            yield f"{name}.{member.name}", member.final_target if member.is_alias else member


def sections(subject: Any) -> dict[Any, Any]:
    return {section.kind: section.value for section in subject.docstring.parse("google", warnings=False)}


def described(subject: Any, kind: Any) -> set[str]:
    return {entry.name for entry in sections(subject).get(kind, ())}


def wrong(subject: Any) -> set[str]:
    """What a docstring lacks, or describes though it is not there."""
    if not subject.has_docstring:
        return {"no docstring"}
    if subject.is_class:
        attributes = (
            member for member in subject.members.values() if member.is_attribute and not member.name.startswith("_")
        )
        fields = {attribute.name for attribute in attributes if "property" not in attribute.labels}
        return described(subject, KINDS.attributes) ^ fields
    if not subject.is_function:
        return set()
    given = {
        f"{STARS.get(parameter.kind, '')}{parameter.name}" for parameter in subject.parameters if parameter.name != "self"
    }
    returns = set() if str(subject.returns) in NOTHING or KINDS.returns in sections(subject) else {"Returns"}
    return (described(subject, KINDS.parameters) ^ given) | returns


def run(subject: Any, name: str) -> tuple[int, str]:
    """How many lines the examples have, and what is said of those that fail."""
    text = subject.docstring.value if subject.has_docstring else ""
    test = doctest.DocTestParser().get_doctest(text, {}, name, str(subject.filepath), subject.lineno)
    said: list[str] = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    return len(test.examples), "".join(said)


@pytest.mark.parametrize("name", crosscheck.__all__)
def test_each_parameter_and_field_is_described(name: str) -> None:
    assert {place: lacking for place, member in documented(public(name), name) if (lacking := wrong(member))} == {}


LONG = ("ModelsReport", "Perceptron", "compare", "compare_models", "compare_optimizers", "explain")
"""Names whose examples take longest."""
ELSEWHERE = ("optimizers",)
"""Names whose example runs in another test, which needs the same table."""
HERE = [
    pytest.param(name, marks=[pytest.mark.full] * (name in LONG)) for name in crosscheck.__all__ if name not in ELSEWHERE
]


@pytest.mark.parametrize("name", HERE)
def test_the_examples_run(name: str) -> None:
    ran = [run(member, place) for place, member in documented(public(name), name)]
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
    assert {place: wrong(member) for place, member in documented(planted["Record"], "Record")} == {
        "Record": {"y"},
        "Record.method": {"z"},
    }


def test_a_planted_example_that_fails_is_found() -> None:
    count, said = run(griffe.visit("planted", Path("planted.py"), PLANTED)["function"], "function")
    assert count == 1
    assert "Expected:\n    41\nGot:\n    42" in said
