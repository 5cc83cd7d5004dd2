"""Pictures of an activation for the pages, each in two inks: one for the light scheme and one for the dark."""

import io
from collections.abc import Iterator
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.colors import is_color_like, to_rgba
from matplotlib.figure import Figure
from pixels import smaller

import crosscheck
from crosscheck import Activation
from crosscheck._verify.curves import curves

INKS = {"light": "#30353d", "dark": "#dfe3ea"}
FUNCTION, GRADIENT = "#E69F00", "#3A94D6"
"""Two of Okabe and Ito's colours, the blue made lighter to stand out from a dark page too."""
LOW, HIGH, POINTS = -5.0, 5.0, 401
JUMP = 0.5
"""A step of more than this from one of the inputs to the next is a jump, and is not drawn as a line."""


def pictures(record: Activation) -> Iterator[tuple[str, bytes]]:
    """The activation's pictures by name: function and gradient, the same small, and the errors in ULP."""
    x, (value, gradient) = analytic(record)
    for scheme, ink in INKS.items():
        yield f"{record.name}-{scheme}.svg", _svg(_curves(x, value, gradient, ink, small=False))
        yield f"{record.name}-small-{scheme}.svg", _svg(_curves(x, value, gradient, ink, small=True))
        yield f"{record.name}-errors-{scheme}.png", _png(inked(_errors(record), ink))


def analytic(record: Activation) -> tuple[np.ndarray, tuple[np.ndarray, ...]]:
    """The exact function and its gradient over an interval."""
    drawn = curves(record, (), "float64", LOW, HIGH, POINTS)
    return drawn.x, tuple(np.where(np.isfinite(panel.analytic), panel.analytic, np.nan) for panel in drawn.panels)


def _curves(x: np.ndarray, value: np.ndarray, gradient: np.ndarray, ink: str, *, small: bool) -> Figure:
    figure = Figure(figsize=(2.4, 1.6) if small else (7, 3.6), layout="constrained")
    axes = figure.subplots()
    for y, colour, label in ((value, FUNCTION, "f(x)"), (gradient, GRADIENT, "f′(x)")):
        axes.plot(*_broken(x, y), color=colour, linewidth=2 if small else 2.4, label=label)
    axes.axhline(0, color=ink, linewidth=0.6, zorder=0)
    axes.axvline(0, color=ink, linewidth=0.6, zorder=0)
    axes.set_xlim(LOW, HIGH)
    axes.spines[:].set_visible(False)
    if small:
        axes.set_xticks([])
        axes.set_yticks([])
    else:
        axes.grid(alpha=0.25)
        axes.legend(frameon=False, loc="best")
        axes.set_xlabel("x")
    return inked(figure, ink)


def _errors(record: Activation) -> Figure:
    """The lower half of the figure that `crosscheck plot` draws, one below the other, as wide as a phone shows whole."""
    figure = crosscheck.plot(record)
    curves_above, errors = figure.axes[:2], figure.axes[2:]
    for axes in curves_above:
        axes.remove()
    figure.set_size_inches(5.6, 6)
    figure.suptitle("")
    grid = figure.add_gridspec(len(errors), 1)
    for row, axes in enumerate(errors):
        axes.set_subplotspec(grid[row, 0])
    (legend,) = figure.legends
    legend.remove()
    handles, labels = errors[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _broken(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same points with a gap at each jump."""
    jumps = np.flatnonzero(np.abs(np.diff(y)) > JUMP) + 1
    return np.insert(x, jumps, np.nan), np.insert(y, jumps, np.nan)


def inked(figure: Figure, ink: str) -> Figure:
    """A figure on nothing, with whatever is black drawn in this ink."""
    figure.set_facecolor("none")
    for artist in figure.findobj():
        for part in ("color", "edgecolor", "facecolor"):
            get, put = getattr(artist, f"get_{part}", None), getattr(artist, f"set_{part}", None)
            if get and put and _black(get()):
                put(ink)
    for axes in figure.axes:
        axes.set_facecolor("none")
        axes.tick_params(colors=ink, which="both")
        legend = axes.get_legend()
        if legend:
            legend.get_frame().set_facecolor("none")
    return figure


def _black(colour: Any) -> bool:
    return is_color_like(colour) and to_rgba(colour) == (0, 0, 0, 1)


def _svg(figure: Figure) -> bytes:
    # The same curves give the same file.
    with mpl.rc_context({"svg.hashsalt": "crosscheck"}):
        return _saved(figure, format="svg", metadata={"Date": None})


def _png(figure: Figure) -> bytes:
    return smaller(_saved(figure, format="png", dpi=110))


def _saved(figure: Figure, **how: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, **how)
    return buffer.getvalue()
