"""A corpus of pairs of functions whose verdict is known: half agree up to rounding, half do not."""

import importlib
import pkgutil

from pairs.records import Pair

PAIRS: list[Pair] = [
    pair
    for module in sorted(info.name for info in pkgutil.iter_modules(__path__))
    if module.startswith(("right_", "wrong_"))
    for pair in importlib.import_module(f"{__name__}.{module}").PAIRS
]
