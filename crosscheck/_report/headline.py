"""A verdict as a headline that fits a line, and the rest of what it says below it."""

from __future__ import annotations

import re

LONGEST = 100
"""The most characters of a headline."""
LONGEST_PLACE = 40
"""The most characters of a place in a headline that has no room for all of the verdict."""
ENDS = (("; ",), (": ", ", "), (" ",))
"""Where a long text is parted: after the last of the first kind of these that leaves enough."""
LEAST = 20
"""A shorter text says too little, so the next kind of end is taken."""
CUT = " ..."
"""The end of a headline of which more is said below."""
BRACKETS = re.compile(r"\((?!\.\.\.)(?:[^()]|\(\.\.\.\)){9,}\)|\[(?!\.\.\.)[^][]{9,}\]")
"""A pair of brackets with much inside."""


Parts = tuple[str, str]
"""The headline of a verdict, of at most ``LONGEST`` characters, and the rest, "" where the headline says all of it."""


def parted(verdict: str) -> Parts:
    """The headline of a verdict, its beginning, and the rest."""
    if len(verdict) <= LONGEST:
        return verdict, ""
    if at := _end(verdict, LONGEST):
        return verdict[:at].rstrip(), verdict[at:]
    return verdict[: LONGEST - 3] + "...", verdict


def lines(parts: Parts) -> list[str]:
    """A verdict as the first lines of a text: the headline, and the rest of it indented."""
    head, rest = parts
    return [head, f"  {rest}"] if rest else [head]


def fitted(verdict: str, word: str, name: str, said: str, place: str = "", mistake: str = "") -> Parts:
    """The headline of a verdict on two sides, and the rest.

    Where not all of it fits, the names of both sides go first, then all but the mistake, then its end.

    Args:
        verdict: All of it.
        word: How it begins, such as ``DISAGREE (definition)``.
        name: The names of both sides.
        said: What differs or what was found, with the most important words first.
        place: Where the sides differ, if that is known.
        mistake: The beginning of ``said`` that must be read; by default, its first clause.

    Returns:
        The headline and the rest.
    """
    if len(verdict) <= LONGEST:
        return verdict, ""
    while len(place) > LONGEST_PLACE and "." in place:
        place = place.removeprefix("...").partition(".")[2]
        place = f"...{place}" if "." in place else place
    mistake = mistake or said.partition("; ")[0]
    more = said.removeprefix(mistake).lstrip(";, ")
    short = f"{place}: " if place else ""
    if len(line := f"{word}: {short}{said}.") <= LONGEST:
        return line, name
    if more and len(line := f"{word}: {name}: {short}{mistake}{CUT}") <= LONGEST:
        return line, f"{more}."
    if more and len(line := f"{word}: {short}{mistake}{CUT}") <= LONGEST:
        return line, f"{name}: {more}."
    start = f"{word}: {short}"
    return f"{start}{_shortened(mistake, LONGEST - len(start) - len(CUT))}{CUT}", verdict.partition(": ")[2]


def _shortened(text: str, most: int) -> str:
    """A text of at most so many characters: without what is in long brackets, or its beginning."""
    while len(text) > most and (inner := BRACKETS.search(text)):
        text = f"{text[: inner.start() + 1]}...{text[inner.end() - 1 :]}"
    return text if len(text) <= most else text[: _end(text, most) or most].rstrip(" ,:")


def _end(text: str, most: int) -> int:
    """Where a text is parted so that at most so many characters come before, outside of brackets; 0 if nowhere."""
    depth, outside = 0, list[bool]()
    for character in text:
        depth += (character in "([") - (character in ")]")
        outside.append(depth <= 0)
    for kind in ENDS:
        for at in range(most, LEAST - 1, -1):
            end = next((end for end in kind if text.startswith(end, at) and at + len(end.rstrip()) <= most), None)
            if end is not None and outside[at]:
                return at + len(end)
    return 0
