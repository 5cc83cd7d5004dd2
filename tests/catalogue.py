"""The catalogue's names by kind: what tests of elementwise functions and of functions of rows are parametrised with."""

import crosscheck

NAMES = tuple(crosscheck.activations)
ELEMENTWISE = tuple(name for name in NAMES if not crosscheck.activations[name].rows)
ROWS = tuple(name for name in NAMES if crosscheck.activations[name].rows)
