"""The verdicts that are kept with the package, read without any framework: what a run over the whole dictionary wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from crosscheck._dictionary.records import TranslatedPair, Translation

KEPT = Path(__file__).with_name("verdicts.json")


@cache
def kept(path: Path = KEPT) -> tuple[tuple[Translation, ...], Mapping[str, Any]]:
    """Every entry with its verdicts, and the environment in which they were found."""
    data = json.loads(path.read_text("utf-8"))
    return tuple(_entry(entry) for entry in data["entries"]), data["environment"]


def _entry(data: Mapping[str, Any]) -> Translation:
    pairs = tuple(TranslatedPair(**_tuples(pair)) for pair in data["pairs"])
    return Translation(**{**_tuples(data), "pairs": pairs, "parameters": _tuples(data["parameters"])})


def _tuples(data: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has lists where the records have tuples."""
    return {name: tuple(value) if isinstance(value, list) else value for name, value in data.items()}
