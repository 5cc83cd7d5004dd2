"""Snippets: Python code to paste into a bug report, which prints a result again."""

from __future__ import annotations

from collections.abc import Iterable


def snippet(imports: Iterable[str], lines: Iterable[str], settings: Iterable[str] = ()) -> str:
    """The code: the imports, each once, the settings, and the lines."""
    return "\n".join(
        [*sorted(dict.fromkeys(imports)), *(line for setting in settings for line in ("", setting)), "", *lines]
    )
