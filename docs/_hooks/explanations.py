"""Each activation with its declared disagreements, looked at once in a build, for all the pages that show them."""

from functools import cache

import crosscheck
from crosscheck._api import environment, explained
from crosscheck._report.explain import Explanation
from crosscheck._report.report import Report

_described = cache(environment)


@cache
def explanation(name: str) -> Explanation:
    """Every declared disagreement about an activation at one input, with the results of now."""
    return explained(crosscheck.activations[name], Report((), _described()))
