"""What was found of the mutants, as a verdict, as data and as lines of text; this needs no cosmic-ray."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mutation.records import SURVIVED, TIMED_OUT, Explained, Identity, Mutant, Outcome

MOST_SURVIVORS = 0.05
"""Less than this share may survive, explained or not."""


@dataclass(frozen=True)
class Summary:
    """The outcomes of the mutants that were tried, all there are of the same modules, and the list of those explained."""

    outcomes: Mapping[Mutant, Outcome]
    known: Collection[Identity]
    explained: Sequence[Explained]
    whole: bool = True
    """Whether these are all modules: the share of survivors is not that of a part."""

    @property
    def survivors(self) -> list[Mutant]:
        return [mutant for mutant, outcome in self.outcomes.items() if outcome.result == SURVIVED]

    @property
    def score(self) -> float:
        """The share of those that were killed."""
        return 1 - len(self.survivors) / len(self.outcomes) if self.outcomes else 0.0

    def problems(self) -> Iterator[str]:
        """Why the run fails, a line each."""
        if not self.outcomes:
            yield "nothing was mutated"
            return
        if self.whole and 1 - self.score >= MOST_SURVIVORS:
            yield f"{1 - self.score:.1%} survived, less than {MOST_SURVIVORS:.0%} may"
        whys = self._whys()
        yield from (
            f"survived, and is not explained: {shown(survivor)}"
            for survivor in self.survivors
            if survivor.identity not in whys
        )
        killed = {mutant.identity for mutant, outcome in self.outcomes.items() if outcome.result != SURVIVED}
        modules = {identity.module for identity in self.known}
        for identity, count in Counter(explanation.identity for explanation in self.explained).items():
            if count > 1:
                yield f"explained {count} times: {_line(identity)}"
            if identity in killed:
                yield f"explained, but it is killed: {_line(identity)}"
            if identity not in self.known and identity.module in modules:
                yield f"explained, but there is no such mutant: {_line(identity)}"

    def modules(self) -> list[dict[str, Any]]:
        """How many of each module there were, and what became of them."""
        return [
            {
                "module": module,
                "mutants": len(ones),
                "killed": len(ones) - ones.count(SURVIVED),
                "timed_out": ones.count(TIMED_OUT),
                "survived": ones.count(SURVIVED),
            }
            for module in dict.fromkeys(mutant.identity.module for mutant in self.outcomes)
            for ones in [[outcome.result for mutant, outcome in self.outcomes.items() if mutant.identity.module == module]]
        ]

    def data(self) -> dict[str, Any]:
        """The score, the modules and the survivors with their reasons."""
        whys = self._whys()
        return {
            "score": round(self.score, 4),
            "mutants": len(self.outcomes),
            "seconds": round(sum(outcome.seconds for outcome in self.outcomes.values())),
            "modules": self.modules(),
            "survivors": [
                {
                    "module": survivor.identity.module,
                    "number": survivor.number,
                    "within": survivor.identity.within,
                    "operator": survivor.operator,
                    "line": survivor.identity.line,
                    "mutant": survivor.identity.mutant,
                    "nth": survivor.identity.nth,
                    "why": whys.get(survivor.identity),
                }
                for survivor in self.survivors
            ],
        }

    def lines(self) -> Iterator[str]:
        """The survivors with their reasons, then how many there are in each module."""
        whys = self._whys()
        for survivor in self.survivors:
            yield from (shown(survivor), f"  - {survivor.identity.line}", f"  + {survivor.identity.mutant}")
            yield f"  {whys.get(survivor.identity, 'NOT EXPLAINED')}"
        yield f"{'module':38}{'mutants':>9}{'killed':>9}{'in time':>9}{'survived':>10}"
        for row in self.modules():
            in_time = row["killed"] - row["timed_out"]
            yield f"{row['module']:38}{row['mutants']:9}{row['killed']:9}{in_time:9}{row['survived']:10}"
        yield f"score: {self.score:.1%} of {len(self.outcomes)} mutants killed"

    def _whys(self) -> dict[Identity, str]:
        return {explanation.identity: explanation.why for explanation in self.explained}


def shown(mutant: Mutant) -> str:
    """A mutant in a line."""
    identity = mutant.identity
    return f"{identity.module}:{mutant.number} {mutant.operator}: {identity.line} -> {identity.mutant or '(nothing)'}"


def _line(identity: Identity) -> str:
    nth = f" ({identity.nth})" if identity.nth > 1 else ""
    return f"{identity.module} {identity.within}: {identity.line} -> {identity.mutant or '(nothing)'}{nth}"
