"""The sampled inputs: everything that the docstrings promise, and the seed."""

from math import inf, nan

import numpy as np
import pytest
from contract import LENGTHS, OTHER_LENGTHS
from floats import FORMATS, FloatArray, Format, each_format, to_ordinal, widen

from crosscheck._arithmetic.sampling import COLUMNS, ROWS, sampled_pairs, sampled_rows, stratified

WIDE = pytest.mark.parametrize("fmt", [FORMATS["float64"], FORMATS["float32"]], ids=lambda fmt: fmt.name)
NARROW = pytest.mark.parametrize("fmt", [FORMATS["bfloat16"], FORMATS["float16"]], ids=lambda fmt: fmt.name)
POINTS = (0.1, -3.0, 0.0)


def bits(x: FloatArray, fmt: Format) -> list[int]:
    return x.view(fmt.unsigned).tolist()


def contains(x: FloatArray, value: float, fmt: Format) -> bool:
    """To the bit, so that the zeros differ."""
    return bits(np.array([value], fmt.dtype), fmt)[0] in set(bits(x, fmt))


@each_format
def test_it_is_a_flat_array_in_the_format(fmt: Format) -> None:
    x = stratified(fmt, uniform=5, per_binade=1)
    assert x.dtype == fmt.dtype
    assert x.ndim == 1


@NARROW
def test_of_a_narrow_format_every_value_is_taken_once(fmt: Format) -> None:
    x = stratified(fmt, seed=3, near=POINTS, exactly=POINTS)
    assert sorted(bits(x, fmt)) == list(range(65536))


@WIDE
def test_each_binade_of_both_signs_has_its_inputs(fmt: Format) -> None:
    x = stratified(fmt, uniform=0, per_binade=8)
    field = (x.view(fmt.unsigned) >> (fmt.precision - 1)).astype(np.int64)  # sign and exponent
    counts = np.bincount(field, minlength=2 ** (fmt.bits - fmt.precision + 1))
    infinite = fmt.e_max - fmt.e_min + 2
    for sign in (0, infinite + 1):
        assert counts[sign : sign + infinite].min() >= 8
    assert len(set(bits(x, fmt))) > 0.9 * x.size


@WIDE
def test_the_number_per_binade_can_be_chosen(fmt: Format) -> None:
    binades = 2 * (fmt.e_max - fmt.e_min + 2)
    few, many = (stratified(fmt, per_binade=n, uniform=0).size for n in (1, 3))
    assert many - few == 2 * binades


@WIDE
def test_uniform_inputs_fill_minus_20_to_20(fmt: Format) -> None:
    base, x = stratified(fmt, uniform=0, per_binade=0), stratified(fmt, uniform=4096, per_binade=0)
    assert x.size - base.size == 4096
    ordinary = np.setdiff1d(x[np.isfinite(x)], base)
    assert np.abs(ordinary).max() <= 20
    counts, _ = np.histogram(ordinary.astype(np.float64), bins=20, range=(-20, 20))
    assert counts.min() > 120


@WIDE
def test_the_default_is_8_per_binade_and_4096_uniform(fmt: Format) -> None:
    assert bits(stratified(fmt), fmt) == bits(stratified(fmt, seed=0, per_binade=8, uniform=4096), fmt)


@WIDE
def test_zeros_ends_and_special_values_are_there(fmt: Format) -> None:
    x = stratified(fmt, uniform=0, per_binade=0)
    largest_subnormal = fmt.smallest_normal - fmt.smallest_subnormal
    for value in (0.0, fmt.smallest_subnormal, largest_subnormal, fmt.smallest_normal, fmt.largest, np.inf):
        assert contains(x, value, fmt), value
        assert contains(x, -value, fmt), -value
    assert np.isnan(x).any()


@WIDE
@pytest.mark.parametrize("point", POINTS)
def test_near_points_come_with_four_neighbours_on_each_side(fmt: Format, point: float) -> None:
    without = stratified(fmt, uniform=0, per_binade=0)
    x = stratified(fmt, uniform=0, per_binade=0, near=[point])
    centre = int(to_ordinal(np.array([point], fmt.dtype))[0])
    assert set(range(centre - 4, centre + 5)) <= set(to_ordinal(x).tolist())
    assert x.size - without.size == 9


@WIDE
def test_the_largest_number_has_neighbours_and_an_infinity_none(fmt: Format) -> None:
    without = stratified(fmt, uniform=0, per_binade=0)
    for points, more in (([fmt.largest, -fmt.largest], 18), ([inf, -inf, nan], 0)):
        assert stratified(fmt, uniform=0, per_binade=0, near=points).size - without.size == more


@WIDE
@pytest.mark.parametrize("point", [0.1, -0.0, 7.25, np.inf])
def test_exact_points_come_alone(fmt: Format, point: float) -> None:
    without = stratified(fmt, uniform=0, per_binade=0)
    x = stratified(fmt, uniform=0, per_binade=0, exactly=[point])
    assert contains(x, point, fmt)
    assert x.size - without.size == 1


@WIDE
def test_the_same_seed_gives_the_same_inputs_and_another_seed_others(fmt: Format) -> None:
    first, again, other = (stratified(fmt, seed=seed, near=POINTS) for seed in (5, 5, 6))
    assert bits(first, fmt) == bits(again, fmt)
    assert first.size == other.size
    fixed = bits(stratified(fmt, near=POINTS, per_binade=0, uniform=0), fmt)
    assert len(set(bits(first, fmt)) & set(bits(other, fmt)) - set(fixed)) < 0.05 * first.size


# Rows

FEW = {1: 3, 2: 5, 8: 40, 30: 4}


@each_format
def test_rows_have_the_lengths_and_numbers_asked_for(fmt: Format) -> None:
    for (length, count), (x, v) in zip(FEW.items(), sampled_rows(fmt, FEW), strict=True):
        assert x.dtype == v.dtype == fmt.dtype
        assert x.shape == v.shape == (2 * count + 7, length)


@each_format
def test_by_default_there_are_so_many_rows(fmt: Format) -> None:
    """The numbers of points in what is published, and which random rows are the same for every seed, rest on these."""
    shapes = {1: (39, 1), 2: (135, 2), 8: (103, 8), 100: (23, 100), 1000: (11, 1000)}
    assert [x.shape for x, _ in sampled_rows(fmt)] == list(shapes.values())
    assert tuple(ROWS) == tuple(shapes) == LENGTHS
    assert tuple(COLUMNS) == OTHER_LENGTHS
    assert [x.shape for x, _ in sampled_rows(fmt, COLUMNS)] == [(39, 32)]
    assert [x.shape for x, _ in sampled_pairs(fmt)] == [(138, 2), (106, 8), (26, 100), (4, 1000)]


@each_format
def test_the_seed_is_0_by_default(fmt: Format) -> None:
    for draw in (sampled_rows, sampled_pairs):
        ((x, _),), ((same, _),) = draw(fmt, {8: 4}), draw(fmt, {8: 4}, seed=0)
        assert bits(x, fmt) == bits(same, fmt)


def test_no_seed_that_people_take_repeats_the_rows_that_are_the_same_for_each() -> None:
    for seed in range(256):
        ((x, _),) = sampled_rows(FORMATS["float64"], {8: 1}, seed=seed)
        assert (x[0] != x[1]).all()


@each_format
def test_the_same_seed_gives_the_same_rows_and_another_seed_half_of_them(fmt: Format) -> None:
    samples = [list(sampled_rows(fmt, FEW, seed=seed)) for seed in (5, 5, 6)]
    for (length, count), (x, v), (again, _), (other, w) in zip(FEW.items(), *samples, strict=True):
        assert bits(x, fmt) == bits(again, fmt)
        assert bits(v, fmt) == bits(w, fmt)
        fixed = np.r_[:count, 2 * count : 2 * count + 7]
        assert bits(x[fixed], fmt) == bits(other[fixed], fmt)
        drawn = slice(count, 2 * count)
        same = x[drawn].view(fmt.unsigned) == other[drawn].view(fmt.unsigned)
        assert same.mean() < 0.2, length
        assert not same.all(axis=1).any() or length == 1


@each_format
def test_the_rows_of_a_length_do_not_depend_on_the_other_lengths(fmt: Format) -> None:
    (alone,) = [x for x, _ in sampled_rows(fmt, {8: 40}, seed=3)]
    among = [x for x, _ in sampled_rows(fmt, FEW, seed=3)][2]
    assert bits(alone, fmt) == bits(among, fmt)


@each_format
def test_random_rows_are_finite_of_several_spreads_and_levels(fmt: Format) -> None:
    ((x, v),) = sampled_rows(fmt, {8: 40})
    drawn = widen(x[:80])
    assert np.isfinite(drawn).all()
    assert np.isfinite(widen(v)).all()
    spread = drawn.max(axis=1) - drawn.min(axis=1)
    assert spread.max() <= 108  # 100, and what rounding adds at a level of 950
    for low, high in ((0, 2.1), (5, 20.1), (50, 108)):
        assert ((low <= spread) & (spread <= high)).sum() >= 10
    for level in (0, 100, 950, -950):
        assert (np.abs(drawn.mean(axis=1) - level) < 50).sum() >= 5
    assert np.abs(widen(v)).max() > 2
    assert np.unique(v).size > 0.5 * v.size or fmt.precision < 12


def test_random_rows_have_one_of_three_spreads_around_one_of_four_levels() -> None:
    ((x, _),) = sampled_rows(FORMATS["float64"], {1000: 60})
    low, high = x[:120].min(axis=1), x[:120].max(axis=1)
    spreads, levels = np.array([1.0, 10.0, 50.0]), np.array([0.0, 100.0, -950.0, 950.0])
    spread = spreads[np.abs((high - low) / 2 - spreads[:, None]).argmin(axis=0)]
    level = levels[np.abs((high + low) / 2 - levels[:, None]).argmin(axis=0)]
    assert len({*zip(spread, level, strict=True)}) == 12
    assert ((level - spread <= low) & (low < level - 0.98 * spread)).all()
    assert ((level + 0.98 * spread < high) & (high <= level + spread)).all()
    assert 0.3 < (level == 0).mean() < 0.5


SPECIAL = {
    "all equal": lambda x: (x == 0).all(),
    "one dominant entry": lambda x: x[0] == 89 and (np.abs(x[1:]) <= 1).all() and x[-1] == 1,
    "every other one minus infinity": lambda x: np.isneginf(x[::2]).all() and (x[1::2] == 0).all(),
    "only minus infinity": lambda x: np.isneginf(x).all(),
    "plus infinity at the end": lambda x: np.isposinf(x[-1]) and (x[:-1] == 0).all(),
    "plus infinity several times": lambda x: np.isposinf(x[:2]).all() and (x[2:] == 0).all(),
    "NaN": lambda x: np.isnan(x[0]) and (x[1:] == 0).all(),
}


@pytest.mark.parametrize("kind", SPECIAL)
@pytest.mark.parametrize("length", [2, 8, 32, 100, 1000])
@each_format
def test_special_rows_are_there_once(fmt: Format, length: int, kind: str) -> None:
    ((x, _),) = sampled_rows(fmt, {length: 1}, seed=9)
    assert sum(bool(SPECIAL[kind](row)) for row in widen(x[2:])) == 1


@each_format
def test_rows_of_one_entry_are_special_too(fmt: Format) -> None:
    ((x, _),) = sampled_rows(fmt, {1: 1})
    entries = set(map(str, widen(x).ravel().tolist()))
    assert {"0.0", "inf", "-inf", "nan"} <= entries


@WIDE
def test_round_numbers_are_sampled_whatever_the_sizes(fmt: Format) -> None:
    x = stratified(fmt, per_binade=0, uniform=0)
    powers = np.ldexp(1.0, np.arange(fmt.e_min, fmt.e_max + 1))
    round_numbers = np.concatenate([powers, np.arange(0.5, 20.5, 0.5)]).astype(fmt.dtype)
    assert np.isin(round_numbers, x).all()
    assert np.isin(-round_numbers, x).all()


@WIDE
def test_what_is_fixed_is_there_and_nothing_else(fmt: Format) -> None:
    ends = [0.0, fmt.smallest_subnormal, fmt.smallest_normal - fmt.smallest_subnormal, fmt.largest, inf]
    powers = [2.0**k for k in range(fmt.e_min, fmt.e_max + 1)]
    halves = [k / 2 for k in range(1, 41) if k / 2 not in powers]
    expected = np.array([sign * x for sign in (1, -1) for x in (*ends, *powers, *halves)] + [nan], fmt.dtype)
    x = stratified(fmt, per_binade=0, uniform=0)
    assert set(bits(x, fmt)) == set(bits(expected, fmt))
    assert x.size == expected.size + 2  # the smallest normals are powers of two as well


# Pairs


@each_format
def test_pairs_have_gates_wherever_a_gate_does_something(fmt: Format) -> None:
    for length, count in ROWS.items():
        drawn = [list(sampled_pairs(fmt, {length: count}, seed=seed)) for seed in (5, 5, 6)]
        if length % 2:
            assert drawn == [[], [], []]
            continue
        ((x, v),), ((again, _),), ((other, w),) = drawn
        fixed = np.r_[:count, 2 * count : len(x)]
        assert x.shape == v.shape == (2 * count + (10 if length <= 100 else 0), length)
        assert x.tobytes() == again.tobytes()
        assert v.tobytes() == w.tobytes()
        assert x[fixed].tobytes() == other[fixed].tobytes()
        assert (widen(x[count : 2 * count]) != widen(other[count : 2 * count])).mean() > 0.8
        numbers, gates = np.split(widen(x[: 2 * count]), 2, axis=1)
        assert np.isfinite(numbers).all()
        assert np.isfinite(gates).all()
        for size in (0.01, 1, 100):
            assert (abs(numbers) > size).sum() > 0.1 * numbers.size
            assert (abs(numbers) < size).sum() > 0.1 * numbers.size
        smallest = -np.log(fmt.smallest_subnormal)
        for low, high in ((-1, 1), (-5, 0), (-20, 20), (-smallest, -smallest / 2)):
            assert ((low < gates) & (gates < high)).sum() > 0.015 * gates.size


@each_format
def test_the_rows_of_one_pair_are_there_once(fmt: Format) -> None:
    ((x, _),) = sampled_pairs(fmt, {8: 3})
    table = [(0, 0), (1e3, 1e-3), (1, inf), (1, -inf), (inf, 0.5), (inf, inf), (-inf, -inf), (1, nan), (nan, 1)]
    plain = [(*set(map(repr, row[:4].tolist())), *set(map(repr, row[4:].tolist()))) for row in widen(x[6:])]
    expected = widen(np.array([*table, (fmt.largest, -25)]).astype(fmt.dtype))
    assert plain == [tuple(map(repr, pair)) for pair in expected.tolist()]


def test_the_gates_of_random_pairs_have_five_sizes_and_their_numbers_three() -> None:
    ((x, _),) = sampled_pairs(FORMATS["float64"], {1000: 200})
    numbers, gates = np.split(x[:400], 2, axis=1)
    size = np.abs(gates)
    assert size.max() <= 750
    for sign in (1, -1):
        assert (sign * gates).max() > 749
    for edge in (1, 10, 25, 110):  # beyond which those of this size are missing
        inside, outside = ((low < size) & (size <= low + 1) for low in (edge - 1, edge))
        assert inside.sum() > 1.5 * outside.sum()
    size = np.abs(numbers)
    for scale in (1e-3, 1, 1e3):
        near = size[(scale / 30 < size) & (size < scale * 30)]
        assert abs(near.size / size.size - 1 / 3) < 0.03
        assert np.median(near) == pytest.approx(0.7 * scale, rel=0.05)  # 0.6745 of a normal distribution, the rest cut
