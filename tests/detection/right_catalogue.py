"""The catalogue's own implementations, and correctly rounded ones made from Arb in their place."""

import crosscheck
from detection.right import Own, from_arb

MADE = (
    *("sigmoid", "tanh", "silu", "gelu", "softplus", "mish"),
    *("elu", "relu", "hard_tanh", "log_sigmoid", "squareplus", "soft_sign"),
)
NARROW = ("tanh", "relu", "softshrink", "hard_silu")

RIGHT = [
    *(Own(name=f"{name}, own", kind="own implementations", of=name) for name in crosscheck.activations),
    *(
        Own(name=f"{name}, own in {dtype}", kind="own implementations", of=name, dtypes=(dtype,), seeds=(1,))
        for name in NARROW
        for dtype in ("float64", "bfloat16", "float16")
    ),
    *(
        Own(
            name=f"{name}, from Arb",
            kind="made from Arb",
            of=name,
            made=from_arb,
            dtypes=("float32", "float64"),
            seeds=(1, 2),
        )
        for name in MADE
    ),
    *(
        Own(name=f"{name}, from Arb in {dtype}", kind="made from Arb", of=name, made=from_arb, dtypes=(dtype,), seeds=(1,))
        for name, dtype in (("sigmoid", "bfloat16"), ("relu", "float16"))
    ),
]
