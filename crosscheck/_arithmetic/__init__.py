"""Floating-point formats, ULP, the sampled inputs, profiles of errors: with numpy and ml_dtypes only."""
