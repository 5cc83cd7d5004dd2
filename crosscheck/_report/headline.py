"""A verdict as a headline that fits a line, and the rest of what it says below it."""

from __future__ import annotations

import re
from dataclasses import dataclass

LONGEST = 100
"""The most characters of a headline."""
LONGEST_PLACE, SHORT_PLACE = 40, 30
"""The most characters of a place in a headline that has no room for all of the verdict, and in one that is cut."""
ENDS = (("; ",), (": ", ", "), (" ",))
"""Where a long text is parted: after the last of the first kind of these that leaves enough."""
LEAST = 20
"""A shorter text says too little, so the next kind of end is taken."""
CUT = " ..."
"""The end of a headline of which more is said below."""
BRACKETS = re.compile(r"\((?!\.\.\.)(?:[^()]|\(\.\.\.\)){9,}\)|\[(?!\.\.\.)[^][]{9,}\]")
"""A pair of brackets with much inside."""
PATH = re.compile(r"(?<![\w.])(?:\w+\.){2,}(?=\w*[^\W\d]\w*\.\w+)")
"""The modules around the last of the path of a weight or an operation."""


Parts = tuple[str, str]
"""The headline of a verdict, of at most ``LONGEST`` characters, and the rest, "" where the headline says all of it."""


def parted(verdict: str) -> Parts:
    """The headline of a verdict, its beginning, and the rest."""
    if len(verdict) <= LONGEST:
        return verdict, ""
    if at := _end(verdict, LONGEST):
        return verdict[:at].rstrip(), verdict[at:]
    return verdict[: LONGEST - 3] + "...", verdict


@dataclass(frozen=True)
class Verdict:
    """A verdict on two sides.

    Attributes:
        word: How it begins, such as ``DISAGREE (definition)``.
        name: The names of both sides.
        said: What differs or what was found, with the most important words first.
        place: Where the sides differ, if that is known.
        sentence: How the whole verdict says the place and what differs; by default, one after the other.
        mistake: The beginning of ``said`` that must be read; by default, its first clause.
    """

    word: str
    name: str
    said: str
    place: str = ""
    sentence: str = ""
    mistake: str = ""

    @property
    def head(self) -> str:
        """How the whole verdict begins: the word and the names of both sides."""
        return f"{self.word}: {_before(self.name)}"

    def __str__(self) -> str:
        return f"{self.head}{self.sentence or f'{_before(self.place)}{self.said}'}."

    @property
    def parts(self) -> Parts:
        """The headline and the rest.

        Where not all of it fits, the names of both sides go first, then all but the mistake, then its end.
        """
        word, name, said = f"{self.word}: ", _before(self.name), self.said
        place, short_place = (_before(_ending(self.place, most)) for most in (LONGEST_PLACE, SHORT_PLACE))
        mistake = self.mistake or said.partition("; ")[0]
        more = said.removeprefix(mistake).lstrip(";, ")
        tried = [(str(self), ""), *((f"{word}{shown_place}{said}.", self.name) for shown_place in (place, short_place))]
        if more:
            tried += [(f"{word}{name}{place}{mistake}{CUT}", f"{more}."), (f"{word}{place}{mistake}{CUT}", f"{name}{more}.")]
        start = f"{word}{short_place}"
        cut = start + _shortened(mistake, LONGEST - len(start) - len(CUT)) + CUT, str(self).removeprefix(word)
        return next((parts for parts in tried if len(parts[0]) <= LONGEST), cut)

    @property
    def lines(self) -> list[str]:
        """The first lines of a text: the headline, and the rest, indented."""
        return lines(self.parts)


def lines(parts: Parts) -> list[str]:
    """A headline and the rest of its verdict as the first lines of a text."""
    head, rest = parts
    return [head, f"  {rest}"] if rest else [head]


def _before(words: str) -> str:
    return f"{words}: " if words else ""


def _ending(place: str, most: int) -> str:
    """The path of a module in at most so many characters: its end is said, of whole names if possible."""
    while len(place) > most and "." in place.removeprefix("..."):
        place = f"...{place.removeprefix('...').partition('.')[2]}"
    return place if len(place) <= most else f"...{place[3 - most :]}"


def _shortened(text: str, most: int) -> str:
    """A text of at most so many characters: without the beginnings of paths, and what is in long brackets, or cut."""
    if len(text) > most:
        text = PATH.sub("...", text)
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
