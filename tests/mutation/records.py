"""Plain records of mutants; this needs no cosmic-ray."""

import hashlib
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]

TESTS = {
    "crosscheck/_arithmetic/formats.py": ("arithmetic/test_formats.py",),
    "crosscheck/_arithmetic/ulp.py": ("arithmetic/test_ulp.py", "verdict/test_causes.py"),
    "crosscheck/_arithmetic/sampling.py": ("arithmetic/test_sampling.py",),
    "crosscheck/_arithmetic/profile.py": ("arithmetic/test_profile.py",),
    "crosscheck/_verdict/causes.py": ("verdict/test_causes.py", "verdict/test_systematic.py"),
}
"""The modules that are mutated, and the tests that judge their mutants: such as import no framework."""

HELPERS = ("contract.py", "floats.py", "rational.py")
"""What these tests import, of the tests' folder."""

KILLED, TIMED_OUT, SURVIVED = "killed", "timed out", "survived"


@dataclass(frozen=True)
class Identity:
    """By what a mutant is found again when lines have moved: the texts of its line, before and after.

    Attributes:
        within: The innermost function or class, or nothing.
        nth: Its number among those with the same texts, in their order.
    """

    module: str
    within: str
    line: str
    mutant: str
    nth: int = 1

    @property
    def digest(self) -> str:
        """The same for the same identity, and otherwise as if at random."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


@dataclass(frozen=True)
class Mutant:
    """One change: to which line, by which operator of cosmic-ray, at which of its places in the module."""

    identity: Identity
    number: int
    operator: str
    occurrence: int


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant, and how long its tests took."""

    result: str
    seconds: float


@dataclass(frozen=True)
class Explained:
    """A mutant that may survive, and why."""

    identity: Identity
    why: str


def explained() -> list[Explained]:
    """The list that is kept of these."""
    rows = tomllib.loads(Path(__file__).with_name("explained.toml").read_text(encoding="utf-8")).get("mutant", [])
    return [Explained(Identity(**{name: row[name] for name in row if name != "why"}), row["why"]) for row in rows]


def chosen(mutants: Sequence[Mutant], most: int) -> list[Mutant]:
    """So many of them: those of the lowest digests, which a change elsewhere in the code does not alter."""
    lowest = {mutant.identity for mutant in sorted(mutants, key=lambda mutant: mutant.identity.digest)[:most]}
    return [mutant for mutant in mutants if mutant.identity in lowest]
