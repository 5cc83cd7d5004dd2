"""Names of calls: the full ones behind those that code uses, and which entries a name means."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Sequence

from crosscheck._dictionary.records import Translation
from crosscheck._records.errors import UsageError

SHORT = {
    "F": "torch.nn.functional",
    "nn": "torch.nn",
    "jnp": "jax.numpy",
    "lax": "jax.lax",
    "nnx": "flax.nnx",
    "eqx": "equinox",
}
"""What is imported under a shorter name."""
ROOTS = ("torch", "jax", "optax", "flax", "equinox")
HELPERS = {
    "equinox.tree_at",
    "flax.nnx.Param",
    "flax.nnx.Rngs",
    "jax.lax.rsqrt",
    "jax.numpy.arange",
    "jax.numpy.array",
    "jax.numpy.asarray",
    "jax.numpy.moveaxis",
    "jax.numpy.ones",
    "jax.numpy.swapaxes",
    "jax.numpy.zeros",
    "jax.random.key",
    "jax.vmap",
    "torch.func.functional_call",
    "torch.ones",
    "torch.tensor",
    "torch.zeros",
}
"""What code calls beside the call that it is about."""
NEAREST = 4


def full(name: str) -> str:
    """A name that may begin with a short one, in full."""
    first, dot, rest = name.partition(".")
    return f"{SHORT[first]}{dot}{rest}" if first in SHORT else name


def called(code: str) -> str:
    """The full name of what a code is about: the first thing of a library that it calls; empty where it calls none."""
    dotted = filter(None, (_dotted(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)))
    at = dict(sorted(dotted))  # of those that begin at one place, the longest stays
    names = [name for name in map(full, at.values()) if name.partition(".")[0] in ROOTS]
    return next((name for name in names if name not in HELPERS), names[0] if names else "")


def _dotted(node: ast.expr) -> tuple[tuple[int, int], str] | None:
    """Where a dotted name is, and the name; None for an attribute of something else, such as of a result."""
    place, parts = (node.lineno, node.col_offset), list[str]()
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return (place, ".".join([node.id, *reversed(parts)])) if isinstance(node, ast.Name) else None


def found(name: str, entries: Sequence[Translation]) -> tuple[Translation, ...]:
    """The entries that a name means, in full or its last part, however its words are joined: ``layernorm``, ``LayerNorm``.

    Raises:
        UsageError: If there is none; the message says which names are near.
    """
    asked = _parts(full(name))
    hits = [entry for entry in entries if any(_ends(_parts(one), asked) for one in entry.names)]
    if not hits or not all(asked):
        raise UsageError(_unknown(name, entries))
    exact = [entry for entry in hits if full(name) in entry.names]
    return tuple(exact or hits)


def _parts(name: str) -> list[str]:
    return [part.replace("_", "").lower() for part in name.strip().removesuffix("()").split(".")]


def _ends(name: list[str], asked: list[str]) -> bool:
    return name[-len(asked) :] == asked


def _unknown(name: str, entries: Sequence[Translation]) -> str:
    near = {_parts(one)[-1]: entry.name for entry in entries for one in entry.names}
    near |= {_parts(entry.name)[-1]: entry.name for entry in entries}
    hits = difflib.get_close_matches(_parts(name)[-1], list(near), n=NEAREST, cutoff=0.5)
    names = dict.fromkeys(near[hit] for hit in hits)
    hint = f"the nearest are {', '.join(names)}" if hits else "none is near; without a name, all are listed"
    return f"name: the dictionary has no {name!r}; {hint}"
