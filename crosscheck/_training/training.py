"""``compare_training``: check the arguments, run the engine, and make the report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import TYPE_CHECKING, Any

from crosscheck import _arguments
from crosscheck._explain.facts import Fact
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError
from crosscheck._records.interface import both_frameworks
from crosscheck._records.worded import Worded
from crosscheck._training.training_report import TrainingFault, TrainingReport

if TYPE_CHECKING:
    from crosscheck._frameworks.programs import Inputs
    from crosscheck._training.steps.departures import StepResults
    from crosscheck._training.steps.drift import FreeRuns
    from crosscheck._training.steps.jax_steps import JaxSteps
    from crosscheck._training.steps.torch_steps import TorchSteps

DTYPES = ("float32", "float64", "bfloat16", "float16")
CONTROLS = 8


@undisturbed(alone=True)
def compare_training(
    torch_step: Callable[..., Any],
    jax_step: Callable[..., Any],
    batches: Iterable[Any],
    *,
    torch_state: Any,
    jax_state: Any,
    jax_batches: Iterable[Any] | None = None,
    torch_to_jax: Callable[[list[Any]], Any] | None = None,
    controls: int = CONTROLS,
    seed: int = 0,
    progress: Callable[[str, int], None] | None = None,
) -> TrainingReport:
    """Compare a training step of PyTorch with one of JAX: at which step, and in which part of the training, do they differ?

    PyTorch trains. At each step, JAX gets PyTorch's parameters, statistics and optimiser state. The results of both on the
    same batch are compared in float64 and in the dtype: the loss, the gradients, the new parameters, statistics and
    optimiser state. If the loss or the gradients differ, JAX continues with PyTorch's gradients, so that the optimiser is
    judged by itself. Then both run freely. Their distance is compared with that between PyTorch and a control: PyTorch
    started one ULP away.

    Args:
        torch_step: A function of a batch, ``torch_step(*batch)``, that makes a whole training step, from ``zero_grad()``
            to ``optimizer.step()`` and ``scheduler.step()``, and returns the loss.
        jax_step: A function of a state and a batch, ``jax_step(state, *batch)``, that returns the new state and the loss.
            Instead of the loss, it may return a dict with ``loss`` and other values to judge: ``gradients`` and ``clipped``,
            trees of the parameters' structure, and ``learning_rate``. JAX must be able to trace it.
        batches: The batches, one for each step: lists of the positional arguments, as for ``compare``.
        torch_state: Everything that a step of PyTorch changes, in a tuple: the model, its optimiser, its schedulers, an
            average of its weights (a module or another object whose ``state_dict()`` has the parameters' names). Each has
            ``state_dict()``. Their states are restored at the end.
        jax_state: The state at the start, a pytree of arrays: parameters, statistics, the optimiser's state. The parameters
            hold the same numbers as PyTorch's, in any layout.
        jax_batches: The batches of JAX, if they are not ``batches``.
        torch_to_jax: A function that converts a batch, as a list of numpy arrays, to JAX's: for example to channels last.
        controls: The number of controls, trainings of PyTorch that start one ULP away. 0 omits the free runs.
        seed: The seed of the controls and the noise.
        progress: Called with what is running and the number of steps done since the last call.

    Returns:
        The report.

    Raises:
        UsageError: If an argument has a value that cannot be used, or a side raises.
        MissingFrameworkError: If PyTorch or JAX cannot be imported.

    Examples:
        >>> import crosscheck, jax, jax.numpy as jnp, numpy as np, torch
        >>> model = torch.nn.Linear(3, 1)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> def torch_step(x, y):
        ...     optimizer.zero_grad()
        ...     loss = ((model(x) - y) ** 2).mean()
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        >>> def jax_step(params, x, y):
        ...     loss, grads = jax.value_and_grad(lambda p: ((x @ p["w"].T + p["b"] - y) ** 2).sum())(params)
        ...     return jax.tree.map(lambda p, g: p - 0.1 * g, params, grads), loss
        >>> params = {"w": jnp.asarray(model.weight.detach()), "b": jnp.asarray(model.bias.detach())}
        >>> batches = [[np.ones((8, 3)) * k, np.ones((8, 1))] for k in range(5)]
        >>> report = crosscheck.compare_training(
        ...     torch_step, jax_step, batches, torch_state=(model, optimizer), jax_state=params
        ... )
        >>> report.passed, report.first.part, report.first.step, report.first.explanation
        (False, 'loss', 1, "JAX's loss is 8 times PyTorch's, as a sum is of a mean")
    """
    both_frameworks()
    from crosscheck._training.steps.jax_steps import JaxSteps
    from crosscheck._training.steps.torch_steps import TorchSteps

    for name, function in (("torch_step", torch_step), ("jax_step", jax_step)):
        _arguments.function(name, function)
    _arguments.integer("controls", controls, 0, "controls=8 shows how far rounding drives a training")
    _arguments.seed(seed)
    _arguments.progress(progress)
    objects, dtype = objects_of(torch_state)
    both = _batches(batches, jax_batches, torch_to_jax, dtype, seed)
    report, _ = judge(
        TorchSteps(torch_step, objects, dtype), JaxSteps(jax_step, jax_state, dtype), both, controls, seed, progress
    )
    return report


def judge(
    torch: TorchSteps,
    jax: JaxSteps,
    batches: tuple[Sequence[Inputs], Sequence[Inputs]],
    controls: int,
    seed: int,
    progress: Callable[[str, int], None] | None = None,
) -> tuple[TrainingReport, FreeRuns | None]:
    """The report, and the free runs, if there are controls. torch's state is restored."""
    from crosscheck._training.steps.drift import drift, free_runs
    from crosscheck._training.steps.steps import run

    if not jax.start:
        raise UsageError("jax_state: got no arrays, expected a tree of them: parameters and the optimiser's state")
    start = torch.state()
    try:
        with torch.threads():
            results = run(torch, jax, *batches, seed, progress)
            faults = tuple(_faults(results, *batches, seed))
            runs = free_runs(results, start, *batches) if controls else None
            free = drift(results, start, batches[0], runs, controls, seed, progress) if runs else None
    finally:
        torch.restore(start)
    name = f"{_name(torch)} / {_arguments.name_of(jax.step)}"
    steps, errors, weights = len(batches[0]), tuple(results.errors), results.partners.weights
    notes, message = tuple(_notes(results)), "" if faults else _message(results)
    return TrainingReport(name, steps, faults, errors, free, weights, notes, environment("cpu"), message), runs


def objects_of(given: Any) -> tuple[tuple[Any, ...], str]:
    """The objects that a step of torch changes, including the model, and the dtype of its parameters."""
    import torch

    from crosscheck._frameworks.torch_shards import check_whole
    from crosscheck._training.steps.torch_steps import trained

    objects = tuple(given) if isinstance(given, tuple | list) else (given,)
    for member in objects:
        if not (hasattr(member, "state_dict") and hasattr(member, "load_state_dict")):
            raise UsageError(
                f"torch_state: got {type(member).__name__} in it, which has no state_dict(), expected the model, its "
                "optimiser and its schedulers"
            )
    if not any(isinstance(member, torch.optim.Optimizer) for member in objects):
        raise UsageError("torch_state: got no optimiser, expected (model, optimizer), and the schedulers if there are any")
    models = trained(objects)
    if len(models) != 1:
        raise UsageError(
            f"torch_state: got {len(models)} models whose parameters the optimiser has, expected one torch.nn.Module and "
            "its optimiser; put several models into one torch.nn.ModuleDict"
        )
    check_whole("torch_state", models[0])
    if elsewhere := {parameter.device.type for parameter in models[0].parameters()} - {"cpu"}:
        raise UsageError(
            f"torch_state: got a model on {elsewhere.pop()}, expected one on the CPU, where both sides are compared"
        )
    dtypes = {str(parameter.dtype).removeprefix("torch.") for parameter in models[0].parameters() if parameter.requires_grad}
    if len(dtypes) != 1:
        what = ", ".join(sorted(dtypes)) if dtypes else "no parameters that are trained"
        raise UsageError(f"torch_state: got a model with {what}, expected parameters of one dtype")
    (dtype,) = dtypes
    return objects, _arguments.one_of("torch_state: dtype", dtype, DTYPES)


def _batches(
    batches: Iterable[Any],
    jax_batches: Iterable[Any] | None,
    torch_to_jax: Callable[[list[Any]], Any] | None,
    dtype: str,
    seed: int,
) -> tuple[list[Inputs], list[Inputs]]:
    from crosscheck._compare.inputs import gather
    from crosscheck._models.arguments import laid_out

    torch_inputs = [gather(batch, dtype, None, 0, seed) for batch in _listed("batches", batches)]
    if jax_batches is not None:
        jax_inputs = [gather(batch, dtype, None, 0, seed) for batch in _listed("jax_batches", jax_batches)]
        if len(jax_inputs) != len(torch_inputs):
            raise UsageError(
                f"jax_batches: got {len(jax_inputs)} steps, expected {len(torch_inputs)}, as many as batches has"
            )
        if torch_to_jax is not None:
            raise UsageError("torch_to_jax, jax_batches: got both, expected one of them")
        return torch_inputs, jax_inputs
    return torch_inputs, [laid_out(inputs, torch_to_jax, dtype, seed) for inputs in torch_inputs]


def _listed(name: str, given: Iterable[Any]) -> list[Any]:
    try:
        batches = list(given)
    except TypeError:
        raise UsageError(f"{name}: got {type(given).__name__}, expected a list of batches, one for each step") from None
    if not batches:
        raise UsageError(f"{name}: got none, expected a batch for each step; 20 show most of what can go wrong")
    for k, batch in enumerate(batches):
        if not isinstance(batch, tuple | list):
            raise UsageError(
                f"{name}: got {type(batch).__name__} as batch {k + 1}, expected a list of the positional arguments of a step"
            )
    return batches


def _faults(
    results: StepResults, batches: Sequence[Inputs], jax_batches: Sequence[Inputs], seed: int
) -> Iterator[TrainingFault]:
    """The faults, in the order of the steps."""
    from crosscheck._training.explain.other_exchanges import other_exchange
    from crosscheck._training.explain.reasons import reason
    from crosscheck._training.steps.quantities import called

    yield from _other_start(results)
    exchange = other_exchange(results)
    if exchange is not None:
        yield exchange
    for departure in sorted(results.departures if exchange is None else (), key=lambda departure: departure.step):
        why = reason(results, departure, jax_batches, seed)
        tensor = called(results.partners, departure.tensor)
        where = departure.step, departure.steps, tensor, departure.error, departure.cause, departure.side
        yield TrainingFault(why.stage, *where, why.words, why.facts)
    if results.lost:
        more = f" and {len(results.lost) - 1} more" if len(results.lost) > 1 else ""
        fact = Fact("no partner", f"{results.lost[0]}{more}")
        yield TrainingFault("parameters", 1, 1, results.lost[0], inf, "missing", None, fact.words(), (fact,))


def _other_start(results: StepResults) -> Iterator[TrainingFault]:
    """A fault if JAX starts from other weights. The steps are still judged: each begins with torch's weights."""
    from crosscheck._training.steps.quantities import WEIGHTS, called

    starts = results.partners.starts
    if starts:
        furthest = max(starts, key=starts.__getitem__)
        fact = Fact("start")
        tensor = called(results.partners, (WEIGHTS, furthest))
        yield TrainingFault("start", 1, 1, tensor, starts[furthest], "definition", None, fact.words(), (fact,))


def _name(torch: TorchSteps) -> str:
    return (
        f"{type(torch.model).__name__} trained by {' and '.join(type(optimizer).__name__ for optimizer in torch.optimizers)}"
    )


def _message(results: StepResults) -> str:
    """Why trainings without a fault get no verdict; empty if they get one."""
    if not results.blank:
        return ""
    first, count = results.blank[0], f"{len(results.blank)} of {len(results.errors)} steps"
    where = f"at {count}, first at step {first}"
    words = f"the loss or most tensors are NaN or infinite on both sides {where}, so nothing was compared there"
    return Worded(words, "blank", *results.blank)


def _notes(results: StepResults) -> list[str]:
    from crosscheck._training.steps.torch_steps import AVERAGE

    notes: list[str] = []
    if not results.gradients_seen:
        words = (
            "JAX's gradients were not seen in its step, as they are of jax.grad; return {'loss': loss, 'gradients': grads} "
            "to have them judged by themselves"
        )
        notes.append(Worded(words, "gradients not seen"))
    averages = {key for key in results.without_partner if key.startswith(AVERAGE)}
    if lost := sorted(results.without_partner - averages):
        words = f"the optimiser's state {', '.join(lost)} of PyTorch has no partner in JAX; JAX goes on with its own"
        notes.append(Worded(words, "state without partner", *lost))
    if averages:
        words = "PyTorch's average of the weights has no partner in JAX's state: it is not compared"
        notes.append(Worded(words, "average without partner"))
    if own := results.only_in_jax:
        more = f" and {len(own) - 1} more arrays" if len(own) > 1 else ""
        words = f"{own[0]}{more} of JAX's state: each step changes it, and PyTorch has no partner: it is not compared"
        notes.append(Worded(words, "only in JAX", *own))
    if results.first_special is not None:
        words = f"the loss is not finite from step {results.first_special} on"
        notes.append(Worded(words, "not finite", results.first_special))
    return notes
