"""Which arrays hold the same numbers, in any order."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping

import numpy as np

from crosscheck._frameworks.programs import Array
from crosscheck._models.values.uses import bit_sum, fingerprint


class Prints:
    """The fingerprints of arrays by name, each taken when it is first needed.

    Attributes:
        likely: The size and the largest number of each array: arrays with the same numbers have the same ones.
        copied: The arrays whose numbers another array holds too.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        self._arrays = arrays
        self._taken: dict[str, Hashable] = {}
        self.likely = {name: likely(array) for name, array in arrays.items()}
        # a NaN is equal to no other one, but its words are
        same_size = groups({name: (size, str(largest)) for name, (size, largest) in self.likely.items()})
        likelier = (group for names in same_size for group in groups({name: bit_sum(arrays[name]) for name in names}))
        alike = (group for names in likelier for group in groups({name: self[name] for name in names}))
        self.copied = {name for group in alike for name in group}

    def __getitem__(self, name: str) -> Hashable:
        if name not in self._taken:
            self._taken[name] = fingerprint(self._arrays[name])
        return self._taken[name]


def likely(array: Array) -> tuple[int, float]:
    """The size and the largest number of an array."""
    return array.size, float(array.max(initial=-np.inf)) + 0.0


def groups(keys: Mapping[str, Hashable]) -> list[list[str]]:
    """The names that share a key with others, together."""
    by_key: dict[Hashable, list[str]] = defaultdict(list)
    for name, key in keys.items():
        by_key[key].append(name)
    return [names for names in by_key.values() if len(names) > 1]
