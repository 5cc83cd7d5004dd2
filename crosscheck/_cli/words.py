"""Arguments of the command line as Python objects: functions by their path, inputs, accepted disagreements."""

from __future__ import annotations

import difflib
import importlib
import os
import sys
import traceback
from collections.abc import Callable
from types import FunctionType
from typing import Any

from crosscheck._compare.inputs import normal, uniform
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.interface import framework


def loaded(what: str, path: str) -> Callable[..., Any]:
    """The function at ``MODULE:FN``; the module may be in the working folder. Raises ``UsageError``."""
    function = named(what, path)
    if not callable(function):
        raise UsageError(f"{what}: {path} is {type(function).__name__}, expected a function to call")
    if isinstance(function, type):
        raise UsageError(f"{what}: {path} is a class; name a function that makes an object of it and calls it")
    return function


def made(what: str, path: str, *, call: bool = True) -> Any:
    """The object at ``MODULE:NAME``; if it is a plain function or a class, and ``call`` is set, what it returns."""
    target = named(what, path)
    if not call or not isinstance(target, type | FunctionType):
        return target
    try:
        return target()
    except Exception as error:
        raise UsageError(f"{what}: {path}() {_raised(error)}") from error


def named(what: str, path: str) -> Any:
    """The object at ``MODULE:NAME``; raises ``UsageError``."""
    name, _, attribute = path.partition(":")
    if not name or not attribute:
        raise UsageError(f"{what}: got {path!r}, expected MODULE:FN, such as torch.nn.functional:gelu")
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        target: Any = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name in FRAMEWORKS:
            framework(error.name)  # this says how to install it
        if error.name is not None and (name == error.name or name.startswith(f"{error.name}.")):
            raise UsageError(f"{what}: there is no module {error.name!r}, neither installed nor in this folder") from None
        raise UsageError(f"{what}: {_import_failure(name, error)}") from error
    except (Exception, SystemExit) as error:
        raise UsageError(f"{what}: {_import_failure(name, error)}") from error
    for part in attribute.split("."):
        try:
            target = getattr(target, part)
        except AttributeError:
            near = difflib.get_close_matches(part, dir(target), 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise UsageError(f"{what}: {name} has no {part!r}{hint}") from None
        except Exception as error:  # a module may make its names when they are used
            raise UsageError(f"{what}: {_import_failure(name, error)}") from error
    return target


def _import_failure(module: str, error: BaseException) -> str:
    """The place in a user's module at which its import failed."""
    return f"importing {module} {_raised(error)}"


def _raised(error: BaseException) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    place = "" if last.filename == __file__ else f" ({last.filename}, line {last.lineno})"
    return f"raised {type(error).__name__}: {error}{place}"


def described(ends: tuple[str, str] | None, shapes: tuple[str, ...]) -> list[Any] | None:
    """The inputs that a range and shapes describe; None without both, for the stratified set."""
    if ends is None and not shapes:
        return None
    sizes = [_shape(shape) for shape in shapes] or [(1024,)]
    if ends is None:
        return [normal(size) for size in sizes]
    low, high = (_number("--range", end) for end in ends)
    if not low < high:
        raise UsageError(f"--range: got {ends[0]} {ends[1]}, expected two finite numbers, the lower one first")
    return [uniform(low, high, size) for size in sizes]


def _shape(text: str) -> tuple[int, ...]:
    parts = text.replace("x", ",").split(",")
    if not all(part.strip().isdecimal() and int(part) > 0 for part in parts):
        raise UsageError(f"--shape: got {text!r}, expected positive integers with commas between them, such as 16,64")
    return tuple(int(part) for part in parts)


def _number(option: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise UsageError(f"{option}: got {text!r}, expected a number") from None


def acceptable(text: str) -> Any:
    """An id unchanged; ``CAUSE`` and ``CAUSE:LOW:HIGH`` as pairs of a cause and a region."""
    from crosscheck._records.names import CAUSES

    cause, *ends = text.split(":")
    if cause not in CAUSES:
        return text
    if len(ends) not in (0, 2):
        raise UsageError(f"--accept: got {text!r}, expected the id of a deviation, CAUSE or CAUSE:LOW:HIGH")
    return cause, tuple(_number("--accept", end) for end in ends) or None
