"""Names of calls: the full ones behind those that code uses, and which entries a name means."""

from __future__ import annotations

import ast
import difflib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
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
    "Tensor": "torch.Tensor",
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
    "jax.numpy.stack",
    "jax.numpy.swapaxes",
    "jax.numpy.where",
    "jax.numpy.zeros",
    "jax.random.key",
    "jax.random.split",
    "jax.tree.leaves",
    "jax.tree.map",
    "jax.vmap",
    "torch.func.functional_call",
    "torch.ones",
    "torch.tensor",
    "torch.zeros",
}
"""What code calls beside the call that it is about."""
TENSOR, MODULE, OPTIMIZER = "torch.Tensor", "torch.nn.Module", "torch.optim.Optimizer"
FUNCTIONAL, SPECIAL = "torch.nn.functional", "torch.special"
PLACES = {
    TENSOR: (TENSOR, "torch", FUNCTIONAL, SPECIAL),
    "torch": ("torch", TENSOR, FUNCTIONAL, SPECIAL),
    FUNCTIONAL: (FUNCTIONAL,),
    SPECIAL: (SPECIAL, "torch", FUNCTIONAL),
    "torch.autograd": ("torch",),
    "torch.random": ("torch",),
    "flax.nnx": ("jax.nn", "jax", "jax.lax"),
    "flax.linen": ("flax.nnx", "jax.nn", "jax", "jax.lax"),
}
"""Where a library has one function under several names, and which functions of JAX flax passes on."""
OLDER = ("torch.nn.init", "torch.nn.utils")
"""Where functions that end in ``_`` were once called without it."""
WITHOUT, LEFT_OUT = (Path(__file__).with_name(f"{name}.json") for name in ("without", "left_out"))
NEAREST = 4
NEAR = 0.8
"""The least similarity of a name that is suggested, as ``difflib`` measures it: that of ``abc`` to ``abcd`` is above it."""


def full(name: str) -> str:
    """A name that may begin with a short one, in full."""
    first, dot, rest = name.partition(".")
    return f"{SHORT[first]}{dot}{rest}" if first in SHORT else name


def spellings(name: str) -> Iterator[str]:
    """A full name, then what the same function is called elsewhere.

    A method of tensors is the function of its name, and one that ends in ``_`` writes in place what the other gives.
    """
    yield name
    home, _, last = name.rpartition(".")
    plain = last.removesuffix("_") if not last.startswith("__") else last
    if home in PLACES:
        yield from (f"{place}.{spelling}" for spelling in dict.fromkeys((last, plain)) for place in PLACES[home])
    elif home in OLDER:
        yield f"{name}_"
    elif home.startswith("torch.distributions."):  # torch.distributions.normal.Normal, and methods of a distribution
        yield from (f"torch.distributions.{part}" for part in name.split(".")[2:] if part[:1].isupper())
    elif home.startswith("torch.optim"):
        yield f"{OPTIMIZER}.{last}"
    elif home.startswith("torch.nn."):
        yield from (f"torch.nn.{last}", f"{MODULE}.{last}")  # torch.nn.modules.conv.Conv2d, and methods of a module


def called(code: str) -> str:
    """The full name of what a code is about: the first thing of a library that it calls; empty where it calls none."""
    dotted = filter(None, (_dotted(node) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Attribute)))
    at = dict(sorted(dotted))  # of those that begin at one place, the longest stays
    names = [name for name in map(full, at.values()) if name.partition(".")[0] in ROOTS]
    return next((name for name in names if name not in HELPERS), names[0] if names else "")


def arguments(code: str) -> frozenset[str]:
    """The arguments that a code gives by name to what it is about."""
    calls = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    about = [node for node in calls if (dotted := _dotted(node.func)) and full(dotted[1]) == called(code)]
    return frozenset(keyword.arg for node in about for keyword in node.keywords if keyword.arg)


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
    names = {full_name for entry in entries for full_name in entry.names}
    name = next((spelling for spelling in spellings(full(name.strip().removesuffix("()"))) if spelling in names), name)
    asked = _parts(full(name))
    hits = {k for k, entry in enumerate(entries) if any(_ends(_parts(full_name), asked) for full_name in entry.names)}
    if not hits or not all(asked):
        raise UsageError(_unknown(name, entries))
    exact = {k for k in hits if full(name) in entries[k].names}
    hits = exact or hits
    meant = (
        {full(name)}
        if exact
        else {full_name for k in hits for full_name in entries[k].names if _ends(_parts(full_name), asked)}
    )
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


@cache
def left_out() -> Mapping[str, str]:
    """The names of PyTorch that the dictionary leaves out, and why."""
    listed = json.loads(LEFT_OUT.read_text("utf-8"))
    return {name: reason for reason, names in listed.items() for name in names}


def _unknown(name: str, entries: Sequence[Translation]) -> str:
    alone = [full_name for full_name in sorted(without_counterpart()) if _ends(_parts(full_name), _parts(full(name)))]
    if alone and all(_parts(name)):
        return f"name: PyTorch has no counterpart of {', '.join(alone)}, so the dictionary has no entry for it"
    if reason := left_out().get(full(name)):
        return f"name: the dictionary leaves out {full(name)}: {reason}"
    near = {_parts(full_name)[-1]: entry for entry in entries for full_name in entry.names}
    near |= {_parts(entry.name)[-1]: entry for entry in entries}
    hits = [near[hit] for hit in difflib.get_close_matches(_parts(name)[-1], list(near), n=NEAREST, cutoff=NEAR)]
    said = f"name: the dictionary has no {name!r}"
    if hits:
        names = dict.fromkeys(entry.name for entry in hits)
        pages = dict.fromkeys(repr(entry.family) for entry in hits)
        nearest = f"the nearest {'is' if len(names) == 1 else 'are'} {', '.join(names)}"
        return f"{said}; {nearest}, on the page{'s' if len(pages) > 1 else ''} {' and '.join(pages)}"
    if page := _page(full(name), entries):
        return f"{said}; no name is near; the page {page!r} has most of the names of {_home(full(name))}"
    return f"{said}; no name is near; without a name, all are listed"


def _home(name: str) -> str:
    return name.rpartition(".")[0]


def _page(name: str, entries: Sequence[Translation]) -> str:
    """The page with most of the names that begin as this one does, before the last dot; empty where there are none."""
    pages = Counter(entry.family for entry in entries for full_name in entry.names if _home(full_name) == _home(name))
    return pages.most_common(1)[0][0] if pages and "." in _home(name) else ""
