"""Where the frameworks' own functions give another result for the same input elsewhere: two mechanisms are behind it."""

from crosscheck._spec.records import Deviation, Region, Seen

SEEN = (Seen(torch="~=2.13.0", jax="~=0.10.2", capabilities=("AVX512",)),)
CANCELLED = "Where terms cancel, that rounding is much of the result."


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
        seen=SEEN,
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
        seen=SEEN,
        modes=("jit",),
    )
