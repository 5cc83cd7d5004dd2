"""The figure of error over depth."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

if TYPE_CHECKING:
    from crosscheck._models.report.report import Fault, Layer

LOWEST = 1e-17
"""Where an error of zero is drawn."""


def draw(layers: Sequence[Layer], faults: Sequence[Fault]) -> Figure:
    """The error made at each landmark in float64, and the error accumulated in the dtype beside what rounding explains."""
    if not layers:
        raise ValueError("nothing was compared, so there is nothing to draw")
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.add_subplot()
    depth = range(len(layers))
    local = [min(max(layer.error, LOWEST), 1e3) for layer in layers]
    axes.plot(depth, local, "o-", color="#0072B2", markersize=4, linewidth=1, label="made here, in float64")
    measured = [(k, layer) for k, layer in enumerate(layers) if layer.accumulated is not None and layer.drift is not None]
    for values, color, line, label in (
        ([layer.accumulated for _, layer in measured], "#D55E00", "-", "accumulated, in the dtype"),
        ([layer.drift for _, layer in measured], "black", ":", "what rounding alone makes"),
    ):
        drawn = [max(value or 0.0, LOWEST) for value in values]
        axes.plot([k for k, _ in measured], drawn, color=color, linestyle=line, linewidth=1.6, label=label)
    shown = [number for fault in faults for number in fault.layers[:1]]
    if shown:
        axes.plot(shown, [local[k] for k in shown], "X", color="#CC0000", markersize=10, label="goes wrong by itself")
    for fault in faults[:6]:
        if fault.layers:
            at = fault.layers[0]
            axes.annotate(
                fault.where, (at, local[at]), xytext=(6, 8), textcoords="offset points", fontsize=8, color="#CC0000"
            )
    axes.set_yscale("log")
    axes.set_ylim(LOWEST / 2, 10 * axes.get_ylim()[1])  # room for what is written above the highest point
    axes.set_xlabel("landmarks, in the order in which JAX reaches them")
    axes.set_ylabel("largest error of an element, relative")
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False, fontsize=9)
    return figure
