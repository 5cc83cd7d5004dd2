"""Small whole files of the kinds that a command reads, from which wrong ones are made."""

from __future__ import annotations

from typing import Any

from atlases import ZERO, Extent, Outcome, atlas_of, row_of

_ROW = row_of(
    "a",
    Extent("jax.native", "exact", "float32", "eager", 9, 12, 7.0),
    function="theirs",
    results=((Outcome("jax.native", "eager", ZERO, 2.0**24), Outcome("torch.native", "eager", None, 0.5, "no")),),
)
_ENVIRONMENT = {"python": "3.11.2", "torch": {"version": "2.13.0"}, "jax": {"version": "0.10.2"}}
ATLAS: dict[str, Any] = atlas_of(_ROW, environment=_ENVIRONMENT, functions=("theirs",), dtypes=("float32",)).data()

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
            "special": 0,
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
