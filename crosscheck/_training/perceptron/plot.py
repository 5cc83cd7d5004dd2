"""Two trainings as a figure: the losses, their difference, and the line that each framework has learned."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from crosscheck._arithmetic.formats import FORMATS, Float64Array
from crosscheck._arithmetic.ulp import unit_of
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._report.figures import DPI, STYLES

if TYPE_CHECKING:
    from crosscheck._training.perceptron.report import PerceptronReport

SIZE = (13, 4.6)
LABELS = ("#CC79A7", "#009E73")
"""The colours of the labels 0 and 1, by Okabe and Ito; they differ from the frameworks' colours."""


def draw(report: PerceptronReport) -> Figure:
    """The figure; it belongs to no window. The boundary is drawn only for two inputs and one output."""
    flat = report.setup.x.shape[1] == 2 and report.setup.y.shape[1] == 1
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.subplots(1, 2 + flat)
    verdict = "agree" if report.agree else "disagree"
    figure.suptitle(f"{report.gate}, {report.setup.dtype}: torch and jax {verdict} ({report.cause})", fontsize=14)
    epochs = np.arange(1, report.setup.epochs + 1)
    losses = {name: report.histories[name]["loss"].astype(np.float64) for name in FRAMEWORKS}
    _losses(axes[0], epochs, losses)
    _difference(axes[1], epochs, losses, report)
    if flat:
        _boundary(axes[2], report)
    for panel in axes:
        panel.title.set_fontsize(11)
    return figure


def _losses(axes: Axes, epochs: Any, losses: dict[str, Float64Array]) -> None:
    for name in FRAMEWORKS:
        axes.plot(epochs, _finite(losses[name]), label=name, **STYLES[name])
    axes.set(title="loss of every epoch", xlabel="epoch", ylabel="binary cross entropy")
    axes.set_ylim(bottom=0)
    axes.legend(handlelength=4)
    axes.grid(alpha=0.3)


def _difference(axes: Axes, epochs: Any, losses: dict[str, Float64Array], report: PerceptronReport) -> None:
    """Points, not a line: on a logarithmic axis, epochs without a difference have no place, and are counted instead."""
    with np.errstate(invalid="ignore"):
        apart = _finite(np.abs(losses["torch"] - losses["jax"]))
    seen = apart > 0
    axes.plot(epochs[seen], apart[seen], ".", color="#0072B2", markersize=4, label="|torch − jax|")
    unit = unit_of(FORMATS[report.setup.dtype], losses["torch"])
    unit[~np.isfinite(losses["torch"])] = np.nan
    axes.plot(epochs, unit, color="black", linewidth=1, linestyle=(0, (6, 4)), label="one ulp of the loss")
    axes.set_yscale("log")
    equal = int((apart == 0).sum())
    axes.set(title=f"difference; bit-equal at {equal:,} of {epochs.size:,} epochs", xlabel="epoch")
    low, high = axes.get_ylim()
    axes.set_ylim(low / 3, high * 30)  # room for the legend
    axes.legend(loc="upper right")
    axes.grid(alpha=0.3)


def _boundary(axes: Axes, report: PerceptronReport) -> None:
    """The line at which the sigmoid is a half in each framework, over the points; the side of the ones is shaded."""
    x, y = report.setup.x.astype(np.float64), report.setup.y[:, 0]
    margin = 0.35 * max(1.0, float(np.ptp(x)))
    (left, low), (right, high) = x.min(axis=0) - margin, x.max(axis=0) + margin
    grid = np.meshgrid(np.linspace(left, right, 400), np.linspace(low, high, 400))
    handles: list[Any] = []
    for name in FRAMEWORKS:
        weight, bias = (report.histories[name][tensor][-1].astype(np.float64) for tensor in ("weight", "bias"))
        height = weight[0, 0] * grid[0] + weight[0, 1] * grid[1] + bias[0]
        style = STYLES[name]
        handles.append(Line2D([], [], label=f"boundary in {name}", **style))
        if not np.isfinite(height).all() or height.min() >= 0 or height.max() < 0:
            handles[-1].set_label(f"no boundary here in {name}")
        else:
            axes.contour(*grid, height, levels=[0.0], colors=[style["color"]], linewidths=[style["linewidth"]])
        if name == "torch":
            axes.pcolormesh(*grid, height >= 0, cmap=ListedColormap(LABELS), vmin=0, vmax=1, alpha=0.13, rasterized=True)
    for label, marker in ((0, "o"), (1, "s")):
        at = x[y == label]
        options: dict[str, Any] = {"color": LABELS[label], "edgecolors": "black", "zorder": 3}
        axes.scatter(at[:, 0], at[:, 1], s=90, marker=marker, **options)
        line: dict[str, Any] = {"linestyle": "", "marker": marker, "markeredgecolor": "black", "markersize": 9}
        handles.append(Line2D([], [], color=LABELS[label], label=f"label {label}", **line))
    axes.set(title="decision boundary after the last epoch", xlabel="first input", ylabel="second input")
    axes.set(xlim=(left, right), ylim=(low, high), aspect="equal")
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, -0.13), ncols=2, frameon=False, handlelength=3)


def _finite(values: Float64Array) -> Float64Array:
    return np.where(np.isfinite(values), values, np.nan)
