"""Whole models: which layer of a port goes wrong first, its weights matched by their values at the point of use."""
