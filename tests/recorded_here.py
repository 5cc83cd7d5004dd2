"""Which deviations were observed in the environment of the tests, or in another one, by what is on record."""

from kept import environment

from crosscheck._verdict.environments import Environment, examined_here, on_record, seen_here

__all__ = ["HERE", "Environment", "examined_here", "on_record", "seen_here"]

HERE = Environment.of(environment())
