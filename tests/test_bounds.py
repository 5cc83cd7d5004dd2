"""Bounds of errors on record: they hold with other seeds, and are stale with none."""

from math import inf

import pytest

from crosscheck import Anchor, Region
from crosscheck._atlas.bounds import bounded

SMALL = 64.0


def region(max_ulp: float = inf) -> Region:
    return Region(0, ("float32",), ((1.0, 2.0),), (Anchor(1.0, {}),), max_ulp)


@pytest.mark.parametrize(
    ("strict", "others", "bounds"),
    [
        ({"eager": [100.0, 90.0], "jit": [80.0]}, {}, (200.0, {})),
        ({"eager": [100.0, 20.0]}, {}, (160.0, {})),
        ({"eager": [100.0, 10.0]}, {}, (inf, {})),
        ({"eager": [1000.0], "jit": [10.0]}, {}, (2000.0, {"jit": 20.0})),
        ({"eager": [1000.0], "jit": [10.0, 1.0]}, {}, (inf, {"eager": 2000.0})),
        ({"eager": [100.0]}, {"compile": [150.0], "vmap": [7000.0, 1.0]}, (200.0, {"vmap": 14000.0})),
        ({"eager": [40.0]}, {}, (SMALL, {})),
        ({"eager": [inf]}, {}, (inf, {})),
        ({}, {}, (inf, {})),
    ],
    ids=[
        "twice the largest",
        "no more than another seed bears",
        "seeds too far apart",
        "modes too far apart",
        "seeds of one mode too far apart",
        "other modes only where they need more",
        "small errors stay small",
        "infinite",
        "nothing measured",
    ],
)
def test_a_bound_holds_and_is_not_stale_in_any_run(
    strict: dict[str, list[float]], others: dict[str, list[float]], bounds: tuple[float, dict[str, float]]
) -> None:
    made = bounded(region(), strict, others, SMALL)
    assert (made.max_ulp, made.max_ulp_in) == bounds


@pytest.mark.parametrize(("old", "kept"), [(110.0, True), (490.0, True), (510.0, False), (99.0, False)])
def test_a_bound_on_record_is_kept_while_it_is_near(old: float, kept: bool) -> None:
    assert bounded(region(old), {"eager": [100.0]}, {}, SMALL).max_ulp == (old if kept else 200.0)
