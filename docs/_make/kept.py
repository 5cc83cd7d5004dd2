"""Results that are kept in the repository: with what, and until which day, they were computed."""

import re
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from crosscheck._verdict.environments import Environment

ROOT = Path(__file__).resolve().parent.parent.parent


def with_what(results: Mapping[Path, Mapping[str, Any]]) -> str:
    """A sentence on files of results, each with the description of its environment: versions, CPU, and the newest day."""
    environments = ", and ".join(dict.fromkeys(str(Environment.of(described)) for described in results.values()))
    return f"Computed with {environments}{newest(results)}."


def newest(paths: Iterable[Path]) -> str:
    """The day on which the newest was kept, where git knows it."""
    line = ["git", "log", "-1", "--format=%ad", "--date=format:%-d %B %Y", "--", *map(str, paths)]
    try:
        day = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except FileNotFoundError:
        return ""
    return f"; kept on {day}" if day else ""


def as_markdown(said: str) -> str:
    """What a report says, for a cell of a table: names of weights are no links, a bar ends no cell, and code stays code."""
    return re.sub(r"(`[^`]*`)|([\[|])", lambda match: match[1] or f"\\{match[2]}", said)
