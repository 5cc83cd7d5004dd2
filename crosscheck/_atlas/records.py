"""The records of an atlas: plain and frozen. JSON can hold them, and they are read back from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from crosscheck._records.deviations import Seen
from crosscheck._records.implementations import USUAL_MODES
from crosscheck._verdict.examination import Extent
from crosscheck._verify.run.implementations import VIEWS


@dataclass(frozen=True)
class Number:
    """A number of some dtype: the shortest decimal that rounds to it, such as ``-19.5`` or ``nan``, and its bits in hex."""

    decimal: str
    bits: str


@dataclass(frozen=True)
class Place:
    """The entry of a row at which a function of rows is judged.

    ``bits`` are the bits of the row's entries, and ``direction`` those of the cotangent of its derivatives. ``position`` is
    the position of the entry, None where the whole row has one result. The array holds ``copies`` rows. For a row as long
    as a vocabulary, an atlas holds no bits but the lines of numpy by which the row was ``made`` before it was rounded; its
    direction is ``numpy.random.default_rng(length).standard_normal(length)``.
    """

    bits: tuple[str, ...]
    direction: tuple[str, ...]
    position: int | None
    copies: int
    length: int = 0
    made: tuple[str, ...] = ()


@dataclass(frozen=True)
class Input:
    """An input with the setting it was run in.

    Attributes:
        region: The number of the region of the atlas row that contains it, from 0.
        x: The input. For a function of rows, the number that identifies the entry at ``place``: see ``Region``.
    """

    region: int
    order: int
    dtype: str
    parameters: Mapping[str, float]
    x: Number
    place: Place | None = None


LAYOUTS = {"array": "", "alone": "with this input only", **{view: f"in a view {view}" for view in VIEWS}}
"""Where the input of an ``Outcome`` was placed, in words."""


@dataclass(frozen=True)
class Outcome:
    """The result of an implementation at an input, in a mode.

    ``ulp`` is the error against the exact result in the unit of the judgement, NaN where none can be measured. If the
    implementation raised or found no derivative, ``got`` is None and ``message`` says so. ``layout`` is ``array`` (of copies
    of the input), ``alone``, or a view of another array, such as ``with gaps``.
    """

    implementation: str
    mode: str
    got: Number | None
    ulp: float
    message: str | None = None
    layout: str = "array"


@dataclass(frozen=True)
class Area:
    """A region of a disagreement: closed intervals of inputs, for one order, some dtypes and modes, as ``Region`` has them.

    ``max_ulp`` is the declared bound of the error in ULP in any of its modes, infinite where there is none; ``measured`` is
    the largest error that this run observed there, empty where nothing of it was run.
    """

    order: int
    dtypes: tuple[str, ...]
    intervals: tuple[tuple[float, float], ...]
    lengths: tuple[int, ...]
    parameters: Mapping[str, float]
    modes: tuple[str, ...]
    max_ulp: float
    measured: tuple[Extent, ...]


@dataclass(frozen=True)
class Beside:
    """Another row about the same function, with the same cause and an order in common, and how the two differ.

    ``differs`` lists some of ``implementations``, ``dtypes``, ``region`` (the inputs) and ``mechanism`` (the reason).
    """

    id: str
    differs: tuple[str, ...]


@dataclass(frozen=True)
class AtlasRow:
    """One disagreement, declared or not.

    ``inputs``, ``results`` and ``truth`` are examples; those at the same position belong together. Each region that was run
    has at least one.

    Attributes:
        id: The id of the deviation. For a disagreement that is not declared, a description of it.
        declared: Whether it is declared.
        function: The name of the activation.
        natives: The functions of the frameworks that are judged, by implementation: ``{"jax.native": "jax.nn.gelu"}``.
        implementations: The implementations that deviate.
        dtypes: The dtypes in which it may occur.
        orders: The orders: 0 for the value, 1 for the gradient, 2 for the second derivative.
        modes: The modes.
        region: Where it occurs, at how many of the inputs there in this run, and with which largest error.
        inputs: The inputs.
        results: The results of every implementation there, including crosscheck's own.
        truth: The exact results, correctly rounded; None where nothing defines one.
        cause: Why the results differ.
        side: The framework whose implementations deviate, or ``both``. If the cause is ``convention``, no result is wrong.
        reason: The mechanism.
        link: Where the mechanism is described.
        bug: Whether it looks like a mistake of the framework.
        seen: Whether this run observed it.
        seen_in: The environments in which it was observed before.
        beside: The rows with the same function, order and cause, and what differs in them.
        findings: What contradicts its declaration in this run, such as an error beyond the declared bound.
    """

    id: str
    declared: bool
    function: str
    natives: Mapping[str, str]
    implementations: tuple[str, ...]
    dtypes: tuple[str, ...]
    orders: tuple[int, ...]
    modes: tuple[str, ...]
    region: tuple[Area, ...]
    inputs: tuple[Input, ...]
    results: tuple[tuple[Outcome, ...], ...]
    truth: tuple[Number | None, ...]
    cause: str
    side: str | None
    reason: str
    link: str
    bug: bool
    seen: bool
    seen_in: tuple[Seen, ...] = ()
    beside: tuple[Beside, ...] = ()
    findings: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it is declared, and nothing contradicts the declaration."""
        return self.declared and not self.findings


@dataclass(frozen=True)
class Coverage:
    """What an atlas was made of. Two atlases with the same coverage have the same inputs.

    In modes other than eager and jit, only what the frameworks ship was run. ``layout`` is whether results were compared
    in several layouts.
    """

    functions: tuple[str, ...]
    dtypes: tuple[str, ...]
    seed: int
    quick: bool
    modes: tuple[str, ...] = USUAL_MODES
    layout: bool = False

    def has(self, row: AtlasRow) -> bool:
        """Whether a disagreement can be observed in what was run."""
        looked = self.layout or row.cause != "layout"
        return looked and bool(set(row.dtypes) & set(self.dtypes)) and bool(set(row.modes) & set(self.modes))


@dataclass(frozen=True)
class Change:
    """How one disagreement differs between two atlases.

    Attributes:
        kind: ``vanished`` or ``appeared``; ``grew`` if it shows at more inputs or with a larger error, otherwise ``shrank``;
            ``results`` if an implementation gives another result at the same input.
        details: One line for each setting: ``float32 gradient, jax.native jit: 1,203 inputs, was 877``.
    """

    kind: str
    id: str
    function: str
    cause: str
    declared: bool
    details: tuple[str, ...] = ()


KINDS = ("appeared", "grew", "vanished", "shrank", "results")
"""The kinds of change, in the order in which a person who upgrades wants to read them."""
