"""The exceptions that crosscheck raises for wrong arguments and records, and the texts of error messages."""

import difflib
from collections.abc import Mapping


class UsageError(ValueError):
    """An argument has a value that crosscheck cannot use; the message names the value and what is expected."""


class SpecError(ValueError):
    """A record contradicts itself or its own definition; the message names the record and says what to change."""


def said(error: BaseException) -> str:
    """An exception by its type and message, in one line: several lines might look like lines of a report."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def unknown(what: str, got: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """The message for an unknown name: the nearest known name, and all of them."""
    near = difflib.get_close_matches(got.lower(), list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {got!r}{hint or ';'} {'Known' if hint else 'known'}: {', '.join(known)}"
