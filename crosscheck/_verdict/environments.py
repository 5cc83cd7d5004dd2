"""Environments: the one of this run, those in which a deviation was observed, and the record that applies here."""

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

CAPABILITIES = ("DEFAULT", "AVX2", "AVX512", "AVX512_FP16")
"""The capabilities of CPUs, with torch's names; each includes the instructions of those before it."""


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

        If JAX, or torch's library oneDNN, uses other instructions than torch, the capability names theirs: a variable of
        the environment may limit one of them alone.
        """
        torch, jax = described["torch"], described["jax"]
        capability = torch.get("capability", jax.get("capability"))
        isa = re.search(r"xla_cpu_max_isa=(\w+)", jax.get("xla_flags", ""))
        used = {"JAX": isa[1] if isa else jax.get("capability"), "oneDNN": torch.get("onednn")}
        if other := next(
            (f"{instructions} in {name}" for name, instructions in used.items() if instructions not in (None, capability)),
            None,
        ):
            capability = other
        return cls(torch.get("version"), jax.get("version"), device, capability)

    def matches(self, seen: Seen, sides: Collection[str]) -> bool:
        """Whether a function of these frameworks that was observed in ``seen`` was observed in this environment."""
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
        """The frameworks that are installed."""
        return tuple(side for side in FRAMEWORKS if getattr(self, side))

    def __str__(self) -> str:
        frameworks = (f"{name} {version}" for name, version in (("torch", self.torch), ("jax", self.jax)) if version)
        return ", ".join((*frameworks, self.device, *([self.capability] if self.capability else [])))


def seen_here(deviation: Deviation, environment: Environment, region: Region | None = None) -> bool:
    """Whether the deviation was observed in this environment, in this region if given: it must then occur at its anchors."""
    sides = {Implementation.of(implementation).side for implementation in deviation.implementations}
    observed = (region.seen if region else ()) or deviation.seen
    return any(environment.matches(seen, sides) for seen in observed)


def examined_here(region: Region, environment: Environment) -> bool:
    """Whether a region's results come from this CPU's code; a region from another CPU still covers what shows in it."""
    return region.capability in (None, environment.capability)


def of_here(activation: Activation, environment: Environment) -> Activation:
    """An activation with the regions that its deviations have here; a deviation without regions here keeps its others."""
    deviations = (
        replace(deviation, regions=regions_here(deviation, environment) or deviation.regions)
        for deviation in activation.deviations
    )
    return replace(activation, deviations=tuple(deviations))


def regions_here(deviation: Deviation, environment: Environment) -> tuple[Region, ...]:
    """The regions that apply here: those of the nearest recorded environment; if there is none, all that are by hand.

    A region that is in no file applies everywhere.
    """
    here = nearest(environment)
    by_command = {record.seen for record in records() if record.by}

    def counts(region: Region) -> bool:
        return here in region.seen if here in by_command else not set(region.seen) <= by_command

    return tuple(region for region in deviation.regions if not region.seen or counts(region))


def nearest(environment: Environment) -> Seen:
    """The recorded environment with which what the frameworks ship is compared: this one, otherwise the nearest.

    The nearest has the same device if possible. Among these it has the fewest major releases, torch's and JAX's together,
    between it and this one; then the fewest minor ones; then micro ones. Then it has the CPU capability with the fewest
    steps among ``CAPABILITIES``; any other capability counts as the first of them. Among equals, it is the first by name.
    """
    seen = [
        replace(record.seen, capabilities=(capability,)) for record in records() for capability in record.seen.capabilities
    ]
    return min(seen, key=lambda recorded: _apart(environment, recorded))


def in_a_record(region: Region) -> bool:
    """Whether a region was measured in an environment that is on record, and is not declared by a person."""
    return any(record.seen in region.seen for record in records())


def _apart(environment: Environment, seen: Seen) -> tuple[bool, bool, list[int], int]:
    """The distance of a recorded environment: whether it is another one, on another device; by its releases; by its CPU."""
    releases = [(_release(getattr(environment, side)), _release(getattr(seen, side))) for side in environment.sides]
    (capability,) = seen.capabilities
    return (
        not environment.matches(seen, environment.sides),
        environment.device != seen.device,
        [sum(abs(here[i] - there[i]) for here, there in releases) for i in range(3)],
        abs(_step(environment.capability) - _step(capability)),
    )


def _release(version: str) -> tuple[int, int, int]:
    """The first three numbers of a version, or of a range of versions."""
    major, minor, micro = map(int, [*re.findall(r"\d+", version), 0, 0, 0][:3])
    return major, minor, micro


def _step(capability: str | None) -> int:
    name = str(capability).partition(" ")[0]
    return CAPABILITIES.index(name) if name in CAPABILITIES else 0


def on_record(environment: Environment) -> bool:
    """Whether the package has on record what the functions that the frameworks ship do in this environment."""
    return any(environment.matches(record.seen, environment.sides) for record in records())
