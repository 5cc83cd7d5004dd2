"""A setting of a module that explains a fault: if torch's module gets JAX's setting, it gives what JAX has."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import permutations
from typing import Any

import numpy as np
import torch
from torch import nn

from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.torch_backend import to_array
from crosscheck._frameworks.torch_program import copied
from crosscheck._models.distances import same_numbers
from crosscheck._models.engine import Found
from crosscheck._models.forcing import Fault
from crosscheck._models.reruns import Stretch
from crosscheck._models.segment import given_to

SAME = 1e-5
"""The largest relative difference of JAX's result: the module's argument is rounded to the dtype."""
CLEARLY = 16.0
"""The results with two settings must differ by so many times more."""
MOST_NUMBERS = 2**22
"""With more numbers in its argument, a module takes too long to be run again and again."""
RESETS = {
    "the product": "",
    "the state": "JAX multiplies the reset gate with the state before the matrix, PyTorch with the product",
    "the product alone": "JAX adds the hidden bias of the new gate beside what the reset gate multiplies, PyTorch inside",
}
"""What a GRU multiplies with its reset gate, and how that differs from torch's."""
GATES = {"LSTM": ("i", "f", "g", "o"), "GRU": ("r", "z", "n")}

Variant = tuple[str, Callable[[nn.Module], Any]]
"""What JAX does, as a clause, and a function that gives the module that setting."""


class OtherSettings:
    """Looks for the setting that explains a fault, for one fault after the other."""

    def __init__(self, found: Found) -> None:
        self._found = found
        self._known: dict[str, str] = {}
        """What explained an earlier fault of a module: a recurrent layer has one at each step."""

    def explanation(self, fault: Fault) -> str:
        """With which setting the module of a fault gives what JAX has, as a clause; empty if with none."""
        operation = self._found.torch.operations[fault.operation]
        module = self._found.torch.modules.get(operation.path)
        variants = [] if module is None or list(module.children()) else list(_variants(module))
        given = given_to(self._found, operation) if variants else None
        if module is None or given is None or given.size > MOST_NUMBERS or operation.path in self._known:
            return self._known.get(operation.path, "")
        before = (self._found.torch.values[one] for one in operation.inputs if one in self._found.torch.values)
        given = next((one.wide for one in before if np.array_equal(one.narrow, given)), given.astype(np.float64))
        steps = _steps(module, given)
        usual = _results(module, given, steps)
        stretches = [Stretch(self._found, one.landmark) for one in (fault, *self._faults_of(operation.path))]
        # the first step of a recurrent layer, whose state is 0, may be right with several settings
        best, most = "", 0
        for said, change in variants:
            pairs = list(zip(_changed_results(module, change, given, steps), usual, strict=False))
            if any(_has_another(stretches[0], *pair) for pair in pairs):
                explained = sum(any(_has_another(stretch, *pair) for pair in pairs) for stretch in stretches)
                best, most = (said, explained) if explained > most else (best, most)
            if most == len(stretches):
                break
        return self._known.setdefault(operation.path, best) if best else ""

    def _faults_of(self, path: str) -> list[Fault]:
        operations = self._found.torch.operations
        return [one for one in self._found.located.faults if operations[one.operation].path == path]


def _changed_results(
    module: nn.Module, change: Callable[[nn.Module], Any], given: Array, steps: Sequence[Any]
) -> list[Array]:
    """The results with another setting; none if the module cannot run with it."""
    one = copied(module).double()
    try:
        change(one)
        return _results(one, given, steps)
    except (IndexError, RuntimeError, ValueError):  # such as an axis that is not there, or a kernel that is too large
        return []


def _has_another(stretch: Stretch, other: Array, own: Array) -> bool:
    """Whether JAX has the result of another setting, which is not that of the module."""
    if other.size == own.size and same_numbers(other[None], own[None], CLEARLY * SAME):
        return False
    return any(same_numbers(value[None], other[None], SAME) for value in stretch.values(other.size))


def _results(module: nn.Module, given: Array, steps: Sequence[Any]) -> list[Array]:
    """The result of a module in float64, and that of each step of a recurrent layer."""
    called = copied(module).double()
    with torch.no_grad():
        results = [called(*arguments) for arguments in [(torch.from_numpy(given),), *steps]]
    return [np.asarray(to_array(one[0] if isinstance(one, tuple) else one)) for one in results]


def _steps(module: nn.Module, given: Array) -> list[Any]:
    """The input and the state before it at each step of a recurrent layer: JAX may compute each by itself."""
    if not isinstance(module, nn.RNNBase) or module.num_layers > 1 or module.bidirectional or given.ndim != 3:
        return []
    layer, state, found = copied(module).double(), None, []
    with torch.no_grad():
        for one in torch.from_numpy(given).split(1, 1 if module.batch_first else 0):
            found.append((one, state))
            _, state = layer(one, state)
    return found


def _variants(module: nn.Module) -> Iterator[Variant]:
    """Other settings of a module, as they are confused in ports."""
    kind = type(module).__name__
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        yield from _of_batch_norm(module)
    elif isinstance(module, nn.GroupNorm):
        for groups in range(1, module.num_channels + 1):
            if module.num_channels % groups == 0 and groups != module.num_groups:
                said = f"PyTorch normalises in {module.num_groups} groups, JAX in {groups}"
                yield said, _setting(num_groups=groups)
    elif isinstance(module, nn.modules.conv._ConvTransposeNd):
        yield "JAX does not flip the kernel of the transposed convolution", _changed(_flipped)
        yield from _of_kernel(module)
    elif isinstance(module, nn.modules.conv._ConvNd):
        yield "JAX flips the kernel in space, PyTorch does not", _changed(_flipped)
        yield from _of_kernel(module)
        for mode in ("zeros", "reflect", "replicate", "circular"):
            if mode != module.padding_mode and any(_each(module.padding)):
                yield f"PyTorch pads in the mode {module.padding_mode}, JAX in the mode {mode}", _padding_mode(mode)
    elif kind.startswith(("MaxPool", "AvgPool")) and kind.endswith("d"):
        yield from _of_pool(module)
    elif isinstance(module, nn.Softmax | nn.LogSoftmax | nn.Softmin):
        for axis in range(4):
            yield f"JAX's softmax is along axis {axis}, PyTorch's along axis {module.dim}", _setting(dim=axis)
    elif isinstance(module, nn.Upsample):
        for mode in ("nearest", "bilinear", "bicubic"):
            yield f"PyTorch interpolates in the mode {module.mode}, JAX in the mode {mode}", _setting(mode=mode)
        corners = bool(module.align_corners)
        yield f"align_corners is {corners} in PyTorch, {not corners} in JAX", _setting(align_corners=not corners)
    elif kind in GATES and isinstance(module, nn.RNNBase):
        yield from _of_recurrent(module, kind)


def _of_batch_norm(module: Any) -> Iterator[Variant]:
    if module.track_running_stats:
        running, batch = "the running statistics", "the statistics of the batch"
        mine, theirs = (batch, running) if module.training else (running, batch)
        yield f"PyTorch normalises with {mine}, JAX with {theirs}", lambda one: one.train(not one.training)


def _of_pool(module: Any) -> Iterator[Variant]:
    options = {key: getattr(module, key) for key in ("kernel_size", "stride", "padding", "ceil_mode")}
    rank = type(module).__name__[-2:]
    if type(module).__name__.startswith("Max"):
        yield "PyTorch takes the maximum, JAX the average", _becoming(getattr(nn, f"AvgPool{rank}")(**options))
    else:
        yield "PyTorch takes the average, JAX the maximum", _becoming(getattr(nn, f"MaxPool{rank}")(**options))
        if any(_each(module.padding)):
            does, other = ("PyTorch", "JAX") if module.count_include_pad else ("JAX", "PyTorch")
            said = f"{does} counts the padding among the numbers of an average, {other} does not"
            yield said, _setting(count_include_pad=not module.count_include_pad)


def _of_kernel(module: Any) -> Iterator[Variant]:
    shape = module.weight.shape
    if len(shape) == 4 and shape[2] == shape[3] > 1:
        yield "JAX has the two axes of space of the kernel exchanged", _changed(lambda weight: weight.transpose(2, 3))
    if shape[0] == shape[1]:
        yield "JAX has the input and the output channels of the kernel exchanged", _changed(lambda one: one.transpose(0, 1))


def _of_recurrent(module: Any, kind: str) -> Iterator[Variant]:
    names = GATES[kind]
    for order in permutations(range(len(names))):
        if order != tuple(range(len(names))):
            said = f"PyTorch has the gates in the order {', '.join(names)}, JAX {', '.join(names[k] for k in order)}"
            yield said, _gates(np.argsort(order).tolist(), len(names))
    for prefix, what in (("bias_hh", "hidden"), ("bias_ih", "input")):
        yield f"JAX lacks the biases {prefix} of the {what} state", _parameters(prefix, torch.zeros_like)
    yield (
        "JAX has the matrices weight_hh of the hidden state transposed",
        _parameters("weight_hh", _each_transposed(len(names))),
    )
    if kind == "LSTM":
        yield "JAX adds 1 to the bias of the forget gate", _parameters("bias_ih", _one_in_forget_gate)
    elif module.num_layers == 1 and not module.bidirectional:
        for reset, what in RESETS.items():
            for kept, more in (("z", ""), ("1 - z", "JAX keeps the share 1 - z of the state, PyTorch z")):
                if what or more:
                    yield "; ".join(filter(None, (what, more))), _gru(reset, kept)


def _gru(reset: str, kept: str) -> Callable[[nn.Module], Any]:
    """A GRU of one layer of another form: see ``RESETS``; it keeps the share z, or 1 - z, of its state."""

    def change(module: Any) -> None:
        def forward(given: torch.Tensor, state: torch.Tensor | None = None) -> tuple[torch.Tensor, torch.Tensor]:
            inputs, own, *biases = (one.data for one in module.parameters())
            of_input, of_state = biases or (torch.zeros(len(own), dtype=own.dtype),) * 2
            weight, bias = own.chunk(3)[2], of_state.chunk(3)[2]
            along = 1 if module.batch_first and given.ndim == 3 else 0
            steps = (given @ inputs.T + of_input).unbind(along)
            h = torch.zeros_like(steps[0][..., : module.hidden_size]) if state is None else state[0]
            found = []
            for step in steps:
                of_gates = (h @ own.T + of_state).chunk(3, -1)
                r, z = (torch.sigmoid(one + other) for one, other in zip(step.chunk(3, -1)[:2], of_gates, strict=False))
                new = {
                    "the product": r * of_gates[2],
                    "the state": (r * h) @ weight.T + bias,
                    "the product alone": r * (h @ weight.T) + bias,
                }[reset]
                new = torch.tanh(step.chunk(3, -1)[2] + new)
                h = (1 - z) * new + z * h if kept == "z" else z * new + (1 - z) * h
                found.append(h)
            return torch.stack(found, along), h[None]

        module.forward = forward

    return change


def _flipped(weight: torch.Tensor) -> torch.Tensor:
    return weight.flip(tuple(range(2, weight.ndim)))


def _each(value: Any) -> list[Any]:
    return [] if isinstance(value, str) else list(value) if isinstance(value, tuple) else [value]


def _setting(**values: Any) -> Callable[[nn.Module], Any]:
    def change(module: nn.Module) -> None:
        for name, value in values.items():
            setattr(module, name, value)

    return change


def _changed(function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[nn.Module], Any]:
    def change(module: nn.Module) -> None:
        weight = module.weight
        assert isinstance(weight, torch.Tensor)
        weight.data = function(weight.data).contiguous()

    return change


def _padding_mode(mode: str) -> Callable[[nn.Module], Any]:
    def change(module: Any) -> None:
        module.padding_mode = mode
        module._reversed_padding_repeated_twice = [one for one in reversed(_each(module.padding)) for _ in range(2)]

    return change


def _becoming(other: nn.Module) -> Callable[[nn.Module], Any]:
    def change(module: nn.Module) -> None:
        module.forward = other.forward

    return change


def _parameters(prefix: str, function: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[nn.Module], Any]:
    def change(module: nn.Module) -> None:
        for name, one in module.named_parameters():
            if name.startswith(prefix):
                one.data = function(one.data)

    return change


def _gates(order: list[int], count: int) -> Callable[[nn.Module], Any]:
    return _parameters("", lambda one: torch.cat([one.chunk(count)[k] for k in order]))


def _each_transposed(count: int) -> Callable[[torch.Tensor], torch.Tensor]:
    return lambda one: torch.cat([gate.T for gate in one.chunk(count)])


def _one_in_forget_gate(bias: torch.Tensor) -> torch.Tensor:
    size = len(bias) // 4
    return bias + (torch.arange(len(bias)) // size == 1).to(bias.dtype)
