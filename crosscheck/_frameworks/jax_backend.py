"""Run functions in JAX. 64 bits are switched on only for float64, and only while it runs."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # torch may be on the same GPU

import jax
import jax.numpy as jnp
import numpy as np

from crosscheck._arithmetic.formats import FORMATS, FloatArray
from crosscheck._frameworks.base import ONES, Cotangents, Flush, Function, NoDeviceError, check_output
from crosscheck._records.implementations import MODES_OF

name = "jax"
modes = MODES_OF[name]


def check_device(device: str) -> None:
    try:
        jax.devices(device)
    except RuntimeError as error:
        raise NoDeviceError(f"device: got {device!r}, but JAX has no such device; use --device cpu") from error


@contextmanager
def scope(dtype: str, device: str) -> Iterator[None]:
    with jax.enable_x64(dtype == "float64"), jax.default_device(jax.devices(device)[0]):
        yield


@functools.lru_cache(maxsize=64)
def _program(
    function: Function, orders: tuple[int, ...], mode: str, shape: tuple[int, ...] | None
) -> Callable[[Any, Any, Any], dict[int, Any]]:
    """(x, v, w) -> the derivatives in reverse mode, with the cotangent v, by default ones, and then w.

    In forward mode, w is the direction. All modes but the eager one are compiled.

    The program is kept, so that the same function is not compiled again for another input of the same shape and dtype.
    """

    like = None if shape is None else jax.ShapeDtypeStruct(shape, jnp.float32)  # only its shape counts

    def program(x: Any, v: Any, w: Any) -> dict[int, Any]:
        def checked(x: Any) -> Any:
            result = function(x)
            check_output(result, x, like or (None if w is None else v))
            return result

        run, both = checked, None
        for k in range(max(orders)):
            both = _forward(run, w) if mode == "forward" else _reverse(run, v if k == 0 or w is None else w)
            run = functools.partial(_second, both)
        if both is None or len(orders) == 1:
            return {max(orders): run(x)}
        return dict(zip(orders, both(x), strict=True))

    if mode == "eager":
        return program
    return jax.jit(jax.vmap(program) if mode == "vmap" else program)


def _forward(function: Function, direction: Any) -> Function:
    """A function and its derivative, in forward mode."""
    return lambda x: jax.jvp(function, (x,), (jnp.ones_like(x) if direction is None else direction,))


def _reverse(function: Function, cotangent: Any) -> Function:
    """A function and its derivative, in reverse mode."""

    def both(x: Any) -> tuple[Any, Any]:
        result, pull_back = jax.vjp(function, x)
        return result, pull_back(jnp.ones_like(result) if cotangent is None else cotangent)[0]

    return both


def _second(function: Function, x: Any) -> Any:
    return function(x)[1]


def derivatives(
    function: Function,
    x: FloatArray,
    orders: tuple[int, ...],
    mode: str,
    device: str,
    along: Cotangents = ONES,
    *,
    shape: tuple[int, ...] | None = None,
) -> dict[int, FloatArray | None]:
    with scope(str(x.dtype), device):
        arrays = (None if array is None else jax.device_put(array) for array in (x, along.v, along.w))
        return {k: np.asarray(derivative) for k, derivative in _program(function, orders, mode, shape)(*arrays).items()}


def lacks(mode: str) -> str | None:
    return None


@functools.cache
def flush(dtype: str, mode: str, device: str) -> Flush:
    fmt = FORMATS[dtype]
    with scope(dtype, device):

        def scaled(x: Any, factor: float) -> bool:
            def multiply(x: Any) -> Any:
                return x * factor

            result = (multiply if mode == "eager" else jax.jit(multiply))(jax.device_put(x))
            return bool((np.asarray(result) == 0).any())

        subnormal = np.full(64, fmt.smallest_subnormal * 2, fmt.dtype)
        normal = np.full(64, fmt.smallest_normal, fmt.dtype)
        return Flush(inputs=scaled(subnormal, 2.0**fmt.precision), outputs=scaled(normal, 0.5))


def threads(number: int) -> AbstractContextManager[None]:
    """JAX's client on the CPU has a thread for each core."""
    return nullcontext()


def release() -> None:
    """Release what JAX compiled; it is freed by the next collection of garbage, since it is in reference cycles."""
    _program.cache_clear()
    jax.clear_caches()


def capability() -> str:
    """The CPU's instructions with torch's names, found by numpy: JAX does not name them, and torch may be missing."""
    simd = np.show_config(mode="dicts")["SIMD Extensions"]
    here = {*simd.get("baseline", ()), *simd.get("found", ())}
    return next((name for name, signs in CAPABILITIES.items() if here & signs), "DEFAULT")


CAPABILITIES = {
    "AVX512_FP16": {"AVX512_SPR"},
    "AVX512": {"AVX512_SKX", "X86_V4"},
    "AVX2": {"AVX2", "X86_V3"},
    "SVE": {"SVE"},
    "NEON": {"NEON"},
}
"""For each of torch's names, those of numpy's names of which a CPU with these instructions has one."""


def environment(device: str) -> Mapping[str, object]:
    check_device(device)
    return {
        "version": jax.__version__,
        "device": jax.devices(device)[0].device_kind,
        "capability": capability(),
        "x64": bool(jax.config.jax_enable_x64),
        "default_matmul_precision": jax.config.jax_default_matmul_precision,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
    }
