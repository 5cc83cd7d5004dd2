"""`crosscheck.atlas` and `atlas_diff`: every disagreement of the frameworks in one table."""
