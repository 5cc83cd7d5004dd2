"""What a report on two models holds; it can be read where neither framework is installed."""

from __future__ import annotations

from dataclasses import dataclass

from crosscheck._records.worded import Worded, kind_of

INTEGERS = Worded("not compared: it holds no floats", "integers")
UNMATCHED, UNUSED = Worded("unmatched", "unmatched"), Worded("unused", "unused")
IN_JAX = Worded("computed in JAX", "computed")
UNIDENTIFIABLE = Worded("unidentifiable: two weights of equal shape and equal values, used alike", "unidentifiable")
AMBIGUOUS = Worded(
    "unidentifiable: several weights of equal shape are used alike, and names do not tell them apart", "ambiguous"
)
NOT_PROVEN = Worded("not proven: no run agreed with what was likeliest, so it was left as it was", "not proven")
IN_TORCH_ALONE = "JAX has no array of its numbers"
IN_OTHER_FORM = "PyTorch applies it several times, and JAX may compute it from other numbers at one of these places"
BLANK = Worded("both sides are NaN or infinite everywhere", "blank")


def unmatched(missing: int, size: int) -> Worded:
    """The reason of an array of which only some numbers have a partner."""
    return Worded(f"{UNMATCHED}: {missing} of its {size} numbers", UNMATCHED.kind)


@dataclass(frozen=True)
class WeightMatch:
    """The match of a parameter or a buffer.

    Attributes:
        torch: Its name in torch's ``state_dict``; None for an array that only JAX has.
        jax: Its key path in JAX; None for one that only torch has.
        layout: How JAX holds torch's numbers, such as ``the same``, ``transposed`` or ``split in 3: this is the first``.
        how: How the match was found.
        difference: The largest absolute difference of their values; None if no match was found.
        reason: Why it has no partner; None if it has one.
    """

    torch: str | None
    jax: str | None
    layout: str | None = None
    how: str | None = None
    difference: float | None = None
    reason: str | None = None

    @property
    def matched(self) -> bool:
        """Whether it has a partner."""
        return self.reason is None

    @property
    def compared(self) -> bool:
        """Whether it holds floats; counters are not compared."""
        return kind_of(self.reason) != INTEGERS.kind


@dataclass(frozen=True)
class Gradient:
    """The gradient by one parameter.

    Attributes:
        parameter: Its name in torch.
        jax: The names of the arrays of JAX that hold its numbers.
        share: The share, from 0 to 1, of its numbers for which JAX has a gradient; 0 if nothing was compared.
        error: The difference of the two in float64, relative to the root mean square of torch's gradient.
        tolerance: The difference that rounding the constants to the dtype, and float64 itself, explain.
        cause: ``missing`` if one side has no gradient, ``definition`` if they differ; None if they agree, or if nothing was
            compared.
        explanation: Why they differ, if that is known, or why nothing was compared.
    """

    parameter: str
    jax: tuple[str, ...]
    share: float
    error: float
    tolerance: float
    cause: str | None
    explanation: str = ""

    @property
    def compared(self) -> bool:
        """Whether both sides have a gradient, and finite numbers in it."""
        return self.share > 0
