"""The lines of a snippet make the rows that were tried, to the bit."""

import dataclasses

import numpy as np
import pytest
from catalogue import ROWS
from floats import FORMATS
from truths import USED, Sample, samples

import crosscheck
from crosscheck._verify.sightings import reproduce, sight

pytestmark = pytest.mark.full


@pytest.mark.parametrize("name", [name for name in ROWS if name != "glu"])
def test_the_lines_make_the_long_row(name: str) -> None:
    sample = Sample.of_shapes(USED, 50257, crosscheck.activations[name], FORMATS["float32"])
    for number, row in enumerate(sample.x):
        namespace = {"numpy": np}
        exec("\n".join(sample.lines(number)), namespace)
        np.testing.assert_array_equal(np.asarray(namespace["row"], np.float32), row, err_msg=str(USED[number]))


@pytest.mark.parametrize("dtype", list(FORMATS))
@pytest.mark.parametrize("name", ["softmax", "glu"])
def test_every_sampled_row_is_what_its_snippet_makes(name: str, dtype: str) -> None:
    activation, fmt = crosscheck.activations[name], FORMATS[dtype]
    plain = sight.sight(activation, sight.Sought(("torch.native",), np.zeros(1, fmt.dtype), 1, "eager", {"axis": -1}))
    for axis in (-1, 0):
        for sample in samples(activation, {"axis": axis}, dtype, seed=0, per_binade=0, uniform=0):
            assert sample.v is not None
            for number in range(len(sample.x)):
                imports, lines = reproduce._rows(dataclasses.replace(plain, row=sight._place(sample, number, 0)[1]))
                made: dict[str, list[int]] = {}
                exec("\n".join([*imports, *lines]), made)
                assert made["row"] == sample.x[number].view(fmt.unsigned).tolist(), (sample.length, number)
                assert made["direction"] == sample.v[number].view(fmt.unsigned).tolist()
