"""The dictionary: what a call of PyTorch is in JAX, one data file for each family, and what was judged of it."""
