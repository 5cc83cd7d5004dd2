"""Where JAX is wrong: its stretches with PyTorch's values, and what rounding explains."""
