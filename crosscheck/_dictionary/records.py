"""What the dictionary holds: calls of PyTorch, what each is in a library of JAX, and what running both has shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LIBRARIES = ("jax", "optax", "flax", "equinox")
DTYPES = ("float32", "float64")
SAME, DIFFER, NOT_JUDGED = "same", "differ", "not judged"
OFFERED = ("counterpart", "written")
CONTRASTS = {"default": "the defaults differ", "similar": "a similar call differs"}
"""What is said of the kinds of pairs that must differ."""


@dataclass(frozen=True)
class TranslatedPair:
    """Code of PyTorch and code of a library of JAX, and the verdict of running both.

    Attributes:
        kind: ``counterpart``: the library's own; ``written``: what to write where there is none; ``edge``: one of these at
            other inputs; ``default``: both called with their defaults, which differ; ``similar``: other calls that look
            alike and differ.
        library: ``jax``, ``optax``, ``flax`` or ``equinox``.
        torch: The code in PyTorch.
        code: The code in JAX.
        calls: The full name of what is offered, if the code is that of a library.
        at: Of an edge, which inputs these are, in words.
        says: Of defaults, what differs in them.
        argument: Of defaults, the argument of PyTorch that differs, where the code does not show it.
        inputs: The inputs it is judged at, by name: expressions.
        constant: The inputs that no derivative is taken by.
        dtypes: The dtypes it is judged in.
        verdict: ``same``, ``differ`` or ``not judged``.
        cause: The cause of the difference, as ``compare`` names it, or of what is the same: ``exact`` or ``rounding``.
        side: The side at fault, as far as that is known.
        told: What ``compare`` says of it; of a pair that was not judged, why.
        shown: The simplest inputs that show a difference, by name.
        got: What both give there.
    """

    kind: str
    library: str
    torch: str
    code: str
    calls: str = ""
    at: str = ""
    says: str = ""
    argument: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    constant: tuple[str, ...] = ()
    dtypes: tuple[str, ...] = DTYPES
    verdict: str = NOT_JUDGED
    cause: str | None = None
    side: str | None = None
    told: str = ""
    shown: Mapping[str, str] = field(default_factory=dict)
    got: str = ""

    @property
    def expected(self) -> bool:
        """Whether the verdict is what the entry says: what is offered is the same, and contrasts differ."""
        if self.verdict == NOT_JUDGED or self.kind == "edge":
            return True
        return self.verdict == (DIFFER if self.kind in CONTRASTS else SAME)


@dataclass(frozen=True)
class Translation:
    """An entry of the dictionary: a call of PyTorch, and what it is in JAX.

    Attributes:
        name: The full name of what is called in PyTorch.
        what: Which of its uses it is, in words, where it has several.
        family: The name of the family.
        names: All full names that lead to it, those of the libraries of JAX too.
        torch: The code in PyTorch.
        maps: How arguments and layouts map.
        draws: Whether it draws random numbers, and is judged by their distribution.
        pairs: What it is judged by.
        parameters: The parameters of those of ``names`` that are functions or modules of PyTorch, with their defaults.
    """

    name: str
    what: str
    family: str
    names: tuple[str, ...]
    torch: str
    maps: str
    draws: bool
    pairs: tuple[TranslatedPair, ...]
    parameters: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name, and which use it is."""
        return f"{self.name}: {self.what}" if self.what else self.name

    @property
    def offered(self) -> tuple[TranslatedPair, ...]:
        """The code that is offered for it: counterparts, or what to write."""
        return tuple(pair for pair in self.pairs if pair.kind in OFFERED)

    @property
    def edges(self) -> tuple[TranslatedPair, ...]:
        """The inputs at which what is offered is not the same."""
        return tuple(pair for pair in self.pairs if pair.kind == "edge" and pair.verdict == DIFFER)

    @property
    def contrasts(self) -> tuple[TranslatedPair, ...]:
        """The calls that look alike and differ: with their defaults, or otherwise."""
        return tuple(pair for pair in self.pairs if pair.kind in CONTRASTS)

    @property
    def summary(self) -> str:
        """The verdict in a few words."""
        judged = [pair for pair in self.offered if pair.verdict != NOT_JUDGED]
        if not judged:
            return "not judged here"
        wrong = sorted({pair.library for pair in judged if pair.verdict != SAME})
        if wrong:
            return f"NOT the same in {', '.join(wrong)}"
        own = any(pair.kind == "counterpart" for pair in self.offered)
        same = "the same distribution" if self.draws else "the same"
        parts = [same if own else f"no counterpart: write this, which is {same}"]
        if edges := list(dict.fromkeys(pair.at for pair in self.edges)):
            parts.append(f"but {'; '.join(edges)}")
        kinds = {pair.kind for pair in self.contrasts}
        parts += [said for kind, said in CONTRASTS.items() if kind in kinds]
        return ", ".join(parts)
