"""Deviations that several functions share, because one mechanism of a framework causes them."""

from math import isnan, nan

from crosscheck._recorded.files import recorded
from crosscheck._records.deviations import Deviation

TORCH = "torch.native"
CANCELLED = "Where terms cancel, the error of this rounding is a large part of the result."
LONG_SUM = (
    "In a long row all results have the same error: in a vocabulary of 50,257 entries it is hundreds of ULP. torch adds up "
    "the row in float32, each lane of a vector by itself, and does not correct for what is rounded away."
)
"""Why torch's results of long rows are off."""


def scalar_rest(id_: str, *, of: str, more: str = "", implementations: tuple[str, ...] = (TORCH,)) -> Deviation:
    """torch's vectorised and scalar code differ; ``of`` names the functions that they compute."""
    return recorded(
        id=id_,
        cause="layout",
        implementations=implementations,
        reason=f"torch has vectorised and scalar code for {of}, and their results differ. The scalar code computes the last "
        f"entries of an array, which do not fill a vector, and those of a view with gaps. {more}".rstrip(),
        link="https://github.com/pytorch/pytorch/pull/197018",
        modes=("eager",),
    )


def compiled_anew(id_: str, *, more: str = CANCELLED, implementation: str = "jax.native") -> Deviation:
    """XLA compiles another program for another shape or layout."""
    return recorded(
        id=id_,
        cause="layout",
        implementations=(implementation,),
        reason="The result depends on the shape and the layout of the array, since XLA compiles another program for each. "
        "Some of these programs round a product before they add it; others multiply and add in one operation. "
        f"{more}".rstrip(),
        link="https://github.com/openxla/xla/issues/41579",
        modes=("jit",),
    )


def below_normal(id_: str, *, of: str) -> Deviation:
    """A product in JAX's derivative that is subnormal although the derivative is not."""
    return recorded(
        id=id_,
        cause="inaccurate",
        implementations=("jax.native",),
        reason=f"JAX's derivatives lose digits, down to 0, where {of} is below the smallest normal number and the exact "
        f"derivative is not. Since 0.12 JAX computes the derivative from {of}. XLA flushes a subnormal number to 0 on the "
        "CPU; in float16 it keeps it, with fewer digits.",
        link="https://github.com/jax-ml/jax/blob/main/jax/_src/lax/lax.py",
    )


def compiled_expm1(id_: str) -> Deviation:
    """The lost digits, under torch.compile, of a function that is expm1 near 0, up to a factor."""
    return recorded(
        id=id_,
        cause="inaccurate",
        implementations=(TORCH,),
        reason="On the CPU torch.compile computes expm1 as exp(x) - 1. Near 0 that difference loses the digits of x; where "
        "exp(x) rounds to 1 the value is 0, although the exact one is a normal number.",
        link="https://github.com/pytorch/pytorch/issues/189803",
        modes=("compile",),
        bug=True,
    )


def compiled_zero(id_: str) -> Deviation:
    """The sign of such a function's zeros, under torch.compile."""
    return recorded(
        id=id_,
        cause="convention",
        implementations=(TORCH, "jax.native"),
        reason="torch.compile computes expm1 as exp(x) - 1. At -0, and at the subnormals that JAX takes for -0, this is +0. "
        "JAX keeps the sign.",
        link="https://github.com/pytorch/pytorch/issues/189803",
        modes=("compile",),
    )


def compiled_nan(id_: str, torch: float, jax: float = nan) -> Deviation:
    """The gradient at NaN, under torch.compile, of a function in pieces: that of ``torch`` and that of ``jax``."""
    return recorded(
        id=id_,
        cause="convention",
        implementations=(TORCH, "jax.native"),
        reason=f"At NaN torch.compile returns the gradient {torch:.5g} and JAX {'NaN' if isnan(jax) else f'{jax:g}'}. "
        "torch.compile computes the gradient piece by piece and compares x with the bounds of the pieces. NaN is beyond no "
        "bound, so it gets the slope of the last piece.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/_decomp/decompositions.py",
        modes=("compile",),
    )


def composed_gradient(id_: str) -> Deviation:
    """The gradient that torch has a kernel for, but computes in several operations under torch.func."""
    return recorded(
        id=id_,
        cause="inaccurate",
        implementations=(TORCH,),
        reason="Under vmap and in forward mode the rounding errors of torch's gradient in the 16-bit dtypes add up. There "
        "torch.func may differentiate again. So torch does not call the kernel that computes the gradient in float32. It "
        "computes the gradient in several operations, each of which rounds to 16 bits.",
        link="https://github.com/pytorch/pytorch/blob/main/torch/csrc/autograd/FunctionsManual.cpp",
        modes=("vmap", "forward"),
    )
