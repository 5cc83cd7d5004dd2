"""Arrays that were computed elsewhere: written to files, read back, and compared."""
