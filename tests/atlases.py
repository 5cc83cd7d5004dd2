"""Atlases that tests make by hand, of the records that an atlas is made of, and one read from a file."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from crosscheck import Atlas, AtlasRow
from crosscheck._atlas.records import Area, Coverage, Input, Number, Outcome
from crosscheck._atlas.report import read_atlas
from crosscheck._verdict.examination import Extent

__all__ = ["ONE", "TAIL", "ZERO", "Extent", "Input", "Number", "Outcome", "atlas_of", "read_atlas", "row_of"]

ZERO, ONE, TAIL = Number("0", "0x0"), Number("1", "0x3f800000"), Number("-19.5", "0xc19c0000")


def row_of(id_: str, *measured: Extent, function: str = "elu", **changes: Any) -> AtlasRow:
    """The digits that JAX loses in elu's derivative, declared and seen."""
    fields = {
        "declared": True,
        "function": function,
        "natives": {"jax.native": "jax.nn.elu"},
        "implementations": ("jax.native",),
        "dtypes": ("float32",),
        "orders": (1,),
        "modes": ("eager", "jit"),
        "region": (Area(1, ("float32",), ((-103.0, -2.5),), (), {}, ("eager", "jit"), 16.0, measured),),
        "inputs": (Input(0, 1, "float32", {"alpha": 1.0}, TAIL),),
        "results": ((Outcome("jax.native", "eager", ZERO, 2.0**24), Outcome("torch.native", "eager", ONE, 0.5)),),
        "truth": (ONE,),
        "cause": "inaccurate",
        "side": "jax",
        "reason": "Digits are lost.",
        "link": "https://example.org/why",
        "bug": False,
        "seen": True,
    }
    return AtlasRow(id=id_, **{**fields, **changes})


def atlas_of(
    *rows: AtlasRow, environment: Mapping[str, Any] = MappingProxyType({}), points: int = 1000, **coverage: Any
) -> Atlas:
    covered = {"functions": ("elu",), "dtypes": ("float32", "float64"), "seed": 0, "quick": False} | coverage
    return Atlas(rows, environment, Coverage(**covered), points)
