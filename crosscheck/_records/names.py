"""The names of dtypes, orders, devices and causes; the budget: the largest difference that counts as rounding."""

DTYPES = ("float64", "float32", "bfloat16", "float16")
ORDERS = (0, 1, 2)
ORDER_NAMES = ("value", "gradient", "second derivative")
DEVICES = ("cpu", "gpu")
CAUSES = (
    "error",
    "missing",
    "special",
    "definition",
    "inaccurate",
    "layout",
    "convention",
    "flush",
    "rounding",
    "exact",
)
"""The reasons why a point is not bit-equal to what it is compared with, worst first."""
PASSING = frozenset({"flush", "rounding", "exact"})
"""The causes that need no declared deviation."""
SIGN_OF_ZERO = "sign of zero"
"""The id of a convention that always passes between two functions: a zero may have either sign."""


def budget(dtype: str, order: int) -> float:
    """The largest error, in ULP of the exact result, that counts as rounding: one rule for every implementation."""
    if dtype in ("bfloat16", "float16"):
        return 1.0
    return (4.0, 5.0, 10.0)[order]
