"""Rows held against those on record: to the byte, or in their words where another processor makes other numbers."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from corpora import Row

MEASURED = re.compile(r"(?<![\w.])[-+]?\d[\d,]*(?:\.\d+(?:e[-+]?\d+)?|e[-+]?\d+)(?!\w|\.\w)")
"""A number with digits behind the point, or an exponent."""
NUMBER = re.compile(r"0x[0-9a-f]+|(?<![\w.])[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?(?!\w|\.\w)")
"""Any number that is no part of a name, such as layers.0 or x1."""
SETTINGS = ("facts", "faults")
"""What has numbers that are settings, such as an epsilon, or places, such as a layer."""
WIDTH = "another vector width or release: words are compared, and measured numbers are not"


def differences(before: Row | None, after: Row | None, *, words_alone: bool) -> list[str]:
    """The lines that differ, those of the record with a minus; none if the rows are alike."""
    if before is not None and alike(before, after, words_alone=words_alone):
        return []
    left, right = (json.dumps(row, indent=1, ensure_ascii=False).splitlines() if row else [] for row in (before, after))
    lines = difflib.unified_diff(left, right, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def alike(before: Any, after: Any, *, words_alone: bool) -> bool:
    """Whether two rows say the same.

    A program that JAX reads from its cache may round otherwise than one that it has just compiled, so a measured number may
    differ by a unit of its last digit. Vectors of another width add in another order, and the worst element is another one:
    then no number is compared. Settings and places are always equal.
    """
    if before == after:
        return True
    if type(before) is not type(after) or isinstance(before, (bool, int, type(None))):
        return False
    if isinstance(before, dict):
        return before.keys() == after.keys() and all(
            before[key] == after[key] if key in SETTINGS else alike(before[key], after[key], words_alone=words_alone)
            for key in before
        )
    if isinstance(before, list):
        return len(before) == len(after) and all(
            alike(*pair, words_alone=words_alone) for pair in zip(before, after, strict=True)
        )
    number = NUMBER if words_alone else MEASURED
    left, right = str(before), str(after)
    same_words = number.sub("#", left) == number.sub("#", right)
    return same_words and (words_alone or all(map(close, number.findall(left), number.findall(right))))


def close(before: str, after: str) -> bool:
    """Whether two numbers differ by at most a unit of the last digit of either."""
    left, right = (Decimal(text.replace(",", "")) for text in (before, after))
    units = [Decimal(1).scaleb(int(number.as_tuple().exponent)) for number in (left, right)]
    return abs(left - right) <= max(units)


def same_width(environment: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether both frameworks compute with vectors of the same width, in the same releases."""
    return all(environment[side][key] == other[side][key] for side in ("torch", "jax") for key in ("version", "capability"))


def shown(case: str, changed: list[str]) -> Iterator[str]:
    """A row that differs, before and after."""
    yield f"  {case}"
    yield from (f"    {line}" for line in changed)
