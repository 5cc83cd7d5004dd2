"""How similar the names of two weights are: a weight is called kernel in flax and ``w`` in haiku."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

_ALIKE = {
    "weight": "kernel w weights embedding scale gamma g table",
    "bias": "b biases beta offset",
    "mean": "mu average",
    "var": "variance std",
    "query": "q wq qproj",
    "key": "k wk kproj",
    "value": "v wv vproj",
    "out": "o wo outproj oproj proj output",
    "linear": "fc dense lin",
    "norm": "ln bn gn layernorm batchnorm groupnorm rmsnorm rms",
    "attention": "attn selfattn mha multiheadattention self",
    "mlp": "ffn ff feedforward",
    "embed": "emb embeddings wte tok token tokens embedder",
    "position": "pos wpe positions positional",
    "head": "lmhead classifier logits",
    "conv": "convolution convs",
    "layer": "layers block blocks h stages stage",
    "input": "i ih x inp",
    "hidden": "hh recurrent",
    "down": "downsample shortcut",
    "reverse": "backward backwards bwd",
}
_CANONICAL = {alias: word for word, aliases in _ALIKE.items() for alias in aliases.split()}
_ROLES = frozenset(["weight", "bias", "mean", "var"])
_EMPTY = frozenset(["params", "batch", "stats", "running", "kernel", "state", "module", "model", "raw"])


def tokens(name: str) -> tuple[str, ...]:
    """The words of a name, each in one form, numbers among them."""
    parts = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)
    words = [part.lower() for part in parts]
    return tuple(_CANONICAL.get(word, word) for word in words if word not in _EMPTY or word in _CANONICAL)


def role(name: str) -> str | None:
    """What the name of a weight says that it is: a weight, a bias, a mean or a variance; None if it does not say it."""
    return next((word for word in reversed(tokens(name)) if word in _ROLES), None)


def likeness(one: str, other: str) -> float:
    """The similarity of two names, from -1 for another role to 1 for the same words."""
    mine, theirs = tokens(one), tokens(other)
    if not mine or not theirs:
        return 0.0
    roles = role(one), role(other)
    if None not in roles and roles[0] != roles[1]:
        return -1.0
    common = sum((Counter(mine) & Counter(theirs)).values())
    return 2 * common / (len(mine) + len(theirs))


def resemblance(one: str, other: str) -> tuple[float, float]:
    """How similar two names are, and how many words have the same place from the end: 0.1 is not 1.0."""
    mine, theirs = tokens(one)[::-1], tokens(other)[::-1]
    return likeness(one, other), sum(a == b for a, b in zip(mine, theirs, strict=False)) / max(len(mine), len(theirs), 1)


def are_of_one_direction(one: str, other: str) -> bool:
    """Whether these are torch's two biases of one direction of a recurrent layer: one of the input, one of the state."""
    return {one, other} == {re.sub("_(ih|hh)_", f"_{side}_", one) for side in ("ih", "hh")}


def layer_of(name: str) -> str:
    """The name of an array of JAX without its last word, and without the collection that is its first key in flax."""
    return re.sub(r"^\['(params|batch_stats)'\]", "", re.sub(r"[.\[][^.\[]*$", "", name))


def best(mine: Sequence[str], theirs: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names, each more similar to the other than to any name that is left; repeated until none is found."""
    left, right = list(mine), list(theirs)
    found: list[tuple[str, str]] = []
    while left and right:
        scores = {(one, other): likeness(one, other) for one in left for other in right}
        pairs = [
            (one, other)
            for (one, other), score in scores.items()
            if score >= 0
            and all(score > scores[one, x] for x in right if x != other)
            and all(score > scores[x, other] for x in left if x != one)
        ]
        if not pairs:
            return found
        found += pairs
        left = [one for one in left if one not in {pair[0] for pair in pairs}]
        right = [one for one in right if one not in {pair[1] for pair in pairs}]
    return found
