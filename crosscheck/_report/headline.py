"""A verdict as a headline that fits a line, and the rest of what it says below it."""

from __future__ import annotations

LONGEST = 100
"""The most characters of a headline."""
ENDS = ("; ", ": ", ", ", " ")
"""Where a long verdict is parted: after the last of the first of these that leaves a headline."""
LEAST = 20
"""A shorter headline says too little, so the next kind of end is taken."""


def parted(verdict: str) -> tuple[str, str]:
    """The headline of a verdict, of at most ``LONGEST`` characters, and the rest; "" where all of it fits."""
    if len(verdict) <= LONGEST:
        return verdict, ""
    for end in ENDS:
        at = verdict.rfind(end, LEAST, LONGEST - 1 + len(end))
        if at >= 0:
            return verdict[: at + len(end)].rstrip(), verdict[at + len(end) :]
    return verdict[: LONGEST - 3] + "...", verdict


def lines(verdict: str) -> list[str]:
    """A verdict as the first lines of a text: the headline, and the rest of it indented."""
    head, rest = parted(verdict)
    return [head, f"  {rest}"] if rest else [head]
