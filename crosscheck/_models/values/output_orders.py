"""The order, and the part, in which JAX may hold the outputs of a weight of torch."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import permutations
from math import gcd

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.values.names import tokens

_PARTS = {3: (("query", "key", "value"), ("r", "z", "n")), 4: (("i", "f", "g", "o"),)}


def features(torch_count: int, jax_count: int, name: str) -> Iterator[tuple[Array, float]]:
    """Which of torch's outputs JAX may have, and the score of each possibility."""
    if jax_count == torch_count:
        yield np.arange(torch_count), 0.0
        for k, order in enumerate(_orders(torch_count)):
            yield order, -6 - 0.01 * k
    elif jax_count < torch_count:
        step = gcd(torch_count, jax_count)
        for start in range(0, torch_count - jax_count + 1, step):
            part = part_of(name, torch_count // jax_count, start // jax_count) if start % jax_count == 0 else -0.5
            yield np.arange(start, start + jax_count), part - 0.5 - 1e-3 * start / torch_count
        parts = torch_count // jax_count
        for size in divisors(jax_count) if torch_count % jax_count == 0 else ():
            for k in range(parts):
                interleaved = np.arange(torch_count).reshape(-1, parts, size)[:, k].reshape(-1)
                yield interleaved, part_of(name, parts, k) - 6 - 0.01 / size


def _orders(size: int) -> Iterator[Array]:
    """Other orders of outputs: parts in another order, and heads before or after parts."""
    for parts in (3, 4, 2):
        if size % parts == 0:
            blocks = np.arange(size).reshape(parts, -1)
            for order in list(permutations(range(parts)))[1:]:
                yield blocks[list(order)].reshape(-1)
    for parts in (3, 2):
        if size % parts == 0:
            for heads in divisors(size // parts):
                yield np.arange(size).reshape(parts, heads, -1).transpose(1, 0, 2).reshape(-1)
                yield np.arange(size).reshape(heads, parts, -1).transpose(1, 0, 2).reshape(-1)


def part_of(name: str, parts: int, number: int) -> float:
    """The score of this part of a joined weight by the name: 1 if the name says this part, -1 if another, 0 if none."""
    words = [*tokens(name), *re.findall(r"[a-z]+", name.lower())]
    words += [word[1] for word in words if len(word) == 2 and word[0] in "ih"]
    for known in _PARTS.get(parts, ()):
        at = [known.index(word) for word in words if word in known]
        if at:
            return 1.0 if at[-1] == number else -1.0
    return 0.0


def divisors(size: int) -> list[int]:
    return [k for k in range(2, size) if size % k == 0][:6]
