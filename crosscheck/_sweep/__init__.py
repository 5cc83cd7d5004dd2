"""`crosscheck.sweep`: an activation judged at every number of a dtype."""
