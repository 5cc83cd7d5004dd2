"""The styles that all figures use, one for each side, and a function that saves a figure."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from crosscheck._report.files import GENERATOR, write_whole

DPI = 100
GENERATED = {"png": "Software", "svg": "Creator", "pdf": "Creator"}
"""By format, the metadata field that names the program that wrote a figure."""
STYLES: dict[str, dict[str, Any]] = {
    "torch": {"color": "#E69F00", "linestyle": "-", "linewidth": 6},
    "jax": {"color": "#0072B2", "linestyle": "-", "linewidth": 2.5},
    "analytic": {"color": "black", "linestyle": (0, (2, 4)), "linewidth": 2},
}
"""Wide lines below narrow ones, so that equal curves are visible; colours of Okabe and Ito, which differ for everyone."""
ERROR_STYLES: dict[str, dict[str, Any]] = {
    "torch": {"color": "#E69F00", "linestyle": "-", "linewidth": 5},
    "jax": {"color": "#0072B2", "linestyle": "-", "linewidth": 2.5},
    "torch.native": {"color": "#D55E00", "linestyle": (0, (4, 4)), "linewidth": 1.8},
    "jax.native": {"color": "#56B4E9", "linestyle": (4, (4, 4)), "linewidth": 1.8},
    "torch.native.matched": {"color": "#CC79A7", "linestyle": (0, (1, 3)), "linewidth": 1.8},
    "jax.native.matched": {"color": "#009E73", "linestyle": (2, (1, 3)), "linewidth": 1.8},
}
"""The dashes of one curve fill the gaps of the other."""


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure whole or not at all, in the format of the suffix. Raises ``OSError``."""
    path = Path(path)
    kind = path.suffix[1:].lower()
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, dpi=DPI, metadata={GENERATED[kind]: GENERATOR})
    write_whole(path, buffer.getvalue())
