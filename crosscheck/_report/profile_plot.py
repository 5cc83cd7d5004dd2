"""The errors of comparisons or of a sweep as a figure: over the input above, by their size below. Without pyplot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from crosscheck._arithmetic.profile import Profile
from crosscheck._records.implementations import on_screen
from crosscheck._report.figures import ERROR_STYLES

COLOURS = ("#E69F00", "#0072B2", "#D55E00", "#56B4E9", "#CC79A7", "#009E73")
"""Colours of Okabe and Ito, which all readers can tell apart, on white and on black."""
LINES = ("-", (0, (4, 2)), (0, (1, 2)), (0, (5, 1, 1, 1)))
GREY = "#808080"
"""The colour of everything but curves: visible on a light and on a dark page."""
TICKS = 5
OVER = {
    "input": "inputs in their order, as many in each part",
    "element": "element of the result",
    "binade": "inputs in their order, those of a binade together",
}
"""What errors are drawn over."""
SIZE_OF = {"binade": "floats from the correctly rounded result, up to"}
"""What is counted, if it is not the error in ULP."""


def draw(panels: Mapping[str, Mapping[str, Profile]]) -> Figure:
    """A column for each panel, with its title; in it, a curve for each comparison, with its label."""
    figure = Figure(figsize=(4.6 * max(len(panels), 1), 6), layout="constrained")
    axes = figure.subplots(2, max(len(panels), 1), squeeze=False)
    for column, (title, profiles) in enumerate(panels.items()):
        _over_inputs(axes[0, column], title, profiles)
        _sizes(axes[1, column], profiles)
    for panel in axes.flat:
        in_grey(panel)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    if len(labels) > 1:
        legend = figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 3), frameon=False)
        for text in legend.get_texts():
            text.set_color(GREY)
            text.set_parse_math(False)
    return figure


def _over_inputs(axes: Axes, title: str, profiles: Mapping[str, Profile]) -> None:
    axes.set_yscale("symlog", linthresh=1.0)
    finite = [max((w for w in profile.worst if np.isfinite(w)), default=0.0) for profile in profiles.values()]
    top = 10 * max(1.0, *finite)
    longest: Sequence[float] = max((profile.x for profile in profiles.values()), key=len)
    for (label, profile), style in zip(profiles.items(), _styles(profiles), strict=True):
        worst = np.array(profile.worst)
        odd = np.flatnonzero(~np.isfinite(worst))
        place = (np.arange(worst.size) + 0.5) / max(worst.size, 1)
        axes.plot(place, np.where(np.isfinite(worst), worst, np.nan), label=label, drawstyle="steps-mid", **style)
        axes.plot(place[odd], np.full(odd.size, top / 2), "x", color=style["color"])
    ticks = np.linspace(0, len(longest) - 1, min(TICKS, len(longest))).astype(int)
    axes.xaxis.set_major_locator(FixedLocator([(tick + 0.5) / len(longest) for tick in ticks]))
    axes.set_xticks(axes.get_xticks(), [f"{longest[tick]:.3g}" for tick in ticks])
    axes.set_ylim(-0.1, top)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(OVER[next(iter(profiles.values())).by])
    axes.set_ylabel("largest error [ULP]")
    axes.set_title(title, fontsize=11, parse_math=False)  # names are no formulas


def _sizes(axes: Axes, profiles: Mapping[str, Profile]) -> None:
    first = next(iter(profiles.values()))
    total, special = np.sum([profile.counts for profile in profiles.values()], axis=0), len(first.sizes) - 2
    measured = np.flatnonzero(total[:-2])  # without those that have no size in ULP
    shown = [*range(int(measured.max(initial=0)) + 1), *(k for k in (special, special + 1) if total[k])]
    width = 0.8 / max(len(profiles), 1)
    for number, ((label, profile), style) in enumerate(zip(profiles.items(), _styles(profiles), strict=True)):
        places = np.arange(len(shown)) + (number - (len(profiles) - 1) / 2) * width
        axes.bar(places, [profile.counts[k] for k in shown], width, label=label, color=style["color"])
    axes.set_yscale("symlog", linthresh=1.0)
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    step = -(-len(shown) // 8)
    last = [i for i, k in enumerate(shown) if k >= special]
    named = [i for i in range(len(shown)) if i % step == 0 and i + 1 < min(last, default=len(shown) + 1)] + last
    axes.set_xticks(named, [first.sizes[shown[i]] for i in named])
    axes.set_xlabel(SIZE_OF.get(first.by, "error up to [ULP]"))
    axes.set_ylabel("how many")


def _styles(labels: Iterable[str]) -> list[dict[str, Any]]:
    """Those of the implementations, which are the same in all figures; of other labels, one after the other."""
    own = {on_screen(name): style for name, style in ERROR_STYLES.items()}
    others = cycle({"color": colour, "linestyle": line} for line in LINES for colour in COLOURS)
    return [own.get(label) or next(others) for label in labels]


def in_grey(axes: Axes) -> None:
    """Draw in grey what is not a curve."""
    axes.set_facecolor("none")
    axes.tick_params(colors=GREY, which="both", labelsize=8)
    axes.grid(color=GREY, alpha=0.25)
    for spine in axes.spines.values():
        spine.set_color(GREY)
    for text in (axes.title, axes.xaxis.label, axes.yaxis.label):
        text.set_color(GREY)
