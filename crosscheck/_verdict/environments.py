"""Environments: which one this is, where a deviation was observed, and whether anything is on record of this one."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

from packaging.specifiers import SpecifierSet

from crosscheck._recorded.files import records
from crosscheck._records.deviations import Deviation, Region, Seen
from crosscheck._records.implementations import FRAMEWORKS, Implementation
from crosscheck._records.records import Activation


@dataclass(frozen=True)
class Environment:
    """What a deviation's ``seen`` is matched with. A framework that is not installed has the version None."""

    torch: str | None
    jax: str | None
    device: str
    capability: str | None

    @classmethod
    def of(cls, described: Mapping[str, Any], device: str = "cpu") -> Environment:
        """From a report's description of its environment.

        Where XLA_FLAGS chooses other instructions for JAX than torch uses, the capability names those of JAX.
        """
        torch, jax = described["torch"], described["jax"]
        capability = torch.get("capability", jax.get("capability"))
        told = re.search(r"xla_cpu_max_isa=(\w+)", jax.get("xla_flags", ""))
        if told and told[1] != capability:
            capability = f"{told[1]} in JAX"
        return cls(torch.get("version"), jax.get("version"), device, capability)

    def matches(self, seen: Seen, sides: Collection[str]) -> bool:
        """Whether it is one in which a function of these frameworks was observed."""
        versions = {"torch": (seen.torch, self.torch), "jax": (seen.jax, self.jax)}
        return (
            seen.device == self.device
            and self.capability in (None, *seen.capabilities)
            and all(
                version is not None and SpecifierSet(range_).contains(version, prereleases=True)
                for side, (range_, version) in versions.items()
                if side in sides
            )
        )

    @property
    def sides(self) -> tuple[str, ...]:
        """The frameworks that there are."""
        return tuple(side for side in FRAMEWORKS if getattr(self, side))

    def __str__(self) -> str:
        frameworks = (f"{name} {version}" for name, version in (("torch", self.torch), ("jax", self.jax)) if version)
        return ", ".join((*frameworks, self.device, *([self.capability] if self.capability else [])))


def seen_here(deviation: Deviation, environment: Environment, region: Region | None = None) -> bool:
    """Whether the deviation was seen in this environment, in this region if one is given: it must occur at its anchors."""
    sides = {Implementation.of(implementation).side for implementation in deviation.implementations}
    observed = (region.seen if region else ()) or deviation.seen
    return any(environment.matches(seen, sides) for seen in observed)


def examined_here(region: Region, environment: Environment) -> bool:
    """Whether a region's results are those of this CPU's code; one of another still covers what shows in it."""
    return region.capability in (None, environment.capability)


def of_here(activation: Activation, environment: Environment) -> Activation:
    """An activation with the regions that its deviations have here; one that has none here keeps those of elsewhere."""
    deviations = (
        replace(deviation, regions=regions_here(deviation, environment) or deviation.regions)
        for deviation in activation.deviations
    )
    return replace(activation, deviations=tuple(deviations))


def regions_here(deviation: Deviation, environment: Environment) -> tuple[Region, ...]:
    """The regions that count here: those of this environment's own file if a command wrote it, else those by hand.

    Where nothing is on record of the environment, all of them. A region that is in no file counts everywhere.
    """
    own = [record.seen for record in records() if record.by and environment.matches(record.seen, environment.sides)]
    others: set[Seen] = set()
    if on_record(environment):
        others = {record.seen for record in records() if (record.seen not in own if own else record.by)}
    return tuple(region for region in deviation.regions if not region.seen or not set(region.seen) <= others)


def on_record(environment: Environment) -> bool:
    """Whether the package has on record what the functions that the frameworks ship do in this environment."""
    return any(environment.matches(record.seen, environment.sides) for record in records())
