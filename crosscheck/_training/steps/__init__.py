"""The steps of two trainings, judged from the same state, and free runs of both."""
