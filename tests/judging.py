"""What tests of numerics share that judge single results: from errors to causes, and how large a formula's terms are."""

from crosscheck._verdict.causes import (
    CODE,
    FIRST_PASSING,
    MOST_PROBED,
    NEARBY,
    NOT_JUDGED,
    Codes,
    Judgement,
    JudgingSetting,
    beyond,
    cancelled,
    judge,
    judge_pair,
    systematic,
    systematic_in_rows,
)
from crosscheck._verdict.scale import scale

__all__ = [
    "CODE",
    "FIRST_PASSING",
    "MOST_PROBED",
    "NEARBY",
    "NOT_JUDGED",
    "Codes",
    "Judgement",
    "JudgingSetting",
    "beyond",
    "cancelled",
    "judge",
    "judge_pair",
    "scale",
    "systematic",
    "systematic_in_rows",
]
