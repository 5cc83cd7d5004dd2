"""Of many tests of one kind, `tests_full` runs a sample; the sessions `models` and `pairs` run all."""

import pytest


def sampled(number: int, one_of: int = 6) -> pytest.MarkDecorator:
    """The mark of a test of this number, among those of its kind."""
    return pytest.mark.slow if number % one_of else pytest.mark.full
