"""`crosscheck.verify`, `explain` and `plot`: activations judged against the proven truth."""
