"""The product's closed lists are those of the contract."""

import contract

from crosscheck._records import implementations, names


def test_the_lists_are_those_of_the_contract() -> None:
    assert names.DTYPES == contract.DTYPES
    assert names.ORDERS == contract.ORDERS
    assert names.CAUSES == contract.CAUSES
    assert names.PASSING == contract.PASSING
    assert implementations.MODES == contract.MODES
    assert implementations.USUAL_MODES == contract.USUAL_MODES
    assert implementations.IMPLEMENTATIONS == contract.IMPLEMENTATIONS


def test_the_budget_is_4_5_and_10_ulp_and_1_for_16_bits() -> None:
    for dtype in contract.DTYPES:
        for order in contract.ORDERS:
            assert names.budget(dtype, order) == contract.budget(dtype, order)
