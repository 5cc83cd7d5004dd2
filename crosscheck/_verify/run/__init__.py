"""Implementations of an activation, run and judged."""
