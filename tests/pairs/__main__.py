"""Judge the corpus and print a table: ``python -m pairs [WORD ...]`` in the tests' folder; exits 1 where a verdict is wrong.

Each WORD keeps the pairs whose names hold it.
"""

import statistics
import sys
import time
import warnings

from pairs import MISSING, PAIRS


def main(words: list[str]) -> int:
    """Print a line a pair, then how many verdicts, causes and sides are as expected."""
    chosen = [pair for pair in PAIRS if pair.holds_here and (not words or any(word in pair.name for word in words))]
    seconds, wrong = [], 0
    print(f"{'pair':48} {'expected':24} {'got':24} {'seconds':>8}")
    for pair in chosen:
        start = time.perf_counter()
        report = pair.report()
        seconds.append(time.perf_counter() - start)
        got, expected = (report.passed, report.cause, report.side), (pair.passes, pair.cause, pair.side)
        wrong += got != expected
        mark = "" if got == expected else "   WRONG"
        print(f"{pair.name:48} {said(*expected):24} {said(*got):24} {seconds[-1]:8.2f}{mark}", flush=True)
    for library in MISSING:
        print(f"left out: the pairs of {library}, which is not installed")
    right = sum(pair.passes for pair in chosen)
    print(f"{len(chosen) - wrong} of {len(chosen)} as expected ({right} agree, {len(chosen) - right} do not)")
    print(f"seconds a pair: median {statistics.median(seconds):.2f}, largest {max(seconds):.2f}")
    return 1 if wrong else 0


def said(passed: bool, cause: str | None, side: str | None) -> str:
    """A verdict in a few words."""
    return "agree" if passed else f"{cause}{f', {side}' if side else ''}"


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main(sys.argv[1:]))
