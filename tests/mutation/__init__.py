"""Do the tests notice when the code is changed? Mutants of the numerics and of the causes, which no framework is needed for.

A mutant is one change to one line, made by cosmic-ray: another operator, another number, a decorator gone. It is killed
when a test fails. One that survives shows a test that is missing, code that makes no difference, or a change that is as good
as what was there; the last are listed with their reasons in ``explained.toml``, and every other one fails the run.
"""
