"""What cannot be run here: a framework that cannot be imported, or a dtype that a backend lacks."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from crosscheck._frameworks.environment import environment
from crosscheck._records.implementations import FRAMEWORKS, Implementation
from crosscheck._records.interface import MissingFrameworkError


@dataclass(frozen=True)
class Lacking:
    """Why frameworks cannot be imported; and for each framework, why dtypes cannot be run."""

    frameworks: Mapping[str, str]
    dtypes: Mapping[str, Mapping[str, str]]

    @classmethod
    def of(cls, described: Mapping[str, Any]) -> Lacking:
        """From a report's description of its environment."""
        sides = {name: described.get(name, {}) for name in FRAMEWORKS}
        return cls(
            {name: side["error"] for name, side in sides.items() if "error" in side},
            {name: side["lacks"] for name, side in sides.items() if "lacks" in side},
        )

    def runs(self, implementation: str, dtype: str | None = None) -> bool:
        """Whether an implementation can be run here, in a dtype if one is given."""
        side = Implementation.of(implementation).side
        return side not in self.frameworks and dtype not in self.dtypes.get(side, {})

    def of_those(self, implementations: Collection[str], dtypes: Collection[str]) -> dict[str, str]:
        """The implementations and dtypes that cannot be run here, and why.

        Raises ``MissingFrameworkError`` if none of their frameworks can be imported.
        """
        sides = {Implementation.of(implementation).side for implementation in implementations} - {"analytic"}
        if sides and sides <= self.frameworks.keys():
            raise MissingFrameworkError(". ".join(why for name, why in self.frameworks.items() if name in sides))
        return self.among(sides, dtypes)

    def among(self, sides: Collection[str], dtypes: Collection[str]) -> dict[str, str]:
        """The frameworks and dtypes that cannot be run here, and why."""
        return {name: why for name, why in self.frameworks.items() if name in sides} | {
            f"{dtype} in {name}": why
            for name, lost in self.dtypes.items()
            if name in sides
            for dtype, why in lost.items()
            if dtype in dtypes
        }


def lacking(device: str = "cpu") -> Lacking:
    """What cannot be run on a device."""
    return Lacking.of(environment(device))


def not_run(lost: Collection[str]) -> str:
    """The remark in a first line that something requested was not run."""
    return f"; not run here: {', '.join(lost)}" if lost else ""
