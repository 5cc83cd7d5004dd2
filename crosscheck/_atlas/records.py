"""What an atlas holds: plain, frozen records that JSON can hold, and that are read back from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from crosscheck._records.implementations import USUAL_MODES
from crosscheck._verdict.deviations import Extent
from crosscheck._verify.subjects import VIEWS


@dataclass(frozen=True)
class Number:
    """A number of some dtype: the shortest decimal that rounds to it, such as ``-19.5`` or ``nan``, and its bits in hex."""

    decimal: str
    bits: str


@dataclass(frozen=True)
class Place:
    """The entry of a row at which a function of rows is looked at.

    ``bits`` are those of the row's entries and ``direction`` those of the cotangent of its derivatives; ``position`` is
    the entry's, None where the whole row has one result. The array holds ``copies`` rows.
    """

    bits: tuple[str, ...]
    direction: tuple[str, ...]
    position: int | None
    copies: int


@dataclass(frozen=True)
class Input:
    """An input with the setting it was run in.

    region
        The number of the row's region that it lies in, from 0.
    x
        The input; of a function of rows the number by which the entry at ``place`` is known: see :class:`Region`.
    """

    region: int
    order: int
    dtype: str
    parameters: Mapping[str, float]
    x: Number
    place: Place | None = None


LAYOUTS = {"array": "", "alone": "alone", **{view: f"in a view {view}" for view in VIEWS}}
"""Where the input of an :class:`Outcome` stood, in words."""


@dataclass(frozen=True)
class Outcome:
    """What a subject gave at an input, run in a mode.

    ``ulp`` is the error against the exact result, in the unit that it is judged by, NaN where none can be measured. Where
    the subject raised, or found no derivative, ``got`` is None and ``message`` says so. ``layout`` is ``array``, of copies
    of the input, or ``alone``, or a view of another array: ``with gaps``, for instance.
    """

    subject: str
    mode: str
    got: Number | None
    ulp: float
    message: str | None = None
    layout: str = "array"


@dataclass(frozen=True)
class Area:
    """A region of a disagreement: closed intervals of inputs, for one order and some dtypes, as :class:`Region` has them.

    ``max_ulp`` is the declared bound of the error in ULP, infinite where there is none; ``measured`` is how far it was
    seen there in this run, empty where none of it was run.
    """

    order: int
    dtypes: tuple[str, ...]
    intervals: tuple[tuple[float, float], ...]
    lengths: tuple[int, ...]
    parameters: Mapping[str, float]
    max_ulp: float
    measured: tuple[Extent, ...]


@dataclass(frozen=True)
class Beside:
    """Another row about the same function, of the same cause and with an order in common, and in what the two differ.

    ``differs`` has some of ``subjects``, ``dtypes``, ``region`` (the inputs) and ``mechanism`` (the reason).
    """

    id: str
    differs: tuple[str, ...]


@dataclass(frozen=True)
class SeenIn:
    """An environment in which a disagreement was seen before: version ranges as ``packaging`` writes them."""

    torch: str
    jax: str
    device: str
    capabilities: tuple[str, ...]


@dataclass(frozen=True)
class Noticed:
    """Whether a check that people use notices a disagreement, measured.

    check
        ``torch.testing.assert_close``, ``numpy.testing.assert_allclose``, ``torch.autograd.gradcheck`` or
        ``jax.test_util.check_grads``, at their defaults.
    inputs
        ``anchors``, those of the row, or ``normal``, those of 1,000 seeded standard normal ones that lie in its regions.
    noticed
        True or False, or None where the check does not apply.
    said
        What the check said where it noticed it, in one line; else why it does not apply, or nothing.
    """

    check: str
    inputs: str
    noticed: bool | None
    said: str


@dataclass(frozen=True)
class AtlasRow:
    """One disagreement, declared or not.

    id, declared
        The id of the deviation; of a disagreement that is not declared, what it is about.
    function, natives
        The activation, and what is judged of the frameworks' own by subject: ``{"jax.native": "jax.nn.gelu"}``.
    subjects, dtypes, orders, modes
        Who deviates, and where it may: orders are 0 the value, 1 the gradient, 2 the second derivative.
    region
        Where it occurs, with how far it was seen there in this run.
    inputs, results, truth
        Examples that belong together by their place: an input; what every subject gave there, crosscheck's own too; and
        the exact result correctly rounded, None where nothing defines one. Each region that was run has one at least.
    cause, side
        Why it is, and which framework's result it is, or ``both``; of a ``convention`` nobody's is wrong.
    reason, link, bug
        The mechanism, where it can be read about, and whether it looks like a mistake of the framework.
    seen
        Whether this run showed it. ``seen_in`` are the environments in which it was seen before.
    beside
        The rows that share function, order and cause with it, and in what they differ.
    findings
        What refutes its declaration in this run, such as an error beyond the declared bound.
    usual
        Whether the usual checks notice it; empty where they were not asked.
    """

    id: str
    declared: bool
    function: str
    natives: Mapping[str, str]
    subjects: tuple[str, ...]
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
    seen_in: tuple[SeenIn, ...] = ()
    beside: tuple[Beside, ...] = ()
    findings: tuple[str, ...] = ()
    usual: tuple[Noticed, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether it is declared, and nothing refutes the declaration."""
        return self.declared and not self.findings


@dataclass(frozen=True)
class Coverage:
    """What an atlas was made of: another one of the same coverage has the same inputs.

    In modes beyond eager and jit the frameworks' own functions were run alone. ``layout`` is whether results were compared
    in several layouts.
    """

    functions: tuple[str, ...]
    dtypes: tuple[str, ...]
    seed: int
    quick: bool
    modes: tuple[str, ...] = USUAL_MODES
    layout: bool = False

    def has(self, row: AtlasRow) -> bool:
        """Whether a disagreement can be seen in what was run."""
        looked = self.layout or row.cause != "layout"
        return looked and bool(set(row.dtypes) & set(self.dtypes)) and bool(set(row.modes) & set(self.modes))


@dataclass(frozen=True)
class Change:
    """How one disagreement differs between two atlases.

    kind
        ``vanished`` or ``appeared``; ``grew`` where it shows at more inputs or with a larger error, else ``shrank``;
        ``results`` where a subject gives another result at the same input.
    details
        What it is in, a line each: ``float32 gradient, jax.native jit: 1,203 inputs, was 877``.
    """

    kind: str
    id: str
    function: str
    cause: str
    declared: bool
    details: tuple[str, ...] = field(default=())


KINDS = ("appeared", "grew", "vanished", "shrank", "results")
"""In the order in which a person who upgrades wants to read them."""
