"""What tests assert of the facts in reports, and of the kinds of texts: the kind of a text stands for its words."""

from collections.abc import Iterable

from crosscheck import Fact, TrainingReport
from crosscheck._explain.facts import _WORDS, clause
from crosscheck._records.worded import Worded, kind_of

__all__ = ["KINDS", "Worded", "assert_facts", "clause", "facts_of", "has_fact", "kind_of", "subjects"]

KINDS = tuple(_WORDS)
"""The kinds of facts."""


def assert_facts(facts: Iterable[Fact], *expected: Fact) -> None:
    """The facts are the expected ones, in this order, in each field that an expected one has."""
    facts = tuple(facts)
    assert len(facts) == len(expected), facts
    assert tuple(_part(fact, like) for fact, like in zip(facts, expected, strict=True)) == expected


def has_fact(facts: Iterable[Fact], expected: Fact) -> bool:
    """Whether one of the facts is the expected one, in each field that it has."""
    return any(_part(fact, expected) == expected for fact in facts)


def facts_of(report: TrainingReport) -> tuple[Fact, ...]:
    """The facts of all faults."""
    return tuple(fact for fault in report.faults for fact in fault.facts)


def subjects(texts: Iterable[str]) -> set[tuple[object, ...]]:
    """The kind of each text, and what it is about, such as an anchor or a mode."""
    return {(text.kind, *text.about) for text in texts if isinstance(text, Worded)}


def _part(fact: Fact, like: Fact) -> Fact:
    return Fact(**{name: value for name, value in vars(fact).items() if getattr(like, name)})
