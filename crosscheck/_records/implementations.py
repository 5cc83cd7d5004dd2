"""Who computes an activation, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass

MODES = ("eager", "jit", "compile", "vmap", "forward")
"""How an implementation is run: as it is, or by ``jax.jit``, ``torch.compile``, ``vmap``; in forward mode, not reverse."""
USUAL_MODES = ("eager", "jit")
"""Those that are run unless others are asked for."""
MODES_OF = {
    "torch": ("eager", "compile", "vmap", "forward"),
    "jax": ("eager", "jit", "vmap", "forward"),
    "analytic": ("eager",),
}
OWN, NATIVE, MATCHED = "own", "native", "matched"
"""crosscheck's own; what the framework ships with its default arguments, and with those that match the definition."""
SUFFIXES = {OWN: "", NATIVE: ".native", MATCHED: ".native.matched"}


@dataclass(frozen=True)
class Implementation:
    """Who computes an activation.

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
    def own(self) -> bool:
        """Whether it is crosscheck's own."""
        return self.kind == OWN

    @property
    def modes(self) -> tuple[str, ...]:
        """How it can be run."""
        return MODES_OF[self.side]


NATIVES = tuple(Implementation(side, kind).name for kind in (NATIVE, MATCHED) for side in ("torch", "jax"))
IMPLEMENTATIONS = ("torch", "jax", *NATIVES, "analytic")
"""The names of all implementations."""
