"""How two different functions differ: hypotheses, and their proofs."""
