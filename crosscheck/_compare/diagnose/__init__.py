"""What a report adds to a disagreement: the worst and the simplest input, the places, the function, a snippet."""
