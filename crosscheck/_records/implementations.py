"""The implementations of an activation, and the modes in which they run."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

MODES = ("eager", "jit", "compile", "vmap", "forward")
"""How an implementation is run: unchanged; by ``jax.jit``, ``torch.compile`` or ``vmap``; in forward mode, not reverse."""
USUAL_MODES = ("eager", "jit")
"""The modes that are run by default."""
MODES_OF = {
    "torch": ("eager", "compile", "vmap", "forward"),
    "jax": ("eager", "jit", "vmap", "forward"),
    "analytic": ("eager",),
}
OWN, NATIVE, MATCHED = "own", "native", "matched"
"""crosscheck's own; the framework's function with its default arguments; the same with those that match the definition."""
SUFFIXES = {OWN: "", NATIVE: ".native", MATCHED: ".native.matched"}
FRAMEWORKS = ("torch", "jax")


@dataclass(frozen=True)
class Implementation:
    """An implementation of an activation.

    Attributes:
        side: The framework, ``torch`` or ``jax``, or ``analytic``: the closed form of a derivative.
        kind: ``own``, ``native`` or ``matched``.
    """

    side: str
    kind: str = OWN

    @classmethod
    def of(cls, name: str) -> Implementation:
        """The implementation of a name such as ``torch.native``."""
        side, dot, rest = name.partition(".")
        return cls(side, {suffix: kind for kind, suffix in SUFFIXES.items()}[dot + rest])

    @property
    def name(self) -> str:
        """Its name, such as ``torch.native.matched``."""
        return self.side + SUFFIXES[self.kind]

    @property
    def on_screen(self) -> str:
        """The name in reports: ``own torch``; ``torch`` for what torch ships; ``torch matched``."""
        words = {OWN: f"own {self.side}", NATIVE: self.side, MATCHED: f"{self.side} matched"}
        return words[self.kind] if self.side in FRAMEWORKS else self.side

    @property
    def own(self) -> bool:
        """Whether it is crosscheck's own."""
        return self.kind == OWN

    @property
    def modes(self) -> tuple[str, ...]:
        """The modes in which it can run."""
        return MODES_OF[self.side]


NATIVES = tuple(Implementation(side, kind).name for kind in (NATIVE, MATCHED) for side in FRAMEWORKS)
IMPLEMENTATIONS = (*FRAMEWORKS, *NATIVES, "analytic")
"""The names of all implementations."""


def on_screen(names: str | Collection[str]) -> str:
    """The names of implementations in reports, several with "and" between them; the exact value keeps its name."""
    names = [names] if isinstance(names, str) else names
    return " and ".join(Implementation.of(name).on_screen for name in names)


def legend(names: Collection[str]) -> str:
    """A sentence that explains the implementations in a table or a figure."""
    said = {
        OWN: "crosscheck's own",
        NATIVE: "what the frameworks ship",
        MATCHED: "the same, with the arguments that match the definition",
    }
    present = [Implementation.of(name) for name in IMPLEMENTATIONS if name in names and name != "analytic"]
    kinds: dict[str, list[str]] = {}
    for implementation in present:
        kinds.setdefault(implementation.kind, []).append(implementation.on_screen)
    parts = [f"{', '.join(shown)}: {said[kind]}" for kind, shown in kinds.items()]
    parts += ["analytic: the formula of the derivative, in float64"] * ("analytic" in names)
    return f"{'; '.join(parts)}."
