"""Disagreements seen again at one input, and explained."""
