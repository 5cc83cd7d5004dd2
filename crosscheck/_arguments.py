"""Checks of arguments that several public functions share, each said once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeVar

from crosscheck._catalogue import activations
from crosscheck._records.errors import UsageError, unknown
from crosscheck._records.records import Activation

Name = TypeVar("Name", str, int)


def chosen(what: str | Activation | Iterable[str | Activation] | None) -> list[Activation]:
    """The records that are named, each once; the catalogue for None."""
    if what is None:
        return list(activations.values())
    items = [what] if isinstance(what, str | Activation) else list(what)
    if not items:
        raise UsageError("activations: got none; name one, or leave them out for the whole catalogue")
    found = [item if isinstance(item, Activation) else activations[item] for item in items]
    return list({activation.name: activation for activation in found}.values())


def activation_of(what: str | Activation) -> Activation:
    """The one record that is named."""
    if not isinstance(what, str | Activation):
        raise UsageError(f"what: got {type(what).__name__}, expected the name of an activation or an Activation")
    return what if isinstance(what, Activation) else activations[what]


def known(what: str, given: Name | Iterable[Name], among: tuple[Name, ...]) -> tuple[Name, ...]:
    """The given values without repetitions; each must be one of ``among``, and there must be one."""
    values: tuple[Any, ...] = (given,) if isinstance(given, str | int) else tuple(dict.fromkeys(given))
    if not values:
        raise UsageError(f"{what}: got none, expected some of {', '.join(map(str, among))}")
    return tuple(one_of(what, value, among) for value in values)


def one_of(what: str, value: Name, among: tuple[Name, ...]) -> Name:
    """The value, which must be one of ``among``."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value not in among:
        raise UsageError(unknown(what, str(value), tuple(map(str, among))))
    return value


def integer(name: str, value: int, least: int, advice: str = "") -> int:
    """The value, which must be an integer of at least ``least``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise UsageError(
            f"{name}: got {value!r}, expected an integer of at least {least}" + (f"; {advice}" if advice else "")
        )
    return value


def seed(value: int, most: int | None = None) -> int:
    """The value, which must be an integer from 0 to ``most``."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or (most is not None and value > most):
        expected = "that is not negative" if most is None else f"from 0 to {most}; each seed is another start"
        raise UsageError(f"seed: got {value!r}, expected an integer {expected}")
    return value
