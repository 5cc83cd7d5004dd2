"""Measure by how much two sound trainings differ, in units of their control: prints the largest ratio of each setting.

``python benchmarks/perceptron.py`` trains three gates and random points from several starts. ``TIMES_CONTROL`` must be above
what it prints; where the losses' declared differences matter, it says so.
"""

import crosscheck
from crosscheck._training.agreement import TIMES_CONTROL

TASKS = ("or", "xor", "nand", "points")
SEEDS = range(5)


def main() -> None:
    print(f"allowed: {TIMES_CONTROL:g}\n\ndtype    rate  largest ratio  trainings  rounding  declared  other")
    for dtype in ("float32", "float64"):
        for rate in (0.01, 0.1, 1.0, 10.0):
            reports = [
                crosscheck.perceptron(task, seed=seed, learning_rate=rate, dtype=dtype) for task in TASKS for seed in SEEDS
            ]
            causes = [report.agreement.cause for report in reports]
            ratio = max(
                (one.difference - one.step) / one.control
                for report in reports
                if report.agreement.cause == "rounding" and not report.agreement.declared
                for one in report.agreement.largest.values()
                if one.control
            )
            declared = sum(report.agreement.declared for report in reports)
            counts = [causes.count("rounding") - declared, declared]
            other = len(causes) - sum(counts) - causes.count("exact")
            print(
                f"{dtype}  {rate:4g}  {max(ratio, 0.0):13.2f}  {len(causes):9}  {counts[0]:8}  {counts[1]:8}  {other:5}",
                flush=True,
            )


if __name__ == "__main__":
    main()
