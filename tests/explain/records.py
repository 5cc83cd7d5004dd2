"""What a case is: a right pair, one mistake in its JAX side, and what a porter must read of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, Literal

from field.records import Functions, Sides

from explain.words import CLAIMS

Kind = Literal["function", "model", "training"]
Phrase = tuple[str, ...]
"""Regular expressions, all of which a text must hold, in any case and in any order."""


@dataclass(frozen=True)
class Right:
    """A pair that does the same on both sides. ``make`` makes it afresh; its arguments are mistakes of the JAX side."""

    name: str
    kind: Kind
    make: Callable[..., Sides]
    blind: bool = True
    """Whether its cases were written before the rules that they need, without a look at them."""

    def case(
        self,
        mistake: str,
        change: Mapping[str, Any],
        good: str,
        *words: Phrase | str,
        where: str = "",
        claims: str = "",
        false: tuple[str, ...] = (),
    ) -> Case:
        """A case with this change of the JAX side."""
        phrases = tuple((phrase,) if isinstance(phrase, str) else phrase for phrase in words)
        return Case(self, mistake, change, good, phrases, where, frozenset(claims.split()), false)


@dataclass(frozen=True)
class Case:
    """A mistake in a right pair."""

    right: Right
    mistake: str
    change: Mapping[str, Any]
    good: str
    """A sentence that names it well: one of many."""
    words: tuple[Phrase, ...]
    """What a porter must read: one of these phrases."""
    where: str = ""
    """The place that must be read too, a regular expression. Empty where both sides are functions."""
    claims: frozenset[str] = field(default_factory=frozenset)
    """Those of ``CLAIMS`` that are true of this case; all others are false."""
    false: tuple[str, ...] = ()
    """More words that would be false."""

    @property
    def name(self) -> str:
        return f"{self.right.name}: {self.mistake}"

    @property
    def kind(self) -> Kind:
        return self.right.kind

    def sides(self) -> Sides:
        """PyTorch's side and the wrong JAX side."""
        return self.right.make(**self.change)

    def named_in(self, text: str, places: str = "") -> bool:
        """Whether a text names the mistake. Its place may stand in the text, or among the places that a report names."""
        return says(self.where, f"{text}\n{places}") and any(
            all(says(pattern, text) for pattern in phrase) for phrase in self.words
        )

    def false_in(self, text: str) -> list[str]:
        """What a text says that is not true."""
        untrue = [*(CLAIMS[name] for name in sorted(CLAIMS.keys() - self.claims)), *self.false]
        return [hit[0] for pattern in untrue if (hit := re.search(pattern, text, re.IGNORECASE))]


def says(words: str, text: str) -> bool:
    return bool(re.search(words, text, re.IGNORECASE))


def together(first: Case, second: Case) -> Case:
    """Both mistakes at once: both must be named, and what is true of one may be said."""
    return Case(
        first.right,
        f"{first.mistake} + {second.mistake}",
        {**first.change, **second.change},
        f"{first.good}; {second.good}",
        tuple((*left, *right) for left, right in product(first.words, second.words)),
        f"(?s)(?=.*(?:{first.where}))(?=.*(?:{second.where}))",
        first.claims | second.claims,
        tuple(words for words in (*first.false, *second.false) if not (says(words, first.good) or says(words, second.good))),
    )


def functions(name: str, original: Callable[..., Any], port: Callable[..., Any], *inputs: Any) -> Right:
    """A right pair of functions, for ``compare``. A case's change is another ``port``."""

    def make(port: Callable[..., Any] = port) -> Functions:
        return Functions(_unnamed("original", original), _unnamed("port", port), inputs)

    return Right(name, "function", make)


def _unnamed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The same under a name that betrays no cause, since reports show it."""

    def call(*inputs: Any) -> Any:
        return function(*inputs)

    call.__name__ = call.__qualname__ = name
    return call
