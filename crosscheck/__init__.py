"""The referee between PyTorch and JAX: where they differ, by how many ULP, which side is wrong, and why.

Importing crosscheck imports neither framework. The public names are those in ``__init__.pyi``; each is imported when it is
first used.
"""

import lazy_loader

_imported, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    if name == "__version__":
        from importlib.metadata import version

        return version("torch-jax-crosscheck")
    import random

    drawn = random.getstate()
    value = globals()[name] = _imported(name)
    random.setstate(drawn)  # rich draws a number when it is imported
    return value
