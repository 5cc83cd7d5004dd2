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

WRITTEN_OUT = 32
"""Of a longer row a snippet has no bits."""


class Part(NamedTuple):
    """One disagreement: its heading, all that is said of it as one line, and each result with the snippet that shows it."""

    title: str
    said: str
    snippets: list[tuple[str, str]]


def parts(text: str) -> list[Part]:
    sections = []
    for part in re.split(r"^\d+\. ", text, flags=re.MULTILINE)[1:]:
        head = part.partition("   To reproduce ")[0]
        snippets = re.findall(r"   To reproduce (.*?):\n\n```python\n(.*?)\n```", part, re.DOTALL)
        sections.append(Part(head.splitlines()[0], " ".join(head.split()), snippets))
    return sections


def implementation(label: str) -> str:
    """The name of what is called so on screen."""
    match = re.match(r"(own )?(torch|jax|analytic)( matched)?", label)
    assert match is not None, label
    own, side, matched = match.groups()
    return side if own or side == "analytic" else f"{side}.native{'.matched' if matched else ''}"


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
    given = part.said.partition(" input ")[2].partition(": ")[0]
    length = re.search(r"in a row of (\d+)", given)
    bits = re.findall(r"0x[0-9a-f]+", given) if length is None or int(length[1]) <= WRITTEN_OUT else []
    for label, code in part.snippets:
        assert all(bit_pattern in code for bit_pattern in bits), code
        if not (told := shown(code)):
            with pytest.raises(Exception, match=r".+"):
                printed(code, **names)
            continue
        got, where = told
        assert printed(code, **names) == f"{got} here; {got} with {where}", code
        assert where.startswith("torch ")
        assert f" {label} {got}" in part.said


def declaring(record: Activation, x: float, dtype: str, order: int, **where: Any) -> Activation:
    """The record, with one deviation of what both frameworks ship: at one input, so that this is what is explained."""
    natives = ("torch.native", "jax.native")
    region = Region(order, (dtype,), ((x, x),), (Anchor(x, dict.fromkeys(natives, 0.0)),), **where)
    seen = (Seen(torch=">=0", jax=">=0"),)
    deviation = Deviation("declared-here", "inaccurate", natives, (region,), "A reason.", "https://example.org", seen)
    return dataclasses.replace(record, deviations=(deviation,))


def assert_own_reproduced(told: Callable[..., str], broken: Activation, derivative: Callable[..., Any]) -> None:
    """The snippets of a record's own implementations and of its formula, all of them wrong."""
    options = {"quick": True, "orders": [0, 1], "dtypes": ["float64"], "implementations": ["torch", "jax", "analytic"]}
    explained = parts(told(broken, crosscheck.verify(broken, **options, replace={"analytic": derivative})))
    assert {implementation(label) for part in explained for label, _ in part.snippets} == {*options["implementations"]}
    for part in explained:
        assert_reproduced(part, activation=broken, broken=broken)
