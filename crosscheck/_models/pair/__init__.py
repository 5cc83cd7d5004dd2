"""Which weight of JAX holds the numbers of which weight of PyTorch."""
