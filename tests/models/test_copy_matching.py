"""Data of JAX is compared with much data of torch: what cannot be the same is told apart before it is sorted or moved."""

from typing import Any

import numpy as np
import pytest

from crosscheck._models.copy import value_matching
from crosscheck._models.copy.value_matching import Data, align, alike

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 4))
ROWS /= np.sqrt(np.mean(ROWS**2))
OTHERS = RNG.normal(size=(6, 4))
OTHERS /= np.sqrt(np.mean(OTHERS**2))


@pytest.mark.parametrize("rows", [None, [3, 0, 1, 2, 5, 4]])
@pytest.mark.parametrize("inputs", [None, [2, 0, 1, 3]])
def test_rows_and_inputs_in_any_order_are_found(rows: Any, inputs: Any) -> None:
    seen = ROWS[slice(None) if rows is None else rows]
    found = align(Data(seen[:, slice(None) if inputs is None else inputs]), Data(ROWS))
    assert found is not None
    taken = ROWS if found.rows is None else ROWS[found.rows]
    taken = taken if found.inputs is None else taken[:, found.inputs]
    np.testing.assert_array_equal(taken, seen[:, slice(None) if inputs is None else inputs])


@pytest.mark.parametrize("centred", [False, True])
def test_rows_that_a_norm_made_alike_are_found_in_any_order(centred: bool) -> None:
    rows = RNG.normal(size=(200, 8))
    rows -= rows.mean(1, keepdims=True) if centred else 0.0
    rows /= np.sqrt(np.mean(rows**2, axis=1, keepdims=True))
    order = RNG.permutation(len(rows))
    found = align(Data(rows[order]), Data(rows))
    assert found is not None
    assert found.rows is not None
    np.testing.assert_array_equal(found.rows, order)


def test_other_data_of_the_same_length_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((np, "sort"), (np.random, "default_rng")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("searched"))
    assert value_matching.size_of(OTHERS) == pytest.approx(value_matching.size_of(ROWS))
    assert align(Data(OTHERS), Data(ROWS)) is None
    assert not alike(OTHERS, ROWS)
