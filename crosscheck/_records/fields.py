"""The values that the fields of a record may have: a wrong value is reported when the record is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

LONGEST = 80
"""The most characters of a value in a message."""


@dataclass(frozen=True)
class Kind:
    """A test of a field's value, and a description of what is expected."""

    fits: Callable[[Any], bool]
    expected: str


def number(value: object) -> bool:
    """Whether the value is an integer or a float, also one of numpy, NaN or an infinity."""
    return isinstance(value, Real) and not isinstance(value, bool)


def identifier(value: object) -> bool:
    """Whether the value is a text that is a Python identifier."""
    return isinstance(value, str) and value.isidentifier()


def line(value: object) -> bool:
    """Whether the value is a text of one line that can be printed."""
    return isinstance(value, str) and value.isprintable()


def several(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A test for a tuple or list of such values."""
    return lambda value: isinstance(value, tuple | list) and all(map(fits, value))


def numbers(count: int) -> Callable[[Any], bool]:
    """A test for this many numbers."""
    return lambda value: several(number)(value) and len(value) == count


def mapping(key: Callable[[Any], bool], fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A test for a mapping of such keys to such values."""
    return lambda value: isinstance(value, Mapping) and all(key(name) and fits(value[name]) for name in value)


def instance(*kinds: type) -> Callable[[Any], bool]:
    """A test for an instance of one of these."""
    return lambda value: isinstance(value, kinds)


def either(*tests: Callable[[Any], bool]) -> Callable[[Any], bool]:
    """A test that holds if one of these tests holds."""
    return lambda value: any(fits(value) for fits in tests)


FUNCTION = Kind(callable, "a function")
PERHAPS = Kind(either(callable, instance(type(None))), "a function or None")
LINE = Kind(line, "text of one line")
FLAG = Kind(instance(bool), "True or False")


def wrong(record: object, kinds: Mapping[str, Kind]) -> str | None:
    """The first field of a record with a wrong value, in words; None if all are right."""
    for name, kind in kinds.items():
        value = getattr(record, name)
        if not kind.fits(value):
            shown = repr(value)
            return f"{name}: got {shown if len(shown) <= LONGEST else shown[:LONGEST] + '...'}, expected {kind.expected}"
    return None
