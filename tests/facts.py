"""What tests assert of the facts in reports."""

from collections.abc import Iterable

from crosscheck import Fact


def assert_facts(facts: Iterable[Fact], *expected: Fact) -> None:
    """The facts are the expected ones, in this order, in each field that an expected one has."""
    facts = tuple(facts)
    assert len(facts) == len(expected), facts
    assert tuple(_part(fact, like) for fact, like in zip(facts, expected, strict=True)) == expected


def has_fact(facts: Iterable[Fact], expected: Fact) -> bool:
    """Whether one of the facts is the expected one, in each field that it has."""
    return any(_part(fact, expected) == expected for fact in facts)


def _part(fact: Fact, like: Fact) -> Fact:
    return Fact(**{name: value for name, value in vars(fact).items() if getattr(like, name)})
