"""The exceptions that crosscheck raises, for wrong arguments and records and for faults of its own, and their texts."""

import difflib
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from inspect import CO_GENERATOR
from itertools import dropwhile
from pathlib import Path
from traceback import walk_tb
from types import FrameType, TracebackType

PACKAGE = Path(__file__).parents[1]


class ExpectedError(Exception):
    """The base of the exceptions with which crosscheck tells its user what to change."""


class UsageError(ExpectedError, ValueError):
    """An argument has a value that crosscheck cannot use; the message names the value and what is expected."""


class SpecError(ExpectedError, ValueError):
    """A record contradicts itself or its own definition; the message names the record and says what to change."""


class InternalError(RuntimeError):
    """crosscheck itself has failed; the message says in which part, and ``__cause__`` is the exception raised there."""


@contextmanager
def own_failures() -> Iterator[None]:
    """Raise an ``InternalError`` for an exception that comes from crosscheck itself.

    An exception of a function of the user, and one for which the machine is to blame, stay as they are.
    """
    try:
        yield
    except (ExpectedError, InternalError, OSError, MemoryError):
        raise
    except Exception as error:
        place = _own_place(error.__traceback__)
        if place is None:
            raise
        raise InternalError(
            f"crosscheck itself failed, in {place}: {said(error)}. This is a fault of crosscheck, not of what it was given; "
            "please report it with the traceback"
        ) from error


def _own_place(traceback: TracebackType | None) -> str | None:
    """Where crosscheck ran what raised; None if the user's code did, or if crosscheck did not even begin."""
    places = [(frame, line) for frame, line in walk_tb(traceback) if not _is_librarys(frame)]
    # context managers, such as this one
    callers = list(dropwhile(lambda place: place[0].f_code.co_flags & CO_GENERATOR, places))
    if not callers or not _is_own(callers[-1][0]):
        return None
    frame, line = callers[-1]
    return f"{Path(frame.f_code.co_filename).relative_to(PACKAGE)}, line {line}, {frame.f_code.co_qualname}"


def _is_own(frame: FrameType) -> bool:
    return PACKAGE in Path(frame.f_code.co_filename).parents


def _is_librarys(frame: FrameType) -> bool:
    """Whether a frame runs code of Python, of an installed library, or code without a module, which some library made."""
    if _is_own(frame):
        return False
    name = str(frame.f_globals.get("__name__") or "")
    installed = {"site-packages", "dist-packages"} & set(Path(frame.f_code.co_filename).parts)
    return not name or name.partition(".")[0] in sys.stdlib_module_names or bool(installed)


def name_of(file: str) -> str:
    """The name of a file of the user, or ``cell`` for one of a notebook, whose name is a random number."""
    path = Path(file)
    return "cell" if path.parent.name.startswith("ipykernel_") else path.name


def said(error: BaseException) -> str:
    """An exception by its type and message, in one line: several lines might look like lines of a report."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def unknown(what: str, got: str, known: Mapping[str, object] | tuple[str, ...]) -> str:
    """The message for an unknown name: the nearest known name, and all of them."""
    near = difflib.get_close_matches(got.lower(), list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return f"unknown {what} {got!r}{hint or ';'} {'Known' if hint else 'known'}: {', '.join(known)}"
