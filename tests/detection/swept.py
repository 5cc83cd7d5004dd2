"""Faults that a sweep must find: in a function at a single float, and in the sweep's own counting."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zlib import crc32

import numpy as np
from usual_checks import usual_of

import crosscheck
from crosscheck import UsageError
from crosscheck._sweep.piece import Judge
from detection.planting import Plant
from detection.records import MISSED, Fault, Said, Verdict, lies
from detection.verified import SHAPE

Piece = dict[str, Any]
PIECE = 2**20
"""So many inputs of a sweep are judged at once."""
RANGE = ("0x3f800000", "0x3fafffff")
"""Three pieces of float32, from 1 on."""


@dataclass(frozen=True, kw_only=True)
class Swept(Fault):
    """``plant`` in the activation ``of``, swept over a range, or over all inputs of 16 bits."""

    of: str
    plant: Plant
    range: tuple[float | str, float | str] | None = None
    dtype: str = "float32"
    orders: tuple[int, ...] = (0,)

    def judge(self) -> Verdict:
        """``special`` where there is a wrong NaN or infinity, else ``inaccurate``: a sweep does not tell other functions."""
        assert self.side is not None
        report = crosscheck.sweep(
            self.of,
            dtype=self.dtype,
            orders=self.orders,
            implementations=["torch", "jax"],
            range=self.range,
            replace={self.side: self.plant(crosscheck.activations[self.of], self.side)},
        )
        if report.passed:
            return MISSED
        first = report.beyond[0]
        special = first.special > 0
        worst = None if special else first.worst_subnormal or first.worst
        return Verdict(
            found=True,
            cause="special" if special else "inaccurate",
            side=first.implementation
            if {result.implementation for result in report.beyond} == {first.implementation}
            else "both",
            at=None if worst is None else worst.input,
            placed=special or (worst is not None and lies(worst.input, self.at)),
        )

    def usual(self) -> Mapping[str, Said]:
        """At normal inputs."""
        assert self.side is not None
        activation = crosscheck.activations[self.of]
        functions = {side: getattr(activation, side) for side in ("torch", "jax")}
        functions[self.side] = self.plant(activation, self.side)
        x = np.random.default_rng(0).standard_normal(SHAPE).astype(np.float32)
        return usual_of(functions, [x], max(self.orders), self.side)


@dataclass(frozen=True, kw_only=True)
class Miscounted(Fault):
    """A sweep whose second piece is judged otherwise: ``change(judge, span)`` in its place."""

    change: Callable[[Callable[[Any], Piece], Any], Piece]

    def judge(self) -> Verdict:
        """What the sweep raises, and the position of the piece that it names."""
        original = Judge.judge

        def judge(self_: Judge, span: Any) -> Piece:
            second = span.first // PIECE % 3 == SECOND
            return self.change(lambda at: original(self_, at), span) if second else original(self_, span)

        with patch.object(Judge, "judge", judge):
            return _raised(lambda: crosscheck.sweep("tanh", range=RANGE, implementations=["torch.native"]))


SECOND = (0xBF800000 // PIECE + 1) % 3
"""Which of three pieces in a row is the second of ``RANGE``: 1 has the position 0xbf800000."""


@dataclass(frozen=True, kw_only=True)
class Tampered(Fault):
    """A journal of which the lines are changed, by ``change``, before a sweep goes on with it.

    ``signed`` says whether each line gets a new checksum, as if the sweep had written it.
    """

    change: Callable[[list[bytes]], list[bytes]]
    signed: bool = True

    def judge(self) -> Verdict:
        """What going on with it raises."""
        with tempfile.TemporaryDirectory() as folder:
            options: dict[str, Any] = {"range": RANGE, "implementations": ["torch.native"], "out": folder}
            crosscheck.sweep("tanh", **options)
            (path,) = Path(folder).glob("*.journal")
            lines = self.change(path.read_bytes().splitlines(keepends=True))
            path.write_bytes(b"".join(map(_signed, lines) if self.signed else lines))
            return _raised(lambda: crosscheck.sweep("tanh", **options, resume=True))


def _signed(line: bytes) -> bytes:
    text = line.partition(b" ")[2].rstrip(b"\n")
    return b"%08x %s\n" % (crc32(text), text)


def _raised(sweep: Callable[[], Any]) -> Verdict:
    try:
        sweep()
    except UsageError as error:
        return Verdict(found=True, cause="refused", at=str(error))
    except RuntimeError as error:
        return Verdict(found=True, cause="incomplete", at=str(error))
    return MISSED
