"""`crosscheck.translate`: look up what a call of PyTorch is in JAX, and judge it again if requested."""
