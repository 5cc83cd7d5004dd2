"""The lines of a snippet make the long rows that were tried, to the bit."""

import numpy as np
import pytest
from catalogue import ROWS
from floats import FORMATS

import crosscheck
from crosscheck._verify.sample import Sample
from crosscheck._verify.shapes import USED

pytestmark = pytest.mark.full


@pytest.mark.parametrize("name", [name for name in ROWS if name != "glu"])
def test_the_lines_make_the_row(name: str) -> None:
    sample = Sample.of_shapes(USED, 50257, crosscheck.activations[name], FORMATS["float32"])
    for number, row in enumerate(sample.x):
        found = {"numpy": np}
        exec("\n".join(sample.lines(number)), found)
        np.testing.assert_array_equal(np.asarray(found["row"], np.float32), row, err_msg=str(USED[number]))
