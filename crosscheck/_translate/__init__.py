"""`crosscheck.translate`: what a call of PyTorch is in JAX, looked up in the dictionary, and judged again if asked to."""
