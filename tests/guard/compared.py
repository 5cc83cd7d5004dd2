"""Rows held against those on record: to the byte, or in their words where another processor makes other numbers."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from typing import Any

from corpora import Row

NUMBER = re.compile(r"0x[0-9a-f]+|[-+]?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?")
WIDTH = "another vector width or release: words are compared, and measured numbers are not"


def differences(before: Row | None, after: Row | None, *, words_alone: bool) -> list[str]:
    """The lines that differ, those of the record with a minus; none if the rows are alike."""
    left, right = (json.dumps(row, indent=1, ensure_ascii=False).splitlines() if row else [] for row in (before, after))
    if len(left) == len(right) and all(alike(*pair, words_alone=words_alone) for pair in zip(left, right, strict=True)):
        return []
    lines = difflib.unified_diff(left, right, n=0, lineterm="")
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def alike(before: str, after: str, *, words_alone: bool = False) -> bool:
    """Whether two lines say the same.

    A program that JAX reads from its cache may round otherwise than one that it has just compiled, so a measured number may
    differ by a unit of its last digit. Vectors of another width add in another order: then only words are compared. The
    numbers of facts are settings, such as an epsilon, and must be equal.
    """
    if before == after:
        return True
    if before.lstrip().startswith('"kind: ') or NUMBER.sub("#", before) != NUMBER.sub("#", after):
        return False
    return words_alone or all(map(close, NUMBER.findall(before), NUMBER.findall(after)))


def close(before: str, after: str) -> bool:
    """Whether two numbers differ by at most a unit of the last digit of either."""
    if before == after or "x" in before + after:
        return before == after
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
