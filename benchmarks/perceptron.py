"""Measure how far two sound trainings drift apart, beside their controls: prints the largest ratio of each setting.

``python benchmarks/perceptron.py`` trains four gates from several starts. What is allowed, 16, must be above what it prints.
"""

import crosscheck

TASKS = ("or", "xor", "nand", "and")
SEEDS = range(5)


def main() -> None:
    print("dtype    rate  largest ratio  trainings  rounding  other")
    for dtype in ("float32", "float64"):
        for rate in (0.01, 0.1, 1.0, 10.0):
            reports = [
                crosscheck.perceptron(task, seed=seed, learning_rate=rate, dtype=dtype) for task in TASKS for seed in SEEDS
            ]
            drifts = [
                comparison.drift
                for report in reports
                for comparison in report.comparisons.values()
                if comparison.drift is not None
            ]
            causes = [report.cause for report in reports]
            rounding = causes.count("rounding")
            other = len(causes) - rounding - causes.count("exact")
            ratio = max(drift.times for drift in drifts)
            print(f"{dtype}  {rate:4g}  {ratio:13.2f}  {len(causes):9}  {rounding:8}  {other:5}", flush=True)


if __name__ == "__main__":
    main()
