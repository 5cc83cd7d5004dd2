"""The verdict: why a result differs, which side is wrong, which deviation covers it."""
