"""The places at which devices exchange values, or might, and what else a program could do there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Key = tuple[int, str]


@dataclass(frozen=True)
class SharedPlace:
    """A place in a program that several devices share.

    Attributes:
        key: Names it in every rewriting of the same program.
        kind: ``open`` where each device goes on with its summand of a sum; ``alone`` where each goes on with its own array;
            ``unlike`` where one device's result stands for all; ``added`` where each device adds the same to its summand;
            otherwise the name of a collective.
        axes: The axes of the mesh.
        devices: The number of devices along them.
        equation: The operation.
        options: What else could be done there, as words that the rewriting knows.
        own: Whether it is an operation that each device computes alone.
        callers: The operations whose programs hold it, the innermost first.
    """

    key: Key
    kind: str
    axes: tuple[str, ...]
    devices: int
    equation: Any
    options: tuple[str, ...]
    own: bool = False
    callers: tuple[Any, ...] = ()


@dataclass
class Sharing:
    """What a rewriting does otherwise at some places, and the places that it meets.

    Attributes:
        edits: The option that is taken at a place; none anywhere else.
        everywhere: A kind of places, the axes, and the option that is taken at all of these places.
        sites: The places, by key, in the order of the program.
        callers: The operations whose programs are being rewritten, the innermost first.
        blocks: By axis of the mesh, the sizes of the blocks that devices are given.
        unlike: Where one device's result stands for all, the results of all, stacked along its axes; only outside of loops.
    """

    edits: Mapping[Key, str] = field(default_factory=dict)
    everywhere: tuple[str, tuple[str, ...], str] | None = None
    sites: dict[Key, SharedPlace] = field(default_factory=dict)
    callers: tuple[Any, ...] = ()
    blocks: dict[str, set[int]] = field(default_factory=dict)
    unlike: list[tuple[SharedPlace, Any]] = field(default_factory=list)

    def option(
        self,
        equation: Any,
        kind: str,
        axes: Sequence[str],
        devices: int,
        options: Sequence[str],
        result: Any = None,
        *,
        own: bool = False,
    ) -> str:
        """The option to take at a place, which is noted: an operation, or one of its results.

        It is empty if the program stays as it is there.
        """
        key = id(equation if result is None else result), f"{kind} {axes[0]}" if own else kind
        self.sites.setdefault(key, SharedPlace(key, kind, tuple(axes), devices, equation, tuple(options), own, self.callers))
        if self.everywhere and self.everywhere[:2] == (kind, tuple(axes)):
            return self.everywhere[2]
        return self.edits.get(key, "")
