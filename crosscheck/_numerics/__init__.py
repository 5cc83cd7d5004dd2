"""Floating-point formats, ULP, rounding and sampling; numpy and ml_dtypes only."""
