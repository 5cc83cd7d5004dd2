"""``perceptron``: check the arguments, run the trainings and make the report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from crosscheck import _arguments
from crosscheck._arithmetic.formats import FORMATS, FloatArray
from crosscheck._frameworks.environment import environment
from crosscheck._frameworks.settings import undisturbed
from crosscheck._records.errors import UsageError
from crosscheck._records.implementations import FRAMEWORKS
from crosscheck._records.interface import framework
from crosscheck._training.perceptron.faults import FAULTS
from crosscheck._training.perceptron.model import check_weights
from crosscheck._training.perceptron.report import OWN, PerceptronReport
from crosscheck._training.records import History, Prepare, Progress, Side, TrainingSetup, Weights
from crosscheck._training.training_report import TrainingReport

DTYPES = ("float32", "float64")
OPTAX = ("optax",)
MOST_SEEDS = 2**63 - 1
CONTROLS = 8
"""The number of trainings of PyTorch from weights that are one ULP away."""

CORNERS = np.array([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
"""The inputs of a gate."""

NAMES = (
    *("false", "and", "a-and-not-b", "a", "b-and-not-a", "b", "xor", "or"),
    *("nor", "xnor", "not-b", "a-or-not-b", "not-a", "b-or-not-a", "nand", "true"),
)
"""The number of a gate, written in binary, is its truth table: or is 7, 0111."""

GATES = {name: tuple(number >> place & 1 for place in (3, 2, 1, 0)) for number, name in enumerate(NAMES)}
"""The outputs of each gate at (0, 0), (0, 1), (1, 0) and (1, 1)."""


def trainings(judged: int) -> int:
    """The number of trainings that ``perceptron`` runs to judge this many that are not the frameworks' own."""
    return max(1, judged) * (1 + CONTROLS)


@undisturbed(alone=True)
def perceptron(
    gate: str = "or",
    *,
    data: tuple[Any, Any] | None = None,
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
        gate: What is learned: ``or``, or another of the sixteen gates of two inputs, such as ``xor``.
        data: Data instead of a gate: x (points, inputs), and y (points,) or (points, outputs) of zeros and ones.
        weights: The start: ``weight`` (outputs, inputs) and ``bias`` (outputs,). None for the numbers that
            ``torch.nn.Linear`` draws after ``torch.manual_seed(seed)``.
        epochs: The number of steps of SGD, each on all data.
        learning_rate: The learning rate.
        seed: The seed of the start.
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
    wide_x, wide_y = _gate(gate) if data is None else _data(data)
    planted, replaced = _planted(plant), _arguments.functions("replace", replace)
    _check_frameworks(replaced)
    x, y = wide_x.astype(dtype), wide_y.astype(dtype)
    _arguments.progress(progress)
    for name in (*FRAMEWORKS, "optax"):
        framework(name)
    from crosscheck._training.perceptron import in_jax, in_torch
    from crosscheck._training.perceptron.sides import compare

    start = _start(weights, x.shape[1], y.shape[1], seed, dtype)
    setup = TrainingSetup(x, y, start, float(learning_rate), epochs)
    made: dict[str, Prepare] = {"torch": in_torch.prepare, "jax": in_jax.prepare}
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
    return PerceptronReport(
        gate if data is None else "data", seed, planted, setup, ordered, reports, environment(more=OPTAX)
    )


def _gate(name: str) -> tuple[FloatArray, FloatArray]:
    """The inputs and the labels of a gate."""
    return CORNERS, np.array(GATES[_arguments.one_of("gate", name, tuple(GATES))], float)[:, None]


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
        from crosscheck._training.perceptron.in_torch import initial_weights

        return initial_weights(inputs, outputs, seed, dtype)
    held = _arguments.mapping("weights", weights, "arrays")
    given = {name: _array(f"weights: {name}", array, dtype) for name, array in held.items()}
    check_weights(given, {"weight": (outputs, inputs), "bias": (outputs,)}, dtype)
    return given
