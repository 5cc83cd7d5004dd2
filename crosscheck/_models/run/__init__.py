"""Run JAX's program step by step, in float64 and in the dtype, with values replaced."""
