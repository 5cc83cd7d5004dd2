"""The closed lists that crosscheck promises, as its documentation states them: what the tests hold the product to."""

DTYPES = ("float64", "float32", "bfloat16", "float16")
ORDERS = (0, 1, 2)
ORDER_IDS = ("value", "gradient", "second")
"""What they are called in the names of tests."""
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
"""Worst first."""
PASSING = frozenset({"flush", "rounding", "exact"})
MODES = ("eager", "jit", "compile", "vmap", "forward")
USUAL_MODES = ("eager", "jit")
IMPLEMENTATIONS = (
    "torch",
    "jax",
    "torch.native",
    "jax.native",
    "torch.native.matched",
    "jax.native.matched",
    "analytic",
)
LENGTHS = (1, 2, 8, 100, 1000)
"""Of the sampled rows along the last axis, but for the long ones; a few of them are usual."""
OTHER_LENGTHS = (32,)
"""The same along another axis."""


TRAINING_FAULTS = ("sum", "no-reset", "flipped-label", "transposed", "learning-rate", "start")
"""That can be planted in the perceptron's training."""


def budget(dtype: str, order: int) -> int:
    """In ULP: 4, 5 and 10, of 16-bit dtypes 1."""
    return 1 if dtype in ("bfloat16", "float16") else (4, 5, 10)[order]
