"""Modes that see each operation of PyTorch."""

import functools
import sys
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode


class Mode(TorchDispatchMode):
    """A mode that PyTorch's compiler does not trace, and that does not import this compiler.

    PyTorch keeps its compiler out of each mode itself, but imports it for that at the first operation, which takes 2 s. Only
    where something else has imported it can it trace a mode.
    """

    def __init_subclass__(cls, **settings: Any) -> None:
        super().__init_subclass__(**settings)
        traced = cls.__dict__["__torch_dispatch__"]

        @functools.wraps(traced)
        def dispatched(self: Any, *arguments: Any, **named: Any) -> Any:
            return (untraced(traced) if "torch._dynamo" in sys.modules else traced)(self, *arguments, **named)

        cls.__torch_dispatch__ = dispatched

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch's own question; its answer would import the compiler."""
        return False


def is_tracing() -> bool:
    """Whether PyTorch traces a program at the moment, as `torch.func.linearize` does inside."""
    tracer = sys.modules.get("torch.fx.experimental.proxy_tensor")
    return tracer is not None and tracer.get_proxy_mode() is not None


@functools.cache
def untraced(function: Any) -> Any:
    """The function, which PyTorch's compiler does not trace."""
    return torch._dynamo.disable(function)
