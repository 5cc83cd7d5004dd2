"""The frozen records of a known disagreement: its inputs, its reason, the environments in which it was observed."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite, isnan

from crosscheck._records import fields
from crosscheck._records.errors import SpecError
from crosscheck._records.fields import (
    LINE,
    Kind,
    instance,
    several,
)
from crosscheck._records.implementations import MODES, NATIVES
from crosscheck._records.names import CAUSES, DTYPES, ORDERS, PASSING


@dataclass(frozen=True)
class Anchor:
    """An input at which a deviation must occur in each environment where it was observed.

    Attributes:
        input: The input; for a function of rows, the number that identifies the entry: see ``Region``.
        results: The results at this input by implementation, to the bit.
    """

    input: float
    results: Mapping[str, float]


@dataclass(frozen=True)
class Seen:
    """An environment in which a deviation was observed.

    Attributes:
        torch: The versions of PyTorch, a range as ``packaging`` writes it, for example ``~=2.13.0``.
        jax: The versions of JAX, as such a range.
        device: ``cpu`` or ``gpu``.
        capabilities: The CPU capabilities, as ``crosscheck env`` prints them.
    """

    torch: str
    jax: str
    device: str = "cpu"
    capabilities: tuple[str, ...] = ("AVX2", "AVX512")


SEENS = Kind(several(instance(Seen)), "Seens")


@dataclass(frozen=True)
class Region:
    """The inputs at which a deviation occurs: closed intervals, for one order and some dtypes.

    For a function of rows, the intervals are of the number that identifies an entry: the entry minus the largest of its row,
    the entry minus the smallest, or its gate, as the field ``known_by`` of the record says. If the largest or the smallest
    is not finite, it is this number itself. The rest of the row matters too, so the deviation need not occur at half of the
    inputs of the region.

    Attributes:
        order: 0 for the value, 1 for the gradient, 2 for the second derivative.
        dtypes: Some of ``float64``, ``float32``, ``bfloat16`` and ``float16``.
        intervals: Pairs ``(low, high)``, both ends included. A single input is ``(x, x)``; the input NaN is ``(nan, nan)``.
        anchors: Inputs in the intervals at which the deviation must occur. If it occurs in few samples, a region with a
            bound needs no anchor.
        max_ulp: An upper bound of the error in ULP, for the causes that have one. The run fails if the measured error is
            above it, or below a tenth of it; a bound on record has more room, for other samples. For rows as long as a
            vocabulary, it holds only if ``lengths`` names their length.
        lengths: Restricts the region to rows of these lengths.
        parameters: Restricts the region to these values of parameters.
        capability: A CPU capability as ``crosscheck env`` prints it, such as ``AVX512``. The region is examined only on CPUs
            with this capability, since others run other code, with other results.
        modes: The modes in which the deviation occurs here; by default those of the deviation.
        seen: The environments in which it was observed here; by default those of the deviation.
        max_ulp_in: The bounds of modes whose bound is not ``max_ulp``.

    Raises:
        SpecError: If a field has a wrong value, there is no interval, there is neither an anchor nor a bound, or an anchor
            is outside of the intervals.

    Examples:
        >>> from crosscheck import Anchor, Region
        >>> anchor = Anchor(-0.0, {"torch.native": -0.0, "jax.native": 0.0})
        >>> Region(order=0, dtypes=("float32",), intervals=((-0.0, -0.0),), anchors=(anchor,)).max_ulp
        inf
    """

    order: int
    dtypes: tuple[str, ...]
    intervals: tuple[tuple[float, float], ...]
    anchors: tuple[Anchor, ...]
    max_ulp: float = inf
    lengths: tuple[int, ...] = ()
    parameters: Mapping[str, float] = field(default_factory=dict)
    capability: str | None = None
    modes: tuple[str, ...] = ()
    seen: tuple[Seen, ...] = ()
    max_ulp_in: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.order not in ORDERS:
            raise SpecError(f"Region.order: got {self.order!r}, expected one of {ORDERS}")
        if not set(self.modes) <= set(MODES):
            raise SpecError(f"Region.modes: got {self.modes!r}, expected some of {MODES}")
        if not set(self.max_ulp_in) <= set(self.modes or MODES):
            raise SpecError(f"Region.max_ulp_in: got {tuple(self.max_ulp_in)}, expected some of {self.modes or MODES}")
        if said := fields.wrong(self, {"seen": SEENS}):
            raise SpecError(f"Region.{said}")
        if not self.dtypes or not set(self.dtypes) <= set(DTYPES):
            raise SpecError(f"Region.dtypes: got {self.dtypes!r}, expected some of {DTYPES}")
        if not self.intervals or not (self.anchors or isfinite(self.max_ulp)):
            raise SpecError(
                "Region: intervals must not be empty, nor anchors without max_ulp; else no run could contradict it"
            )
        for low, high in self.intervals:
            if not (low <= high or (isnan(low) and isnan(high))):
                raise SpecError(f"Region.intervals: got ({low}, {high}), expected low <= high, or (nan, nan)")
        for anchor in self.anchors:
            if not any(low <= anchor.input <= high or (isnan(low) and isnan(anchor.input)) for low, high in self.intervals):
                raise SpecError(f"Region.anchors: {anchor.input} lies in none of the intervals {self.intervals}")

    def bound(self, mode: str | None = None) -> float:
        """Find the upper bound of the error in ULP.

        Args:
            mode: A mode; None for all of them.

        Returns:
            The bound that holds in this mode, or in all modes.

        Examples:
            >>> from crosscheck import Anchor, Region
            >>> anchors = (Anchor(1.0, {}),)
            >>> region = Region(0, ("float32",), ((1.0, 2.0),), anchors, max_ulp=8.0, max_ulp_in={"compile": 60.0})
            >>> region.bound("eager"), region.bound("compile"), region.bound()
            (8.0, 60.0, 60.0)
        """
        if mode is None:
            return max(self.max_ulp, *self.max_ulp_in.values()) if self.max_ulp_in else self.max_ulp
        return self.max_ulp_in.get(mode, self.max_ulp)


@dataclass(frozen=True)
class Deviation:
    """A known disagreement of functions that the frameworks ship, declared as data and checked in every run.

    Attributes:
        id: Its name, for example ``relu-negative-zero``.
        cause: Why the results differ: ``error``, ``missing``, ``special``, ``definition``, ``inaccurate``, ``layout`` or
            ``convention``.
        implementations: The natives that deviate, such as ``torch.native``. crosscheck's own have no deviations.
        regions: The inputs at which it occurs.
        reason: The reason, in a sentence or two for a reader.
        link: The documentation, source or issue that explains it.
        seen: The environments in which it was observed.
        modes: The modes in which it occurs; by default all.
        bug: Whether it looks like a mistake of the framework, not like a choice or a limit of its arithmetic. If it does,
            ``crosscheck explain`` prints a snippet to report it.

    Raises:
        SpecError: If a field has a wrong value or is empty, or an anchor has a result of another implementation.

    Examples:
        >>> import crosscheck
        >>> anchor = crosscheck.Anchor(-0.0, {"torch.native": -0.0, "jax.native": 0.0})
        >>> deviation = crosscheck.Deviation(
        ...     id="relu-negative-zero",
        ...     cause="convention",
        ...     implementations=("torch.native", "jax.native"),
        ...     regions=(crosscheck.Region(0, ("float32",), ((-0.0, -0.0),), (anchor,)),),
        ...     reason="PyTorch keeps the sign of the input -0, JAX returns 0.",
        ...     link="https://docs.pytorch.org/docs/stable/generated/torch.nn.functional.relu",
        ...     seen=(crosscheck.Seen(torch="~=2.13.0", jax="~=0.10.2"),),
        ... )
        >>> deviation.bug
        False
    """

    id: str
    cause: str
    implementations: tuple[str, ...]
    regions: tuple[Region, ...]
    reason: str
    link: str
    seen: tuple[Seen, ...]
    modes: tuple[str, ...] = MODES
    bug: bool = False

    def __post_init__(self) -> None:
        where = f"Deviation {self.id!r}"
        if said := fields.wrong(self, DEVIATION_FIELDS):
            raise SpecError(f"{where}: {said}")
        if not self.id or not self.reason or not self.link or not self.seen:
            raise SpecError(f"{where}: id, reason, link and seen must not be empty")
        if self.cause not in CAUSES or self.cause in PASSING:
            raise SpecError(f"{where}: cause: got {self.cause!r}, expected one of {CAUSES[:7]}")
        if not self.implementations or not set(self.implementations) <= set(NATIVES):
            raise SpecError(f"{where}: implementations: got {self.implementations!r}, expected natives, some of {NATIVES}")
        if not self.modes or not set(self.modes) <= set(MODES):
            raise SpecError(f"{where}: modes: got {self.modes!r}, expected some of {MODES}")
        if not self.regions:
            raise SpecError(f"{where}: regions must not be empty")
        for region in self.regions:
            if not set(region.modes) <= set(self.modes):
                raise SpecError(f"{where}: a region has the modes {region.modes}, expected some of its own, {self.modes}")
            for anchor in region.anchors:
                if not set(anchor.results) <= set(self.implementations):
                    raise SpecError(f"{where}: an anchor has results of {set(anchor.results)}, not only its natives")

    def modes_of(self, region: Region) -> tuple[str, ...]:
        """The modes in which it occurs in one of its regions.

        Args:
            region: One of its regions.

        Returns:
            The modes of the region; if it has none, those of the deviation.
        """
        return region.modes or self.modes


DEVIATION_FIELDS = {
    **dict.fromkeys(("id", "reason", "link"), LINE),
    "regions": Kind(several(instance(Region)), "Regions"),
    "seen": SEENS,
}
