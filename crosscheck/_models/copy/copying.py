"""``copy_weights``: give a new JAX model the weights of torch, and prove each match by a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from crosscheck._allocator import trim
from crosscheck._frameworks.programs import Array
from crosscheck._frameworks.settings import spared, undisturbed
from crosscheck._models.report.records import AMBIGUOUS, NOT_PROVEN, WeightMatch
from crosscheck._records.errors import UsageError
from crosscheck._records.interface import both_frameworks
from crosscheck._records.worded import Worded

if TYPE_CHECKING:
    from crosscheck._models.copy.number_tracing import NumberTracer

PROVEN = Worded("a run with random weights", "run")
ALONE = Worded("a run with random weights, by its own operation; what follows differs", "run alone")


@undisturbed(alone=True)
@spared()
def copy_weights(
    torch_model: Any,
    jax_model: Any,
    inputs: Any,
    *,
    params: Any = None,
    torch_to_jax: Callable[[list[Any]], Any] | None = None,
    seed: int = 0,
) -> tuple[Any, tuple[WeightMatch, ...]]:
    """Fill a JAX model with the weights of a PyTorch model, in JAX's layout, and prove each match by a run.

    Both models run with random numbers as weights, JAX operation by operation. The data to which a weight is applied shows
    which weight of torch it is, and the operation shows the layout. If several weights fit the data, their names decide, and
    a later operation must confirm it with torch's numbers. A weight that no run proves keeps its value, and the result says
    so.

    Args:
        torch_model: A ``torch.nn.Module``. It is not changed.
        jax_model: A module of flax (``nnx``, or ``linen`` bound to its variables) or equinox; or, with ``params``, a
            module of linen, or a function of (params, *inputs), such as ``apply`` of haiku. It is not changed.
        inputs: The positional arguments of both, as for ``compare``.
        params: The pytree of JAX's parameters and state, if ``jax_model`` is a function.
        torch_to_jax: A function that converts the list of inputs, as numpy arrays, to JAX's: for example to channels last.
        seed: The seed of the random weights.

    Returns:
        A copy of ``params`` or of the module with torch's weights, and a record for every weight of both models.

    Raises:
        UsageError: If an argument has a value that cannot be used, or the model returns nothing but NaN or infinity.
        MissingFrameworkError: If PyTorch or JAX cannot be imported.

    Examples:
        >>> import crosscheck, jax, numpy as np, torch
        >>> model = torch.nn.Sequential(torch.nn.Linear(4, 8), torch.nn.GELU(), torch.nn.Linear(8, 2))
        >>> zeros = jax.numpy.zeros
        >>> params = {"w1": zeros((4, 8)), "b1": zeros(8), "w2": zeros((8, 2)), "b2": zeros(2)}
        >>> def port(p, x):
        ...     return jax.nn.gelu(x @ p["w1"] + p["b1"], approximate=False) @ p["w2"] + p["b2"]
        >>> filled, matches = crosscheck.copy_weights(model, port, [np.ones((3, 4))], params=params)
        >>> print(*(f"{match.torch} is {match.jax}, {match.layout}" for match in matches), sep="\\n")
        0.weight is ['w1'], transposed
        0.bias is ['b1'], the same
        2.weight is ['w2'], transposed
        2.bias is ['b2'], the same
    """
    both_frameworks()
    from crosscheck._models.arguments import both_inputs

    torch_inputs, jax_inputs = both_inputs(torch_model, jax_model, inputs, torch_to_jax, "float32", seed)
    return copied(torch_model, jax_model, params, torch_inputs, jax_inputs, seed)


def copied(
    torch_model: Any, jax_given: Any, params: Any, inputs: Any, jax_inputs: Any, seed: int, *, likeliest: bool = False
) -> tuple[Any, tuple[WeightMatch, ...]]:
    """As ``copy_weights``; with ``likeliest``, weights that no run proves are copied too, from where they likely come.

    A comparison then shows whether they were right. Their records still say that no run proved them.
    """
    from crosscheck._frameworks.torch_program import TorchProgram
    from crosscheck._models.copy.number_tracing import NumberTracer
    from crosscheck._models.pair.listing import listing
    from crosscheck._models.record.torch_recording import held
    from crosscheck._models.run.recording import fitting, recorded
    from crosscheck._models.values.distances import blank

    model, flat = fitting(torch_model, jax_given, params, inputs, jax_inputs, order=0)
    _, record = recorded(with_random_weights(torch_model, seed), inputs)
    trim()
    if all(blank(result.wide) for result in record.results) and all(
        map(blank, TorchProgram(torch_model, inputs, "cpu").outputs()[1])
    ):
        raise UsageError(
            "inputs: torch_model returns nothing but NaN or infinity for them, which proves no match; expected inputs with "
            "finite outputs"
        )
    tensors = [*torch_model.named_parameters(), *torch_model.named_buffers()]
    given = {name: held(tensor) for name, tensor in tensors}
    # The search is larger than its results, and ends before they are written.
    arrays, parts, reasons = _results(NumberTracer(record, model, flat, jax_inputs.leaves), given, likeliest=likeliest)
    filled, matches = _filled(jax_given, params, arrays, parts)
    return filled, listing(record, model, flat, matches, reasons)


def _apart(held: Array, numbers: Array) -> float:
    """The largest difference between the numbers that JAX now holds, in its own dtype, and torch's."""
    if np.array_equal(held, numbers):
        return 0.0
    return float(np.abs(held.astype(np.float64) - numbers).max(initial=0.0))


def with_random_weights(module: Any, seed: int) -> Any:
    """A copy with random numbers: no two weights alike, none 0, and positive ones where they must be.

    A parameter that is not trained, where others are, keeps its numbers: JAX may compute them, as those of positions.
    """
    import torch

    from crosscheck._frameworks.torch_program import copied

    generator = torch.Generator().manual_seed(seed)

    def normal(shape: Any) -> Any:
        return torch.randn(shape, generator=generator, dtype=torch.float64)

    result = copied(module)
    statistics = [
        buffer for name, buffer in result.named_buffers() if name.rpartition(".")[2] in ("running_mean", "running_var")
    ]
    trained = any(parameter.requires_grad for parameter in result.parameters())
    weights = [
        parameter
        for parameter in result.parameters()
        if parameter.requires_grad or not trained or (parameter == parameter.ravel()[:1]).all()
    ]
    with torch.no_grad():
        for tensor in [*weights, *statistics]:
            if not tensor.is_floating_point():
                continue
            if bool((tensor > 0).all()):
                numbers = torch.exp(0.3 * normal(tensor.shape))
            elif tensor.ndim < 2:
                numbers = 0.3 * normal(tensor.shape)
            else:
                numbers = normal(tensor.shape) * max(1, tensor[0].numel()) ** -0.5
            tensor.copy_(numbers)
    return result


def _results(
    tracer: NumberTracer, given: Mapping[str, Array], *, likeliest: bool
) -> tuple[dict[str, Array], list[tuple[WeightMatch, Any]], dict[str, Worded]]:
    """The arrays to fill; the matches, each with the index of its part in the array; and why other weights have none."""
    from crosscheck._models.run.index_maps import in_words
    from crosscheck._models.run.places import TorchPlaces, regions

    torch_places, state = tracer.torch_places, tracer.find()
    state.values.clear()  # larger than what is still needed
    trim()
    values = TorchPlaces({name: given[name] for name in torch_places.names})
    arrays: dict[str, Array] = {}
    matches: list[tuple[WeightMatch, Any]] = []
    reasons: dict[str, Worded] = {}
    for name, sources in state.sources.items():
        first, second = sources.first, sources.second
        proven = sources.complete and name in state.proven and state.proven[name].share == 1
        if not proven or name in state.doubtful:
            if sources.known:
                reason = AMBIGUOUS if name in state.doubtful else NOT_PROVEN
                reasons |= dict.fromkeys([name, *(owner for owner, *_ in torch_places.split(first))], reason)
                if likeliest and reason is NOT_PROVEN and sources.complete:
                    arrays[name] = values.sums(first, second)
            continue
        how = ALONE if name in state.alone else PROVEN
        summed = second >= 0
        arrays[name] = values.sums(first, second)
        if not summed.any():
            parts = regions({name: first}, torch_places)
            matches += [(WeightMatch(part.torch, name, in_words(part.steps), how), part.where) for part in parts]
            continue
        names = [owner for owner, *_ in torch_places.split(np.stack([first, second]))]
        words = f"summed: {' + '.join(names)}" + ("" if summed.all() else f", in {summed.sum()} of {summed.size} numbers")
        matches += [(WeightMatch(owner, name, words, how), ...) for owner in names]
    return arrays, matches, reasons


def _filled(
    jax_given: Any, params: Any, arrays: dict[str, Array], parts: Sequence[tuple[WeightMatch, Any]]
) -> tuple[Any, list[WeightMatch]]:
    """The model or ``params`` with these arrays, none of which is kept, and the matches with the differences there."""
    import jax

    from crosscheck._frameworks.jax_shardings import like

    bound = params is None and hasattr(jax_given, "unbind") and getattr(jax_given, "scope", None) is not None  # linen
    module: Any = None
    tree = jax_given if params is None else params
    if bound:
        module, tree = jax_given.unbind()
    paths, structure = jax.tree_util.tree_flatten_with_path(tree)
    leaves = []
    matches = [match for match, _ in parts]
    for path, leaf in paths:
        name = jax.tree_util.keystr(path).removesuffix(".value")
        if name not in arrays:
            leaves.append(leaf)
            continue
        numbers = arrays.pop(name)
        leaves.append(like(numbers.reshape(leaf.shape), leaf))
        held = np.asarray(leaves[-1]).reshape(numbers.shape)
        for k, (match, where) in enumerate(parts):
            if match.jax == name:
                matches[k] = replace(match, difference=_apart(held[where], numbers[where]))
    filled = jax.tree.unflatten(structure, leaves)
    return (module.bind(filled) if bound else filled), matches
