"""``compare_models``: check the arguments, run the engine, and make the report."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from crosscheck import _arguments
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.lacking import lacking
from crosscheck._frameworks.settings import spared, undisturbed
from crosscheck._models.report.records import UNMATCHED, WeightMatch
from crosscheck._models.report.report import ModelsReport
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.interface import both_frameworks
from crosscheck._records.worded import Worded, kind_of

WEIGHTS = ("given", "copy")


@undisturbed(alone=True)
@spared()
def compare_models(
    torch_model: Any,
    jax_model: Any,
    inputs: Any,
    *,
    params: Any = None,
    torch_to_jax: Callable[[list[Any]], Any] | None = None,
    weights: str = "given",
    order: int = 1,
    dtype: str | Any = "float32",
    seed: int = 0,
    keep: str | Path | None = None,
    progress: Callable[[str], None] | None = None,
) -> ModelsReport:
    """Compare a model of PyTorch with its port to JAX: which layer goes wrong first, and what differs there?

    Weights are matched by the values with which they enter the computation, in any layout. These places are landmarks. JAX
    runs with torch's values at the landmarks. So each stretch between two landmarks is judged alone, in float64, and a fault
    does not affect the verdict on what follows it.

    Args:
        torch_model: A ``torch.nn.Module``, in the mode (train or eval) to be compared. It is copied.
        jax_model: A module of flax (``nnx``, or ``linen`` bound to its variables) or equinox; or, with ``params``, a
            module of linen, or a function of (params, *inputs), such as ``apply`` of haiku. It returns what torch returns,
            or a pair of that and its new state.
        inputs: The positional arguments of both, as for ``compare``.
        params: The pytree of JAX's parameters and state, if ``jax_model`` is a function.
        torch_to_jax: A function that converts the list of inputs, as numpy arrays, to JAX's: for example to channels last.
        weights: ``given`` to compare the models with their own weights; ``copy`` to copy torch's weights to JAX first, as
            ``copy_weights`` does. Weights that no run proves, such as those behind a fault, come from where they likely
            come; the report says if the comparison does not prove them either.
        order: 0 compares values; 1 also compares the gradients by every parameter.
        dtype: ``float64``, ``float32``, ``bfloat16`` or ``float16``. Both models are cast to it.
        seed: The seed of cotangents and noise.
        keep: A file that keeps each finished run of JAX. The same comparison in another process, as after an interruption,
            takes these runs from it. Gradients are not kept.
        progress: Called with what is running, such as ``JAX in float64: blocks.3.mlp``.

    Returns:
        The report.

    Raises:
        UsageError: If an argument has a value that cannot be used, or the models cannot be compared: their results have
            different structures, or JAX cannot trace its model.
        MissingFrameworkError: If PyTorch or JAX cannot be imported.

    Examples:
        >>> import crosscheck, jax, numpy as np, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
        >>> params = {name: jax.numpy.asarray(value.detach().numpy()) for name, value in model.named_parameters()}
        >>> def port(p, x):
        ...     h = jax.nn.gelu(x @ p["0.weight"].T + p["0.bias"])
        ...     return h @ p["2.weight"].T + p["2.bias"]
        >>> report = crosscheck.compare_models(model, port, [np.ones((3, 4))], params=params)
        >>> report.passed, report.first.torch
        (False, '1')
    """
    both_frameworks()
    from crosscheck._models.arguments import both_inputs, laid_out
    from crosscheck._models.copy.copying import copied
    from crosscheck._models.engine import ModelTask, run
    from crosscheck._models.explain.unproven import not_copied

    if not isinstance(order, int) or order not in (0, 1) or isinstance(order, bool):
        raise UsageError(f"order: got {order!r}, expected 0 or 1")
    _arguments.one_of("weights", weights, WEIGHTS)
    dtype = _arguments.dtype(dtype)
    if lost := lacking().among(FRAMEWORKS, [dtype]):
        raise UsageError(f"dtype: {'; '.join(f'no {what}: {why}' for what, why in lost.items())}; give another one")
    _arguments.progress(progress)
    kept = None if keep is None else _arguments.path("keep", keep)
    begun = time.perf_counter()
    torch_inputs, jax_inputs = both_inputs(torch_model, jax_model, inputs, torch_to_jax, dtype, seed)
    name = f"{type(torch_model).__name__} / {_arguments.name_of(jax_model)}"
    matches: tuple[WeightMatch, ...] = ()
    if weights == "copy":
        given = both_inputs(torch_model, jax_model, inputs, torch_to_jax, "float32", seed)
        filled, matches = copied(torch_model, jax_model, params, *given, seed, likeliest=True)
        jax_model, params = (filled, None) if params is None else (jax_model, filled)
    lay_out = partial(laid_out, torch_to_jax=torch_to_jax, dtype=dtype, seed=seed)
    task = ModelTask(
        torch_model, jax_model, params, torch_inputs, jax_inputs, lay_out, order, seed, kept, progress or (lambda what: None)
    )
    results = run(task)
    results.uncopied = not_copied(results, matches)
    return _report(results, name, begun)


def _report(results: Any, name: str, begun: float) -> ModelsReport:
    from crosscheck._models.explain.faults import faults, layers
    from crosscheck._models.explain.stretches import segments
    from crosscheck._models.explain.unproven import set_aside
    from crosscheck._models.report.uncompared import left_out, named, notes, refusal

    set_aside(results)
    wrong = faults(results)
    results.notes += notes(results, faults=bool(wrong))
    every = layers(results, wrong)
    made, not_made = segments(results, wrong)
    left = {number: why for number, why in left_out(results).items() if every[number].fault is None}
    outputs = {
        output.removeprefix("output "): (every[number].accumulated or 0.0, every[number].drift or 0.0)
        for output, number in results.outputs.items()
        if every[number].accumulated is not None and number not in left
    }
    for kind, why in {why.kind: why for why in left.values()}.items():
        places = [every[number] for number, reason in left.items() if reason.kind == kind]
        # a sum has no weight whose name it could have
        names = [f"a sum in {layer.torch or 'the model'}" if layer.name == "sum" else layer.name for layer in places]
        results.notes.append(Worded(f"not compared: {named(names)}; {why}", kind, *names))
    alone = [
        match.jax for match in results.weights.matches if match.torch is None and kind_of(match.reason) == UNMATCHED.kind
    ]
    if alone and not wrong and results.flat.dtype in ("bfloat16", "float16"):
        words = (
            f"no partner: {named(alone)}; only results show whether their numbers are right, and in {results.flat.dtype} "
            "results do not show small mistakes; dtype='float32' shows them"
        )
        results.notes.append(Worded(words, "no partner", *alone))
    kept = {number: k for k, number in enumerate(number for number in range(len(every)) if number not in left)}
    return ModelsReport(
        name,
        tuple(every[number] for number in kept),
        tuple(replace(fault, layers=tuple(kept[number] for number in fault.layers)) for fault in wrong),
        results.weights.matches,
        tuple(results.gradients),
        outputs,
        (*results.notes, *not_made),
        environment("cpu"),
        "" if wrong else refusal(results),
        tuple(made),
        time.perf_counter() - begun,
    )
