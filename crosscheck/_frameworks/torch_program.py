"""A function or module of torch, its gradients and second derivatives, as one program over flat arrays."""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from crosscheck._frameworks import torch_backend
from crosscheck._frameworks.programs import Array, Directions, Inputs, Outputs, Result, describe, watching


def copied(module: torch.nn.Module, shared: Container[str] = ()) -> torch.nn.Module:
    """A deep copy. Of a tensor that the last call computed, as ``weight_norm`` keeps one, the numbers are copied.

    The parameters whose names are ``shared`` have the numbers of the module's own ones, so nothing may write to them.
    """
    kept = [tensor for inside in module.modules() for tensor in vars(inside).values() if isinstance(tensor, torch.Tensor)]
    known: dict[int, Any] = {id(tensor): tensor.detach().clone() for tensor in kept if not tensor.is_leaf}
    for name, parameter in module.named_parameters():
        if name in shared and type(parameter) is torch.nn.Parameter:
            known[id(parameter)] = torch.nn.Parameter(parameter.detach(), parameter.requires_grad)
    result = copy.deepcopy(module, known)
    for parameter in result.parameters():
        if not parameter.is_leaf:  # a copy by TorchScript is computed from the original
            parameter.detach_().requires_grad_()
    return result


def in_dtype(module: torch.nn.Module, dtype: torch.dtype) -> torch.nn.Module:
    """The module with its floats in a dtype; complex numbers stay complex, where ``Module.to`` makes them real."""
    paired = torch.complex128 if dtype is torch.float64 else torch.complex64

    def converted(tensor: torch.Tensor) -> torch.Tensor:
        return tensor.to(paired if tensor.is_complex() else dtype if tensor.is_floating_point() else tensor.dtype)

    return module._apply(converted)


class TorchProgram:
    """A torch function or module."""

    name = "torch"
    modes = ("eager",)

    def __init__(self, function: Any, inputs: Inputs, device: str, shared: Container[str] = ()) -> None:
        """``shared``: the parameters of a module to which no call writes; they are not copied."""
        self.inputs, self.device, self._shared = inputs, device, shared
        self._given = function
        self.draws = self.uneven = False
        self.changed: tuple[str, ...] = ()

    @cached_property
    def function(self) -> Any:
        """The function; for a module a copy in the comparison's dtype, so that its running statistics do not change.

        It is made at the first call, so that an exception then counts as the module's.
        """
        if not isinstance(self._given, torch.nn.Module):
            return self._given
        module = in_dtype(copied(self._given, self._shared), getattr(torch, self.inputs.fmt.name))
        return module.to("cuda") if self.device == "gpu" else module

    def anew(self) -> TorchProgram:
        """The same program with a copy of the module that has not run: a module may keep what it computed, as a table."""
        return TorchProgram(self._given, self.inputs, self.device, self._shared)

    def _call(self, leaves: Sequence[Any]) -> Any:
        return self.function(*self.inputs.tree.build(list(leaves)))

    def _buffers(self) -> dict[str, Array]:
        """The state of a module besides its parameters."""
        module = isinstance(self.function, torch.nn.Module)
        return {name: _array(buffer).copy() for name, buffer in self.function.named_buffers()} if module else {}

    def outputs(self) -> tuple[Outputs, list[Array], list[str]]:
        tensors = self.tensors(self.inputs.leaves)
        before = self._buffers()
        with watching(self), torch.no_grad():
            result = self._call(tensors)
        self.changed = tuple(name for name, buffer in self._buffers().items() if before[name].tobytes() != buffer.tobytes())
        described, leaves = describe(result, "torch")
        values = [_array(leaf) for leaf in leaves]
        changed = [
            name
            for name, tensor, leaf in zip(self.inputs.names, tensors, self.inputs.leaves, strict=True)
            if _array(tensor).tobytes() != leaf.tobytes()
        ]
        return described, values, changed

    def tensors(self, arrays: Sequence[Array]) -> list[Any]:
        """The arrays as tensors on the program's device."""
        return [_tensor(array, self.device) for array in arrays]

    def values(self, leaves: Sequence[Any]) -> list[Any]:
        """The results for these tensors, flat."""
        _, values = describe(self._call(leaves), "torch")
        return [value if hasattr(value, "dtype") else torch.as_tensor(value) for value in values]

    def flat(self, order: int, absent: set[int] | None = None) -> Callable[..., list[Any]]:
        """(inputs, cotangents, tangents) -> results; a missing gradient is zeros, and its number is added to ``absent``."""
        count, wrt = len(self.inputs.leaves), self.inputs.wrt

        def program(*arguments: Any) -> list[Any]:
            leaves = [tensor.detach() for tensor in arguments[:count]]
            by = [leaves[i].requires_grad_() for i in wrt]
            with torch.set_grad_enabled(order > 0):
                results = self.values(leaves)
            if order == 0:
                return results
            differentiable = [value for value in results if value.is_floating_point()]
            cotangents = arguments[count : count + len(differentiable)]
            tangents = arguments[count + len(differentiable) :]
            firsts: list[Any] = []
            seconds: list[Any] = []
            for value, cotangent in zip(differentiable, cotangents, strict=True):
                gradients = _gradients(value, by, cotangent, create_graph=order > 1)
                firsts += gradients
                if order > 1:
                    seconds += _second(gradients, by, tangents)
            outputs = [*results, *firsts, *seconds]
            for position, output in enumerate(outputs):
                if output is None:
                    if absent is not None:
                        absent.add(position)
                    outputs[position] = torch.zeros_like(by[(position - len(results)) % len(by)])
            return [output.detach() for output in outputs]

        return program

    def results(self, order: int, along: Directions, mode: str) -> list[Result]:
        absent: set[int] = set()
        arguments = self.tensors([*self.inputs.leaves, *along.arrays])
        with watching(self):
            results = self.flat(order, absent)(*arguments)
        return [None if i in absent else _array(result) for i, result in enumerate(results)]


def _gradients(value: Any, by: list[Any], cotangent: Any, *, create_graph: bool) -> list[Any]:
    if not value.requires_grad:
        return [None] * len(by)
    return list(torch.autograd.grad(value, by, cotangent, create_graph=create_graph, retain_graph=True, allow_unused=True))


def _second(gradients: list[Any], by: list[Any], tangents: Sequence[Any]) -> list[Any]:
    """The gradient of the sum of <tangent, gradient>; zeros, not missing, if a gradient does not depend on an input."""
    pairs = [(g, v) for g, v in zip(gradients, tangents, strict=True) if g is not None and g.requires_grad]
    if not pairs:
        return [None if g is None else torch.zeros_like(x) for g, x in zip(gradients, by, strict=True)]
    outputs, cotangents = zip(*pairs, strict=True)
    seconds = torch.autograd.grad(outputs, by, cotangents, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if second is None else second for second, x in zip(seconds, by, strict=True)]


def _tensor(leaf: Array, device: str) -> Any:
    return torch_backend.to_tensor(leaf, device)


def _array(leaf: Any) -> Array:
    return torch_backend.to_array(leaf) if isinstance(leaf, torch.Tensor) else np.asarray(leaf)
