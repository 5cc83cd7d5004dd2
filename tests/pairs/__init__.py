"""A corpus of pairs of functions whose verdict is known: half agree up to rounding, half do not.

Modules whose names begin with ``of_`` hold pairs of one library's functions. Without the library they are left out.
"""

import importlib
import pkgutil
import warnings

from pairs.records import Pair

LIBRARIES = ("distrax", "equinox", "flax", "haiku", "rlax", "torchvision", "transformers")

PAIRS: list[Pair] = []
MISSING: list[str] = []
"""The libraries that are not here."""

for _module in sorted(info.name for info in pkgutil.iter_modules(__path__)):
    if _module.startswith(("right_", "wrong_", "of_")):
        try:
            with warnings.catch_warnings(action="ignore"):  # of other people's packages, as they are imported
                PAIRS += importlib.import_module(f"{__name__}.{_module}").PAIRS
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] not in LIBRARIES:
                raise
            MISSING.append(error.name.partition(".")[0])
