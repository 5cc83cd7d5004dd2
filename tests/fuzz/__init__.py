"""Bad input and faults around crosscheck: generated command lines, one invariant for all, and a table of faults."""
