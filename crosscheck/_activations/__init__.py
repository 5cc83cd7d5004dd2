"""The catalogue: every module of this package holds one activation's record."""
