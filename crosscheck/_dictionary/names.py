"""Names of calls: the full ones behind those that code uses, and which entries a name means."""

from __future__ import annotations

import ast
import difflib
import json
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path

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
WITHOUT = Path(__file__).with_name("without.json")
NEAREST = 4
NEAR = 0.8
"""The least similarity of a name that is suggested, as ``difflib`` measures it: that of ``abc`` to ``abcd`` is above it."""


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

    An entry that is named so comes first. A name of PyTorch, or of a module of any library, means every use of what it
    calls, and what else the module has: ``nn.Embedding`` has its first weights.

    Raises:
        UsageError: If there is none; the message says which names are near.
    """
    asked = _parts(full(name))
    hits = {k for k, entry in enumerate(entries) if any(_ends(_parts(one), asked) for one in entry.names)}
    if not hits or not all(asked):
        raise UsageError(_unknown(name, entries))
    exact = {k for k in hits if full(name) in entries[k].names}
    hits = exact or hits
    meant = {full(name)} if exact else {one for k in hits for one in entries[k].names if _ends(_parts(one), asked)}
    calls = {entries[k].name for k in hits if any(map(_means_all_uses, meant & {*entries[k].names}))}
    uses = [k for k, entry in enumerate(entries) if k in hits or entry.name in calls]
    order = list(dict.fromkeys(entries[k].name for k in uses))

    def rank(k: int) -> tuple[bool, bool, int, bool]:
        entry = entries[k]
        return entry.name not in meant, _parts(entry.name)[-1] != asked[-1], order.index(entry.name), bool(entry.what)

    uses.sort(key=rank)
    parts = [k for k, entry in enumerate(entries) if k not in uses and _home(entry.name) in meant]
    return tuple(entries[k] for k in [*uses, *parts])


def _means_all_uses(name: str) -> bool:
    return name.startswith("torch.") or name.rpartition(".")[2][:1].isupper()


def _parts(name: str) -> list[str]:
    return [part.replace("_", "").lower() for part in name.strip().removesuffix("()").split(".")]


def _ends(name: list[str], asked: list[str]) -> bool:
    return name[-len(asked) :] == asked


@cache
def without_counterpart() -> frozenset[str]:
    """The names of libraries of JAX of which PyTorch has no counterpart; what is no function of arrays is among them."""
    listed = json.loads(WITHOUT.read_text("utf-8"))
    return frozenset(f"{home}.{name}" for home, names in listed.items() for name in names)


def _unknown(name: str, entries: Sequence[Translation]) -> str:
    alone = [one for one in sorted(without_counterpart()) if _ends(_parts(one), _parts(full(name)))]
    if alone and all(_parts(name)):
        return f"name: PyTorch has no counterpart of {', '.join(alone)}, so the dictionary has no entry for it"
    near = {_parts(one)[-1]: entry.name for entry in entries for one in entry.names}
    near |= {_parts(entry.name)[-1]: entry.name for entry in entries}
    hits = difflib.get_close_matches(_parts(name)[-1], list(near), n=NEAREST, cutoff=NEAR)
    names = dict.fromkeys(near[hit] for hit in hits)
    hint = f"the nearest {'is' if len(names) == 1 else 'are'} {', '.join(names)}" if hits else "no name is near"
    if page := _page(full(name), entries):
        return f"name: the dictionary has no {name!r}; {hint}; its page {page!r} has the other names of {_home(full(name))}"
    return f"name: the dictionary has no {name!r}; {hint}; without a name, all are listed"


def _home(name: str) -> str:
    return name.rpartition(".")[0]


def _page(name: str, entries: Sequence[Translation]) -> str:
    """The page with most of the names that begin as this one does, before the last dot; empty where there are none."""
    pages = Counter(entry.family for entry in entries for one in entry.names if _home(one) == _home(name))
    return pages.most_common(1)[0][0] if pages and "." in _home(name) else ""
