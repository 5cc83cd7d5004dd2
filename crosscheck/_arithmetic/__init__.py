"""Floating-point formats, ULP, which inputs are sampled, profiles of errors: numpy and ml_dtypes only."""
