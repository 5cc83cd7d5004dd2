"""``perceptron``, ``perceptrons`` and ``losses``: check the arguments, run the trainings and make the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from crosscheck import _arguments
from crosscheck._arithmetic.formats import FORMATS, FloatArray
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.lacking import Lacking
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.interface import framework
from crosscheck._training.faults import FAULTS
from crosscheck._training.losses import judge_losses
from crosscheck._training.many import judge_many, moved_many
from crosscheck._training.many_report import LossesReport, PerceptronsReport
from crosscheck._training.many_setup import gates_and_seeds
from crosscheck._training.model import check_weights
from crosscheck._training.records import History, Prepare, Progress, Setup, Side, Weights
from crosscheck._training.report import OWN, PerceptronReport
from crosscheck._training.tasks import GATES, Task, gate, random_points
from crosscheck._training.training_report import TrainingReport

DTYPES = ("float32", "float64")
TASKS = (*GATES, "points")
OPTAX = ("optax",)
MOST_SEEDS = 2**63 - 1
MOST_STARTS = 100_000
"""The largest number of starts: for all gates and 1,000 epochs, they take a quarter of an hour."""
SECONDS_OF_A_START = 1.3e-4
"""The time in seconds in which torch draws one start."""
STARTS_AT_ONCE = 1000
CONTROLS = 8
"""The number of trainings of PyTorch from weights that are one ULP away."""


def trainings(judged: int) -> int:
    """The number of trainings that ``perceptron`` runs to judge this many that are not the frameworks' own."""
    return max(1, judged) * (1 + CONTROLS)


@undisturbed(alone=True)
def perceptron(
    what: str = "or",
    *,
    data: tuple[Any, Any] | None = None,
    logits: bool = True,
    weights: Mapping[str, Any] | None = None,
    epochs: int = 1000,
    learning_rate: float = 0.1,
    seed: int = 0,
    dtype: str | Any = "float32",
    plant: Mapping[str, str] | None = None,
    replace: Mapping[str, Prepare] | None = None,
    progress: Progress | None = None,
) -> PerceptronReport:
    """Train the same perceptron in both frameworks, from the same start and on the same data, and compare each step.

    ``compare_training`` judges it; the perceptron is its smallest example. If a training overflows, the report does not
    agree.

    Args:
        what: A gate (``or``, ``xor``, ...), learned with BCEWithLogits, or ``points``: ten random points with random labels,
            drawn with ``seed`` and learned with BCE on probabilities.
        data: Data instead of ``what``: x (points, inputs), and y (points,) or (points, outputs) of zeros and ones.
        logits: Whether ``data`` is learned with BCEWithLogits on logits, instead of BCE on probabilities.
        weights: The start: ``weight`` (outputs, inputs) and ``bias`` (outputs,). None for the numbers that
            ``torch.nn.Linear`` draws after ``torch.manual_seed(seed)``.
        epochs: The number of steps of SGD, each on all data.
        learning_rate: The learning rate.
        seed: The seed of the start and of ``points``.
        dtype: ``float32`` or ``float64``, by name or as a dtype of PyTorch, JAX or numpy.
        plant: A fault to plant in a framework, by name, to see that it is found: ``plant={"jax": "flipped-label"}``.
        replace: By framework, a function that makes its training instead of crosscheck's: it takes a ``Setup`` and returns a
            pair of a step and its state, as for ``compare_training``. The step gets the inputs and the labels.
        progress: Called with what is running and the number of epochs done since the last call.

    Returns:
        The report.

    Raises:
        UsageError: If an argument cannot be used.
        MissingFrameworkError: If a framework cannot be imported.

    Examples:
        >>> import crosscheck
        >>> report = crosscheck.perceptron("or", epochs=10)
        >>> report.agree
        True
        >>> crosscheck.perceptron("or", epochs=10, plant={"jax": "flipped-label"}).agree
        False
    """
    dtype = _settings(epochs, learning_rate, seed, dtype)
    task = _task(what, seed) if data is None else Task("data", *_data(data), logits)
    planted, replaced = _planted(plant), _arguments.functions("replace", replace)
    _check_frameworks(replaced)
    x, y = task.x.astype(dtype), task.y.astype(dtype)
    _arguments.progress(progress)
    for name in (*FRAMEWORKS, "optax"):
        framework(name)
    from crosscheck._training import jax_training, torch_training
    from crosscheck._training.sides import compare

    start = _start(weights, x.shape[1], y.shape[1], seed, dtype)
    setup = Setup(x, y, start, task.logits, float(learning_rate), epochs)
    made: dict[str, Prepare] = {"torch": torch_training.prepare, "jax": jax_training.prepare}
    own: dict[str, Side] = {name: (setup, prepare) for name, prepare in made.items()}
    others: dict[str, Side] = {name: (FAULTS[fault](setup), made[name]) for name, fault in planted.items()}
    others |= {name: (setup, prepare) for name, prepare in replaced.items()}
    reports: dict[str, TrainingReport] = {}
    histories: dict[str, History] = {}
    for judged in others or (OWN,):
        sides = own | {name: side for name, side in others.items() if name == judged}
        reports[judged], run = compare(sides["torch"], sides["jax"], CONTROLS, progress)
        histories |= {name: history for name, history in run.items() if name not in others or name == judged}
    ordered = {name: histories[name] for name in FRAMEWORKS}
    return PerceptronReport(task.name, seed, planted, setup, ordered, reports, environment(more=OPTAX))


@undisturbed(alone=True)
def perceptrons(
    gates: Sequence[str] | str | None = None,
    *,
    seeds: int = 1000,
    epochs: int = 1000,
    learning_rate: float = 0.1,
    seed: int = 0,
    dtype: str | Any = "float32",
    progress: Progress | None = None,
) -> PerceptronsReport:
    """Train every gate from many starts in both frameworks, vectorised, and compare every prediction.

    Args:
        gates: Names of gates; None for all sixteen.
        seeds: The number of starts.
        epochs: As in ``perceptron``.
        learning_rate: As in ``perceptron``.
        seed: The seed of the first start; the others have the next seeds.
        dtype: As in ``perceptron``.
        progress: As in ``perceptron``.

    Returns:
        The report.

    Raises:
        UsageError: If an argument cannot be used.
        MissingFrameworkError: If a framework cannot be imported.

    Examples:
        >>> import crosscheck
        >>> crosscheck.perceptrons(["or", "xor"], seeds=3, epochs=10).agree
        True
    """
    names = _arguments.known("gate", GATES if gates is None else gates, tuple(GATES))
    dtype = _settings(epochs, learning_rate, seed, dtype)
    _arguments.integer("seeds", seeds, 1, "seeds=1000 trains every gate from a thousand starts")
    if seeds > MOST_STARTS:
        raise UsageError(
            f"seeds: got {seeds:,}, expected at most {MOST_STARTS:,}: drawing so many starts alone would take "
            f"{seeds * SECONDS_OF_A_START / 3600:,.0f} hours; seeds=1000 takes seconds"
        )
    _arguments.progress(progress)
    for name in (*FRAMEWORKS, "optax"):
        framework(name)
    from crosscheck._training import jax_many, torch_many

    starts = []
    for i in range(seeds):
        starts.append(_start(None, 2, 1, seed + i, dtype))
        if progress is not None and i % STARTS_AT_ONCE == 0:
            progress("torch", 0)
    many = gates_and_seeds(names, starts, learning_rate=float(learning_rate), epochs=epochs, dtype=dtype)
    logits = {"torch": torch_many.train_many(many, progress), "jax": jax_many.train_many(many, progress)}
    control = jax_many.train_many(moved_many(many), progress)
    settings = {"seeds": seeds, "seed": seed, "epochs": epochs, "learning_rate": float(learning_rate), "dtype": dtype}
    return PerceptronsReport(tuple(judge_many(names, many, logits, control)), settings, environment(more=OPTAX))


@undisturbed(alone=True)
def losses() -> LossesReport:
    """Judge the binary cross entropies of both frameworks, at extreme logits and probabilities, against the exact formula.

    Returns:
        The report.

    Raises:
        MissingFrameworkError: If neither framework can be imported, or JAX can but optax cannot. If one framework cannot,
            only the losses of the other are judged.

    Examples:
        >>> import crosscheck
        >>> crosscheck.losses().passed
        True
    """
    described = environment(more=OPTAX)
    lacking = Lacking.of(described)
    skipped = lacking.of_those(FRAMEWORKS, ())
    run = [name for name in FRAMEWORKS if lacking.runs(name)]
    if "jax" in run:
        framework("optax")
    return LossesReport(tuple(judge_losses(run)), described, skipped)


def _task(what: str, seed: int) -> Task:
    return random_points(seed) if _arguments.one_of("gate", what, TASKS) == "points" else gate(what)


def _settings(epochs: int, learning_rate: Any, seed: int, given: object) -> str:
    """The name of the given dtype; raises unless the other settings can be used."""
    dtype = _arguments.dtype(given, DTYPES)
    _arguments.integer("epochs", epochs, 1, "epochs=1000 is what OR needs at a learning rate of 0.1")
    largest = FORMATS[dtype].largest
    number = isinstance(learning_rate, int | float | np.integer | np.floating) and not isinstance(learning_rate, bool)
    if not number or not 0 < learning_rate <= largest:
        raise UsageError(
            f"learning_rate: got {learning_rate!r}, expected a number above 0 and at most {largest:.3g}, the largest "
            f"{dtype}; 0.1 is a good start"
        )
    _arguments.seed(seed, MOST_SEEDS)
    return dtype


def _planted(plant: object) -> dict[str, str]:
    given = _arguments.mapping("plant", plant, "faults by framework")
    _check_frameworks(given)
    return {name: _arguments.one_of("fault", fault, tuple(FAULTS)) for name, fault in given.items()}


def _check_frameworks(given: Mapping[str, object]) -> None:
    for name in given:
        _arguments.one_of("framework", name, FRAMEWORKS)


def _data(data: object) -> tuple[FloatArray, FloatArray]:
    """Inputs and labels as float64 arrays of two axes; ``UsageError`` if they do not match."""
    pair = _arguments.several(data)
    if len(pair) != 2:
        raise UsageError(f"data: got {type(data).__name__}, expected a pair of arrays, the inputs and the labels")
    x, y = (_array(f"data: {name}", array, "float64") for name, array in zip("xy", pair, strict=True))
    if x.ndim != 2 or 0 in x.shape:
        raise UsageError(f"data: x: got shape {x.shape}, expected (points, inputs), neither of them 0; one point is x[None]")
    if y.ndim == 1:
        y = y[:, None]
    if y.ndim != 2 or len(y) != len(x) or 0 in y.shape:
        raise UsageError(
            f"data: y: got shape {y.shape} for x of shape {x.shape}, expected ({len(x)},) or ({len(x)}, outputs); "
            "each point has its label"
        )
    if not np.isfinite(x).all():
        raise UsageError("data: x: got NaN or infinity, expected finite numbers; drop those points or fill them in")
    bad = y[(y != 0) & (y != 1)]
    if bad.size:
        raise UsageError(
            f"data: y: got the label {bad[0]:g}, expected 0 or 1; map two classes to them, for example y == y.max()"
        )
    return x, y


def _array(what: str, given: object, dtype: str) -> FloatArray:
    try:
        return np.asarray(given).astype(dtype)
    except (TypeError, ValueError):
        raise UsageError(f"{what}: got {type(given).__name__}, expected an array of numbers") from None


def _start(weights: Mapping[str, Any] | None, inputs: int, outputs: int, seed: int, dtype: str) -> Weights:
    if weights is None:
        from crosscheck._training.torch_model import initial_weights

        return initial_weights(inputs, outputs, seed, dtype)
    held = _arguments.mapping("weights", weights, "arrays")
    given = {name: _array(f"weights: {name}", array, dtype) for name, array in held.items()}
    check_weights(given, {"weight": (outputs, inputs), "bias": (outputs,)}, dtype)
    return given
