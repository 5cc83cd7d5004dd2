"""What the dictionary says of two functions that are calls it has: by which default they differ."""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Callable, Iterable
from typing import Any

from crosscheck._dictionary.kept import kept
from crosscheck._dictionary.names import called
from crosscheck._dictionary.records import Translation


def cited(torch: Callable[..., Any], jax: Callable[..., Any]) -> str | None:
    """How the defaults of two functions differ, where an entry tells of them, and its name; None for other functions."""
    entries, _ = kept()
    names = [_names(function, entries) for function in (torch, jax)]
    for entry in entries if all(names) else ():
        for pair in entry.contrasts:
            if called(pair.torch) in names[0] and called(pair.code) in names[1]:
                return f"{pair.says} (crosscheck translate {called(pair.code)})"
    return None


def _names(function: Any, entries: Iterable[Translation]) -> set[str]:
    """The full names in the dictionary that are this function's."""
    last = getattr(function, "__name__", None)
    if last is None:
        return set()
    pairs = (pair for entry in entries for pair in entry.contrasts)
    known = {called(code) for pair in pairs for code in (pair.torch, pair.code)}
    return {name for name in known if name.rpartition(".")[2] == last and _is(function, name)}


def _is(function: Any, name: str) -> bool:
    if name.partition(".")[0] not in sys.modules:  # what was not imported was not given either
        return False
    try:
        return pkgutil.resolve_name(name) is function
    except (ImportError, AttributeError):
        return False
