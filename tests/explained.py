"""What ``crosscheck.explain`` says, disagreement by disagreement, and what its snippets print."""

import contextlib
import dataclasses
import io
import re
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

import crosscheck
from crosscheck import Activation, Anchor, Deviation, Region, Seen
from crosscheck._verify.explain import Explanation, explanation
from crosscheck._verify.sightings.explanation import Disagreement, counted, limits, place
from crosscheck._verify.sightings.sight import Result, SightedRow, Sighting

__all__ = [
    "Explanation",
    "Part",
    "assert_own_reproduced",
    "assert_reproduced",
    "counted",
    "declaring",
    "disagreement",
    "explanation",
    "limits",
    "parts",
    "place",
    "printed",
    "shown",
    "sighting",
]

ORDER_NAMES = "value", "gradient", "second derivative"
WRITTEN_OUT = 32
"""Of a longer row a snippet has no bits."""


class Part(NamedTuple):
    """One disagreement, each of its results with the snippet that shows it, and the whole text as one line."""

    disagreement: Disagreement
    snippets: list[tuple[Result, str]]
    text: str

    @property
    def sighting(self) -> Sighting:
        assert self.disagreement.sighting is not None
        return self.disagreement.sighting

    @property
    def row(self) -> SightedRow:
        assert self.sighting.row is not None
        return self.sighting.row


def parts(explanation: Explanation) -> list[Part]:
    """The disagreements; the text has each of their snippets as it is."""
    text = str(explanation)
    line, explained = " ".join(text.split()), []
    for number, disagreement in enumerate(explanation.disagreements, 1):
        sighting = disagreement.sighting
        snippets = [(result, explanation.snippet(sighting, result)) for result in sighting.results] if sighting else []
        explained.append(Part(disagreement, snippets, line))
        assert f" {number}. {disagreement.title} " in line
        if sighting:
            at = f"{place(sighting)}: {sighting.dtype}, {ORDER_NAMES[sighting.order]}, {sighting.mode}"
            parameters = "".join(f", {name} = {value:g}" for name, value in sighting.parameters.items())
            assert f" input {at}{parameters} " in line
        for result, code in snippets:
            assert f"   To reproduce {result.label}:\n\n```python\n{code}\n```" in text
    return explained


def disagreement(id_: str | None, order: int = 0, **more: Any) -> Disagreement:
    """One of crosscheck's own function for torch, made by hand."""
    return Disagreement(id_, "special", ("torch",), order, None, **more)


def sighting(x: float, x_bits: str, bits: tuple[str, ...] = (), *, order: int = 0, **row: Any) -> Sighting:
    """An input, made by hand, and the row that it is in."""
    in_row = SightedRow(bits, (), number=None, sampled=1, **row) if bits else None
    return Sighting("float32", order, "eager", {}, x, x_bits, None, (), in_row)


def printed(code: str, **names: Any) -> str:
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "snippet", "exec"), {"__name__": "snippet", **names})
    return out.getvalue().strip()


def shown(code: str) -> tuple[str, str] | None:
    """What a snippet says was got, and where."""
    match = re.search(r'"here; (\S+) with (.*)"\)$', code, re.MULTILINE)
    return (match[1], match[2]) if match else None


def assert_reproduced(part: Part, **names: Any) -> None:
    """Each snippet has the bits of the input, and prints what it sees beside what the text says, or raises as is said."""
    assert part.snippets
    row = part.sighting.row
    bits = (part.sighting.input_bits,) if row is None else row.bits if len(row.bits) <= WRITTEN_OUT else ()
    for result, code in part.snippets:
        assert all(bit_pattern in code for bit_pattern in bits), code
        if not (told := shown(code)):
            assert result.got is None
            with pytest.raises(Exception, match=r".+"):
                printed(code, **names)
            continue
        got, where = told
        assert printed(code, **names) == f"{got} here; {got} with {where}", code
        assert where.startswith("torch ")
        assert got == repr(result.got)
        assert f" {result.label} {got}" in part.text


def declaring(record: Activation, x: float, dtype: str, order: int, **where: Any) -> Activation:
    """The record, with one deviation of what both frameworks ship: at one input, so that this is what is explained."""
    natives = ("torch.native", "jax.native")
    region = Region(order, (dtype,), ((x, x),), (Anchor(x, dict.fromkeys(natives, 0.0)),), **where)
    seen = (Seen(torch=">=0", jax=">=0"),)
    deviation = Deviation("declared-here", "inaccurate", natives, (region,), "A reason.", "https://example.org", seen)
    return dataclasses.replace(record, deviations=(deviation,))


def assert_own_reproduced(told: Callable[..., Explanation], broken: Activation, derivative: Callable[..., Any]) -> None:
    """The snippets of a record's own implementations and of its formula, all of them wrong."""
    options = {"quick": True, "orders": [0, 1], "dtypes": ["float64"], "implementations": ["torch", "jax", "analytic"]}
    explained = parts(told(broken, crosscheck.verify(broken, **options, replace={"analytic": derivative})))
    assert {result.implementation for part in explained for result, _ in part.snippets} == {*options["implementations"]}
    for part in explained:
        assert_reproduced(part, activation=broken, broken=broken)
