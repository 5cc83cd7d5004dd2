"""`crosscheck.dump` and `compare_arrays`: arrays that were computed elsewhere."""
