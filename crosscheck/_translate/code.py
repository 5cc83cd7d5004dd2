"""The code of an entry as functions, and its inputs as arrays: exactly the code that is shown is run."""

from __future__ import annotations

import ast
import functools
import importlib
import inspect
import math
import zlib
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import CodeType
from typing import Any

import numpy as np

from crosscheck._records.installing import how_to_install
from crosscheck._records.interface import MissingFrameworkError, framework

TORCH = {"torch": "torch", "F": "torch.nn.functional", "nn": "torch.nn", "math": "math"}
JAX = {"jax": "jax", "jnp": "jax.numpy", "lax": "jax.lax", "math": "math", "np": "numpy"}
NAMESPACES = {
    "torch": TORCH,
    "jax": JAX,
    "optax": {**JAX, "optax": "optax"},
    "flax": {**JAX, "nnx": "flax.nnx", "optax": "optax"},
    "equinox": {**JAX, "eqx": "equinox"},
}
"""The names that code of each library may use."""
MODULES = {"jax": ("jax.scipy.special", "jax.scipy.linalg", "jax.scipy.signal", "jax.scipy.stats", "jax.scipy.ndimage")}
"""Modules that must also be imported."""
SEED = 0


def namespace(library: str) -> dict[str, Any]:
    """The names for code of a library; ``MissingFrameworkError`` if the library cannot be imported."""
    for needed in dict.fromkeys(("torch" if library == "torch" else "jax", library)):
        _import(needed)
    for module in MODULES.get("torch" if library == "torch" else "jax", ()):
        importlib.import_module(module)
    return {name: importlib.import_module(module) for name, module in NAMESPACES[library].items()}


def _import(library: str) -> None:
    if library in ("torch", "jax", "optax"):
        framework(library)
        return
    try:
        importlib.import_module(library)
    except Exception as error:
        raise MissingFrameworkError(
            f"{library} cannot be imported ({type(error).__name__}: {error}). "
            f"Install it with: {how_to_install('dictionary')}"
        ) from error


def function(code: str, library: str, names: Sequence[str], **given: Any) -> Callable[..., Any]:
    """Code as a function of its inputs: it returns the value of the last line."""
    before, last = _compiled(code)
    known = namespace(library) | given

    def call(*arguments: Any) -> Any:
        here = {**known, **dict(zip(names, arguments, strict=True))}
        exec(before, here)
        return eval(last, here)

    parameters = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]  # reports name the inputs by it
    call.__name__ = call.__qualname__ = code if "\n" not in code else code.strip().splitlines()[-1]
    return call


def as_run_alone(torch_function: Callable[..., Any]) -> Callable[..., Any]:
    """Code of PyTorch as it runs outside of a comparison: with gradients, from one random state, and it changes no other.

    So code may make modules, whose first weights are drawn, and train them.
    """
    import torch

    @functools.wraps(torch_function)
    def call(*arguments: Any) -> Any:
        asked = torch.is_grad_enabled() and any(getattr(argument, "requires_grad", False) for argument in arguments)
        with torch.random.fork_rng(devices=[]), torch.enable_grad():
            torch.manual_seed(SEED)
            result = torch_function(*arguments)
        detached = torch.utils._pytree.tree_map_only(torch.Tensor, torch.Tensor.detach, result)
        return result if asked else detached

    return call


@cache
def _compiled(code: str) -> tuple[CodeType, CodeType]:
    *statements, last = ast.parse(code).body
    assert isinstance(last, ast.Expr), f"the last line is no expression: {code}"
    return compile(ast.Module(statements, []), "<entry>", "exec"), compile(ast.Expression(last.value), "<entry>", "eval")


def arrays(inputs: Mapping[str, str]) -> list[Any]:
    """The inputs, made from their expressions; each name draws its own numbers."""
    return [_array(name, expression) for name, expression in inputs.items()]


def _array(name: str, expression: str) -> Any:
    rng = np.random.default_rng((SEED, zlib.crc32(name.encode())))

    def normal(*shape: int) -> Any:
        return rng.normal(size=shape).round(3)

    def uniform(low: float, high: float, *shape: int) -> Any:
        return rng.uniform(low, high, size=shape).round(3)

    def integers(high: int, *shape: int) -> Any:
        return rng.integers(0, high, size=shape)

    def bits(*shape: int) -> Any:
        return rng.random(size=shape) < 0.5

    known = {
        "normal": normal,
        "uniform": uniform,
        "integers": integers,
        "bits": bits,
        "array": np.array,
        "np": np,
        "nan": math.nan,
        "inf": math.inf,
    }
    return np.asarray(eval(expression, known))
