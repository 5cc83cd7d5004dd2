"""The figure of two trainings: the error of each step from the same state, and the distance of free runs."""

from __future__ import annotations

from math import nan
from typing import TYPE_CHECKING

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

if TYPE_CHECKING:
    from crosscheck._training.training_report import TrainingReport

LOWEST = 1e-17
"""Where an error of zero is drawn."""
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKS = ("-", "--", "-.", ":", (0, (1, 1)), (0, (5, 1)), (0, (3, 1, 1, 1)))


def draw(report: TrainingReport) -> Figure:
    """The figure; it belongs to no window."""
    if not any(report.errors):
        raise ValueError("nothing was compared, so there is nothing to draw")
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    axes = figure.subplots(1, 2 if report.drift is not None else 1, squeeze=False)[0]
    kinds = list(dict.fromkeys(kind for step in report.errors for kind in step))
    steps = range(1, len(report.errors) + 1)
    for k, kind in enumerate(kinds):
        heights = [min(max(errors[kind], LOWEST), 1e3) if kind in errors else nan for errors in report.errors]
        axes[0].plot(steps, heights, color=COLORS[k % 7], linestyle=MARKS[k % 7], marker=".", markersize=3, label=kind)
    for step in sorted({fault.step for fault in report.faults})[:4]:
        early = step <= (len(report.errors) + 1) / 2
        parts = ", ".join(fault.part for fault in report.faults if fault.step == step)
        axes[0].axvline(step, color="#CC0000", linewidth=1)
        axes[0].annotate(
            f"{parts}: step {step}",
            (step, 1.0),
            xycoords=("data", "axes fraction"),
            xytext=(4 if early else -4, -10),
            textcoords="offset points",
            ha="left" if early else "right",
            fontsize=9,
            color="#CC0000",
        )
    axes[0].set(title="each step from the same state, in float64", xlabel="step", ylabel="error, relative", yscale="log")
    if report.drift is not None:
        drift = report.drift
        for values, label, color, line in (
            (drift.apart, "JAX from PyTorch", COLORS[1], "-"),
            (drift.controls, "PyTorch from itself, one ULP away", "black", ":"),
        ):
            axes[1].plot(drift.steps, [max(value, LOWEST) for value in values], color=color, linestyle=line, label=label)
        axes[1].set(title="running freely", xlabel="step", ylabel="distance, of the way gone", yscale="log")
    for panel in axes:
        panel.title.set_fontsize(11)
        panel.grid(alpha=0.3)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
        panel.legend(fontsize=9, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.16), ncols=3)
    return figure
