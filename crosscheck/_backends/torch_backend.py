"""Running functions in torch."""

import functools
import platform
from collections.abc import Mapping
from typing import Any

import ml_dtypes
import numpy as np
import torch

from crosscheck._backends.base import Flush, Function, NoDeviceError, check_output
from crosscheck._numerics.formats import FORMATS, FloatArray

name = "torch"
modes = ("eager",)


def check_device(device: str) -> None:
    if device == "gpu" and not torch.cuda.is_available():
        raise NoDeviceError("device: got 'gpu', but torch.cuda.is_available() is False; use --device cpu")


def to_tensor(x: FloatArray, device: str) -> Any:
    """A tensor with the same bits; bfloat16 travels as int16, which numpy and torch share."""
    x = np.array(x, order="C")
    if x.dtype == ml_dtypes.bfloat16:
        tensor = torch.from_numpy(x.view(np.int16)).view(torch.bfloat16)
    else:
        tensor = torch.from_numpy(x)
    return tensor.to("cuda" if device == "gpu" else "cpu")


def to_array(tensor: Any) -> FloatArray:
    """The inverse of :func:`to_tensor`."""
    tensor = tensor.detach().cpu().contiguous()
    if tensor.dtype == torch.bfloat16:
        return np.asarray(tensor.view(torch.int16).numpy()).view(ml_dtypes.bfloat16)
    return np.asarray(tensor.numpy())


def derivative(
    function: Function,
    x: FloatArray,
    order: int,
    mode: str,
    device: str,
    v: FloatArray | None = None,
    w: FloatArray | None = None,
) -> FloatArray | None:
    first = to_tensor(np.ones_like(x) if v is None else v, device)
    cotangents = (first, first if w is None else to_tensor(w, device))
    tensor = to_tensor(x, device).requires_grad_(order > 0)
    with torch.set_grad_enabled(order > 0):
        result = function(tensor)
    check_output(result, tensor, None if w is None else first)
    for k in range(order):
        if not result.requires_grad:
            return None
        (result,) = torch.autograd.grad(result, tensor, cotangents[k > 0], create_graph=k + 1 < order, allow_unused=True)
        if result is None:
            return None
    return to_array(result)


@functools.cache
def flush(dtype: str, mode: str, device: str) -> Flush:
    fmt = FORMATS[dtype]
    subnormal = to_tensor(np.full(64, fmt.smallest_subnormal * 2, fmt.dtype), device)
    normal = to_tensor(np.full(64, fmt.smallest_normal, fmt.dtype), device)
    into_normal = subnormal * (2.0**fmt.precision)
    into_subnormal = normal * 0.5
    return Flush(inputs=bool((into_normal == 0).any()), outputs=bool((into_subnormal == 0).any()))


def release() -> None:
    """Nothing is compiled here."""


def environment(device: str) -> Mapping[str, object]:
    check_device(device)
    return {
        "version": str(torch.__version__),
        "device": torch.cuda.get_device_name() if device == "gpu" else platform.processor() or platform.machine(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "default_dtype": str(torch.get_default_dtype()).removeprefix("torch."),
        "float32_matmul_precision": torch.get_float32_matmul_precision(),
        "tf32": bool(torch.backends.cuda.matmul.allow_tf32),
        "flush": {dtype: vars(flush(dtype, "eager", device)) for dtype in FORMATS},
    }
