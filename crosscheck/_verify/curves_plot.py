"""An activation as a figure: function and gradient above, errors in ULP below. Without pyplot, so without global state."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedFormatter, FixedLocator, NullLocator

from crosscheck._arithmetic.formats import Float64Array
from crosscheck._frameworks.lacking import not_run
from crosscheck._records.implementations import legend, on_screen
from crosscheck._report.figures import DPI, ERROR_STYLES, STYLES
from crosscheck._verify.curves import Curve, Curves, Panel

SIZE = (12, 8)
COLUMNS = 150
"""The number of columns; each shows its largest error, since other errors would hide the worst."""


LONG = 75
"""A title whose first part has more characters gets two lines."""
TITLES = ("value", "gradient")
LINEAR = 1.0
"""Errors up to this many ULP are on a linear scale, larger ones on a logarithmic scale."""


def draw(curves: Curves, lost: Collection[str] = ()) -> Figure:
    """The figure; it belongs to no window. The title names what was not run, ``lost``."""
    figure = Figure(figsize=SIZE, dpi=DPI, layout="constrained")
    axes = figure.subplots(2, 2, sharex=True, height_ratios=(3, 2))
    parameters = ", ".join(f"{name} = {value:g}" for name, value in curves.parameters.items())
    title = f"{curves.name}({parameters})" if parameters else curves.name
    where = f", {curves.where}" if curves.where else ""
    said = f"{title} in {curves.dtype}{where}:"
    between = "\n" if len(said) > LONG else " "
    own = [name for name in STYLES if any(curve.implementation == name for panel in curves.panels for curve in panel.curves)]
    figure.suptitle(f"{said}{between}{', '.join(map(on_screen, own))} and the analytic curve{not_run(lost)}", fontsize=15)
    errors = [curve.ulp[np.isfinite(curve.ulp)] for panel in curves.panels for curve in panel.curves]
    largest = max((float(some.max(initial=0.0)) for some in errors), default=1.0)
    for column, panel in enumerate(curves.panels):
        _functions(axes[0, column], curves.x, panel)
        _errors(axes[1, column], curves, panel, largest)
    axes[0, 0].set_xlim(curves.x[0], curves.x[-1])
    handles, labels = axes[1, 0].get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=len(labels),
        frameon=False,
        handlelength=5,
        title=legend({curve.implementation for panel in curves.panels for curve in panel.curves}),
        title_fontsize=9,
    )
    return figure


def _functions(axes: Axes, x: Float64Array, panel: Panel) -> None:
    drawn = {curve.implementation: curve.y for curve in panel.curves if curve.implementation in STYLES}
    for implementation, y in {**drawn, "analytic": panel.analytic}.items():
        axes.plot(x, np.where(np.isfinite(y), y, np.nan), label=on_screen(implementation), **STYLES[implementation])
    axes.set_title(TITLES[panel.order])
    axes.set_ylabel(("f(x)", "f'(x)")[panel.order])
    axes.tick_params(labelbottom=False)
    axes.grid(alpha=0.3)
    axes.margins(y=0.08)
    axes.legend(loc="best", handlelength=4)
    for i, (implementation, message) in enumerate(panel.missing.items()):
        said = f"not drawn: {on_screen(implementation)} ({message[:60]})"
        axes.text(0.02, 0.03 + 0.06 * i, said, transform=axes.transAxes, fontsize=8, color="#D55E00")


def _errors(axes: Axes, curves: Curves, panel: Panel, largest: float) -> None:
    axes.set_yscale("symlog", linthresh=LINEAR, linscale=1.0)
    top = max(10.0, 10 * panel.budget, 10 * largest)
    x, column = _columns(curves.x)
    for curve in panel.curves:
        worst, odd = _worst(curve, column, x.size)
        axes.plot(x, worst, label=on_screen(curve.implementation), **ERROR_STYLES[curve.implementation])
        if odd.any():
            axes.plot(x[odd], np.full(odd.sum(), top / 2), "x", color=ERROR_STYLES[curve.implementation]["color"])
            axes.annotate("x: wrong NaN", (0.02, 0.9), xycoords="axes fraction", fontsize=9)
    axes.axhline(panel.budget, color="black", linestyle=(0, (6, 4)), linewidth=1, label="budget")
    axes.annotate(
        f"budget {panel.budget:g} ULP",
        (1, panel.budget),
        xycoords=("axes fraction", "data"),
        xytext=(-4, 3),
        textcoords="offset points",
        horizontalalignment="right",
        fontsize=9,
    )
    axes.set_ylim(-0.2, top)  # so that an error of 0 is not hidden by the frame
    ticks = _ticks(top)
    axes.yaxis.set_major_locator(FixedLocator(ticks))
    axes.yaxis.set_major_formatter(FixedFormatter([_tick(tick) for tick in ticks]))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_title(f"error of the {TITLES[panel.order]}, largest in each of {x.size} columns", fontsize=10)
    axes.set_ylabel("error [ULP]")
    axes.set_xlabel("x")
    axes.grid(alpha=0.3)


def _columns(x: Float64Array) -> tuple[Float64Array, Any]:
    """The middle of each column with inputs, and the column of each input."""
    edges = np.linspace(0, 1, COLUMNS + 1)[1:-1]
    half = x / 2  # the difference of two inputs may overflow
    place = np.searchsorted(edges, (half - half[0]) / (half[-1] - half[0]))
    _, column = np.unique(place, return_inverse=True)
    low, high = (np.array([x[column == i][at] for i in range(column.max() + 1)]) for at in (0, -1))
    return low / 2 + high / 2, column


def _worst(curve: Curve, column: Any, count: int) -> tuple[Float64Array, Any]:
    """The largest error in each column, NaN if it has no input; and the columns with a NaN that is wrong."""
    worst = np.full(count, -1.0)
    finite = np.isfinite(curve.ulp)
    np.maximum.at(worst, column[finite], curve.ulp[finite])
    odd = np.zeros(count, bool)
    odd[column[np.isnan(curve.y) & ~finite]] = True
    return np.where(worst < 0, np.nan, worst), odd


def _ticks(top: float) -> list[float]:
    """0, 0.5 and powers of ten, not more than fit."""
    powers = int(np.ceil(np.log10(top)))
    step = max(1, powers // 5)
    return [0.0, 0.5, 1.0, *(10.0**k for k in range(step, powers + 1, step) if 10.0**k <= top)]


def _tick(value: float) -> str:
    return f"{value:g}" if value <= 100 else f"$10^{{{round(np.log10(value))}}}$"
