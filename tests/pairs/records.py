"""What a pair of the corpus is: two functions, what they are called with, and what the verdict must be."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

from packaging.specifiers import SpecifierSet

import crosscheck


@dataclass(frozen=True)
class Pair:
    """``passes``, ``cause`` and ``side`` are what ``crosscheck.compare`` must say of it.

    A pair that passes names no cause and no side. ``make`` returns the inputs afresh at each call (None for the
    stratified set), so that no pair sees what another did to its arrays. Where the verdict is about what a framework ships,
    ``versions`` are those of ``torch`` or ``jax`` in which it is that.
    """

    name: str
    torch: Callable[..., Any]
    jax: Callable[..., Any]
    make: Callable[[], Any] = lambda: None
    passes: bool = True
    cause: str | None = None
    side: str | None = None
    order: int = 1
    dtype: str = "float32"
    options: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.passes != (self.cause is None) or (self.passes and self.side is not None):
            raise ValueError(f"{self.name}: a pair names a cause where it must fail, and only there")

    @property
    def holds_here(self) -> bool:
        """Whether the verdict is about these versions of the frameworks."""
        return all(SpecifierSet(some).contains(version(name), prereleases=True) for name, some in self.versions.items())

    def report(self) -> crosscheck.PairReport:
        """What crosscheck says of the pair."""
        return crosscheck.compare(self.torch, self.jax, self.make(), order=self.order, dtype=self.dtype, **self.options)
