"""Small whole files of the kinds that a command reads, from which wrong ones are made."""

from __future__ import annotations

from typing import Any

from crosscheck import Atlas, AtlasRow
from crosscheck._atlas.records import Area, Coverage, Input, Number, Outcome
from crosscheck._verdict.deviations import Extent

_ROW = AtlasRow(
    id="a",
    declared=True,
    function="theirs",
    natives={"jax.native": "jax.nn.elu"},
    implementations=("jax.native",),
    dtypes=("float32",),
    orders=(1,),
    modes=("eager", "jit"),
    region=(
        Area(
            1,
            ("float32",),
            ((-103.0, -2.5),),
            (),
            {},
            ("eager", "jit"),
            16.0,
            (Extent("jax.native", "exact", "float32", "eager", 9, 12, 7.0),),
        ),
    ),
    inputs=(Input(0, 1, "float32", {"alpha": 1.0}, Number("-19.5", "0xc19c0000")),),
    results=(
        (Outcome("jax.native", "eager", Number("0", "0x0"), 2.0**24), Outcome("torch.native", "eager", None, 0.5, "no")),
    ),
    truth=(Number("1", "0x3f800000"),),
    cause="inaccurate",
    side="jax",
    reason="Digits are lost.",
    link="https://example.org/why",
    bug=False,
    seen=True,
)
_ENVIRONMENT = {"python": "3.11.2", "torch": {"version": "2.13.0"}, "jax": {"version": "0.10.2"}}
ATLAS: dict[str, Any] = Atlas((_ROW,), _ENVIRONMENT, Coverage(("theirs",), ("float32",), 0, False), 1000).data()

_WORST = {
    "input": "-inf",
    "input_bits": "0xff80",
    "got": 0.0,
    "expected": 0.0,
    "ulp": 0.0,
    "ulp_of_truth": 0.0,
    "element": None,
    "truth": None,
}
SWEEP: dict[str, Any] = {
    "schema": "crosscheck.sweep/1",
    "function": "relu",
    "dtype": "bfloat16",
    "parameters": {},
    "range": {"low": "nan", "high": "nan", "bits": ["0xffff", "0x7fff"]},
    "results": [
        {
            "implementation": "torch",
            "order": 0,
            "max_ulp": 0.5,
            "worst": _WORST,
            "max_ulp_of_truth": 0.5,
            "worst_of_truth": _WORST,
            "inputs": 65536,
            "correctly_rounded": 65535,
            "flushed": 0,
            "non_finite": 0,
            "finite": 0,
            "convention": 0,
            "not_judged": 1,
            "histogram": {"0": 65535, "1": 1},
            "binades": [{"low": 1.0, "input": 1.5, "ulp": 0.5}],
        }
    ],
    "differences": [{"implementation": "torch", "against": "jax", "order": 0, "inputs": 3}],
    "environment": {"torch": {"version": "2.13.0"}},
    "summary": {"passed": True, "headline": "relu"},
}
