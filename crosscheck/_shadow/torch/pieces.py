"""Programs of torch operation by operation: without fused kernels, and how many numbers they compute."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from crosscheck._frameworks.torch_mode import Mode
from crosscheck._shadow.torch.operations import plan_of, storage_of, tensors_in, written_by


@contextmanager
def in_pieces() -> Iterator[None]:
    """Kernels that exist for only one dtype, without an equal in float64, are replaced by operations for every dtype."""
    with ExitStack() as stack:
        stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        stack.callback(torch._C._set_mkldnn_enabled, torch._C._get_mkldnn_enabled())
        torch._C._set_mkldnn_enabled(False)
        if "torch._dynamo" in sys.modules:
            stack.enter_context(torch.compiler.set_stance("force_eager"))
        yield


class Counting(Mode):
    """Counts the numbers in the results of operations that are no views, and sees which parameters are written to.

    At the end these parameters have their numbers again.

    Attributes:
        numbers: How many there were so far.
        written: The names of the parameters that were written to.
    """

    def __init__(self, parameters: Iterable[tuple[str, Any]]) -> None:
        super().__init__()
        self.numbers = 0
        self.written: set[str] = set()
        self._named: dict[int | None, list[tuple[str, Any]]] = {}
        for name, parameter in parameters:
            self._named.setdefault(storage_of(parameter), []).append((name, parameter))
        self._named.pop(None, None)
        self._before: list[tuple[Any, Any]] = []

    def __exit__(self, *raised: Any) -> None:
        super().__exit__(*raised)
        with torch.no_grad():
            for parameter, numbers in self._before:
                parameter.copy_(numbers)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        plan = plan_of(func)
        if plan.composite:  # it arrives only in inference mode
            with self:
                return func.decompose(*args, **kwargs)
        for value in written_by(plan, args, kwargs):
            for name, parameter in self._named.pop(storage_of(value), ()):
                self.written.add(name)
                self._before.append((parameter, parameter.detach().clone()))
        result = func(*args, **kwargs)
        if not plan.view:
            self.numbers += next((tensor.numel() for tensor in tensors_in(result)), 0)
        return result
