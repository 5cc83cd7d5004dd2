"""A sweep as a figure: above, the largest error in each binade; below, the number of errors of each size. Without pyplot."""

from __future__ import annotations

from math import frexp
from textwrap import fill
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from crosscheck._records.implementations import legend, on_screen
from crosscheck._records.names import ORDER_NAMES, budget
from crosscheck._report.figures import ERROR_STYLES
from crosscheck._report.profile_plot import GREY, in_grey

if TYPE_CHECKING:
    from crosscheck._sweep.records import SweepResult
    from crosscheck._sweep.report import SweepReport

WIDTH, LETTERS = 7.2, 80
"""The width in inches, and the number of letters of a title that fit into it."""
CORRECT = 0.5
"""The error, in ULP, that is drawn for a binade in which every result is correctly rounded."""


def draw(report: SweepReport) -> Figure:
    """Two panels for each order, one below the other: side by side, they are too small to read on paper or a phone."""
    orders = sorted({result.order for result in report.results})
    figure = Figure(figsize=(WIDTH, 6.5 * len(orders) + 1), layout="constrained")
    axes = figure.subplots(2 * len(orders), 1, height_ratios=(3, 2) * len(orders))
    low = min((_exponent(binade.low) for result in report.results for binade in result.binades), default=-1)
    high = max((_exponent(binade.low) for result in report.results for binade in result.binades), default=1)
    figure.suptitle(fill(report.headline, LETTERS), fontsize=12, color=GREY)
    for above, below, order in zip(axes[::2], axes[1::2], orders, strict=True):
        results = [result for result in report.results if result.order == order]
        _over_inputs(above, results, low - 1, high + 1)
        limit = budget(report.dtype, order)
        above.axhline(limit, color=GREY, linestyle=(0, (6, 4)), linewidth=1, label="budget")
        _scale(above, max([limit, *(binade.ulp for result in results for binade in result.binades)]))
        above.set_title(ORDER_NAMES[order])
        _sizes(below, results)
    for panel in axes:
        in_grey(panel)
    handles, labels = axes[0].get_legend_handles_labels()
    about = fill(legend({result.implementation for result in report.results}), LETTERS)
    named = figure.legend(
        handles,
        labels,
        loc="outside lower center",
        ncols=min(len(labels), 4),
        frameon=False,
        handlelength=4,
        title=about,
        title_fontsize=9,
    )
    for text in (*named.get_texts(), named.get_title()):
        text.set_color(GREY)
    return figure


def _exponent(low: float) -> int:
    return frexp(low)[1] - 1 if low else -127


def _over_inputs(axes: Axes, results: list[SweepResult], low: int, high: int) -> None:
    """One place for each binade: negative ones on the left, the largest outermost, since both axes are logarithmic."""
    width = high - low + 1
    for result in results:
        worst = np.full(2 * width, CORRECT)
        for binade in result.binades:
            place = _exponent(binade.low) - low
            negative = np.signbit(binade.low) or binade.input < 0
            worst[width - 1 - place if negative else width + place] = binade.ulp
        _stairs(axes, worst, np.arange(-width, width + 1), result)
    step = max(1, -(-width // 6))
    places = list(range(step // 2, width, step))
    ticks = [(-place - 0.5, f"$-2^{{{low + place}}}$") for place in reversed(places)]
    ticks += [(place + 0.5, f"$2^{{{low + place}}}$") for place in places]
    axes.set_xticks([place for place, _ in ticks], [text for _, text in ticks])
    axes.axvline(0, color=GREY, linewidth=0.8)
    axes.set_xlabel("input, a step for each binade; outside of these all are correctly rounded")
    axes.set_ylabel("largest error [ULP]")


def _scale(axes: Axes, top: float) -> None:
    """A logarithmic scale, with powers of two if there are few, otherwise powers of ten."""
    axes.set_yscale("log")
    axes.set_ylim(CORRECT / 1.3, top * 1.5)
    few = top < 32
    ticks = [CORRECT, *((2.0 if few else 10.0) ** power for power in range(9))]
    axes.yaxis.set_major_locator(FixedLocator([tick for tick in ticks if tick <= top * 1.5]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}" if value < 1e5 else f"{value:.0e}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _sizes(axes: Axes, results: list[SweepResult]) -> None:
    edges = sorted({int(edge) for result in results for edge in result.histogram})
    for result in results:
        _stairs(axes, [result.histogram.get(str(edge), 0) for edge in edges], np.arange(len(edges) + 1) - 0.5, result)
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}" if value < 1e4 else f"{value:.0e}"))
    named = range(0, len(edges), max(1, -(-len(edges) // 12)))
    powers = {edge: f"$2^{{{edge.bit_length() - 1}}}$" for edge in edges if edge >= 1024}
    axes.set_xticks(list(named), [powers.get(edges[i], str(edges[i])) for i in named])
    axes.set_xlabel("floats between the result and the correctly rounded one, up to")
    axes.set_ylabel("inputs")


def _stairs(axes: Axes, values: Any, edges: Any, result: SweepResult) -> None:
    style: dict[str, Any] = {key: value for key, value in ERROR_STYLES[result.implementation].items() if key != "marker"}
    axes.stairs(values, edges, baseline=None, label=on_screen(result.implementation), **style)
