"""The sampled inputs: everything that the docstring of ``stratified`` promises, and the seed."""

import numpy as np
import pytest

from crosscheck._numerics.formats import FORMATS, FloatArray, Format, to_ordinal
from crosscheck._numerics.sampling import stratified

EACH = pytest.mark.parametrize("fmt", FORMATS.values(), ids=FORMATS)
WIDE = pytest.mark.parametrize("fmt", [FORMATS["float64"], FORMATS["float32"]], ids=lambda fmt: fmt.name)
NARROW = pytest.mark.parametrize("fmt", [FORMATS["bfloat16"], FORMATS["float16"]], ids=lambda fmt: fmt.name)
POINTS = (0.1, -3.0, 0.0)


def bits(x: FloatArray, fmt: Format) -> list[int]:
    return x.view(fmt.unsigned).tolist()


def contains(x: FloatArray, value: float, fmt: Format) -> bool:
    """To the bit, so that the zeros differ."""
    return bits(np.array([value], fmt.dtype), fmt)[0] in set(bits(x, fmt))


@EACH
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
    ordinary = x[np.isfinite(x) & (np.abs(x) > 1e-3) & (np.abs(x) < fmt.largest)]
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
    assert len(set(bits(first, fmt)) & set(bits(other, fmt))) < 0.05 * first.size
