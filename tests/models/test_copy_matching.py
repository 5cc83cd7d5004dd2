"""How ``copy_weights`` finds the data of PyTorch that an array of JAX holds, with its rows and features in any order."""

from typing import Any

import numpy as np
import pytest

from crosscheck._models.copy import value_matching

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 4))
ROWS /= np.sqrt(np.mean(ROWS**2))
OTHERS = RNG.normal(size=(6, 4))
OTHERS /= np.sqrt(np.mean(OTHERS**2))


@pytest.mark.parametrize("rows", [None, [3, 0, 1, 2, 5, 4]])
@pytest.mark.parametrize("inputs", [None, [2, 0, 1, 3]])
def test_rows_and_inputs_in_any_order_are_found(rows: Any, inputs: Any) -> None:
    seen = ROWS[slice(None) if rows is None else rows]
    given = value_matching.Data(seen[:, slice(None) if inputs is None else inputs])
    found = value_matching.align(given, value_matching.Data(ROWS))
    assert found is not None
    taken = ROWS if found.rows is None else ROWS[found.rows]
    taken = taken if found.inputs is None else taken[:, found.inputs]
    np.testing.assert_array_equal(taken, seen[:, slice(None) if inputs is None else inputs])


def softmax(rows: Any) -> Any:
    return np.exp(rows) / np.exp(rows).sum(1, keepdims=True)


@pytest.mark.parametrize(
    "made",
    [
        lambda rows: rows / np.sqrt(np.mean(rows**2, axis=1, keepdims=True)),
        lambda rows: (rows - rows.mean(1, keepdims=True)) / rows.std(1, keepdims=True),
        softmax,
        lambda rows: np.where(np.arange(rows.shape[1]) == 1, 1e3, rows),
        lambda rows: np.clip(rows, -1, 1),
    ],
    ids=["RMS norm", "layer norm", "softmax", "outliers in one feature", "clipped"],
)
@pytest.mark.parametrize("count", [10, 200, 5000])
def test_rows_are_found_in_any_order_whatever_all_of_them_share(made: Any, count: int) -> None:
    rows = made(RNG.normal(size=(count, 16)))
    order = RNG.permutation(count)
    seen = rows[order] * (1 + 1e-9 * RNG.normal(size=rows.shape))  # as rounded constants make them
    found = value_matching.align(value_matching.Data(seen), value_matching.Data(rows))
    assert found is not None
    assert found.rows is not None
    np.testing.assert_allclose(rows[found.rows], rows[order], atol=1e-12)


def test_other_data_of_the_same_length_is_not_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, name in ((np, "sort"), (np.random, "default_rng")):
        monkeypatch.setattr(module, name, lambda *_, **__: pytest.fail("searched"))
    assert value_matching.size_of(OTHERS) == pytest.approx(value_matching.size_of(ROWS))
    assert value_matching.align(value_matching.Data(OTHERS), value_matching.Data(ROWS)) is None
    assert not value_matching.alike(OTHERS, ROWS)
