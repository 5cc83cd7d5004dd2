"""The samples with which torch tests its own activations, put to crosscheck's: the OpInfo database that torch ships.

``python tests/torch_samples.py`` prints how many samples of each activation there are, and which are left out and why.
"""

import importlib
import inspect
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from contract import DTYPES, budget
from floats import BoolArray, widen
from in_both import from_torch
from torch.autograd.gradcheck import GradcheckError, gradcheck, gradgradcheck
from torch.overrides import get_testing_overrides
from torch.testing._comparison import default_tolerances
from torch.testing._internal.common_methods_invocations import op_db
from truths import coordinates, row_truth, truth

import crosscheck
from crosscheck import Activation

Function = Callable[..., Any]
NEAR = 0.01
"""How near to a kink an input must not be: many times the step of a finite difference."""
CLOSE = {"rtol": 1e-5, "atol": 1e-7}
"""What a central difference of steps of 1e-6 reaches in float64; torch's own 1e-3 lets a wrong digit through."""
PROVEN = 256
"""How many of the inputs at which results are apart the truth is proven at."""
ENTRY_BY_ENTRY = 32
"""Derivatives of larger inputs are checked along random directions, as torch's own tests do."""


@dataclass(frozen=True)
class Case:
    """One sample: what torch's operation is called with, and the parameters that mean the same to crosscheck's function."""

    op: Any
    sample: Any
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class Cases:
    """The samples of an activation, and how many were left out for each reason."""

    taken: tuple[Case, ...]
    left_out: Counter[str]


def ops(activation: Activation) -> list[Any]:
    """torch's entries for what the record names as its native: ``nn.functional.relu`` where that is ``torch.relu``."""
    native = activation.natives.get("torch")
    name = native and native.path.rpartition(".")[2]
    return [op for op in op_db if op.name.removeprefix("nn.functional.") == name]


def cases(activation: Activation, dtype: str, *, gradients: bool = False) -> Cases:
    """torch's samples for values, or those for gradients, which are fewer and smaller."""
    taken: list[Case] = []
    left_out: Counter[str] = Counter()
    for op in ops(activation):
        if not op.supports_dtype(getattr(torch, dtype), "cpu"):  # such as silu's entry for complex numbers
            continue
        samples = op.sample_inputs if gradients else op.reference_inputs
        for sample in samples("cpu", getattr(torch, dtype), requires_grad=gradients):
            translation = translated(activation, sample)
            if isinstance(translation, str):
                left_out[translation] += 1
            else:
                taken.append(Case(op, sample, translation))
    return Cases(tuple(taken), left_out)


def translated(activation: Activation, sample: Any) -> Mapping[str, Any] | str:
    """The sample's arguments as crosscheck's parameters, or why there are none that mean the same."""
    native = activation.natives["torch"]
    module, _, name = native.path.rpartition(".")
    function = getattr(importlib.import_module(module), name)
    # functions in C++ have no signature, but torch has one of each for tests
    signature = inspect.signature(get_testing_overrides().get(function, function))
    bound = signature.bind(sample.input, *sample.args, **sample.kwargs)
    bound.apply_defaults()
    ours = {native.parameters.get(parameter, parameter): parameter for parameter in activation.parameters}
    if activation.result == "one":  # the only ones of which the axis has two names
        ours["names"] = "axis"
    if activation.name == "standardize":  # layer_norm takes the last axes, by their lengths
        ours |= {"normalized_shape": "axis", "eps": "epsilon"}
    parameters: dict[str, Any] = {}
    for torch_name, value in list(bound.arguments.items())[1:]:
        if torch_name == "normalized_shape":
            value = tuple(range(-len(value), 0))  # noqa: PLW2901
        if torch_name not in ours:
            expected = native.matched.get(torch_name, signature.parameters[torch_name].default)
            if value is not expected and (isinstance(value, torch.Tensor) or value != expected):
                return f"{torch_name} is {'a tensor' if isinstance(value, torch.Tensor) else repr(value)}, not {expected!r}"
        elif ours[torch_name] == "axis" and isinstance(value, tuple):
            if len(value) > 1:
                return f"{torch_name} is {len(value)} axes, not one"
            (parameters["axis"],) = value
        else:
            parameters[ours[torch_name]] = value
    if activation.rows and (sample.input.ndim == 0 or sample.input.shape[parameters["axis"]] == 0):
        return "the input has no row with an entry"
    return parameters


def wrong(activation: Activation, case: Case, function: Function) -> list[str]:
    """What a function gives at a sample that torch does not bear out, nor crosscheck's truth against torch.

    Held against torch's operation and, in float64, against its reference in numpy, within the tolerance that torch's own
    tests have for the dtype. Where they are further apart, crosscheck's proven truth decides: the function must be within
    the budget of it, and torch's operation, where that is the one that is off, must have a declared deviation there.
    """
    sample = case.sample
    got = function(sample.input, **case.parameters)
    others = {"torch's operation": case.op(sample.input, *sample.args, **sample.kwargs)}
    if case.op.ref and got.dtype == torch.float64:  # in fewer digits the reference itself is off
        plain = sample.numpy()
        with np.errstate(all="ignore"):  # it takes both branches at inputs of any size
            others["torch's reference"] = torch.as_tensor(np.asarray(case.op.ref(plain.input, *plain.args, **plain.kwargs)))
    rtol, atol = default_tolerances(got.dtype)
    problems = []
    for name, other in others.items():
        at = f"input of shape {tuple(sample.input.shape)}, {got.dtype}, {dict(case.parameters)}"
        if (got.shape, got.dtype) != (other.shape, other.dtype):
            problems.append(
                f"{name}: {got.dtype} of {tuple(got.shape)}, expected {other.dtype} of {tuple(other.shape)}, {at}"
            )
            continue
        apart = ~torch.isclose(got, other, rtol=rtol, atol=atol, equal_nan=True)
        if not apart.any():
            continue
        off, declared = _judged(activation, case, got, apart)
        if off.any():
            problems.append(f"{name}: {int(off.sum())} results are not the truth, {at}")
        elif name == "torch's operation" and not declared.all():
            problems.append(f"{name} is off without a declared deviation, {at}")
    return problems


def _judged(activation: Activation, case: Case, got: Any, apart: Any) -> tuple[BoolArray, BoolArray]:
    """Of the results that are apart: which are not within the budget of the truth, and where torch's deviate as declared."""
    dtype = str(got.dtype).removeprefix("torch.")
    if activation.rows:
        x, y, here = (
            tensor.movedim(case.parameters["axis"], -1).flatten(0, -2) for tensor in (case.sample.input, got, apart)
        )
        rows, at = from_torch(x), here.flatten().numpy()
        true = row_truth(activation, rows, np.ones_like(rows), [0], {**case.parameters, "axis": -1})[0]
        known = coordinates(rows, activation.known_by)
        results = from_torch(y).ravel()
    else:
        known, first = np.unique(from_torch(case.sample.input[apart]), return_index=True)
        few = np.unique(np.linspace(0, known.size - 1, PROVEN).astype(int))
        known, results = known[few], from_torch(got[apart])[first[few]]
        true = truth(activation, known, [0], case.parameters)[0]
        at = np.full(known.shape, True)
    right = (true.error(results) <= budget(dtype, 0)) | (np.isnan(widen(results)) & np.isnan(widen(true.rounded)))
    intervals = [
        interval
        for deviation in activation.deviations
        if "torch.native" in deviation.implementations
        for region in deviation.regions
        if region.order == 0 and dtype in region.dtypes
        for interval in region.intervals
    ]
    here = widen(known[at])
    declared = [np.isnan(here) if np.isnan(low) else (low <= here) & (here <= high) for low, high in intervals]
    return ~right[at], np.any([np.zeros(here.shape, bool), *declared], axis=0)


def undifferentiable(activation: Activation, case: Case, function: Function) -> list[str]:
    """What torch's checks of derivatives by finite differences find, at the sample's input and weights: once and twice."""
    x = _off_kinks(activation, case).detach().requires_grad_()
    weights = {key: value.detach().requires_grad_() for key, value in case.parameters.items() if torch.is_tensor(value)}

    def run(x: Any, *given: Any) -> Any:
        return function(x, **{**case.parameters, **dict(zip(weights, given, strict=True))})

    given, large = (x, *weights.values()), x.numel() > ENTRY_BY_ENTRY
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # of the cotangents, and of the projections of a large one
        try:
            gradcheck(run, given, check_forward_ad=True, fast_mode=large, **CLOSE)
            gradgradcheck(run, given, fast_mode=large, **CLOSE)
        except GradcheckError as error:
            return [f"input of shape {tuple(x.shape)}, {dict(case.parameters)}: {error}"]
    return []


def _off_kinks(activation: Activation, case: Case) -> Any:
    """The input, moved where a finite difference would see both sides of a kink."""
    numbers = {name: value for name, value in case.parameters.items() if not torch.is_tensor(value)}
    x = case.sample.input
    for kink in activation.kinks_at({**activation.parameters, **numbers}):
        x = torch.where((x - kink.at).abs() < NEAR, kink.at + 2 * NEAR, x)
    return x


def main() -> None:
    """Print the table."""
    for name, activation in crosscheck.activations.items():
        for dtype in DTYPES:
            samples = cases(activation, dtype)
            elements = sum(case.sample.input.numel() for case in samples.taken)
            said = "; ".join(f"{count} left out: {reason}" for reason, count in samples.left_out.items())
            said = said or ("" if ops(activation) else "torch has no entry")
            print(f"{name:14} {dtype:9} {len(samples.taken):4} samples {elements:9,} elements  {said}")


if __name__ == "__main__":
    main()
