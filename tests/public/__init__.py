"""Public ports from PyTorch to JAX, from the package index, with random weights: each is certified, or its true fault named.

Modules whose names begin with ``of_`` hold the ports of one library. Without the library they are left out: no environment
holds all of them.
"""

import importlib
import pkgutil
import warnings

from public.records import PublicPort

LIBRARIES = ("eqx_zoo", "equimo", "esm", "esm2quinox", "jaxnn", "keras", "mamba2_jax", "timesfm", "timm", "transformers")

MODULES = sorted(info.name for info in pkgutil.iter_modules(__path__) if info.name.startswith("of_"))


def ports_of(module: str) -> list[PublicPort]:
    """The ports of one module; none where its library is not here."""
    try:
        with warnings.catch_warnings(action="ignore"):  # of other people's packages, as they are imported
            return importlib.import_module(f"{__name__}.{module}").PORTS
    except ImportError as error:
        if error.name is None or error.name.partition(".")[0] not in LIBRARIES:
            raise
        return []
