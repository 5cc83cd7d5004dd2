"""Run functions in torch."""

import functools
import os
import platform
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import ml_dtypes
import numpy as np
import torch

from crosscheck._arithmetic.formats import FORMATS, FloatArray
from crosscheck._frameworks.base import ONES, Cotangents, Flush, Function, NoDeviceError, WrongOutputError, check_output
from crosscheck._records.implementations import MODES_OF
from crosscheck._records.worded import Worded

name = "torch"
modes = MODES_OF[name]


def check_device(device: str) -> None:
    if device == "gpu" and not torch.cuda.is_available():
        raise NoDeviceError("device: got 'gpu', but torch.cuda.is_available() is False; use --device cpu")


def to_tensor(x: FloatArray, device: str) -> Any:
    """A tensor with the same bits; bfloat16 is passed as int16, which numpy and torch share."""
    x = np.array(x, order="C")
    if x.dtype == ml_dtypes.bfloat16:
        tensor = torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(x)
    return tensor.to("cuda" if device == "gpu" else "cpu")


def to_array(tensor: Any) -> FloatArray:
    """The inverse of ``to_tensor``."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor._is_zerotensor():  # the derivative of a constant, of which PyTorch keeps no numbers
        tensor = torch.zeros_like(tensor)
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.asarray(tensor.numpy())


_ALONE = threading.RLock()
"""torch.compile and the levels of forward mode are not thread-safe."""

_COUNTED = threading.Lock()
_ASKED: list[tuple[int, int]] = []
"""For each open block, torch's number of threads outside of all blocks, and the number that the block asks for."""


def _in_a_new_thread(call: Callable[..., Any], *args: object) -> Any:
    """Call in a new thread of Python, which torch starts with the number of threads that was set last."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(call, *args).result()


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch compute in this many threads inside a block.

    A new thread of Python starts with the number of torch's threads that was set last, and keeps it. So a thread that
    started while another one was in such a block has the block's number, and not the usual one.
    """
    with _COUNTED:
        here = torch.get_num_threads()  # this fixes the number for this thread now
        usual = _ASKED[0][0] if _ASKED else _in_a_new_thread(torch.get_num_threads)
        here = usual if any(here == asked for _, asked in _ASKED) else here
        _ASKED.append((usual, number))
        torch.set_num_threads(number)
    try:
        yield
    finally:
        with _COUNTED:
            _ASKED.remove((usual, number))
            torch.set_num_threads(here)
            if here != usual:  # only this thread's number differs: new threads start with the usual one
                _in_a_new_thread(torch.set_num_threads, usual)


one_thread = functools.partial(threads, 1)
"""For small computations, which take less time than to wake other threads."""


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
    w = along.w
    first = to_tensor(np.ones(shape or x.shape, x.dtype) if along.v is None else along.v, device)
    if w is None and shape is not None:
        w = np.ones_like(x)
    cotangents = (first, first if w is None else to_tensor(w, device))
    like = None if w is None else first
    if mode in ("vmap", "forward"):
        with _ALONE:
            return {k: _functional(function, to_tensor(x, device), k, mode, cotangents, like) for k in orders}
    if mode == "compile":
        with _ALONE:
            return _compiled(function, to_tensor(x, device), orders, cotangents, like)
    differentiated = max(orders) > 0
    tensor = to_tensor(x, device).requires_grad_(differentiated)
    with torch.set_grad_enabled(differentiated):
        result = function(tensor)
        _check_untouched(tensor, x)
        return _reversed(result, tensor, orders, cotangents, like)


def _check_untouched(tensor: Any, x: FloatArray) -> None:
    """Raise ``WrongOutputError`` if a function has changed its input."""
    if to_array(tensor).tobytes() != np.ascontiguousarray(x).tobytes():
        raise WrongOutputError("the function changes its input in place")


def _reversed(
    result: Any, tensor: Any, orders: tuple[int, ...], cotangents: tuple[Any, Any], like: Any | None
) -> dict[int, FloatArray | None]:
    """The derivatives of a result by its input in reverse mode; None if there is no path."""
    check_output(result, tensor, like)
    by_order = {0: result}
    for k in range(max(orders)):
        if result is not None and result.requires_grad:
            again = k + 1 < max(orders)
            (result,) = torch.autograd.grad(result, tensor, cotangents[k > 0], create_graph=again, allow_unused=True)
        else:
            result = None
        by_order[k + 1] = result
    return {k: None if by_order[k] is None else to_array(by_order[k]) for k in orders}


def _functional(
    function: Function, x: Any, order: int, mode: str, cotangents: tuple[Any, Any], like: Any | None
) -> FloatArray:
    """The derivative by transformations of ``torch.func``: forward mode, or reverse mode for one entry at a time."""

    def program(x: Any, v: Any, w: Any, like: Any) -> Any:
        def checked(x: Any) -> Any:
            result = function(x)
            check_output(result, x, like)
            return result

        run: Function = checked
        for k in range(order):
            run = _forward(run, w) if mode == "forward" else _reverse(run, w if k else v)
        return run(x)

    if mode == "vmap":
        program = torch.func.vmap(program, in_dims=(0, 0, 0, None if like is None else 0))
    return to_array(program(x, *cotangents, like))


def _forward(function: Function, direction: Any) -> Function:
    return lambda x: torch.func.jvp(function, (x,), (direction,))[1]


def _reverse(function: Function, cotangent: Any) -> Function:
    return lambda x: torch.func.vjp(function, x)[1](cotangent)[0]


@functools.lru_cache(maxsize=64)
def _program(function: Function) -> tuple[Function, Any]:
    """A function through torch.compile, and a counter of the graphs that were compiled."""
    from torch._dynamo.testing import CompileCounterWithBackend

    graphs = CompileCounterWithBackend("inductor")
    return torch.compile(function, backend=graphs, fullgraph=True, dynamic=False), graphs


def _compiled(
    function: Function, x: Any, orders: tuple[int, ...], cotangents: tuple[Any, Any], like: Any | None
) -> dict[int, FloatArray | None]:
    """The derivatives by a compiled graph; raises if there is none, since torch would then run the function uncompiled.

    The value comes from the graph of the gradient, so that one graph serves both.
    """
    import torch._dynamo

    # a function is compiled again for each dtype and shape, and torch limits how often
    with torch._dynamo.config.patch(recompile_limit=10**6, accumulated_recompile_limit=10**6):
        program, graphs = _program(function)
        x.requires_grad_()
        result = program(x)
        if graphs.frame_count == 0:
            raise RuntimeError("torch.compile compiled no graph")
        return _reversed(result, x, orders, cotangents, like)


def lacks(mode: str) -> str | None:
    if mode != "compile":
        return None
    compiler = os.environ.get("CXX", {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++"))
    if shutil.which(compiler) is None:
        words = f"torch.compile needs a C++ compiler, and there is no {compiler} here; install one, or name one in CXX"
        return Worded(words, "no compiler", compiler)
    try:
        torch.compile(lambda x: x)
    except RuntimeError as error:  # torch.compile does not support this Python yet
        return str(error)
    return None


@functools.cache
def flush(dtype: str, mode: str, device: str) -> Flush:
    fmt = FORMATS[dtype]
    subnormal = to_tensor(np.full(64, fmt.smallest_subnormal * 2, fmt.dtype), device)
    normal = to_tensor(np.full(64, fmt.smallest_normal, fmt.dtype), device)
    into_normal = subnormal * (2.0**fmt.precision)
    into_subnormal = normal * 0.5
    return Flush(inputs=bool((into_normal == 0).any()), outputs=bool((into_subnormal == 0).any()))


def release() -> None:
    """Release what torch.compile made."""
    if _program.cache_info().currsize:
        _program.cache_clear()
        torch.compiler.reset()


def capability() -> str:
    """torch's name for the CPU's instructions, more exact where that name is not.

    It is SVE or NEON on ARM, where torch says DEFAULT as on x86 without AVX2; and AVX512_FP16 if float16 has its own
    instructions, with which JAX computes.
    """
    name, here = str(torch.backends.cpu.get_cpu_capability()), torch.cpu.get_capabilities()
    if name == "DEFAULT" and here.get("architecture") == "arm64":
        return "SVE" if here.get("sve") else "NEON"
    return "AVX512_FP16" if name == "AVX512" and here.get("avx512_fp16") else name


def onednn() -> str | None:
    """The instructions that oneDNN, which computes some of torch's functions on x86, uses: with torch's names.

    ATEN_CPU_CAPABILITY does not limit it, only a variable of its own does. None where torch has no oneDNN, and on ARM.
    """
    here = torch.cpu.get_capabilities()
    if here.get("architecture") != "x86_64" or not torch.backends.mkldnn.is_available():
        return None
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", os.environ.get("DNNL_MAX_CPU_ISA", "default")).upper()
    if limit in ("SSE41", "AVX") or not here.get("avx2"):
        return "DEFAULT"
    if limit.startswith("AVX2") or not here.get("avx512_f"):
        return "AVX2"
    return "AVX512_FP16" if here.get("avx512_fp16") else "AVX512"


def environment(device: str) -> Mapping[str, object]:
    check_device(device)
    return {
        "version": str(torch.__version__),
        "device": torch.cuda.get_device_name() if device == "gpu" else platform.processor() or platform.machine(),
        "capability": capability(),
        "onednn": onednn(),
        "threads": torch.get_num_threads(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
    }
