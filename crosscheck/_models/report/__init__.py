"""The report, its records and its figure."""
