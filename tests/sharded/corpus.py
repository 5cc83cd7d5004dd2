"""The corpus of what devices share: a line for each case, then how many of each table are as they must be.

A right program must be certified; a mistake must be found, named and placed. The devices are virtual ones of the CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from corpora import Corpus, cpu_seconds

from sharded import memory
from sharded.exchanges import EXCHANGES, agrees
from sharded.forms import DTYPES, FORMS, certified, certified_in_training, names
from sharded.mistakes import MISTAKES
from sharded.records import Answer

Row = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """A row of a table, among so many devices."""

    table: str
    devices: int
    of: str
    judge: Callable[[int], Answer]

    @property
    def name(self) -> str:
        return f"{self.table}, {self.devices} devices: {self.of}"


def cases() -> Iterator[Case]:
    """The cases of the four tables."""
    for devices in (2, 4, 8):
        for exchange in EXCHANGES:
            yield Case("exchanges", devices, exchange.name, partial(agrees, exchange))
    for devices in (2, 4, 8):
        for name, form in FORMS.items():
            for dtype in DTYPES:
                yield Case("forms", devices, f"{name}, {dtype}", partial(certified, form, dtype))
                if form.trains:
                    yield Case("forms", devices, f"{name}, {dtype}, trained", partial(certified_in_training, form, dtype))
    for mistake in MISTAKES:
        yield Case("mistakes", 4, f"{mistake.form}: {mistake.wrong}", partial(names, mistake))
    yield Case("memory", 8, f"fully sharded, {memory.NUMBERS:,} parameters", memory.saves)


def judged(case: Case) -> Row:
    """The row of a case; its seconds are those of the CPU."""
    start = cpu_seconds()
    right, said = case.judge(case.devices)
    seconds = round(cpu_seconds() - start, 1)
    about = {"case": case.name, "table": case.table, "devices": case.devices}
    return {**about, "right": right, "said": said, "seconds": seconds}


def line(row: Row) -> str:
    mark = "as it must be" if row["right"] else "WRONG"
    return f"{row['case']:76} {mark:13} {row['seconds']:6.1f} CPU s  {row['said']}"


def sums(rows: Sequence[Row]) -> Iterator[str]:
    """How many rows of each table are right, for each number of devices."""
    yield f"\n{'table':9} {'devices':>7} {'as they must be':>15} {'CPU s':>6}"
    for table, devices in dict.fromkeys((row["table"], row["devices"]) for row in rows):
        some = [row for row in rows if (row["table"], row["devices"]) == (table, devices)]
        right = f"{sum(row['right'] for row in some)} of {len(some)}"
        yield f"{table:9} {devices:7} {right:>15} {sum(row['seconds'] for row in some):6.0f}"


CORPUS = Corpus(
    name="sharded",
    case="case",
    cases=list(cases()),
    judged=judged,
    head=f"{'case':76} {'':13} {'':12}  what crosscheck says",
    line=line,
    sums=sums,
    worse=lambda row, kept: not row["right"],
    variables={"XLA_FLAGS": "--xla_force_host_platform_device_count=8"},
)
