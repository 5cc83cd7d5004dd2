"""Optimisers of PyTorch and of optax, compared."""
