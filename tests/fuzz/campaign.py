"""Many command lines of each command: how many there were, how they ended, and which broke the invariant."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import click
from cli import main
from hypothesis import given

from fuzz.generated import the_same_each_time
from fuzz.invariant import broken
from fuzz.lines import COMMANDS, lines
from fuzz.running import Line, run


@dataclass
class Tally:
    """What came of the lines of one command. ``failures`` are lines with the rules that they broke, one of each kind."""

    command: str
    examples: int = 0
    codes: Counter[int | None] = field(default_factory=Counter)
    failures: dict[str, tuple[Line, list[str]]] = field(default_factory=dict)


def campaign(command: str, examples: int, cli: click.Command = main) -> Tally:
    """Run generated lines of one command, the same each time; go on where one breaks the invariant."""
    tally = Tally(command)

    @the_same_each_time(examples)
    @given(lines(command))
    def one(line: Line) -> None:
        outcome = run(line, cli)
        tally.examples += 1
        tally.codes[outcome.code] += 1
        if rules := broken(line, outcome):
            tally.failures.setdefault(_kind(rules), (line, rules))

    one()
    return tally


def _kind(rules: list[str]) -> str:
    """Rules without what differs from line to line."""
    return "; ".join(rule.partition(":")[0] + rule.rpartition("(")[2] for rule in rules)


def campaigns(examples: int, chosen: Callable[[str], bool] = bool) -> Iterator[Tally]:
    """All commands, or those chosen."""
    yield from (campaign(command, examples) for command in COMMANDS if chosen(command))
