"""Deviations that several functions share, since one mechanism of a framework is behind them."""

from math import isnan, nan
from typing import Any

from crosscheck._activations._regions import regions
from crosscheck._spec.records import DTYPES, LONGEST, VOCABULARY, Anchor, Deviation, Region, Seen

SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2"),)
WITH_AVX512 = (Seen(torch="~=2.13.0", jax="~=0.10.2", capabilities=("AVX512",)),)
WITH_AVX2 = (Seen(torch="~=2.13.0", jax="~=0.10.2", capabilities=("AVX2",)),)
TORCH = "torch.native"
CANCELLED = "Where terms cancel, that rounding is much of the result."


def long_rows(id_: str, subject: str, reason: str, link: str, *rows: Any, sign: int = 1) -> Deviation:
    """Of rows as long as a vocabulary, in float32; a row is (order, low, high, bound in ULP, anchor), and perhaps lengths.

    ``sign`` is -1 where an entry is known by how far it lies above the smallest.
    """
    return Deviation(
        id=id_,
        cause="inaccurate",
        subjects=(subject,),
        regions=tuple(
            Region(
                order,
                ("float32",),
                ((low, high) if sign > 0 else (0 - high, 0 - low),),
                (Anchor(sign * at, {}),),
                bound,
                lengths=next(iter(lengths), (VOCABULARY, LONGEST)),
            )
            for order, low, high, bound, at, *lengths in rows
        ),
        reason=reason,
        link=link,
        seen=WITH_AVX2,
    )


LONG_SUM = (
    "torch adds up the row in float32, each lane of a vector by itself, without any care for what is rounded away. In a "
    "vocabulary of 50,257 entries that is hundreds of ULP, the same for all results of a row."
)
"""Why torch's results of long rows are off."""


def scalar_rest(
    id_: str, *regions: Region, of: str, more: str = "", subjects: tuple[str, ...] = ("torch.native",)
) -> Deviation:
    """torch's two kinds of code, ``of`` which functions."""
    return Deviation(
        id=id_,
        cause="layout",
        subjects=subjects,
        regions=regions,
        reason=f"torch has vectorised and scalar code for {of}, which differ. An input in the rest of an array that fills "
        f"no vector, or in a view with gaps, meets the scalar code. {more}".rstrip(),
        link="https://github.com/pytorch/pytorch/pull/197018",
        seen=WITH_AVX512,
        modes=("eager",),
    )


def compiled_anew(id_: str, *regions: Region, more: str = CANCELLED, subject: str = "jax.native") -> Deviation:
    """XLA's program for a shape."""
    return Deviation(
        id=id_,
        cause="layout",
        subjects=(subject,),
        regions=regions,
        reason="XLA compiles another program for another shape or layout: whether it rounds a product before it adds it, or "
        f"contracts both to one operation, differs. {more}",
        link="https://github.com/openxla/xla/issues/41579",
        seen=WITH_AVX512,
        modes=("jit",),
    )


def compiled_expm1(id_: str) -> Deviation:
    """Of a function that is expm1 near 0, up to a factor."""
    return Deviation(
        id=id_,
        cause="inaccurate",
        subjects=(TORCH,),
        regions=regions(
            TORCH,
            (0, "float64", ((-0.00609, -5e-324),), -1e-20, 0.0, 2.0**53),
            (0, "float64", ((-0.0715, -0.00608),), -0.007797234170756205, None, 40.0),
            (0, "float32", ((-0.0067, -1.4e-45),), -1e-20, 0.0, 2.0**24),
            (0, "float32", ((-0.0693, -0.0067),), -0.007114166393876076, None, 60.0),
            (0, "bfloat16", ((-5.1e-07, -9e-41),), -1e-20, 0.0, 2.0**8),
            (0, "bfloat16", ((-7.6e-06, -5.1e-07),), -5.21540641784668e-07, None, 16.0),
        ),
        reason="torch.compile makes of expm1 what it makes of exp(x) - 1 on the CPU: near 0 the difference drops the digits "
        "of x, and below the rounding of 1 the value is 0, although the exact one is a normal number.",
        link="https://github.com/pytorch/pytorch/issues/189803",
        seen=SEEN,
        modes=("compile",),
        bug=True,
    )


def compiled_zero(id_: str, *found: Region) -> Deviation:
    """Of the same function: its zeros."""
    return Deviation(
        id=id_,
        cause="convention",
        subjects=(TORCH, "jax.native"),
        regions=found,
        reason="torch.compile makes exp(x) - 1 of expm1: of -0, and of the subnormals that JAX takes for -0, that is +0. "
        "JAX keeps the sign.",
        link="https://github.com/pytorch/pytorch/issues/189803",
        seen=SEEN,
        modes=("compile",),
    )


def compiled_nan(id_: str, torch: float, jax: float = nan) -> Deviation:
    """Of a gradient in pieces: the two slopes at NaN."""
    return Deviation(
        id=id_,
        cause="convention",
        subjects=(TORCH, "jax.native"),
        regions=(Region(1, DTYPES, ((nan, nan),), (Anchor(nan, {TORCH: torch, "jax.native": jax}),)),),
        reason="torch.compile takes the gradient from a decomposition that asks whether x lies beyond the bound of a piece. "
        f"NaN does not, and gets the slope of the last piece, {torch:.5g}; JAX's is {'NaN' if isnan(jax) else f'{jax:g}'}.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/_decomp/decompositions.py",
        seen=SEEN,
        modes=("compile",),
    )


def composed_gradient(id_: str, *found: Region) -> Deviation:
    """Of a gradient that torch has a kernel for, and composes under torch.func."""
    return Deviation(
        id=id_,
        cause="inaccurate",
        subjects=(TORCH,),
        regions=found,
        reason="Where torch.func may differentiate again, torch composes the gradient from operations that each round to 16 "
        "bits, and does not call the kernel that computes it in float32: under vmap and in forward mode.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
        seen=SEEN,
        modes=("vmap", "forward"),
    )
