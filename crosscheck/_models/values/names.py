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


def likeness(first: str, second: str) -> float:
    """The similarity of two names, from -1 for another role to 1 for the same words."""
    first_words, second_words = tokens(first), tokens(second)
    if not first_words or not second_words:
        return 0.0
    roles = role(first), role(second)
    if None not in roles and roles[0] != roles[1]:
        return -1.0
    common = sum((Counter(first_words) & Counter(second_words)).values())
    return 2 * common / (len(first_words) + len(second_words))


def resemblance(first: str, second: str) -> tuple[float, float]:
    """How similar two names are, and how many words have the same place from the end: 0.1 is not 1.0."""
    first_words, second_words = tokens(first)[::-1], tokens(second)[::-1]
    same = sum(a == b for a, b in zip(first_words, second_words, strict=False))
    return likeness(first, second), same / max(len(first_words), len(second_words), 1)


def are_of_one_direction(first: str, second: str) -> bool:
    """Whether these are torch's two biases of one direction of a recurrent layer: one of the input, one of the state."""
    return {first, second} == {re.sub("_(ih|hh)_", f"_{side}_", first) for side in ("ih", "hh")}


def layer_of(name: str) -> str:
    """The name of an array of JAX without its last word, and without the collection that is its first key in flax."""
    return re.sub(r"^\['(params|batch_stats)'\]", "", re.sub(r"[.\[][^.\[]*$", "", name))


def best(torch_names: Sequence[str], jax_names: Sequence[str]) -> list[tuple[str, str]]:
    """Pairs of names, each more similar to the other than to any name that is left; repeated until none is found."""
    left, right = list(torch_names), list(jax_names)
    matched: list[tuple[str, str]] = []
    while left and right:
        scores = {(first, second): likeness(first, second) for first in left for second in right}
        pairs = [
            (first, second)
            for (first, second), score in scores.items()
            if score >= 0
            and all(score > scores[first, x] for x in right if x != second)
            and all(score > scores[x, second] for x in left if x != first)
        ]
        if not pairs:
            return matched
        matched += pairs
        left = [name for name in left if name not in {pair[0] for pair in pairs}]
        right = [name for name in right if name not in {pair[1] for pair in pairs}]
    return matched
